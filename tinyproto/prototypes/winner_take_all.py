"""IP-WTA, ED-WTA and ±ED-WTA: the three winner-take-all networks of arXiv 2008.08750.

They differ in the score that a neuron computes; the competitive cross-entropy E, with ∂E/∂oₖ =
qₖ − τₖ, and the rest are in `base.py`. With d(x, w) = ½‖x − w‖²:

    IPWTA          oₖ = Wₖ·x + bₖ
    EDWTA          oₖ = −β d(x, wₖ)
    PlusMinusEDWTA oₖ = β (d(x, w⁻ₖ) − d(x, w⁺ₖ))

The gradients follow from ∂d/∂w = w − x. Gradient descent with learning rate α, and r = τ − q:

    IPWTA          Wₖ ← Wₖ + α rₖ x                      bₖ ← bₖ + α rₖ
    EDWTA          wₖ ← wₖ + α β rₖ (x − wₖ)             β ← β − α_β Σₖ rₖ d(x, wₖ)
    PlusMinusEDWTA w⁺ₖ ← w⁺ₖ + α β rₖ (x − w⁺ₖ)          where rₖ > 0: neurons of the own class
                   w⁻ₖ ← w⁻ₖ − α β rₖ (x − w⁻ₖ)          where rₖ < 0: neurons of other classes
                   β ← β + α_β Σₖ rₖ (d(x, w⁻ₖ) − d(x, w⁺ₖ))

The two conditions are the *switching rule*. The full gradient of E would also push w⁻ₖ away from x
where rₖ > 0, and w⁺ₖ where rₖ < 0; the rule leaves these prototypes unchanged. Both updates that
remain attract a prototype to the sample. So while α β |r| ≤ 1 every prototype stays in the convex
hull of its initial value and the data, and can be looked at as an image. The paper reads this
neuron, a difference of two distances with a sliding threshold, as an instance of the BCM theory of
synaptic plasticity: the same input strengthens or weakens an active neuron, depending on the side
of a threshold that itself changes with what the neuron has learned.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..backend.device import Array, aligned_copy, to_host
from ..kernels.online import online_euclidean, online_inner_product, online_plus_minus
from ..kernels.winner_take_all import (
    SAMPLES_PER_TILE,
    distance_differences,
    gradient_update,
    inner_products,
    squared_distances,
    switching_update,
)
from ..validation import check_number
from .base import WinnerTakeAll
from .initialization import class_centres, random_prototypes
from .radius_objective import Direction


class IPWTA(WinnerTakeAll):
    """Inner-product neurons, oₖ = Wₖ·x + bₖ: a linear network with K outputs for each class.

    There is no β: `beta_` is 1 and is not learned.

    Parameters
    ----------
    {parameters}

    Attributes
    ----------
    weights_ : array (C K, d)
        W.
    biases_ : array (C K,)
        b. For the other attributes see `WinnerTakeAll`.

    Examples
    --------
    >>> import numpy as np
    >>> from tinyproto.prototypes import IPWTA
    >>> y = np.arange(40) % 2
    >>> x = np.random.default_rng(0).normal(size=(40, 3)) + 4 * y[:, None]
    >>> network = IPWTA(prototypes_per_class=2, epochs=2, init="kmeans").fit(x, y)
    >>> network.weights_.shape, network.biases_.shape
    ((4, 3), (4,))
    >>> network.predict(x[:4])
    array([0, 1, 0, 1])
    """

    _learns_beta = False

    def _initialize(self, x: Array, label: Array) -> None:
        self._beta = self._xp.ones(1, dtype=x.dtype)
        if self.init == "random":
            self.weights_ = random_prototypes(self, x, "weights")
            self.biases_ = self._xp.zeros(len(self.weights_), dtype=x.dtype)
        else:  # −½‖x − w‖² = w·x − ½‖w‖² − ½‖x‖²: the winner is the nearest centre
            self.weights_ = class_centres(self, x, label)
            self.biases_ = -(self.weights_**2).sum(axis=1) / x.dtype.type(2)

    def _unscaled_scores(self, x: Array) -> Array:
        out = self._xp.empty((len(x), len(self.weights_)), dtype=x.dtype)
        inner_products(len(x), x, self.weights_, self.biases_, out)
        return out

    def _online(self, x: Array, label: Array, order: Array, **arguments: Any) -> None:
        del arguments["beta_learning_rate"], arguments["beta_floor"]
        per_class = self._per_class
        online_inner_product(
            1, x, label, order, per_class, self.weights_, self.biases_, **arguments
        )

    def _update_prototypes(self, x: Array, residual: Array, rate: Array) -> None:
        gradient_update(len(self.weights_), x, residual, rate, x.dtype.type(0), self.weights_)
        self.biases_ += rate * residual.sum(axis=0)

    def _score_gradient(self, x: Array, neuron: Array) -> Array:
        return self.weights_[neuron]

    def _unscaled_linear(self) -> tuple[Array, Array]:
        return self.weights_, self.biases_

    def _directions(self) -> list[Direction]:
        return [Direction("weights_", 0), Direction("biases_", 0)]

    def linear(self) -> tuple[np.ndarray, np.ndarray]:
        """A = W, b = b: oₖ = Aₖ·x + bₖ, both in float64."""
        self.check_is_fitted()
        weights, biases = to_host(self.weights_), to_host(self.biases_)
        return weights.astype(np.float64), biases.astype(np.float64)


class EDWTA(WinnerTakeAll):
    """Euclidean-distance neurons, oₖ = −½β‖x − wₖ‖²: one prototype for each neuron.

    A prototype is attracted by the samples of its class and repelled by all others, which is why it
    moves away from the data.

    Parameters
    ----------
    {parameters}

    Attributes
    ----------
    positive_prototypes_ : array (C K, d)
        The prototypes w. For the other attributes see `WinnerTakeAll`.

    Examples
    --------
    >>> import numpy as np
    >>> from tinyproto.prototypes import EDWTA
    >>> y = np.arange(40) % 2
    >>> x = np.random.default_rng(0).normal(size=(40, 3)) + 4 * y[:, None]
    >>> network = EDWTA(prototypes_per_class=2, epochs=2, init="kmeans").fit(x, y)
    >>> network.positive_prototypes_.shape
    (4, 3)
    >>> network.score(x, y)
    1.0
    """

    def _initialize(self, x: Array, label: Array) -> None:
        if self.init == "random":
            self.positive_prototypes_ = random_prototypes(self, x, "positive")
        else:
            self.positive_prototypes_ = class_centres(self, x, label)

    def _unscaled_scores(self, x: Array) -> Array:
        out = self._xp.empty((len(x), len(self.positive_prototypes_)), dtype=x.dtype)
        squared_distances(len(x), x, self.positive_prototypes_, out)
        return out * x.dtype.type(-0.5)

    def _online(self, x: Array, label: Array, order: Array, **arguments: Any) -> None:
        per_class = self._per_class
        online_euclidean(
            1, x, label, order, per_class, self.positive_prototypes_, self._beta, **arguments
        )

    def _update_prototypes(self, x: Array, residual: Array, rate: Array) -> None:
        w = self.positive_prototypes_
        gradient_update(len(w), x, residual, rate, x.dtype.type(1), w)

    def _score_gradient(self, x: Array, neuron: Array) -> Array:
        return self._beta * (self.positive_prototypes_[neuron] - x)

    def _unscaled_linear(self) -> tuple[Array, Array]:
        w = self.positive_prototypes_
        return w, (w * w).sum(axis=1) * w.dtype.type(-0.5)

    def _directions(self) -> list[Direction]:
        return [Direction("positive_prototypes_", 1)]

    def linear(self) -> tuple[np.ndarray, np.ndarray]:
        """A = βw, b = −½β‖w‖²: oₖ = Aₖ·x + bₖ up to −½β‖x‖², which all neurons share."""
        self.check_is_fitted()
        w = to_host(self.positive_prototypes_).astype(np.float64)
        return self.beta_ * w, -0.5 * self.beta_ * (w**2).sum(axis=1)


@dataclass(eq=False, repr=False, kw_only=True)
class PlusMinusEDWTA(WinnerTakeAll):
    """±ED-WTA: oₖ = ½β(‖x − w⁻ₖ‖² − ‖x − w⁺ₖ‖²), trained with the switching rule.

    Parameters
    ----------
    {parameters}
    negative_init : {"mean", "shrunk"}
        Unless init="random", w⁻ starts a fraction ε of the way from w⁺ towards the mean of all
        samples, or towards 0: w⁻ = (1 − ε) w⁺.
    negative_init_fraction : float, default 1.0
        ε, above 0 and at most 1.
    switching : bool, default False
        Whether the switching rule holds for objective="radius" too.

    Attributes
    ----------
    positive_prototypes_, negative_prototypes_ : array (C K, d)
        w⁺ and w⁻. For the other attributes see `WinnerTakeAll`.

    Examples
    --------
    >>> import numpy as np
    >>> from tinyproto.prototypes import PlusMinusEDWTA
    >>> y = np.arange(40) % 2
    >>> x = np.random.default_rng(0).normal(size=(40, 3)) + 4 * y[:, None]
    >>> network = PlusMinusEDWTA(prototypes_per_class=2, epochs=2, init="kmeans").fit(x, y)
    >>> network.positive_prototypes_.shape, network.prototype_labels_
    ((4, 3), array([0, 0, 1, 1]))
    >>> network.score(x, y)
    1.0

    Its scores are linear in x:

    >>> A, b = network.linear()
    >>> np.allclose(network.neuron_scores(x), x @ A.T + b, atol=1e-4)
    True
    """

    negative_init: str = "mean"
    negative_init_fraction: float = 1.0
    switching: bool = False

    def check_parameters(self) -> None:
        super().check_parameters()
        self._require(
            "negative_init", self.negative_init in ("mean", "shrunk"), "'mean' or 'shrunk'"
        )
        fraction = check_number("negative_init_fraction", self.negative_init_fraction, zero=False)
        self._require("negative_init_fraction", fraction <= 1, "above 0 and at most 1")

    def _initialize(self, x: Array, label: Array) -> None:
        if self.init == "random":
            positive = random_prototypes(self, x, "positive")
            negative = random_prototypes(self, x, "negative")
        else:
            positive = class_centres(self, x, label)
            fraction = self.negative_init_fraction
            negative = x.dtype.type(1 - fraction) * positive
            if self.negative_init == "mean":
                negative += x.dtype.type(fraction) * x.mean(axis=0)
        self.positive_prototypes_ = aligned_copy(positive)
        self.negative_prototypes_ = aligned_copy(negative)

    def _unscaled_scores(self, x: Array) -> Array:
        out = self._xp.empty((len(x), len(self.positive_prototypes_)), dtype=x.dtype)
        tiles = -(-len(x) // SAMPLES_PER_TILE)
        distance_differences(tiles, x, self.positive_prototypes_, self.negative_prototypes_, out)
        return out * x.dtype.type(0.5)

    def _online(self, x: Array, label: Array, order: Array, **arguments: Any) -> None:
        prototypes = self.positive_prototypes_, self.negative_prototypes_
        samples = aligned_copy(self._xp.zeros((2, x.shape[1]), dtype=x.dtype))
        online_plus_minus(
            1, x, label, order, self._per_class, *prototypes, self._beta,
            samples=samples, **arguments,
        )  # fmt: skip

    def _update_prototypes(self, x: Array, residual: Array, rate: Array) -> None:
        prototypes = self.positive_prototypes_, self.negative_prototypes_
        switching_update(len(prototypes[0]), x, residual, rate, *prototypes)

    def _score_gradient(self, x: Array, neuron: Array) -> Array:
        """∂o/∂x = β((x − w⁻) − (x − w⁺)) = β(w⁺ − w⁻), which does not depend on x."""
        difference = self.positive_prototypes_ - self.negative_prototypes_
        return self._beta * difference[neuron]

    def _unscaled_linear(self) -> tuple[Array, Array]:
        positive, negative = self.positive_prototypes_, self.negative_prototypes_
        squares = (positive * positive).sum(axis=1) - (negative * negative).sum(axis=1)
        return positive - negative, squares * positive.dtype.type(-0.5)

    def _directions(self) -> list[Direction]:
        repelling = 0 if self.switching else -1
        return [
            Direction("positive_prototypes_", 1, 1, repelling),
            Direction("negative_prototypes_", 1, repelling, 1),
        ]

    def linear(self) -> tuple[np.ndarray, np.ndarray]:
        """A = β(w⁺ − w⁻), b = −½β(‖w⁺‖² − ‖w⁻‖²): oₖ = Aₖ·x + bₖ."""
        self.check_is_fitted()
        positive = to_host(self.positive_prototypes_).astype(np.float64)
        negative = to_host(self.negative_prototypes_).astype(np.float64)
        squares = (positive**2).sum(axis=1) - (negative**2).sum(axis=1)
        return self.beta_ * (positive - negative), -0.5 * self.beta_ * squares
