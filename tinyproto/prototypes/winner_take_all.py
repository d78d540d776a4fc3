"""IP-WTA, ED-WTA and ±ED-WTA: the three winner-take-all networks of arXiv 2008.08750.

They differ in what a neuron computes; the competitive cross-entropy E, with ∂E/∂oₖ = qₖ − τₖ, and
the rest are in `competition.py`. With d(x, w) = ½‖x − w‖²:

    IPWTA          oₖ = Wₖ·x + bₖ
    EDWTA          oₖ = −β d(x, wₖ)
    PlusMinusEDWTA oₖ = β (d(x, w⁻ₖ) − d(x, w⁺ₖ))

The gradients follow from ∂d/∂w = w − x. Stepping against them with rate α, and r = τ − q:

    IPWTA          Wₖ ← Wₖ + α rₖ x                      bₖ ← bₖ + α rₖ
    EDWTA          wₖ ← wₖ + α β rₖ (x − wₖ)             β ← β − α_β Σₖ rₖ d(x, wₖ)
    PlusMinusEDWTA w⁺ₖ ← w⁺ₖ + α β rₖ (x − w⁺ₖ)          where rₖ > 0: neurons of the own class
                   w⁻ₖ ← w⁻ₖ − α β rₖ (x − w⁻ₖ)          where rₖ < 0: neurons of other classes
                   β ← β + α_β Σₖ rₖ (d⁻ₖ − d⁺ₖ)

The two conditions are the *switching rule*. The full gradient of E would also push w⁻ₖ away where
rₖ > 0 and w⁺ₖ away where rₖ < 0; the rule leaves these alone. Both moves that remain attract a
prototype to the sample, so while α β |r| ≤ 1 it stays in the convex hull of its start and the data,
and can be read as an image. The paper reads this neuron, a difference of two distances with a
threshold that slides between them, as an instance of the BCM theory of synaptic plasticity: an
active neuron is strengthened or weakened by the same input, depending on the side of a threshold
that moves with what the neuron has learned.
"""

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
from .base import WinnerTakeAll
from .initialization import class_centres, random_start


class IPWTA(WinnerTakeAll):
    """Inner-product neurons, oₖ = Wₖ·x + bₖ: a linear network with K outputs a class.

    Parameters as in `WinnerTakeAll`; there is no β (`beta_` is 1 and stays so).
    Attributes: `weights_` (C K, d), `biases_` (C K,).
    """

    _learns_beta = False

    def _start(self, x: Array, label: Array) -> None:
        self._beta = self._xp.ones(1, dtype=x.dtype)
        if self.init == "random":
            self.weights_ = random_start(self, x, "weights")
            self.biases_ = self._xp.zeros(len(self.weights_), dtype=x.dtype)
        else:  # the network whose winner is the nearest centre
            self.weights_ = class_centres(self, x, label)
            self.biases_ = -(self.weights_**2).sum(axis=1) / x.dtype.type(2)

    def _gap(self, x: Array) -> Array:
        out = self._xp.empty((len(x), len(self.weights_)), dtype=x.dtype)
        inner_products(len(x), x, self.weights_, self.biases_, out)
        return out

    def _online(self, x: Array, label: Array, order: Array, **arguments: Any) -> None:
        del arguments["beta_learning_rate"], arguments["beta_floor"]
        per_class = self.prototypes_per_class
        online_inner_product(
            1, x, label, order, per_class, self.weights_, self.biases_, **arguments
        )

    def _move(self, x: Array, residual: Array, rate: Array) -> None:
        gradient_update(len(self.weights_), x, residual, rate, x.dtype.type(0), self.weights_)
        self.biases_ += rate * residual.sum(axis=0)

    def _slope(self, x: Array, neuron: Array) -> Array:
        return self.weights_[neuron]

    def linear(self) -> tuple[np.ndarray, np.ndarray]:
        self.check_is_fitted()
        return (
            to_host(self.weights_).astype(np.float64),
            to_host(self.biases_).astype(np.float64),
        )


class EDWTA(WinnerTakeAll):
    """Euclidean-distance neurons, oₖ = −½β‖x − wₖ‖²: one prototype a neuron, attracted to its own
    class and repelled by the others (which is why it drifts away from the data).

    Parameters as in `WinnerTakeAll`. Attributes: `positive_prototypes_` (C K, d), `beta_`.
    """

    def _start(self, x: Array, label: Array) -> None:
        if self.init == "random":
            self.positive_prototypes_ = random_start(self, x, "positive")
        else:
            self.positive_prototypes_ = class_centres(self, x, label)

    def _gap(self, x: Array) -> Array:
        out = self._xp.empty((len(x), len(self.positive_prototypes_)), dtype=x.dtype)
        squared_distances(len(x), x, self.positive_prototypes_, out)
        return out * x.dtype.type(-0.5)

    def _online(self, x: Array, label: Array, order: Array, **arguments: Any) -> None:
        per_class = self.prototypes_per_class
        online_euclidean(
            1, x, label, order, per_class, self.positive_prototypes_, self._beta, **arguments
        )

    def _move(self, x: Array, residual: Array, rate: Array) -> None:
        w = self.positive_prototypes_
        gradient_update(len(w), x, residual, rate, x.dtype.type(1), w)

    def _slope(self, x: Array, neuron: Array) -> Array:
        return self._beta * (self.positive_prototypes_[neuron] - x)

    def linear(self) -> tuple[np.ndarray, np.ndarray]:
        """Expanding the square, −½β‖x‖² is shared by all neurons: A = βw, b = −½β‖w‖²."""
        self.check_is_fitted()
        w = to_host(self.positive_prototypes_).astype(np.float64)
        return self.beta_ * w, -0.5 * self.beta_ * (w**2).sum(axis=1)


class PlusMinusEDWTA(WinnerTakeAll):
    """±ED-WTA: oₖ = ½β(‖x − w⁻ₖ‖² − ‖x − w⁺ₖ‖²), learned by the switching rule.

    Parameters as in `WinnerTakeAll`, and for the starts other than "random":

    negative_init, epsilon: w⁻ starts `epsilon` of the way from w⁺ towards "mean", the mean of all
        samples, or towards 0, "shrunk": (1 − epsilon) w⁺.

    Attributes: `positive_prototypes_`, `negative_prototypes_` (C K, d), `beta_`.
    """

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
        negative_init: str = "mean",
        epsilon: float = 1.0,
        dtype: str = "float32",
        device: str = "cpu",
        random_state: int = 0,
    ):
        super().__init__(
            prototypes_per_class,
            epochs=epochs,
            batch_size=batch_size,
            learning_rate=learning_rate,
            schedule=schedule,
            decay=decay,
            beta=beta,
            beta_learning_rate=beta_learning_rate,
            init=init,
            init_scale=init_scale,
            spread=spread,
            dtype=dtype,
            device=device,
            random_state=random_state,
        )
        self.negative_init = negative_init
        self.epsilon = epsilon

    def check_parameters(self) -> None:
        super().check_parameters()
        self._require(
            "negative_init", self.negative_init in ("mean", "shrunk"), "'mean' or 'shrunk'"
        )
        self._require("epsilon", 0 < self.epsilon <= 1, "above 0 and at most 1")

    def _start(self, x: Array, label: Array) -> None:
        if self.init == "random":
            positive = random_start(self, x, "positive")
            negative = random_start(self, x, "negative")
        else:
            positive = class_centres(self, x, label)
            negative = x.dtype.type(1 - self.epsilon) * positive
            if self.negative_init == "mean":
                negative += x.dtype.type(self.epsilon) * x.mean(axis=0)
        self.positive_prototypes_, self.negative_prototypes_ = (
            aligned_copy(positive),
            aligned_copy(negative),
        )

    def _gap(self, x: Array) -> Array:
        out = self._xp.empty((len(x), len(self.positive_prototypes_)), dtype=x.dtype)
        tiles = -(-len(x) // SAMPLES_PER_TILE)
        distance_differences(tiles, x, self.positive_prototypes_, self.negative_prototypes_, out)
        return out * x.dtype.type(0.5)

    def _online(self, x: Array, label: Array, order: Array, **arguments: Any) -> None:
        prototypes = self.positive_prototypes_, self.negative_prototypes_
        samples = aligned_copy(self._xp.zeros((2, x.shape[1]), dtype=x.dtype))
        online_plus_minus(
            1, x, label, order, self.prototypes_per_class, *prototypes, self._beta,
            samples=samples, **arguments,
        )  # fmt: skip

    def _move(self, x: Array, residual: Array, rate: Array) -> None:
        prototypes = self.positive_prototypes_, self.negative_prototypes_
        switching_update(len(prototypes[0]), x, residual, rate, *prototypes)

    def _slope(self, x: Array, neuron: Array) -> Array:
        """∂o/∂x = β((x − w⁻) − (x − w⁺)) = β(w⁺ − w⁻): the neuron is linear in use."""
        difference = self.positive_prototypes_ - self.negative_prototypes_
        return self._beta * difference[neuron]

    def linear(self) -> tuple[np.ndarray, np.ndarray]:
        """A = β(w⁺ − w⁻), b = −½β(‖w⁺‖² − ‖w⁻‖²)."""
        self.check_is_fitted()
        positive = to_host(self.positive_prototypes_).astype(np.float64)
        negative = to_host(self.negative_prototypes_).astype(np.float64)
        squares = (positive**2).sum(axis=1) - (negative**2).sum(axis=1)
        return self.beta_ * (positive - negative), -0.5 * self.beta_ * squares
