"""The detector of a network with features: a score of the features and a threshold."""

import copy
from typing import Self

import numpy as np

from ...backend.device import Array, array_module, to_device, to_host
from ...validation import check_count, check_labels, check_number
from .detector import Detector
from .feature_scores import (
    FEATURE_SCORES,
    FeatureNetwork,
    FeatureScore,
    head_score,
    head_vectors,
    winner_take_all_score,
)


class FeatureDetector:
    """A detector of outliers in the feature space of a network.

    Parameters
    ----------
    network : Network
        A trained network whose head is a `PrototypeHead` or `Linear`.
    score : {"distance", "angle", "margin", "energy"} or Detector
        The outlier score, one of `FEATURE_SCORES`; or a calibrated `Detector` of a ±ED-WTA network
        that was fitted on features, with the answers of `network` as labels.
    false_rejection : float, default 0.05
        The fraction of the training images that `accepts` may reject.
    batch_size : int, default 250
        The number of images per pass through the network.

    Attributes
    ----------
    kind : str
        The name of the score; that of a ±ED-WTA network begins with "±ED-WTA".
    classes : int
        The number of classes of the network.
    threshold_ : float
        Images with a higher score are rejected; set by `fit`.
    network_ : Network
        The network as it was in `fit`.
    feature_score : callable
        feature_score(h, answer): the score (N,) of features h (N, d), and its gradient (N, d).

    Raises
    ------
    ValueError
        For an unknown score, a fraction outside (0, 1), another head, a `Detector` that is not
        calibrated or does not know all classes; from the methods for images that the network
        refuses, for no images, and for scores that are not finite.

    Notes
    -----
    This is no defence: the calibration knows no attacks, and `attacks.attack_feature_detector` is
    an attacker who knows the score. The scores and their gradients are derived in the docstring of
    `tinyproto.prototypes.detection.feature_scores`.

    Source: the energy is that of Liu and others, 2020 (arXiv 2010.03759).

    Examples
    --------
    >>> import numpy as np
    >>> from tinyproto.layers import Flatten, Linear
    >>> from tinyproto.networks import Network
    >>> from tinyproto.prototypes import FeatureDetector
    >>> network = Network(Flatten(), Linear(2, 2))
    >>> network.head.params["weight"][...] = np.eye(2)
    >>> x = np.random.default_rng(0).uniform(0.8, 1.2, (50, 2)).astype(np.float32)
    >>> x[:25, 0], x[25:, 1] = 0, 0
    >>> detector = FeatureDetector(network, "distance").fit(x)
    >>> detector.accepts(np.array([[0, 1], [1, 0], [1, 1]], np.float32))
    array([ True,  True, False])
    """

    def __init__(
        self,
        network: FeatureNetwork,
        score: str | Detector = "distance",
        *,
        false_rejection: float = 0.05,
        batch_size: int = 250,
    ):
        if not 0 < check_number("false_rejection", false_rejection) < 1:
            raise ValueError(f"false_rejection must be between 0 and 1, not {false_rejection!r}")
        check_count("batch_size", batch_size)
        self.classes = len(head_vectors(network.head)[0])
        if isinstance(score, Detector):
            score.check_is_fitted()
            known = score.network_.classes_
            if not np.array_equal(known, np.arange(self.classes)):
                raise ValueError(
                    f"the Detector must know all classes, 0 … {self.classes - 1}, not "
                    f"{', '.join(map(str, known))}"
                )
            self.kind = f"±ED-WTA {score.kind}"
        elif score in FEATURE_SCORES:
            self.kind = score
        else:
            raise ValueError(
                f"score must be one of {', '.join(FEATURE_SCORES)} or a Detector, not {score!r}"
            )
        self.network, self._given = network, score
        self.false_rejection, self.batch_size = false_rejection, batch_size

    def fit(self, X: Array) -> Self:
        """Calibrate on training images X (N, …) of the network as it is now."""
        network, given = copy.deepcopy(self.network), copy.deepcopy(self._given)
        if isinstance(given, Detector):
            score = winner_take_all_score(given)
        else:
            score = head_score(given, network.head)
        _, found = _judge(network, score, X, self.batch_size)
        if not len(found):
            raise ValueError("a detector must be calibrated on at least one image")
        self.threshold_ = float(np.quantile(found, 1 - self.false_rejection))
        self.network_, self.feature_score = network, score
        return self

    def judge(self, X: Array) -> tuple[np.ndarray, np.ndarray]:
        """The answer of the network (N,) for each of X (N, …), and its score (N,), on the host."""
        self.check_is_fitted()
        return _judge(self.network_, self.feature_score, X, self.batch_size)

    def score(self, X: Array, answer: Array | None = None) -> np.ndarray:
        """The outlier score of each of X (N, …): (N,) float64, higher for outliers.

        With `answer` (N,) it is the score that each image would have if this were the answer.
        """
        self.check_is_fitted()
        return _judge(self.network_, self.feature_score, X, self.batch_size, answer)[1]

    def score_gradient(self, X: Array, answer: Array | None = None) -> Array:
        """The gradient of `score` at each of X (N, …), the answer held fixed: an array like X.

        That of "±ED-WTA combined", a step function, is the gradient of a smooth surrogate. All
        images go through the network at once.
        """
        self.check_is_fitted()
        h, backward = self.network_.features(X)
        answer = _answers(self.network_, h, answer)
        return backward(self.feature_score(h, answer)[1].astype(h.dtype))

    def accepts(self, X: Array) -> np.ndarray:
        """Whether the score of each of X (N, …) is at most the threshold: (N,) bool."""
        return self.score(X) <= self.threshold_

    def check_is_fitted(self) -> None:
        """Raise ValueError before `fit`."""
        if not hasattr(self, "threshold_"):
            raise ValueError("this FeatureDetector is not calibrated yet; call fit first")


def _answers(network: FeatureNetwork, h: Array, answer: Array | None) -> Array:
    """The class with the largest score for features h, or the given classes after a check."""
    z, _ = network.head(h)
    if answer is None:
        return z.argmax(axis=1)
    return to_device(check_labels(answer, len(h), z.shape[1], "answer"), array_module(h))


def _judge(
    network: FeatureNetwork, score: FeatureScore, X: Array, batch_size: int,
    answer: Array | None = None,
) -> tuple[np.ndarray, np.ndarray]:  # fmt: skip
    """The answers and the scores (N,)."""
    answers, scores = np.empty(len(X), dtype=np.int64), np.empty(len(X))
    if answer is not None:
        answer = check_labels(answer, len(X), name="answer")
    for start in range(0, len(X), batch_size):
        part = slice(start, start + batch_size)
        h, _ = network.features(X[part])
        found = _answers(network, h, None if answer is None else answer[part])
        answers[part], scores[part] = to_host(found), to_host(score(h, found)[0])
    if not np.isfinite(scores).all():
        raise ValueError("the scores of the features are not finite")
    return answers, scores
