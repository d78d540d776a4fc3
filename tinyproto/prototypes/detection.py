"""Detecting outliers: inputs that a network should not classify.

A fitted ±ED-WTA (or ED-WTA) network assigns a class to every input, also to one that is no digit.
The outlier scores here are computed from its prototypes; a higher score means more of an outlier:

    distance   ‖x − w⁺‖ to the positive prototype of the winning neuron
    margin     minus the difference of the two largest class scores
    combined   −log P(distance as large) − log P(margin as small), estimated on the training samples
               that the same neuron wins and classifies correctly (Fisher's method of combining
               p-values)
    profile    the Mahalanobis distance of the input's profile from those of the training samples

The *profile* of x consists of its distances to all M positive prototypes, and the logarithm of the
residual of its best approximation by a linear combination of them:

    rₖ = ‖x − w⁺ₖ‖ (k = 1 … M)      r_{M+1} = log min_a ‖x − Σₖ aₖ w⁺ₖ‖²
    score = (r − μ)ᵀ S⁻¹ (r − μ)    μ of the winning neuron, S of its class

By the distance alone any input with a small norm looks like a typical "1"; the profile compares the
distances to *all* prototypes. μ is the mean profile of the training samples that the neuron wins
and classifies correctly, S their covariance about it, over the whole class and shrunk a little
towards that of all classes. Everything, also the threshold of `accepts`, is calibrated on training
data alone.

This is no defence against attacks. No attack was used in its calibration, and it detects attacks
that ignore it; an attacker who includes the score in the objective evades it, at radii where the
classification fails anyway.
"""

from collections.abc import Callable
from functools import partial
from typing import Self

import numpy as np

from ..backend.device import Array, to_host
from .base import WinnerTakeAll

SCORES = ("profile", "distance", "margin", "combined")
SHRINKAGE = 0.1  # towards the covariance of all classes
RIDGE = 1e-4  # times the mean variance: prototypes may be nearly collinear
MIN_SAMPLES = 50  # a neuron with fewer samples is calibrated on all samples of its class


class Detector:
    """An outlier detector that is calibrated on the training data of a fitted network.

    Parameters
    ----------
    network : PlusMinusEDWTA or EDWTA
        A fitted network; for score="margin" it may also be an `IPWTA`.
    score : {"profile", "distance", "margin", "combined"}
        The outlier score, one of `SCORES`.
    false_rejection : float, default 0.05
        The fraction of the training samples that `accepts` may reject.

    Attributes
    ----------
    threshold_ : float
        Inputs with a higher score are rejected; set by `fit`.

    Raises
    ------
    ValueError
        For an unknown score, a fraction outside (0, 1), or a network that is not fitted or has no
        prototypes.

    Examples
    --------
    >>> import numpy as np
    >>> from tinyproto.prototypes import Detector, PlusMinusEDWTA
    >>> y = np.arange(40) % 2
    >>> x = np.random.default_rng(0).normal(size=(40, 3)) + 4 * y[:, None]
    >>> network = PlusMinusEDWTA(prototypes_per_class=1, epochs=2, init="kmeans").fit(x, y)
    >>> detector = Detector(network, "distance").fit(x, y)
    >>> detector.accepts(np.array([[0.0, 0.0, 0.0], [4.0, 4.0, 4.0], [90.0, -90.0, 0.0]]))
    array([ True,  True, False])
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
        """Calibrate on the training data of the network, X (N, d) and the labels y (N,)."""
        y = to_host(y)
        correct = self.network.predict(X) == y
        for label in self.network.classes_:
            if not (correct & (y == label)).any():
                raise ValueError(f"no sample of class {label} is classified correctly")
        self._score = CALIBRATE[self.kind](self.network, X, correct)
        self.threshold_ = float(np.quantile(self.score(X), 1 - self.false_rejection))
        return self

    def score(self, X: Array) -> np.ndarray:
        """The outlier score of each of X (N, d): (N,) float64, higher for outliers."""
        if not hasattr(self, "_score"):
            raise ValueError("this Detector is not calibrated yet; call fit first")
        return self._score(X)

    def accepts(self, X: Array) -> np.ndarray:
        """Whether the score of each of X (N, d) is at most the threshold: (N,) bool."""
        return self.score(X) <= self.threshold_


Score = Callable[[Array], np.ndarray]


def _winners(network: WinnerTakeAll, X: Array) -> np.ndarray:
    """The winning neuron of each sample."""
    return to_host(network.neuron_scores(X).argmax(axis=1))


def _positive_prototypes(network: WinnerTakeAll) -> np.ndarray:
    w: np.ndarray = to_host(network.positive_prototypes_)  # type: ignore[attr-defined]
    return w.astype(np.float64)


def _calibration_samples(winner: np.ndarray, k: int, per_class: int) -> np.ndarray:
    """A mask of the samples that neuron k wins or, where these are few, that its class wins."""
    won = winner == k
    return won if won.sum() >= MIN_SAMPLES else winner // per_class == k // per_class


def _margin(network: WinnerTakeAll, X: Array, correct: np.ndarray) -> Score:
    return partial(_margin_score, network)


def _margin_score(network: WinnerTakeAll, X: Array) -> np.ndarray:
    o = to_host(network.neuron_scores(X)).astype(np.float64)
    per_class = network.prototypes_per_class
    z = np.sort(o.reshape(len(o), len(network.classes_), per_class).max(axis=2), axis=1)
    return z[:, -2] - z[:, -1]


def _distance(network: WinnerTakeAll, X: Array, correct: np.ndarray) -> Score:
    return partial(_distance_score, network, _positive_prototypes(network))


def _distance_score(network: WinnerTakeAll, w: np.ndarray, X: Array) -> np.ndarray:
    return np.linalg.norm(to_host(X).astype(np.float64) - w[_winners(network, X)], axis=1)


def _combined(network: WinnerTakeAll, X: Array, correct: np.ndarray) -> Score:
    parts = [calibrate(network, X, correct) for calibrate in (_distance, _margin)]
    winner, per_class = _winners(network, X)[correct], network.prototypes_per_class
    masks = [
        _calibration_samples(winner, k, per_class) for k in range(len(network.prototype_labels_))
    ]
    values = [part(X)[correct] for part in parts]
    calibration = [[np.sort(value[mask]) for mask in masks] for value in values]
    return partial(_combined_score, network, parts, calibration)


def _combined_score(
    network: WinnerTakeAll, parts: list[Score], calibration: list[list[np.ndarray]], X: Array
) -> np.ndarray:
    winner, total = _winners(network, X), np.zeros(len(X))
    for part, known in zip(parts, calibration, strict=True):
        value = part(X)
        for k in np.unique(winner):
            won = winner == k
            larger = len(known[k]) - np.searchsorted(known[k], value[won], side="left")
            total[won] -= np.log((larger + 1) / (len(known[k]) + 1))
    return total


def _profile(network: WinnerTakeAll, X: Array, correct: np.ndarray) -> Score:
    w = _positive_prototypes(network)
    # With G = WWᵀ and u = Wx, the squared norm of x's projection onto the span of the prototypes is
    # uᵀG⁻¹u. The distances need u anyway, so this costs M² more products. Eigenvectors of G whose
    # eigenvalue is only rounding error are left out.
    eigenvalue, direction = np.linalg.eigh(w @ w.T)
    valid = eigenvalue > 1e-10 * eigenvalue[-1]
    whitening = direction[:, valid] / np.sqrt(eigenvalue[valid])
    per_class = network.prototypes_per_class
    winner, r = _winners(network, X)[correct], _profiles(w, whitening, X)[correct]
    masks = (_calibration_samples(winner, k, per_class) for k in range(len(w)))
    mean = np.array([r[mask].mean(axis=0) for mask in masks])
    error = r - mean[winner]
    overall = error.T @ error / len(error)
    inverse = []
    for c in range(len(network.classes_)):
        own = error[winner // per_class == c]
        S = (1 - SHRINKAGE) * own.T @ own / len(own) + SHRINKAGE * overall
        inverse.append(np.linalg.inv(S + RIDGE * np.trace(S) / len(S) * np.eye(len(S))))
    return partial(_profile_score, network, w, whitening, mean, inverse)


def _profiles(w: np.ndarray, whitening: np.ndarray, X: Array) -> np.ndarray:
    """The profiles r (N, M + 1)."""
    x = to_host(X).astype(np.float64)
    square, u = (x**2).sum(axis=1), x @ w.T
    squared = square[:, None] - 2 * u + (w**2).sum(axis=1)
    residual = square - ((u @ whitening) ** 2).sum(axis=1)
    minimum = 1e-6 * float((w**2).sum(axis=1).mean())
    return np.column_stack([np.sqrt(np.maximum(squared, 0)), np.log(np.maximum(residual, minimum))])


def _profile_score(
    network: WinnerTakeAll,
    w: np.ndarray,
    whitening: np.ndarray,
    mean: np.ndarray,
    inverse: list[np.ndarray],
    X: Array,
) -> np.ndarray:
    winner, out = _winners(network, X), np.empty(len(X))
    error = _profiles(w, whitening, X) - mean[winner]
    for c in range(len(inverse)):
        rows = winner // network.prototypes_per_class == c
        out[rows] = ((error[rows] @ inverse[c]) * error[rows]).sum(axis=1)
    return out


CALIBRATE: dict[str, Callable[[WinnerTakeAll, Array, np.ndarray], Score]] = {
    "profile": _profile,
    "distance": _distance,
    "margin": _margin,
    "combined": _combined,
}


def auroc(inliers: np.ndarray, outliers: np.ndarray) -> float:
    """The area under the ROC curve of an outlier score.

    Parameters
    ----------
    inliers, outliers : array (N,), array (M,)
        Scores, higher for outliers.

    Returns
    -------
    float
        The probability that an outlier scores higher than an inlier; ties count one half.

    Examples
    --------
    >>> import numpy as np
    >>> from tinyproto.prototypes import auroc
    >>> auroc(np.array([0.1, 0.3, 0.5, 0.6]), np.array([0.4, 0.7]))
    0.75
    """
    inliers = np.sort(inliers)
    below = np.searchsorted(inliers, outliers, side="left")
    up_to = np.searchsorted(inliers, outliers, side="right")
    return float((below + up_to).mean() / (2 * len(inliers)))


def fpr_at_tpr(inliers: np.ndarray, outliers: np.ndarray, tpr: float = 0.95) -> float:
    """The false positive rate at a given true positive rate, inliers being the positives.

    Parameters
    ----------
    inliers, outliers : array (N,), array (M,)
        Scores, higher for outliers.
    tpr : float, default 0.95
        The fraction of the inliers that is accepted.

    Returns
    -------
    float
        The fraction of the outliers that is accepted at the same threshold.

    Examples
    --------
    >>> import numpy as np
    >>> from tinyproto.prototypes import fpr_at_tpr
    >>> fpr_at_tpr(np.linspace(0, 1, 101), np.array([0.2, 0.97, 0.99, 3.0]))
    0.25
    """
    return float((outliers <= np.quantile(inliers, tpr)).mean())


def roc_curve(inliers: np.ndarray, outliers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The ROC curve of an outlier score, inliers being the positives.

    Parameters
    ----------
    inliers, outliers : array (N,), array (M,)
        Scores, higher for outliers.

    Returns
    -------
    fpr, tpr : array (N + M + 1,)
        The fractions of the outliers (x-axis) and of the inliers (y-axis) that are accepted as the
        threshold rises, from 0 to 1.

    Examples
    --------
    >>> import numpy as np
    >>> from tinyproto.prototypes import roc_curve
    >>> fpr, tpr = roc_curve(np.array([0.1, 0.3]), np.array([0.2, 0.4]))
    >>> fpr.tolist(), tpr.tolist()
    ([0.0, 0.0, 0.5, 0.5, 1.0], [0.0, 0.5, 0.5, 1.0, 1.0])
    """
    thresholds = np.sort(np.concatenate([inliers, outliers]))
    fpr, tpr = (
        np.searchsorted(np.sort(scores), thresholds, side="right") / len(scores)
        for scores in (outliers, inliers)
    )
    return np.concatenate([[0.0], fpr]), np.concatenate([[0.0], tpr])
