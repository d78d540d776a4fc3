"""The outlier scores distance, margin and combined, and their gradients at the input.

Each score depends on the neuron m that wins; where the winner changes, it may jump. It is therefore
a function of x and of a neuron, of which `Detector` gives it the winning one, and an attacker the
one that is to win. For a fixed neuron m of class c the scores and their gradients at x are

    distance   s = ‖x − w⁺ₘ‖             ∇s = (x − w⁺ₘ)/‖x − w⁺ₘ‖, and 0 at the prototype
    margin     s = o_k − o_c             ∇s = A_k − A_c
    combined   s = −log P_d − log P_m    a step function

In the margin c stands for the largest neuron of the class c, k for the largest of all the others.
If c wins, this is minus the difference of the two largest class scores; otherwise s ≥ 0. All
networks have oₖ = Aₖ·x + bₖ up to a term that all neurons share, and a difference does not have it.

The P of `combined` are counts: of n calibration samples of neuron m, those with a distance (or a
margin score) v as large, P = (1 + #{vᵢ ≥ v})/(n + 1). Their gradient is 0 almost everywhere. For an
attack, and for nothing else, the calibration samples are taken to have a logistic distribution with
their mean μ and standard deviation σ (a *surrogate*), for which

    −log P(V ≥ v) = log(1 + e^z)    z = (v − μ)/b    b = σ√3/π
    ∂/∂v = 1/(b (1 + e^−z))

This is smooth and increasing, and far in the tail its slope is that of an exponential tail, 1/b,
where the count has reached 1/(n + 1) and is constant.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np

from ...backend.device import to_device, to_host
from ..base import WinnerTakeAll

SCORES = ("profile", "distance", "margin", "combined")
MIN_SAMPLES = 50  # a neuron with fewer samples is calibrated on all samples of its class


class Score(Protocol):
    """An outlier score, calibrated."""

    def __call__(self, X: np.ndarray, neuron: np.ndarray) -> np.ndarray:
        """The score (N,) of X (N, d), for a neuron (N,) that wins or is to win."""

    def gradient(self, X: np.ndarray, neuron: np.ndarray) -> np.ndarray:
        """The gradient (N, d) of the score, or of a surrogate, at X, for the same neuron."""


Calibrate = Callable[[WinnerTakeAll, np.ndarray, np.ndarray], Score]
"""calibrate(network, X, correct): a score from training data X (N, d), of which those of the mask
`correct` (N,) are classified correctly."""


def neuron_scores(network: WinnerTakeAll, X: np.ndarray) -> np.ndarray:
    """o (N, C K), in the precision of the network."""
    x = to_device(X, network._xp).astype(network._beta.dtype, copy=False)
    return to_host(network._finite(network._neuron_scores(x)))


def winners(network: WinnerTakeAll, X: np.ndarray) -> np.ndarray:
    """The winning neuron of each sample (N,)."""
    winner: np.ndarray = neuron_scores(network, X).argmax(axis=1)
    return winner


def positive_prototypes(network: WinnerTakeAll) -> np.ndarray:
    """w⁺ (C K, d) in float64."""
    w: np.ndarray = to_host(network.positive_prototypes_)  # type: ignore[attr-defined]
    return w.astype(np.float64)


def calibration_samples(winner: np.ndarray, k: int, per_class: int) -> np.ndarray:
    """A mask of the samples that neuron k wins or, where these are few, that its class wins."""
    won = winner == k
    return won if won.sum() >= MIN_SAMPLES else winner // per_class == k // per_class


@dataclass(frozen=True)
class Margin:
    """The margin score; its `network` is the detector's own copy."""

    network: WinnerTakeAll

    @classmethod
    def calibrate(cls, network: WinnerTakeAll, X: np.ndarray, correct: np.ndarray) -> "Margin":
        return cls(network)

    def __call__(self, X: np.ndarray, neuron: np.ndarray) -> np.ndarray:
        o = neuron_scores(self.network, X).astype(np.float64)
        own, other = self._largest(o, neuron)
        rows = np.arange(len(o))
        difference: np.ndarray = o[rows, other] - o[rows, own]
        return difference

    def gradient(self, X: np.ndarray, neuron: np.ndarray) -> np.ndarray:
        own, other = self._largest(neuron_scores(self.network, X), neuron)
        return self._weights[other] - self._weights[own]

    def _largest(self, o: np.ndarray, neuron: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The largest neuron of the class of `neuron`, and that of all other classes (N,)."""
        own = np.arange(o.shape[1]) // self.network._per_class
        same = own == own[neuron][:, None]
        return np.where(same, o, -np.inf).argmax(axis=1), np.where(same, -np.inf, o).argmax(axis=1)

    @cached_property
    def _weights(self) -> np.ndarray:
        return self.network.linear()[0]


@dataclass(frozen=True)
class Distance:
    """The distance to the neuron's prototype, one of w (C K, d)."""

    w: np.ndarray

    @classmethod
    def calibrate(cls, network: WinnerTakeAll, X: np.ndarray, correct: np.ndarray) -> "Distance":
        return cls(positive_prototypes(network))

    def __call__(self, X: np.ndarray, neuron: np.ndarray) -> np.ndarray:
        return np.linalg.norm(X.astype(np.float64) - self.w[neuron], axis=1)

    def gradient(self, X: np.ndarray, neuron: np.ndarray) -> np.ndarray:
        difference = X.astype(np.float64) - self.w[neuron]
        length = np.linalg.norm(difference, axis=1, keepdims=True)
        return difference / np.where(length > 0, length, 1.0)


@dataclass(frozen=True)
class Combined:
    """−log P of the distance and of the margin: for each of the two `parts` its values on the
    calibration samples of each neuron, sorted."""

    parts: tuple[Score, Score]
    calibration: tuple[list[np.ndarray], list[np.ndarray]]

    @classmethod
    def calibrate(cls, network: WinnerTakeAll, X: np.ndarray, correct: np.ndarray) -> "Combined":
        parts: tuple[Score, Score] = Distance(positive_prototypes(network)), Margin(network)
        winner = winners(network, X)
        values = [part(X, winner)[correct] for part in parts]
        winner = winner[correct]
        masks = [
            calibration_samples(winner, k, network._per_class)
            for k in range(len(network.prototype_labels_))
        ]
        distances, margins = ([np.sort(value[mask]) for mask in masks] for value in values)
        return cls(parts, (distances, margins))

    def __call__(self, X: np.ndarray, neuron: np.ndarray) -> np.ndarray:
        total = np.zeros(len(X))
        for part, known in zip(self.parts, self.calibration, strict=True):
            value = part(X, neuron)
            for k in np.unique(neuron):
                won = neuron == k
                larger = len(known[k]) - np.searchsorted(known[k], value[won], side="left")
                total[won] -= np.log((larger + 1) / (len(known[k]) + 1))
        return total

    def surrogate(self, X: np.ndarray, neuron: np.ndarray) -> np.ndarray:
        """Σ log(1 + e^z) (N,), of which `gradient` is the gradient."""
        total = np.zeros(len(X))
        for part, (mean, scale) in zip(self.parts, self._logistic, strict=True):
            total += np.logaddexp(0.0, (part(X, neuron) - mean[neuron]) / scale[neuron])
        return total

    def gradient(self, X: np.ndarray, neuron: np.ndarray) -> np.ndarray:
        total = np.zeros(X.shape)
        for part, (mean, scale) in zip(self.parts, self._logistic, strict=True):
            z = (part(X, neuron) - mean[neuron]) / scale[neuron]
            slope = np.exp(-np.logaddexp(0.0, -z)) / scale[neuron]
            total += slope[:, None] * part.gradient(X, neuron)
        return total

    @cached_property
    def _logistic(self) -> list[tuple[np.ndarray, np.ndarray]]:
        """μ and b (C K,) of the two parts; where all values are equal, b is a rounding error."""
        found = []
        for known in self.calibration:
            mean = np.array([values.mean() for values in known])
            least = 1e-12 * np.maximum(np.abs(mean), 1.0)
            deviation = np.array([values.std() for values in known])
            found.append((mean, np.maximum(deviation * np.sqrt(3) / np.pi, least)))
        return found
