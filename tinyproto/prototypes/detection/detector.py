"""The detector: an outlier score of a fitted network, and the threshold above which it rejects."""

import copy
from typing import Self

import numpy as np

from ...backend.device import Array, to_host
from ...validation import check_labels, check_number
from ..base import WinnerTakeAll
from ..validation import check_samples, encode_targets
from .profile import Profile
from .scores import SCORES, Calibrate, Combined, Distance, Margin, winners

CALIBRATE: dict[str, Calibrate] = {
    "profile": Profile.calibrate,
    "distance": Distance.calibrate,
    "margin": Margin.calibrate,
    "combined": Combined.calibrate,
}


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
    network_ : WinnerTakeAll
        The network as it was in `fit`, whose predictions the detector accepts or rejects.

    Notes
    -----
    This is no defence. The calibration knows no attacks, and an attacker who knows the detector
    includes the score in the objective: `evaluation.detection_report` measures how far that gets.

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
        winner = winners(network, X)
        correct = winner // network._per_class == label
        for c, name in enumerate(network.classes_):
            if not (correct & (label == c)).any():
                raise ValueError(f"no sample of class {name} is classified correctly")
        score = CALIBRATE[self.kind](network, X, correct)
        self.threshold_ = float(np.quantile(score(X, winner), 1 - self.false_rejection))
        self.network_, self._score = network, score
        return self

    def score(self, X: Array, neuron: np.ndarray | None = None) -> np.ndarray:
        """The outlier score of each of X (N, d): (N,) float64, higher for outliers.

        With `neuron` (N,) it is the score that each input would have if this neuron won. For the
        margin the neuron stands for its class, and the score is 0 or more where another class wins.
        """
        X, neuron = self._arguments(X, neuron)
        return self._score(X, neuron)

    def score_gradient(self, X: Array, neuron: np.ndarray | None = None) -> np.ndarray:
        """The gradient of `score` at each of X (N, d), the neuron held fixed: (N, d) float64.

        That of `combined`, a step function, is the gradient of a smooth surrogate for attacks. The
        derivations are in `tinyproto.prototypes.detection.scores` and `.profile`.
        """
        X, neuron = self._arguments(X, neuron)
        return self._score.gradient(X, neuron)

    def accepts(self, X: Array) -> np.ndarray:
        """Whether the score of each of X (N, d) is at most the threshold: (N,) bool."""
        return self.score(X) <= self.threshold_

    def check_is_fitted(self) -> None:
        """Raise ValueError before `fit`."""
        if not hasattr(self, "_score"):
            raise ValueError("this Detector is not calibrated yet; call fit first")

    def _arguments(self, X: Array, neuron: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
        """X after its checks, and the neurons: the winning ones, if none are given."""
        self.check_is_fitted()
        X = _validate_samples(self.network_, X)
        if neuron is None:
            return X, winners(self.network_, X)
        return X, check_labels(neuron, len(X), len(self.network_.prototype_labels_), "neuron")


def _validate_samples(network: WinnerTakeAll, X: Array) -> np.ndarray:
    """X (N, d) in its own precision, after the checks of the network."""
    network._validate_samples(X)
    return to_host(check_samples(X))
