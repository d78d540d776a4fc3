"""What a detector in feature space achieves: on outliers, and against attackers.

Outliers that are not made to be accepted, and attacks that ignore the detector, say nothing about
an attacker who includes the score in the objective. So `feature_detection_report` measures all of
them, and `FeatureDetectionReport` has no form that holds the figure of the ignoring attacker
without that of the adaptive one; see `tinyproto.evaluation.detection`.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from ..attacks import Victim, attack_feature_detector, evades
from ..attacks.evasion import ignoring_attack
from ..backend.device import Array, to_host
from ..prototypes import FeatureDetector, auroc, fpr_at_tpr
from ..validation import check_count, check_index, check_labels, resolve_norm


class FeatureDetectionReport(NamedTuple):
    """The figures of `feature_detection_report`, fractions in [0, 1].

    Parameters
    ----------
    score : str
        The detector's score.
    norm : str
        The norm of the perturbations.
    eps : float
        Their largest length, in the units of the images.
    images : int
        The number of test images.
    attacked : int
        The number of those that were attacked, the first ones.
    outliers : dict of str to (float, float)
        For each set of outliers the AUROC of the score, against all test images, and the fraction
        of the outliers that is accepted where 95 % of the test images are.
    accuracy : float
        The fraction of the test images that is classified correctly.
    false_rejection : float
        The fraction of the test images that is refused unattacked.
    ignoring_auroc : float or None
        The AUROC of the score, attacked images that are classified wrongly against all test images,
        for an attacker who ignores the detector; None if that attacker fools none.
    ignoring_refused : float or None
        The fraction of those attacked images that is refused.
    ignoring_evasion : float
        The fraction of all attacked images for which that attacker's point is classified wrongly
        and accepted.
    adaptive_evasion : float
        The same for an attacker who knows the detector.
    robust_accuracy : float
        1 − `adaptive_evasion`: a refused image counts as a success here, see `false_rejection`.
    without_detector : float
        The fraction of the attacked images that none of the attackers got classified wrongly, with
        no regard to the detector.

    Examples
    --------
    >>> from tinyproto.evaluation import FeatureDetectionReport
    >>> report = FeatureDetectionReport(
    ...     score="energy", norm="linf", eps=8 / 255, images=500, attacked=200,
    ...     outliers={"noise": (0.9, 0.3)}, accuracy=0.68, false_rejection=0.05,
    ...     ignoring_auroc=0.6, ignoring_refused=0.1, ignoring_evasion=0.55,
    ...     adaptive_evasion=0.6, robust_accuracy=0.4, without_detector=0.35)
    >>> report.adaptive_evasion
    0.6
    """

    score: str
    norm: str
    eps: float
    images: int
    attacked: int
    outliers: dict[str, tuple[float, float]]
    accuracy: float
    false_rejection: float
    ignoring_auroc: float | None
    ignoring_refused: float | None
    ignoring_evasion: float
    adaptive_evasion: float
    robust_accuracy: float
    without_detector: float


def feature_detection_report(
    detector: FeatureDetector,
    x: Array,
    y: Array,
    *,
    eps: float = 8 / 255,
    norm: str | float = "linf",
    outliers: Mapping[str, Array] | None = None,
    attacked: int | None = None,
    lo: float = 0.0,
    hi: float = 1.0,
    seed: int = 0,
    index: Array | None = None,
    **options: Any,
) -> FeatureDetectionReport:
    """Show outliers to a network with its detector, and attack the two, once ignoring the detector
    and once knowing it.

    Parameters
    ----------
    detector : FeatureDetector
        A calibrated one; its `network_` is the classifier.
    x : array (N, …)
        Test images in [lo, hi], float32 or float64, on the device of the network.
    y : array (N,)
        Their true labels, columns of the network's scores.
    eps : float
        The largest length of a perturbation, in the units of x.
    norm : {"linf", "l2"}
        Its norm. "L2", 2 and `np.inf` are understood too.
    outliers : dict of str to array (M, …), optional
        Images that belong to no class, by the name of their set; `data.colour_outliers` has some.
    attacked : int, optional
        How many of the test images are attacked at most, the first ones; all by default.
    lo, hi : float
        The range of valid inputs.
    seed : int
        The seed of the attacks.
    index : array (N,), optional
        The positions of the images in the data set, 0 … N − 1 by default.
    **options
        Of `attack_feature_detector`: steps, targets, weights, restarts.

    Returns
    -------
    FeatureDetectionReport
        All figures. That of the attacker who knows the detector is at least that of the other one,
        whose points it tries, too.

    Raises
    ------
    ValueError
        As `attack_feature_detector` does, and for no images.

    Examples
    --------
    >>> import numpy as np
    >>> from tinyproto.evaluation import feature_detection_report
    >>> from tinyproto.layers import Flatten, Linear
    >>> from tinyproto.networks import Network
    >>> from tinyproto.prototypes import FeatureDetector
    >>> network = Network(Flatten(), Linear(2, 2))
    >>> network.head.params["weight"][...] = 2 * np.eye(2)
    >>> x, y = np.array([[0.7, 0.3], [0.3, 0.7]], np.float32), np.array([0, 1])
    >>> detector = FeatureDetector(network, "margin").fit(x)

    The detector refuses what leads by less than the images do. At eps 0.3 both can be moved across
    the boundary, but to no point that leads by so much:

    >>> report = feature_detection_report(detector, x, y, eps=0.3)
    >>> report.without_detector, report.adaptive_evasion
    (0.0, 0.0)
    >>> feature_detection_report(detector, x, y, eps=0.41).adaptive_evasion
    1.0
    """
    if not len(x):
        raise ValueError("a detection report needs at least one image")
    norm = resolve_norm(norm)
    count = len(x) if attacked is None else min(check_count("attacked", attacked), len(x))
    index = check_index(index, len(x), like=x)[:count]
    some, labels = x[:count], check_labels(y, len(x), detector.classes)
    found: dict[str, Any] = {"eps": eps, "norm": norm, "seed": seed, "index": index}
    points = attack_feature_detector(
        detector, some, labels[:count], lo=lo, hi=hi, **found, **options
    )
    victim = Victim(detector.network_, lo=lo, hi=hi)
    ignorant = ignoring_attack(victim, some, labels[:count], **found)
    true = to_host(labels)
    answer, score = detector.judge(x)
    ignorant_answer, ignorant_score = detector.judge(ignorant)
    wrong = ignorant_answer != true[:count]
    refused = ignorant_score > detector.threshold_
    adaptive = evades(detector, points, labels[:count])
    fooled = ignorant_score[wrong]
    return FeatureDetectionReport(
        score=detector.kind,
        norm=norm,
        eps=eps,
        images=len(x),
        attacked=count,
        outliers={
            name: _outliers(detector, score, images) for name, images in (outliers or {}).items()
        },
        accuracy=float((answer == true).mean()),
        false_rejection=float((score > detector.threshold_).mean()),
        ignoring_auroc=auroc(score, fooled) if len(fooled) else None,
        ignoring_refused=float(refused[wrong].mean()) if len(fooled) else None,
        ignoring_evasion=float((wrong & ~refused).mean()),
        adaptive_evasion=float(adaptive.mean()),
        robust_accuracy=float((~adaptive).mean()),
        without_detector=float((~(wrong | adaptive)).mean()),
    )


def _outliers(detector: FeatureDetector, inliers: np.ndarray, images: Array) -> tuple[float, float]:
    """AUROC, and the fraction of the outliers accepted where 95 % of the inliers are."""
    scores = detector.score(images)
    return auroc(inliers, scores), fpr_at_tpr(inliers, scores)
