"""Optimizers change the leaves of a parameter tree, in place, by the tree of their gradients.

    optimizer = SGD(momentum=0.9)
    learning_rate = cosine(0.1, steps)                     # see `schedules`
    for step in range(steps):
        optimizer.step(params, grads, learning_rate(step))

A leaf whose slot is not in `grads` is frozen: neither it nor its momentum changes by one bit, and
no weight decay reaches it. Weight decay applies to the leaves whose name is in `decayed`: by
default to weights, and not to biases, to the scale and shift of a BatchNorm, or to prototypes. The
slot of a running average is a list of statistics, one for each batch, which are averaged in one
after the other: r ← r + 0.1 (statistic − r).
"""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from .backend.device import Array, array_module, to_device
from .gradients import check_gradient_tree, check_mutable
from .parameters import Tree, assign, check_arrays, check_values, flatten, is_running
from .validation import require

__all__ = ["RUNNING_MOMENTUM", "SGD", "Adam", "Average", "Optimizer"]

RUNNING_MOMENTUM = 0.1
"""How far a running average moves towards each new statistic (PyTorch's default)."""


class Optimizer:
    """The base class of SGD and Adam; a subclass says in `update_leaf` how one leaf changes.

    Parameters
    ----------
    weight_decay : float
        The coefficient of weight decay, 0 or more.
    decayed : tuple of str
        Names of the leaves that decay.

    Attributes
    ----------
    state_names : tuple of str
        What is stored for each leaf, such as ("velocity",).
    state : dict of str to dict of str to array
        For each of these names, an array for each leaf that has been updated, by its path.

    Examples
    --------
    >>> import numpy as np
    >>> from tinyproto.optimizers import Optimizer
    >>> class SignSGD(Optimizer):
    ...     def update_leaf(self, path, leaf, gradient, learning_rate, weight_decay):
    ...         leaf -= learning_rate * np.sign(gradient)
    >>> params = {"weight": np.array([1.0, 2.0])}
    >>> SignSGD(0.0, ()).step(params, {"weight": np.array([-7.0, 0.1])}, 0.5)
    >>> params["weight"]
    array([1.5, 1.5])
    """

    state_names: tuple[str, ...] = ()

    def __init__(self, weight_decay: float, decayed: tuple[str, ...]):
        require(0 <= weight_decay < math.inf, "weight_decay must be 0 or more", weight_decay)
        require(not isinstance(decayed, str), "decayed must be a tuple of names", decayed)
        self.weight_decay = float(weight_decay)  # NumPy's float64 would widen a float32 leaf
        self.decayed = tuple(decayed)
        self.state: dict[str, dict[str, Array]] = {name: {} for name in self.state_names}

    def step(self, params: Tree, grads: Mapping[str, Any], learning_rate: float) -> None:
        """Update the leaves of `params` that have a slot in `grads`, a tree of the same nesting.

        `grads` is left as it is. Raises ValueError, before anything changes, for a slot that has no
        leaf, a gradient of another shape, a leaf that is read-only or of another shape than at its
        last step, or a learning rate below 0 or not finite.
        """
        rate = float(learning_rate)
        require(0 <= rate < math.inf, "learning_rate must be 0 or more", learning_rate)
        check_gradient_tree(params, grads)
        own, slots = flatten(params), flatten(grads)
        check_mutable(own, slots)
        for path in slots:
            for stored in (of[path] for of in self.state.values() if path in of):
                if stored.shape not in ((), own[path].shape):  # () is that of a count of steps
                    raise ValueError(f"{path}: shape {own[path].shape}, its state {stored.shape}")
        for path, slot in slots.items():
            leaf = own[path]
            if is_running(path):
                for statistic in slot:
                    leaf += RUNNING_MOMENTUM * (statistic - leaf)
            else:
                decays = path.rpartition("/")[2] in self.decayed
                self.update_leaf(path, leaf, slot, rate, self.weight_decay * decays)

    def update_leaf(
        self, path: str, leaf: Array, gradient: Array, learning_rate: float, weight_decay: float
    ) -> None:
        """Update one leaf in place; `weight_decay` is 0 where the leaf does not decay."""
        raise NotImplementedError

    def state_dict(self) -> dict[str, Array]:
        """All that `load_state_dict` needs, as name/path → array (not copies)."""
        return {
            f"{name}/{path}": array for name, of in self.state.items() for path, array in of.items()
        }

    def load_state_dict(self, arrays: Mapping[str, Array], params: Tree) -> None:
        """Restore what `state_dict` returned, on the device and in the dtype of each leaf.

        Raises ValueError, before anything changes, for names, shapes or values that `params` and
        this optimizer cannot have, or for a leaf a part of whose state is missing.
        """
        own = flatten(params)
        state: dict[str, dict[str, Array]] = {name: {} for name in self.state_names}
        for entry, array in arrays.items():
            name, _, path = entry.partition("/")
            if name not in state or path not in own or is_running(path):
                raise ValueError(f"{entry!r} is no state of {type(self).__name__} for these params")
            expected, source = np.array(0) if name == "steps" else own[path], "the saved optimizer"
            check_arrays({entry: expected}, {entry: array}, source)
            counted = name in ("square", "steps")
            check_values(entry, array, expected.dtype, source, nonnegative=counted)
            state[name][path] = to_device(array, array_module(expected)).astype(expected.dtype)
        for path in {path for arrays in state.values() for path in arrays}:
            for name in (name for name in state if path not in state[name]):
                raise ValueError(f"{name}/{path} is missing")
        self.state = state


class SGD(Optimizer):
    """Stochastic gradient descent with momentum (Polyak 1964; Sutskever and others, ICML 2013).

    With g the gradient plus weight_decay · θ, μ the momentum, α the learning rate, and v = g at a
    leaf's first step:

        v ← μ v + g        θ ← θ − α (g + μ v)  with Nesterov,   θ − α v  without

    as in PyTorch: α is not part of v, so a new learning rate takes effect at once.

    Parameters
    ----------
    momentum : float
        μ, in [0, 1).
    nesterov : bool
        Whether to use Nesterov's momentum.
    weight_decay : float
        The coefficient of the L2 penalty, 0 or more.
    decayed : tuple of str
        Names of the leaves that decay.

    Raises
    ------
    ValueError
        For a momentum outside [0, 1), Nesterov without momentum, or a negative weight decay.

    Examples
    --------
    >>> import numpy as np
    >>> from tinyproto.optimizers import SGD
    >>> params = {"weight": np.array([1.0]), "bias": np.array([1.0])}
    >>> optimizer = SGD(momentum=0.9, nesterov=False, weight_decay=0)
    >>> for _ in range(2):
    ...     optimizer.step(params, {"weight": np.array([0.5])}, learning_rate=0.1)
    >>> params["weight"].round(3), params["bias"]  # the bias has no slot: it is frozen
    (array([0.855]), array([1.]))
    """

    def __init__(
        self,
        momentum: float = 0.9,
        nesterov: bool = True,
        weight_decay: float = 5e-4,
        decayed: tuple[str, ...] = ("weight",),
    ):
        require(0 <= momentum < 1, "momentum must be in [0, 1)", momentum)
        require(momentum > 0 or not nesterov, "nesterov needs a momentum above 0", momentum)
        self.state_names = ("velocity",) if momentum else ()
        super().__init__(weight_decay, decayed)
        self.momentum, self.nesterov = float(momentum), nesterov

    def update_leaf(
        self, path: str, leaf: Array, gradient: Array, learning_rate: float, weight_decay: float
    ) -> None:
        g = gradient + weight_decay * leaf if weight_decay else gradient
        if not self.momentum:
            leaf -= learning_rate * g
            return
        velocity = self.state["velocity"]
        if path in velocity:
            v = velocity[path]
            v *= self.momentum
            v += g
        else:
            v = velocity[path] = g.astype(leaf.dtype)  # a copy, also of the caller's gradient
        leaf -= learning_rate * (g + self.momentum * v if self.nesterov else v)


class Adam(Optimizer):
    """Adam (Kingma and Ba, arXiv 1412.6980, algorithm 1), with the decoupled weight decay of AdamW
    (Loshchilov and Hutter, arXiv 1711.05101, algorithm 2).

    With g the gradient, α the learning rate, and t the number of a leaf's own steps, from 1:

        m ← β₁ m + (1 − β₁) g          v ← β₂ v + (1 − β₂) g²
        θ ← θ − α · weight_decay · θ − α · m̂ / (√v̂ + ε)
        m̂ = m / (1 − β₁ᵗ)              v̂ = v / (1 − β₂ᵗ)

    Parameters
    ----------
    beta1, beta2 : float
        β₁ and β₂, in [0, 1).
    epsilon : float
        ε, above 0.
    weight_decay : float
        The coefficient of the decoupled weight decay, 0 or more.
    decayed : tuple of str
        Names of the leaves that decay.

    Raises
    ------
    ValueError
        For a β outside [0, 1), an ε not above 0, or a negative weight decay.

    Examples
    --------
    >>> import numpy as np
    >>> from tinyproto.optimizers import Adam
    >>> params = {"weight": np.array([1.0, 1.0])}
    >>> Adam().step(params, {"weight": np.array([1000.0, -0.001])}, learning_rate=0.1)
    >>> params["weight"].round(3)  # the first step has the length of the learning rate
    array([0.9, 1.1])
    """

    state_names = ("mean", "square", "steps")

    def __init__(
        self,
        beta1: float = 0.9,
        beta2: float = 0.999,
        epsilon: float = 1e-8,
        weight_decay: float = 0.0,
        decayed: tuple[str, ...] = ("weight",),
    ):
        require(0 <= beta1 < 1, "beta1 must be in [0, 1)", beta1)
        require(0 <= beta2 < 1, "beta2 must be in [0, 1)", beta2)
        require(1e-37 < epsilon < math.inf, "epsilon must be above 0 in float32", epsilon)
        super().__init__(weight_decay, decayed)
        self.beta1, self.beta2, self.epsilon = float(beta1), float(beta2), float(epsilon)

    def update_leaf(
        self, path: str, leaf: Array, gradient: Array, learning_rate: float, weight_decay: float
    ) -> None:
        xp = array_module(leaf)
        mean, square, steps = (self.state[name] for name in self.state_names)
        if path not in steps:
            mean[path], square[path] = xp.zeros_like(leaf), xp.zeros_like(leaf)
            steps[path] = np.array(0, dtype=np.int64)  # on the CPU, whatever the device
        m, v = mean[path], square[path]
        steps[path] += 1
        t = int(steps[path])
        m *= self.beta1
        m += (1 - self.beta1) * gradient
        v *= self.beta2
        v += (1 - self.beta2) * (gradient * gradient)
        if weight_decay:
            leaf *= 1 - learning_rate * weight_decay
        root = xp.sqrt(v / (1 - self.beta2**t)) + self.epsilon
        leaf -= (learning_rate / (1 - self.beta1**t)) * m / root


class Average:
    """An exponential moving average of all leaves of a tree, running averages included.

    Update t = 0, 1, … takes each leaf θ into a ← a + (1 − d)(θ − a) with d = min(decay,
    (1 + t)/(10 + t)), so that the initial weights, of which a starts as a copy, are soon forgotten
    whatever the decay (the rule of TensorFlow's ExponentialMovingAverage).

    Parameters
    ----------
    params : Tree
        The parameters to average.
    decay : float
        In [0, 1).

    Attributes
    ----------
    weights : dict of str to array
        The averages by path.
    updates : int
        The number of updates so far.

    Raises
    ------
    ValueError
        For a decay outside [0, 1).

    Examples
    --------
    >>> import numpy as np
    >>> from tinyproto.optimizers import Average
    >>> params = {"weight": np.array([0.0])}
    >>> average = Average(params, decay=0.999)
    >>> params["weight"][0] = 1.0
    >>> average.update(params)
    >>> average.weights["weight"]
    array([0.9])
    """

    def __init__(self, params: Tree, decay: float = 0.999):
        require(0 <= decay < 1, "decay must be in [0, 1)", decay)
        self.decay = float(decay)
        self.updates = 0
        self.weights = {path: leaf.copy() for path, leaf in flatten(params).items()}

    def update(self, params: Tree) -> None:
        """Average in the leaves of `params`. Raises ValueError for other paths or shapes."""
        leaves = flatten(params)
        for path in sorted(leaves.keys() | self.weights.keys()):
            ours, theirs = (getattr(a.get(path), "shape", None) for a in (self.weights, leaves))
            if ours != theirs:
                raise ValueError(f"{path} has shape {theirs}, the average {ours}")
        step = 1 - min(self.decay, (1 + self.updates) / (10 + self.updates))
        for path, average in self.weights.items():
            average += step * (leaves[path] - average)
        self.updates += 1

    def copy_to(self, params: Tree) -> None:
        """Copy the averages into the leaves of `params`; ValueError where they do not fit."""
        assign(params, self.weights, "the average")

    def state_dict(self) -> dict[str, Array]:
        """average/path → array, and `updates`, their number (not copies)."""
        averages = {f"average/{path}": average for path, average in self.weights.items()}
        return {"updates": np.array(self.updates, dtype=np.int64), **averages}

    def load_state_dict(self, arrays: Mapping[str, Array]) -> None:
        """Restore what `state_dict` returned; ValueError, before any change, if it does not fit."""
        expected: dict[str, Array] = {f"average/{path}": a for path, a in self.weights.items()}
        expected["updates"] = np.array(self.updates)
        check_arrays(expected, arrays, "the saved average")
        for path, array in arrays.items():
            check_values(path, array, expected[path].dtype, "the saved average")
        require(int(arrays["updates"]) >= 0, "updates must be 0 or more", arrays["updates"])
        assign(expected, arrays, "the saved average")
        self.updates = int(expected["updates"])
