"""Refusing what a network should not answer: outliers, and inputs moved across its boundary.

A fitted ±ED-WTA (or ED-WTA) network answers every input, also one that is no digit. Its prototypes
say more than the answer. The scores here read them; a higher score is stranger:

    distance   ‖x − w⁺‖ to the positive prototype of the winning neuron
    margin     minus the lead of the best class over the second
    both       −log P(distance as large) − log P(margin as small), among the training samples that
               the same neuron wins and answers rightly (Fisher's way of adding evidence)
    profile    the Mahalanobis distance of the input's profile from those of the training samples

The *profile* of x is its distance to every positive prototype, and the logarithm of what the best
linear combination of the prototypes leaves of it:

    rₖ = ‖x − w⁺ₖ‖ (k = 1 … M)      r_{M+1} = log min_a ‖x − Σₖ aₖ w⁺ₖ‖²
    score = (r − μ)ᵀ S⁻¹ (r − μ)    μ of the winning neuron, S of its class

A single distance takes a small stranger for a typical "1"; a digit has *all* its distances as
digits have them. μ is the mean profile of the training samples that the neuron wins and answers
rightly, S their covariance about it over the class, shrunk a little towards that of all classes.
Everything is calibrated on the training data alone, also the threshold of `accepts`.

What it is not: a defence. It was never told of attacks, and sees those that do not know of it; an
attacker who takes the score into account gets past it at radii where the answers fall anyway.
"""

from collections.abc import Callable
from functools import partial
from typing import Self

import numpy as np

from ..backend.device import Array, to_host
from .base import WinnerTakeAll

SCORES = ("profile", "distance", "margin", "both")
SHRINKAGE = 0.1  # towards the covariance of all classes
RIDGE = 1e-4  # of the mean variance: prototypes may be as good as collinear
FEWEST = 50  # samples for a mean of a neuron's own, else its class's mean


class Detector:
    """A fitted network with a score for strangers.

    network: a fitted PlusMinusEDWTA or EDWTA (for "margin" also IPWTA).
    score: one of `SCORES`.
    false_rejection: the share of training samples that `accepts` may refuse.

    After `fit`: `threshold_`, the score above which an input is refused.
    """

    def __init__(
        self, network: WinnerTakeAll, score: str = "profile", *, false_rejection: float = 0.05
    ):
        if score not in SCORES:
            raise ValueError(f"score must be one of {', '.join(SCORES)}, not {score!r}")
        if not 0 < false_rejection < 1:
            raise ValueError(f"false_rejection must be between 0 and 1, not {false_rejection!r}")
        network.check_is_fitted()
        if score != "margin" and not hasattr(network, "positive_prototypes_"):
            raise ValueError(f"{type(network).__name__} has no prototypes for the score {score!r}")
        self.network = network
        self.kind = score
        self.false_rejection = false_rejection

    def fit(self, X: Array, y: Array) -> Self:
        """Calibrate on the data (N, d), labels (N,), that the network was trained on."""
        y = to_host(y)
        rightly = self.network.predict(X) == y
        for label in self.network.classes_:
            if not (rightly & (y == label)).any():
                raise ValueError(f"no sample of class {label} is answered rightly")
        calibrate = {"profile": _profile, "both": _both, "distance": _distance, "margin": _margin}
        self._score = calibrate[self.kind](self.network, X, rightly)
        self.threshold_ = float(np.quantile(self.score(X), 1 - self.false_rejection))
        return self

    def score(self, X: Array) -> np.ndarray:
        """How strange each of X (N, d) is: (N,) float64, higher is stranger."""
        if not hasattr(self, "_score"):
            raise ValueError("this Detector is not calibrated yet; call fit first")
        return self._score(X)

    def accepts(self, X: Array) -> np.ndarray:
        """Whether each of X (N, d) is answered rather than refused: (N,) bool."""
        return self.score(X) <= self.threshold_


Score = Callable[[Array], np.ndarray]


def _winners(network: WinnerTakeAll, X: Array) -> np.ndarray:
    """The winning neuron of each sample."""
    return to_host(network.neuron_scores(X).argmax(axis=1))


def _own(neuron: np.ndarray, k: int, per_class: int) -> np.ndarray:
    """Which samples speak for neuron k: those it wins, or, where they are few, its class wins."""
    mine = neuron == k
    return mine if mine.sum() >= FEWEST else neuron // per_class == k // per_class


def _margin(network: WinnerTakeAll, X: Array, rightly: np.ndarray) -> Score:
    return partial(_margin_score, network)


def _margin_score(network: WinnerTakeAll, X: Array) -> np.ndarray:
    o = to_host(network.neuron_scores(X)).astype(np.float64)
    per_class = network.prototypes_per_class
    z = np.sort(o.reshape(len(o), len(network.classes_), per_class).max(axis=2), axis=1)
    return z[:, -2] - z[:, -1]


def _distance(network: WinnerTakeAll, X: Array, rightly: np.ndarray) -> Score:
    return partial(_distance_score, network, _positive(network))


def _distance_score(network: WinnerTakeAll, w: np.ndarray, X: Array) -> np.ndarray:
    return np.linalg.norm(to_host(X).astype(np.float64) - w[_winners(network, X)], axis=1)


def _both(network: WinnerTakeAll, X: Array, rightly: np.ndarray) -> Score:
    parts = [kind(network, X, rightly) for kind in (_distance, _margin)]
    neuron = _winners(network, X)[rightly]
    pools = []
    for part in parts:
        value = part(X)[rightly]
        pools.append(
            [
                np.sort(value[_own(neuron, k, network.prototypes_per_class)])
                for k in range(len(network.prototype_labels_))
            ]
        )
    return partial(_both_score, network, parts, pools)


def _both_score(
    network: WinnerTakeAll, parts: list[Score], pools: list[list[np.ndarray]], X: Array
) -> np.ndarray:
    neuron, total = _winners(network, X), np.zeros(len(X))
    for part, pool in zip(parts, pools, strict=True):
        value = part(X)
        for k in np.unique(neuron):
            mine = neuron == k
            larger = len(pool[k]) - np.searchsorted(pool[k], value[mine], side="left")
            total[mine] -= np.log((larger + 1) / (len(pool[k]) + 1))
    return total


def _profile(network: WinnerTakeAll, X: Array, rightly: np.ndarray) -> Score:
    w = _positive(network)
    # With G = WWᵀ the share of x in the prototypes' span is uᵀG⁻¹u, u = Wx: products that the
    # distances need anyway, and M² more. Directions that rounding has drowned are left out.
    eigenvalue, direction = np.linalg.eigh(w @ w.T)
    kept = eigenvalue > 1e-10 * eigenvalue[-1]
    whiten = direction[:, kept] / np.sqrt(eigenvalue[kept])
    per_class = network.prototypes_per_class
    neuron, r = _winners(network, X)[rightly], _describe(w, whiten, X)[rightly]
    mean = np.array([r[_own(neuron, k, per_class)].mean(axis=0) for k in range(len(w))])
    error = r - mean[neuron]
    everywhere = error.T @ error / len(error)
    inverse = []
    for c in range(len(network.classes_)):
        own = error[neuron // per_class == c]
        S = (1 - SHRINKAGE) * own.T @ own / len(own) + SHRINKAGE * everywhere
        inverse.append(np.linalg.inv(S + RIDGE * np.trace(S) / len(S) * np.eye(len(S))))
    return partial(_profile_score, network, w, whiten, mean, inverse)


def _describe(w: np.ndarray, whiten: np.ndarray, X: Array) -> np.ndarray:
    """The profiles r (N, M + 1)."""
    x = to_host(X).astype(np.float64)
    square, u = (x**2).sum(axis=1), x @ w.T
    squared = square[:, None] - 2 * u + (w**2).sum(axis=1)
    rest = square - ((u @ whiten) ** 2).sum(axis=1)
    floor = 1e-6 * float((w**2).sum(axis=1).mean())
    return np.column_stack([np.sqrt(np.maximum(squared, 0)), np.log(np.maximum(rest, floor))])


def _profile_score(
    network: WinnerTakeAll,
    w: np.ndarray,
    whiten: np.ndarray,
    mean: np.ndarray,
    inverse: list[np.ndarray],
    X: Array,
) -> np.ndarray:
    neuron, out = _winners(network, X), np.empty(len(X))
    error = _describe(w, whiten, X) - mean[neuron]
    for c in range(len(inverse)):
        mine = neuron // network.prototypes_per_class == c
        out[mine] = ((error[mine] @ inverse[c]) * error[mine]).sum(axis=1)
    return out


def _positive(network: WinnerTakeAll) -> np.ndarray:
    w: np.ndarray = to_host(network.positive_prototypes_)  # type: ignore[attr-defined]
    return w.astype(np.float64)


def auroc(inliers: np.ndarray, outliers: np.ndarray) -> float:
    """The probability that an outlier scores higher than an inlier; ties count one half."""
    inliers = np.sort(inliers)
    below = np.searchsorted(inliers, outliers, side="left")
    up_to = np.searchsorted(inliers, outliers, side="right")
    return float((below + up_to).mean() / (2 * len(inliers)))


def fpr_at_tpr(inliers: np.ndarray, outliers: np.ndarray, tpr: float = 0.95) -> float:
    """The share of outliers that are accepted where a share `tpr` of the inliers is."""
    return float((outliers <= np.quantile(inliers, tpr)).mean())


def roc_curve(inliers: np.ndarray, outliers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Shares of outliers accepted (x) and of inliers accepted (y) as the threshold rises."""
    thresholds = np.sort(np.concatenate([inliers, outliers]))
    accepted = [
        np.searchsorted(np.sort(scores), thresholds, side="right") / len(scores)
        for scores in (outliers, inliers)
    ]
    return np.concatenate([[0.0], accepted[0]]), np.concatenate([[0.0], accepted[1]])
