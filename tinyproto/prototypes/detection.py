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

import copy
from collections.abc import Callable
from functools import partial
from typing import Self

import numpy as np

from ..backend.device import Array, to_device, to_host
from ..validation import check_number
from .base import WinnerTakeAll
from .validation import check_samples, encode_targets

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
        prototypes; from `fit`, `score` and `accepts` for data that the network refuses.
    TypeError
        For what is no network.

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
        if not 0 < check_number("false_rejection", false_rejection) < 1:
            raise ValueError(f"false_rejection must be between 0 and 1, not {false_rejection!r}")
        if not isinstance(network, WinnerTakeAll):
            raise TypeError(f"network must be a WinnerTakeAll, not {type(network).__name__}")
        network.check_is_fitted()
        if score != "margin" and not hasattr(network, "positive_prototypes_"):
            raise ValueError(f"{type(network).__name__} has no prototypes for the score {score!r}")
        self.network = network
        self.kind = score
        self.false_rejection = false_rejection

    def fit(self, X: Array, y: Array) -> Self:
        """Calibrate on the training data of the network, X (N, d) and the labels y (N,).

        The scores are those of the network as it is now, also if it is trained further.
        """
        network = copy.deepcopy(self.network)
        X = _validate_samples(network, X)
        _, label = encode_targets(y, len(X), network.classes_)
        correct = _winners(network, X) // network._per_class == label
        for c, name in enumerate(network.classes_):
            if not (correct & (label == c)).any():
                raise ValueError(f"no sample of class {name} is classified correctly")
        score = CALIBRATE[self.kind](network, X, correct)
        self.threshold_ = float(np.quantile(score(X), 1 - self.false_rejection))
        self._network, self._score = network, score
        return self

    def score(self, X: Array) -> np.ndarray:
        """The outlier score of each of X (N, d): (N,) float64, higher for outliers."""
        if not hasattr(self, "_score"):
            raise ValueError("this Detector is not calibrated yet; call fit first")
        return self._score(_validate_samples(self._network, X))

    def accepts(self, X: Array) -> np.ndarray:
        """Whether the score of each of X (N, d) is at most the threshold: (N,) bool."""
        return self.score(X) <= self.threshold_


Score = Callable[[np.ndarray], np.ndarray]


def _validate_samples(network: WinnerTakeAll, X: np.ndarray) -> np.ndarray:
    """X (N, d) in its own precision, after the checks of the network."""
    network._validate_samples(X)
    return to_host(check_samples(X))


def _neuron_scores(network: WinnerTakeAll, X: np.ndarray) -> np.ndarray:
    x = to_device(X, network._xp).astype(network._beta.dtype, copy=False)
    return to_host(network._finite(network._neuron_scores(x)))


def _winners(network: WinnerTakeAll, X: np.ndarray) -> np.ndarray:
    """The winning neuron of each sample."""
    winner: np.ndarray = _neuron_scores(network, X).argmax(axis=1)
    return winner


def _positive_prototypes(network: WinnerTakeAll) -> np.ndarray:
    w: np.ndarray = to_host(network.positive_prototypes_)  # type: ignore[attr-defined]
    return w.astype(np.float64)


def _calibration_samples(winner: np.ndarray, k: int, per_class: int) -> np.ndarray:
    """A mask of the samples that neuron k wins or, where these are few, that its class wins."""
    won = winner == k
    return won if won.sum() >= MIN_SAMPLES else winner // per_class == k // per_class


def _margin(network: WinnerTakeAll, X: np.ndarray, correct: np.ndarray) -> Score:
    return partial(_margin_score, network)


def _margin_score(network: WinnerTakeAll, X: np.ndarray) -> np.ndarray:
    o = _neuron_scores(network, X).astype(np.float64)
    per_class = network._per_class
    z = np.sort(o.reshape(len(o), len(network.classes_), per_class).max(axis=2), axis=1)
    return z[:, -2] - z[:, -1]


def _distance(network: WinnerTakeAll, X: np.ndarray, correct: np.ndarray) -> Score:
    return partial(_distance_score, network, _positive_prototypes(network))


def _distance_score(network: WinnerTakeAll, w: np.ndarray, X: np.ndarray) -> np.ndarray:
    return np.linalg.norm(X.astype(np.float64) - w[_winners(network, X)], axis=1)


def _combined(network: WinnerTakeAll, X: np.ndarray, correct: np.ndarray) -> Score:
    parts = [calibrate(network, X, correct) for calibrate in (_distance, _margin)]
    winner, per_class = _winners(network, X)[correct], network._per_class
    masks = [
        _calibration_samples(winner, k, per_class) for k in range(len(network.prototype_labels_))
    ]
    values = [part(X)[correct] for part in parts]
    calibration = [[np.sort(value[mask]) for mask in masks] for value in values]
    return partial(_combined_score, network, parts, calibration)


def _combined_score(
    network: WinnerTakeAll, parts: list[Score], calibration: list[list[np.ndarray]], X: np.ndarray
) -> np.ndarray:
    winner, total = _winners(network, X), np.zeros(len(X))
    for part, known in zip(parts, calibration, strict=True):
        value = part(X)
        for k in np.unique(winner):
            won = winner == k
            larger = len(known[k]) - np.searchsorted(known[k], value[won], side="left")
            total[won] -= np.log((larger + 1) / (len(known[k]) + 1))
    return total


def _profile(network: WinnerTakeAll, X: np.ndarray, correct: np.ndarray) -> Score:
    w = _positive_prototypes(network)
    # With G = WWᵀ and u = Wx, the squared norm of x's projection onto the span of the prototypes is
    # uᵀG⁻¹u. The distances need u anyway, so this costs M² more products. Eigenvectors of G whose
    # eigenvalue is only rounding error are left out.
    eigenvalue, direction = np.linalg.eigh(w @ w.T)
    valid = eigenvalue > 1e-10 * eigenvalue[-1]
    whitening = direction[:, valid] / np.sqrt(eigenvalue[valid])
    per_class = network._per_class
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


def _profiles(w: np.ndarray, whitening: np.ndarray, X: np.ndarray) -> np.ndarray:
    """The profiles r (N, M + 1)."""
    x = X.astype(np.float64)
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
    X: np.ndarray,
) -> np.ndarray:
    winner, out = _winners(network, X), np.empty(len(X))
    error = _profiles(w, whitening, X) - mean[winner]
    for c in range(len(inverse)):
        rows = winner // network._per_class == c
        out[rows] = ((error[rows] @ inverse[c]) * error[rows]).sum(axis=1)
    return out


CALIBRATE: dict[str, Callable[[WinnerTakeAll, np.ndarray, np.ndarray], Score]] = {
    "profile": _profile,
    "distance": _distance,
    "margin": _margin,
    "combined": _combined,
}
