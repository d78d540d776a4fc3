"""What the three winner-take-all networks share: the competition and its training.

K neurons of each class compete, and the network predicts the class of the neuron with the largest
score o. Training minimizes the competitive cross-entropy (`cross_entropy.py`), one sample at a time
or in mini-batches, or the loss of the robustness radius (`radius_objective.py`). How each network
computes o and updates its prototypes is derived in `winner_take_all.py`.
"""

import math
from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass
from typing import Any, Self

import numpy as np

from ..backend.device import Array, select_device, to_device
from ..random import permutation
from ..validation import check_count, check_number, check_shape
from .cross_entropy import CrossEntropySteps
from .prediction import Predictor
from .radius_objective import Direction, RadiusSteps
from .validation import LEARNED, check_learned, check_samples, column_names, encode_targets

Callback = Callable[["WinnerTakeAll", int, float], Any]
BatchStep = Callable[[Array, Array, float, float], Array]
Augment = Callable[[Array, int], Array]
OBJECTIVES = ("cross-entropy", "radius")


@dataclass(eq=False, repr=False)
class WinnerTakeAll(Predictor):
    """Base class of `IPWTA`, `EDWTA` and `PlusMinusEDWTA`; use one of these.

    Parameters
    ----------
    prototypes_per_class : int, default 6
        K, the number of neurons of each class.
    epochs : int, default 49
        Passes of `fit` over the data.
    batch_size : int, default 1
        1 is the paper's online rule, an update after every sample. A larger mini-batch sums the
        updates of its samples, all computed from the same prototypes.
    learning_rate : float, default 0.01
        α, for one sample.
    schedule : {"exponential", "cosine"}
        All learning rates times `decay` after each epoch, or lowered to 0 along half a cosine.
    decay : float, default 0.95
        The factor of the exponential schedule.
    beta : float, default 1.0
        The initial β, which scales the scores; `IPWTA` has none.
    beta_learning_rate : float, default 1e-4
        α_β, the learning rate of β; β never falls below `BETA_FLOOR`.
    objective : {"cross-entropy", "radius"}
        What is minimized: E, or the loss of the radius that `prototypes.radius_objective` derives,
        in mini-batches. The radius has the parameters from `norm` to `hi`.
    norm : {"l2", "linf"}
        The norm of the radius.
    target_radius : float, default 2.5
        R: a sample whose radius is at least R has no loss (with temperature 0).
    temperature : float, default 0.0
        That of the smooth loss; 0 is the hinge.
    final_target_radius : float, optional
        R in the last quarter of the epochs.
    ramp : float, optional
        In the last quarter of the epochs, samples whose radius is smaller have a constant loss:
        they are given up for the others.
    dropout : float, default 0.0
        The probability of each neuron to be left out of a mini-batch, below 1. A class whose
        neurons would all be left out keeps them.
    momentum : float, default 0.9
        Nesterov's momentum, below 1.
    lo, hi : float, optional
        The range of valid inputs, both or neither: then the radius is that inside the box.
    init : {"random", "kmeans", "class-mean", "samples"}
        The initial prototypes: uniform in ± `init_scale`; the K k-means centres of each class;
        the mean of each class with such uniform numbers added; or K samples of each class, drawn
        at random.
    init_scale : float, default 0.01
        The half width of the uniform distribution.
    init_spread : float, default 1.0
        Between 0 and 1: k-means centres and samples start this fraction of the way from the mean of
        their class to where they were found.
    dtype : {"float32", "float64"}
        The precision of the arithmetic.
    device : {"cpu", "cuda"}
        Where the network is trained and used.
    random_state : int, default 0
        The seed of all random numbers.

    Attributes
    ----------
    classes_ : array (C,)
        The class labels. (All attributes are set by `fit`.)
    prototype_labels_ : array (C K,)
        The class of each neuron.
    n_features_in_ : int
        d, the number of features.
    feature_names_in_ : array (d,)
        The names of the columns, where X was a data frame whose columns are strings.
    beta_ : float
        The learned β.
    loss_ : float
        The mean of E over the samples of the last epoch, each before its own update.
    n_epochs_ : int
        Epochs since the prototypes were initialized.

    Examples
    --------
    >>> from tinyproto.prototypes import IPWTA, WinnerTakeAll
    >>> isinstance(IPWTA(epochs=5), WinnerTakeAll)
    True
    """

    BETA_FLOOR = 1e-3

    prototypes_per_class: int = 6
    _: KW_ONLY
    epochs: int = 49
    batch_size: int = 1
    learning_rate: float = 0.01
    schedule: str = "exponential"
    decay: float = 0.95
    beta: float = 1.0
    beta_learning_rate: float = 1e-4
    objective: str = "cross-entropy"
    norm: str = "l2"
    target_radius: float = 2.5
    temperature: float = 0.0
    final_target_radius: float | None = None
    ramp: float | None = None
    dropout: float = 0.0
    momentum: float = 0.9
    lo: float | None = None
    hi: float | None = None
    init: str = "random"
    init_scale: float = 0.01
    init_spread: float = 1.0
    dtype: str = "float32"
    device: str = "cpu"
    random_state: int = 0

    _learns_beta = True

    def _fitted_params(self) -> dict[str, Any]:
        """The constructor's parameters, those that shape the prototypes as they were in `fit`."""
        fitted = {"prototypes_per_class": self._per_class, "dtype": str(self._beta.dtype)}
        return {**self.get_params(), **fitted}

    # What a subclass defines, besides what `Predictor` says.

    def _initialize(self, x: Array, label: Array) -> None:
        raise NotImplementedError

    def _online(self, x: Array, label: Array, order: Array, **arguments: Any) -> None:
        raise NotImplementedError

    def _update_prototypes(self, x: Array, residual: Array, rate: Array) -> None:
        raise NotImplementedError

    def _directions(self) -> list[Direction]:
        """How the arrays change with the radius of a pair."""
        raise NotImplementedError

    # Training.

    def fit(
        self,
        X: Array,
        y: Array,
        *,
        augment: Augment | None = None,
        callback: Callback | None = None,
    ) -> Self:
        """Initialize the prototypes and train for `epochs` epochs.

        Parameters
        ----------
        X : array (N, d)
            The samples.
        y : array (N,)
            Their labels: integers, booleans or strings.
        augment : callable, optional
            augment(x, epoch) returns the samples of that epoch, of the same shape; epochs are
            counted from 0.
        callback : callable, optional
            callback(network, epoch, loss) is called after each epoch, counted from 1.

        Returns
        -------
        WinnerTakeAll
            The network itself.

        Raises
        ------
        ValueError
            For a bad parameter or bad data, which the message names.
        """
        seed = self.random_state
        with self._unchanged_on_error():
            x, label = self._prepare_fit(X, y, None)
            xp, step = self._xp, self._batch_step(len(x), self.epochs)
            for epoch in range(self.epochs):
                order = permutation(len(x), seed=seed, stream="shuffle", epoch=epoch, xp=xp)
                samples = x if augment is None else augment(x, epoch)
                check_shape("what augment returns", samples, x.shape)
                samples = xp.ascontiguousarray(samples, dtype=x.dtype)
                factor = self._learning_rate_factor(epoch)
                self._run_epoch(samples, label, order, factor, step)
                if callback is not None:
                    callback(self, epoch + 1, self.loss_)
        return self

    def _learning_rate_factor(self, epoch: int) -> float:
        """What the learning rates are multiplied by in an epoch, counted from 0."""
        if self.schedule == "cosine":
            return 0.5 * (1 + math.cos(math.pi * epoch / self.epochs))
        return self.decay**epoch

    def partial_fit(self, X: Array, y: Array, classes: Array | None = None) -> Self:
        """One epoch over X (N, d), y (N,) in the order given, without learning rate schedule.

        The first call initializes the prototypes. Every class must occur in its `y`, or be listed
        in `classes`. What is refused changes nothing.
        """
        with self._unchanged_on_error():
            if not hasattr(self, "classes_"):
                x, label = self._prepare_fit(X, y, classes)
            else:
                if classes is not None and not np.array_equal(self.classes_, np.unique(classes)):
                    raise ValueError(
                        f"`classes={classes!r}` is not the same as on last call to partial_fit, "
                        f"was: {self.classes_!r}"
                    )
                self.check_parameters()
                x = self._validate_samples(X)
                label = self._xp.asarray(encode_targets(y, len(x), self.classes_)[1])
            step = self._batch_step(len(x), math.inf)
            self._run_epoch(x, label, self._xp.arange(len(x)), 1.0, step)
        return self

    def _prepare_fit(self, X: Array, y: Array, classes: Array | None) -> tuple[Array, Array]:
        """Check the parameters and the data, then initialize the prototypes."""
        self.check_parameters()
        for name in ("feature_names_in_", "loss_"):
            vars(self).pop(name, None)
        if (names := column_names(X)) is not None:
            self.feature_names_in_ = names
        xp = select_device(self.device)
        x = to_device(check_samples(X, dtype=self.dtype), xp)
        self.classes_, label = encode_targets(y, len(x), classes)
        self.n_features_in_ = x.shape[1]
        self.prototype_labels_ = self.classes_.repeat(self.prototypes_per_class)
        self._beta = xp.full(1, self.beta, dtype=x.dtype)
        self.n_epochs_ = 0
        label = xp.asarray(label)
        self._initialize(x, label)
        return x, label

    def check_parameters(self) -> None:
        """Raise ValueError for the first parameter of the constructor that is not valid."""
        for name, least in (("prototypes_per_class", 1), ("batch_size", 1), ("epochs", 0)):
            check_count(name, getattr(self, name), least)
        check_count("random_state", self.random_state, 0, (1 << 32) - 1)
        for name in ("learning_rate", "beta", "decay"):
            check_number(name, getattr(self, name), zero=False)
        for name in ("beta_learning_rate", "init_scale", "init_spread", "temperature"):
            check_number(name, getattr(self, name))
        check_number("target_radius", self.target_radius, zero=False)
        last = self.target_radius if self.final_target_radius is None else self.final_target_radius
        check_number("final_target_radius", last, zero=False)
        if self.ramp is not None:
            check_number("ramp", self.ramp)
            self._require("ramp", self.ramp < last, "below the radius aimed at")
        for name in ("momentum", "dropout"):
            check_number(name, getattr(self, name))
            self._require(name, getattr(self, name) < 1, "0 or more and below 1")
        self._require("norm", self.norm in ("l2", "linf"), "'l2' or 'linf'")
        self._require("objective", self.objective in OBJECTIVES, f"one of {', '.join(OBJECTIVES)}")
        if (self.lo is None) != (self.hi is None):
            raise ValueError(f"the box needs both lo and hi, not lo={self.lo!r}, hi={self.hi!r}")
        if self.lo is not None and not -math.inf < self.lo < self.hi < math.inf:  # type: ignore[operator]
            raise ValueError(
                f"lo must be below hi, both finite, not lo={self.lo!r}, hi={self.hi!r}"
            )
        self._require("init_spread", self.init_spread <= 1, "between 0 and 1")
        self._require("dtype", self.dtype in ("float32", "float64"), "'float32' or 'float64'")
        schedules, inits = ("exponential", "cosine"), ("random", "kmeans", "class-mean", "samples")
        self._require("schedule", self.schedule in schedules, f"one of {', '.join(schedules)}")
        self._require("init", self.init in inits, f"one of {', '.join(inits)}")
        select_device(self.device)

    def _batch_step(self, samples: int, epochs: float) -> BatchStep:
        """What does one mini-batch of training over so many samples and epochs, with its state."""
        if self.objective == "radius":
            return RadiusSteps(self, samples, epochs)
        return CrossEntropySteps(self)

    def _run_epoch(
        self, x: Array, label: Array, order: Array, factor: float, step: BatchStep
    ) -> None:
        """One epoch, online or in mini-batches."""
        check_learned(self)
        if self.lo is not None and not (bool((x >= self.lo).all()) and bool((x <= self.hi).all())):
            raise ValueError(f"X must lie in [{self.lo}, {self.hi}], not [{x.min()}, {x.max()}]")
        xp, neurons = self._xp, len(self.prototype_labels_)
        rate, beta_rate = self.learning_rate * factor, self.beta_learning_rate * factor
        loss = xp.empty(len(order), dtype=x.dtype)
        if self.batch_size == 1 and self.objective == "cross-entropy":
            number = x.dtype.type
            self._online(
                x, label, order, learning_rate=number(rate), beta_learning_rate=number(beta_rate),
                beta_floor=number(self.BETA_FLOOR), min_probability=np.finfo(x.dtype).eps,
                workspace=xp.empty((3, neurons), dtype=x.dtype), loss=loss,
            )  # fmt: skip
        else:
            for start in range(0, len(order), self.batch_size):
                batch = order[start : start + self.batch_size]
                loss[start : start + self.batch_size] = step(
                    x[batch], label[batch], rate, beta_rate
                )
        self.loss_ = float(loss.mean(dtype=np.float64))
        self.n_epochs_ += 1
        learned = [vars(self)[name] for name in LEARNED if name in vars(self)]
        finite = math.isfinite(self.loss_) and all(bool(xp.isfinite(a).all()) for a in learned)
        if not finite:
            raise ValueError(
                f"training diverged in epoch {self.n_epochs_}: the prototypes, β or the loss are "
                "not finite; scale X, for example to [0, 1], or lower "
                f"learning_rate={self.learning_rate!r}"
            )
