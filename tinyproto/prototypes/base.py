"""What the three winner-take-all networks share: the competition, its loss, and how they learn.

K neurons for each class compete; the winner's class is the answer. The competitive cross-entropy of
±ED-WTA (arXiv 2008.08750) is

    q = softmax(o)     τₖ = qₖ / Σ_{m of class y} q_m for neurons of the class y, else 0
    E = −log Σ_{m of class y} q_m        ∂E/∂oₖ = qₖ − τₖ

because log Σ_m e^{o_m} gives qₖ and log Σ_{own} e^{o_m} gives the softmax over the own class, τₖ.
What a neuron computes, and how its prototypes move, stands in `winner_take_all.py`.
"""

import math
from collections.abc import Callable
from types import ModuleType
from typing import Any, Self

import numpy as np

from ..backend import device as devices
from ..backend.device import Array, array_module, to_host
from ..kernels.winner_take_all import competitive_softmax
from ..random import permutation
from .estimator import Classifier, check_labels, check_samples

Callback = Callable[["WinnerTakeAll", int, float], Any]
Augment = Callable[[Array, int], Array]


class WinnerTakeAll(Classifier):
    """What the three networks share. Use one of its subclasses.

    Parameters
    ----------
    prototypes_per_class: K, neurons of each class.
    epochs: passes of `fit` over the data.
    batch_size: 1 is the authors' online rule. A larger mini-batch sums the updates of its samples,
        all taken at the same prototypes.
    learning_rate: α, per sample. schedule: "exponential" multiplies all rates by `decay` after
        each epoch, "cosine" lowers them to 0 along half a cosine.
    beta, beta_learning_rate: β at the start and its rate α_β; β stays above `BETA_FLOOR`.
    init: "random" (uniform in ± `init_scale`); "kmeans", the K centres of each class, `spread` of
        the way from its mean; or "class-mean", that mean with the random start added.
    dtype: "float32" or "float64". device: "cpu" or "cuda". random_state: the seed, an integer.

    Attributes, after `fit`
    -----------------------
    classes_ (C,); prototype_labels_ (C K,), the class of each neuron; n_features_in_; beta_;
    loss_, the mean E of the last epoch's samples, each before its own update; n_epochs_.
    """

    BETA_FLOOR = 1e-3
    _arrays: tuple[str, ...] = ()

    def __init__(
        self,
        prototypes_per_class: int = 6,
        *,
        epochs: int = 49,
        batch_size: int = 1,
        learning_rate: float = 0.01,
        schedule: str = "exponential",
        decay: float = 0.95,
        beta: float = 1.0,
        beta_learning_rate: float = 1e-4,
        init: str = "random",
        init_scale: float = 0.01,
        spread: float = 1.0,
        dtype: str = "float32",
        device: str = "cpu",
        random_state: int = 0,
    ):
        self.prototypes_per_class = prototypes_per_class
        self.epochs = epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.schedule = schedule
        self.decay = decay
        self.beta = beta
        self.beta_learning_rate = beta_learning_rate
        self.init = init
        self.init_scale = init_scale
        self.spread = spread
        self.dtype = dtype
        self.device = device
        self.random_state = random_state

    _learns_beta = True

    @property
    def _xp(self) -> ModuleType:
        return array_module(self._beta)

    @property
    def beta_(self) -> float:
        """β as it stands; 1 where the network has none."""
        return float(self._beta[0])

    # What a subclass says of its neurons: o = beta × gap(x).

    def _start(self, x: Array, label: Array) -> None:
        raise NotImplementedError

    def _gap(self, x: Array) -> Array:
        raise NotImplementedError

    def _online(self, x: Array, label: Array, order: Array, **arguments: Any) -> None:
        raise NotImplementedError

    def _move(self, x: Array, residual: Array, rate: Array) -> None:
        raise NotImplementedError

    def _slope(self, x: Array, neuron: Array) -> Array:
        """∂o/∂x of one neuron a sample: (N, d) for x (N, d) and neuron (N,)."""
        raise NotImplementedError

    def linear(self) -> tuple[np.ndarray, np.ndarray]:
        """A (neurons, d) and b (neurons,), float64: oₖ = Aₖ·x + bₖ, up to a term that all neurons
        share and that changes no winner."""
        raise NotImplementedError

    # Learning.

    def fit(
        self,
        X: Array,
        y: Array,
        *,
        augment: Augment | None = None,
        callback: Callback | None = None,
    ) -> Self:
        """Learn from X (N, d) and the labels y (N,).

        `augment(x, epoch)` returns the samples of that epoch, same shape; `callback(model, epoch,
        loss)` is called after each epoch, counted from 1. Raises ValueError for a bad argument or
        input, in one line that names it.
        """
        x, label = self._begin(X, y, None)
        for epoch in range(self.epochs):
            order = permutation(
                len(x), seed=self.random_state, stream="shuffle", epoch=epoch, xp=self._xp
            )
            seen = x if augment is None else self._xp.asarray(augment(x, epoch), dtype=x.dtype)
            self._pass(seen, label, order, self._factor(epoch))
            self.n_epochs_ = epoch + 1
            if callback is not None:
                callback(self, epoch + 1, self.loss_)
        return self

    def _factor(self, epoch: int) -> float:
        """What the rates are multiplied by in an epoch, counted from 0."""
        if self.schedule == "cosine":
            return 0.5 * (1 + math.cos(math.pi * epoch / self.epochs))
        return self.decay**epoch

    def partial_fit(self, X: Array, y: Array, classes: Array | None = None) -> Self:
        """One pass over the samples in the order given, at the undecayed rates.

        The first call starts the prototypes; it must see, or be told in `classes`, every class.
        """
        if hasattr(self, "classes_"):
            x, label = self._check(X, y, self.classes_)
        else:
            x, label = self._begin(X, y, classes)
        self._pass(x, label, self._xp.arange(len(x)), 1.0)
        self.n_epochs_ += 1
        return self

    def _begin(self, X: Array, y: Array, classes: Array | None) -> tuple[Array, Array]:
        """Check everything, then start the prototypes."""
        self.check_parameters()
        for name in ("classes_", "n_features_in_", "loss_"):
            self.__dict__.pop(name, None)
        x, label = self._check(X, y, classes)
        per_class = self.prototypes_per_class
        self.prototype_labels_ = self.classes_.repeat(per_class)
        self._beta = array_module(x).full(1, self.beta, dtype=x.dtype)
        self.n_epochs_ = 0
        try:
            self._start(x, label)
        except ValueError:
            del self.classes_  # not fitted
            raise
        return x, label

    def _check(self, X: Array, y: Array, classes: Array | None) -> tuple[Array, Array]:
        X = check_samples(X, getattr(self, "n_features_in_", None), type(self).__name__)
        y = check_labels(y, len(X))
        known = np.unique(y) if classes is None else np.unique(np.asarray(classes))
        if len(known) < 2:
            raise ValueError(f"at least 2 classes are needed, but y holds one class: {known[0]}")
        strange = ~np.isin(y, known)
        if strange.any():
            raise ValueError(f"y holds {y[strange][0]}, which is not one of the classes {known}")
        self.classes_ = known
        self.n_features_in_ = X.shape[1]
        xp = devices.select_device(self.device)
        x = devices.to_device(X, xp).astype(self.dtype, copy=False)
        return x, xp.asarray(np.searchsorted(known, y))

    def check_parameters(self) -> None:
        for name in ("prototypes_per_class", "batch_size"):
            self._require(name, _is_integer(getattr(self, name), 1), "an integer of 1 or more")
        self._require("epochs", _is_integer(self.epochs, 0), "an integer of 0 or more")
        self._require(
            "random_state", _is_integer(self.random_state, 0), "an integer seed, 0 or more"
        )
        for name in ("learning_rate", "beta", "decay"):
            self._require(name, getattr(self, name) > 0, "above 0")
        self._require("beta_learning_rate", self.beta_learning_rate >= 0, "0 or more")
        self._require("dtype", self.dtype in ("float32", "float64"), "'float32' or 'float64'")
        schedules = ("exponential", "cosine")
        self._require("schedule", self.schedule in schedules, f"one of {', '.join(schedules)}")
        self._require("spread", 0 <= self.spread <= 1, "between 0 and 1")
        devices.select_device(self.device)
        starts = ("random", "kmeans", "class-mean")
        self._require("init", self.init in starts, f"one of {', '.join(starts)}")

    def _require(self, name: str, fine: bool, wanted: str) -> None:
        if not fine:
            raise ValueError(f"{name} must be {wanted}, not {getattr(self, name)!r}")

    def _pass(self, x: Array, label: Array, order: Array, factor: float) -> None:
        """One epoch, online or in mini-batches."""
        xp, neurons = self._xp, len(self.prototype_labels_)
        rate, beta_rate = self.learning_rate * factor, self.beta_learning_rate * factor
        loss = xp.empty(len(order), dtype=x.dtype)
        if self.batch_size == 1:
            self._online(
                x,
                label,
                order,
                learning_rate=x.dtype.type(rate),
                beta_learning_rate=x.dtype.type(beta_rate),
                beta_floor=x.dtype.type(self.BETA_FLOOR),
                min_probability=np.finfo(x.dtype).eps,
                workspace=xp.empty((3, neurons), dtype=x.dtype),
                loss=loss,
            )
        else:
            for start in range(0, len(order), self.batch_size):
                batch = order[start : start + self.batch_size]
                loss[start : start + self.batch_size] = self._step(
                    x[batch], label[batch], rate, beta_rate
                )
        self.loss_ = float(loss.mean(dtype=np.float64))

    def _step(self, x: Array, label: Array, rate: float, beta_rate: float) -> Array:
        """One mini-batch: all updates summed, taken at the same prototypes. Returns each E."""
        gap = self._gap(x)
        residual, loss = self._compete(gap * self._beta, label)
        self._move(x, residual, self._beta * x.dtype.type(rate))
        if beta_rate and self._learns_beta:
            ascent = (residual * gap).sum(dtype=x.dtype) * x.dtype.type(beta_rate)
            self._beta = self._xp.maximum(self._beta + ascent, x.dtype.type(self.BETA_FLOOR))
        return loss

    def _compete(self, score: Array, label: Array) -> tuple[Array, Array]:
        """The residual τ − q (N, neurons) and E (N,)."""
        residual = self._xp.empty_like(score)
        loss = self._xp.empty(len(score), dtype=score.dtype)
        negligible = score.dtype.type(np.finfo(score.dtype).eps)
        competitive_softmax(
            len(score), score, label, self.prototypes_per_class, negligible, residual, loss
        )
        return residual, loss

    # In use.

    def __call__(self, x: Array) -> tuple[Array, Callable[[Array], Array]]:
        """The network as a layer: class scores z (N, C) of x (N, …), and the backward pass
        dz ↦ dx. A class's score is its largest neuron's, so dx = Σ_c dz_c ∂o_{winner of c}/∂x."""
        self.check_is_fitted()
        if array_module(x) is not self._xp:
            raise ValueError(f"x is not on the network's device, {self.device!r}; move it there")
        flat = x.reshape(len(x), math.prod(x.shape[1:])).astype(self.dtype, order="C", copy=False)
        if flat.shape[1] != self.n_features_in_:
            raise ValueError(
                f"{type(self).__name__} expects {self.n_features_in_} features, not {flat.shape[1]}"
            )
        z, winners = self._class_scores(flat)

        def backward(dz: Array) -> Array:
            dx = self._xp.zeros_like(flat)
            for c in range(z.shape[1]):
                dx += dz[:, c : c + 1].astype(dx.dtype) * self._slope(flat, winners[:, c])
            return dx.reshape(x.shape)

        return z, backward

    def neuron_scores(self, X: Array) -> Array:
        """o (N, neurons), for X (N, d)."""
        return self._gap(self._checked(X)) * self._beta

    def decision_function(self, X: Array) -> Array:
        """Class scores (N, C), each its largest neuron's; for two classes, as scikit-learn has it,
        their difference (N,)."""
        z, _ = self._class_scores(self._checked(X))
        return z[:, 1] - z[:, 0] if z.shape[1] == 2 else z

    def predict_proba(self, X: Array) -> Array:
        """The softmax of the class scores (N, C)."""
        z, _ = self._class_scores(self._checked(X))
        share = self._xp.exp(z - z.max(axis=1, keepdims=True))
        return share / share.sum(axis=1, keepdims=True)

    def predict(self, X: Array) -> np.ndarray:
        """The class of the winner (N,), on the host."""
        z, _ = self._class_scores(self._checked(X))
        return self.classes_[to_host(z.argmax(axis=1))]

    def _class_scores(self, x: Array) -> tuple[Array, Array]:
        """The class scores (N, C), and which neuron gives each (N, C)."""
        score = (self._gap(x) * self._beta).reshape(
            len(x), len(self.classes_), self.prototypes_per_class
        )
        first = self._xp.arange(len(self.classes_)) * self.prototypes_per_class
        return score.max(axis=2), score.argmax(axis=2) + first

    def _checked(self, X: Array) -> Array:
        self.check_is_fitted()
        X = check_samples(X, self.n_features_in_, type(self).__name__)
        return devices.to_device(X, self._xp).astype(self.dtype, copy=False)


def _is_integer(value: Any, least: int) -> bool:
    return isinstance(value, (int, np.integer)) and int(value) >= least
