"""Optimizers move the leaves of a parameter tree, in place, along the tree of their gradients.

    optimizer = SGD(momentum=0.9)
    rate = cosine(0.1, steps)
    for step in range(steps): optimizer.step(params, grads, rate(step))

A leaf whose slot `grads` does not have is frozen: neither it nor its momentum changes by one bit,
and no decay reaches it. Weight decay belongs to the leaves whose last name is in `decayed`, so not
to biases, to a BatchNorm's scale and shift, or to prototypes. The slot of a running average is a
list of a batch's statistics, each of which is folded in: r ← r + 0.1 (statistic − r).
"""

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from .backend.device import Array, array_module, to_device
from .parameters import Tree, assign, flatten, is_running

RUNNING_MOMENTUM = 0.1
"""How far a running average moves towards each new statistic (PyTorch's default)."""

Schedule = Callable[[int], float]
"""step (0 … steps − 1) → learning rate."""


class Optimizer:
    """What SGD and Adam share. `state` holds, by kind, an array for each leaf that has moved."""

    kinds: tuple[str, ...] = ()

    def __init__(self, weight_decay: float, decayed: tuple[str, ...]):
        _require(0 <= weight_decay < math.inf, "weight_decay must be 0 or more", weight_decay)
        _require(not isinstance(decayed, str), "decayed must be a tuple of names", decayed)
        self.weight_decay = weight_decay
        self.decayed = tuple(decayed)
        self.state: dict[str, dict[str, Array]] = {kind: {} for kind in self.kinds}

    def step(self, params: Tree, grads: Mapping[str, Any], learning_rate: float) -> None:
        """Move the leaves of `params` that have a slot in `grads`, a tree of the same nesting.

        `grads` is left as it is. Raises ValueError, before anything moves, for a slot that has no
        leaf, a gradient of another shape, or a learning rate below 0 or not finite.
        """
        rate = float(learning_rate)  # a float64 scalar of NumPy's would widen a float32 leaf
        _require(0 <= rate < math.inf, "learning_rate must be 0 or more", learning_rate)
        own, given = flatten(params), flatten(grads)
        for path, slot in given.items():
            if path not in own:
                raise ValueError(f"grads has a slot {path!r} and params no such leaf")
            for array in slot if is_running(path) else [slot]:
                if array.shape != own[path].shape:
                    raise ValueError(
                        f"grads: {path} has shape {array.shape}, expected {own[path].shape}"
                    )
        for path, slot in given.items():
            leaf = own[path]
            if is_running(path):
                for statistic in slot:
                    leaf += RUNNING_MOMENTUM * (statistic - leaf)
            else:
                name = path.rpartition("/")[2]
                self._move(path, leaf, slot, rate, self.weight_decay * (name in self.decayed))

    def _move(self, path: str, leaf: Array, gradient: Array, rate: float, decay: float) -> None:
        """Move one leaf; `decay` is the weight decay that belongs to it, or 0."""
        raise NotImplementedError

    def arrays(self) -> dict[str, Array]:
        """kind/path → array: all that `restore` needs (the very arrays, not copies)."""
        return {
            f"{kind}/{path}": array for kind, of in self.state.items() for path, array in of.items()
        }

    def restore(self, arrays: Mapping[str, Array], params: Tree) -> None:
        """Take back what `arrays` gave, as arrays of the leaves' own module and dtype.

        Raises ValueError, before anything changes, for a name or a shape that `params` and this
        optimizer do not have, or a leaf of which a kind is missing.
        """
        own = flatten(params)
        state: dict[str, dict[str, Array]] = {kind: {} for kind in self.kinds}
        for name, array in arrays.items():
            kind, _, path = name.partition("/")
            if kind not in state or path not in own or is_running(path):
                raise ValueError(f"{name!r} is no state of {type(self).__name__} for these params")
            leaf = own[path]
            expected = () if kind == "steps" else leaf.shape
            if array.shape != expected:
                raise ValueError(f"{name} has shape {array.shape}, expected {expected}")
            if kind == "steps":
                state[kind][path] = np.array(int(array), dtype=np.int64)
            else:
                state[kind][path] = to_device(array, array_module(leaf)).astype(leaf.dtype)
        for path in {path for of in state.values() for path in of}:
            for kind in self.kinds:
                if path not in state[kind]:
                    raise ValueError(f"{kind}/{path} is missing")
        self.state = state


class SGD(Optimizer):
    """Stochastic gradient descent with momentum (Polyak 1964; Sutskever and others, ICML 2013).

    With g the gradient plus weight_decay · θ, μ the momentum and v = g at a leaf's first step:

        v ← μ v + g        θ ← θ − rate (g + μ v)  with Nesterov,   θ − rate v  without

    as PyTorch has it: the rate is outside v, so a new rate takes effect at once.
    Raises ValueError for a momentum outside [0, 1), Nesterov without one, or a negative decay.
    """

    def __init__(
        self,
        momentum: float = 0.9,
        nesterov: bool = True,
        weight_decay: float = 5e-4,
        decayed: tuple[str, ...] = ("weight",),
    ):
        _require(0 <= momentum < 1, "momentum must be in [0, 1)", momentum)
        _require(momentum > 0 or not nesterov, "nesterov needs a momentum above 0", momentum)
        self.kinds = ("velocity",) if momentum else ()
        super().__init__(weight_decay, decayed)
        self.momentum = momentum
        self.nesterov = nesterov

    def _move(self, path: str, leaf: Array, gradient: Array, rate: float, decay: float) -> None:
        g = gradient + decay * leaf if decay else gradient
        if not self.momentum:
            leaf -= rate * g
            return
        velocity = self.state["velocity"]
        if path in velocity:
            v = velocity[path]
            v *= self.momentum
            v += g
        else:
            v = velocity[path] = g.astype(leaf.dtype)  # a copy, also of the caller's gradient
        leaf -= rate * (g + self.momentum * v if self.nesterov else v)


class Adam(Optimizer):
    """Adam (Kingma and Ba, arXiv 1412.6980, algorithm 1), its weight decay decoupled (AdamW,
    Loshchilov and Hutter, arXiv 1711.05101, algorithm 2).

    With g the gradient and t the number of a leaf's own steps, from 1:

        m ← β₁ m + (1 − β₁) g          v ← β₂ v + (1 − β₂) g²
        θ ← θ − rate · weight_decay · θ − rate · m̂ / (√v̂ + ε)
        m̂ = m / (1 − β₁ᵗ)              v̂ = v / (1 − β₂ᵗ)

    Raises ValueError for a β outside [0, 1), an ε not above 0, or a negative decay.
    """

    kinds = ("mean", "square", "steps")

    def __init__(
        self,
        beta1: float = 0.9,
        beta2: float = 0.999,
        epsilon: float = 1e-8,
        weight_decay: float = 0.0,
        decayed: tuple[str, ...] = ("weight",),
    ):
        _require(0 <= beta1 < 1, "beta1 must be in [0, 1)", beta1)
        _require(0 <= beta2 < 1, "beta2 must be in [0, 1)", beta2)
        _require(0 < epsilon < math.inf, "epsilon must be above 0", epsilon)
        super().__init__(weight_decay, decayed)
        self.beta1, self.beta2, self.epsilon = beta1, beta2, epsilon

    def _move(self, path: str, leaf: Array, gradient: Array, rate: float, decay: float) -> None:
        xp = array_module(leaf)
        mean, square, steps = (self.state[kind] for kind in self.kinds)
        if path not in steps:
            mean[path], square[path] = xp.zeros_like(leaf), xp.zeros_like(leaf)
            steps[path] = np.array(0, dtype=np.int64)  # a number of the host's, on every device
        m, v = mean[path], square[path]
        steps[path] += 1
        t = int(steps[path])
        m *= self.beta1
        m += (1 - self.beta1) * gradient
        v *= self.beta2
        v += (1 - self.beta2) * (gradient * gradient)
        if decay:
            leaf *= 1 - rate * decay
        root = xp.sqrt(v / (1 - self.beta2**t)) + self.epsilon
        leaf -= (rate / (1 - self.beta1**t)) * m / root


def step_decay(
    peak: float, steps: int, milestones: tuple[float, ...] = (0.5, 0.75), factor: float = 0.1
) -> Schedule:
    """peak · factorᵏ, k being how many of the milestones, in shares of the steps, have been reached
    (a milestone m is reached at step round(m · steps))."""
    _check_schedule(peak, steps)
    for milestone in milestones:
        _require(0 <= milestone <= 1, "milestones must be in [0, 1]", milestone)
    _require(0 < factor <= 1, "factor must be in (0, 1]", factor)
    at = [round(milestone * steps) for milestone in milestones]
    return _within(steps, lambda step: peak * factor ** sum(step >= start for start in at))


def cosine(peak: float, steps: int, warmup: float = 0.0) -> Schedule:
    """½ peak (1 + cos π (t − W)/(steps − W)) at step t, so just above 0 at the last (SGDR,
    Loshchilov and Hutter, arXiv 1608.03983, equation 5, without restarts).

    warmup: the share of the steps, in [0, 1), over which the rate first climbs in a straight line:
    W = round(warmup · steps) steps, of which step t has peak (t + 1)/(W + 1).
    """
    _check_schedule(peak, steps, warmup)
    climb = min(round(warmup * steps), steps - 1)

    def rate(step: int) -> float:
        if step < climb:
            return peak * (step + 1) / (climb + 1)
        return _descend(peak, 0.0, (step - climb) / (steps - climb))

    return _within(steps, rate)


def one_cycle(
    peak: float, steps: int, warmup: float = 0.3, start: float = 0.04, end: float = 0.0
) -> Schedule:
    """In a straight line from start · peak up to peak, then along half a cosine down to end · peak
    at the last step (after Smith and Topin, arXiv 1708.07120).

    warmup: the share of the way from the first step to the last at which the peak stands, in
    [0, 1); it falls on a step, round(warmup · (steps − 1)), and never on the last of several.
    """
    _check_schedule(peak, steps, warmup)
    _require(0 <= start <= 1, "start must be in [0, 1]", start)
    _require(0 <= end <= 1, "end must be in [0, 1]", end)
    last = steps - 1
    top = min(round(warmup * last), max(last - 1, 0))

    def rate(step: int) -> float:
        if step < top:
            return peak * (start + (1 - start) * step / top)
        return _descend(peak, end * peak, (step - top) / max(last - top, 1))

    return _within(steps, rate)


class Average:
    """An exponential moving average of all leaves of a tree, running averages too.

    Update t = 0, 1, … takes each leaf θ into a ← a + (1 − d)(θ − a) with d = min(decay,
    (1 + t)/(10 + t)): the start, of which a is a copy, is soon forgotten whatever the decay
    (the rule of TensorFlow's ExponentialMovingAverage). Raises ValueError for a decay outside
    [0, 1).
    """

    def __init__(self, params: Tree, decay: float = 0.999):
        _require(0 <= decay < 1, "decay must be in [0, 1)", decay)
        self.decay = decay
        self.updates = 0
        self.weights = {path: leaf.copy() for path, leaf in flatten(params).items()}

    def update(self, params: Tree) -> None:
        """Take the leaves of `params` in. Raises ValueError where they are not those averaged."""
        leaves = flatten(params)
        found = {path: leaf.shape for path, leaf in leaves.items()}
        expected = {path: average.shape for path, average in self.weights.items()}
        for path in sorted(found.keys() | expected.keys()):
            if found.get(path) != expected.get(path):
                raise ValueError(
                    f"{path} has shape {found.get(path)}, the average {expected.get(path)}"
                )
        step = 1 - min(self.decay, (1 + self.updates) / (10 + self.updates))
        for path, average in self.weights.items():
            average += step * (leaves[path] - average)
        self.updates += 1

    def copy_to(self, params: Tree) -> None:
        """Copy the averages into the leaves of `params`; ValueError where they do not fit."""
        assign(params, self.weights, "the average")

    def arrays(self) -> dict[str, Array]:
        """average/path → array, and `updates`, their number (the very arrays, not copies)."""
        averages = {f"average/{path}": average for path, average in self.weights.items()}
        return {"updates": np.array(self.updates, dtype=np.int64), **averages}

    def restore(self, arrays: Mapping[str, Array]) -> None:
        """Take back what `arrays` gave; ValueError, before anything changes, for another tree's."""
        expected: dict[str, Array] = {f"average/{path}": a for path, a in self.weights.items()}
        updates = np.array(self.updates, dtype=np.int64)
        assign({"updates": updates, **expected}, arrays, "the saved average")
        self.updates = int(updates)


def _descend(high: float, low: float, share: float) -> float:
    """From high to low along half a cosine, share of the way."""
    return low + (high - low) * 0.5 * (1 + math.cos(math.pi * share))


def _within(steps: int, rate: Schedule) -> Schedule:
    def checked(step: int) -> float:
        _require(0 <= step < steps, f"step must be in 0 … {steps - 1}", step)
        return rate(int(step))

    return checked


def _check_schedule(peak: float, steps: int, warmup: float = 0.0) -> None:
    _require(0 <= peak < math.inf, "peak must be 0 or more", peak)
    _require(steps >= 1, "steps must be 1 or more", steps)
    _require(0 <= warmup < 1, "warmup must be a share of the steps in [0, 1)", warmup)


def _require(holds: bool, rule: str, value: Any) -> None:
    """Raise ValueError that says the rule and the value, unless it holds (NaN never does)."""
    if not holds:
        raise ValueError(f"{rule}, not {value!r}")
