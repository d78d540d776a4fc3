"""What a detector achieves against an attacker who ignores it, and against one who knows it.

A detector looks good against attacks that ignore it: it refuses most of their images. That says
nothing about an attacker who includes the detector's score in the objective (Carlini and Wagner,
arXiv 1705.07263). So `detection_report` measures both, and `DetectionReport` has no form that holds
the one figure without the other.

Refusing protects at a price: a detector that refuses everything is never evaded. So the report also
says how many test images are refused unattacked, and what the network achieves without a detector.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from ..attacks import Victim, attack_detector, evades
from ..attacks.evasion import ignoring_attack
from ..attacks.region import Radius
from ..backend.device import Array, select_device, to_device, to_host
from ..prototypes import Detector, auroc, certified_detection_radius, exact_radius
from ..prototypes.detection.certificate import CERTIFIED
from ..validation import resolve_norm


class DetectionReport(NamedTuple):
    """The figures of `detection_report`, fractions in [0, 1].

    Parameters
    ----------
    score : str
        The detector's score.
    norm : str
        The norm of the perturbations.
    eps : float
        Their largest length, in the units of the inputs.
    images : int
        The number of test images.
    false_rejection : float
        The fraction of the images that is refused unattacked.
    ignoring_auroc : float or None
        The AUROC of the score, attacked images that are classified wrongly against images that are
        not attacked, for an attacker who ignores the detector; None if that attacker fools none.
    ignoring_refused : float or None
        The fraction of those attacked images that is refused.
    ignoring_evasion : float
        The fraction of all images for which that attacker's point is classified wrongly and
        accepted.
    adaptive_evasion : float
        The same for an attacker who knows the detector.
    robust_accuracy : float
        1 − `adaptive_evasion`: the fraction for which the attacker found no such point. A refused
        image counts as a success here, see `false_rejection`.
    certified : float or None
        The fraction for which there is no such point, proved; None where no proof is offered.
    without_detector : float or None
        The fraction of the images that are classified correctly for every perturbation, proved,
        without a detector; None for "linf" without SciPy.

    Examples
    --------
    >>> from tinyproto.evaluation import DetectionReport
    >>> report = DetectionReport(
    ...     score="margin", norm="l2", eps=1.0, images=200, false_rejection=0.05,
    ...     ignoring_auroc=0.9, ignoring_refused=0.8, ignoring_evasion=0.05,
    ...     adaptive_evasion=0.2, robust_accuracy=0.8, certified=0.8, without_detector=0.7)
    >>> report.adaptive_evasion
    0.2
    """

    score: str
    norm: str
    eps: float
    images: int
    false_rejection: float
    ignoring_auroc: float | None
    ignoring_refused: float | None
    ignoring_evasion: float
    adaptive_evasion: float
    robust_accuracy: float
    certified: float | None
    without_detector: float | None


def detection_report(
    detector: Detector,
    x: Array,
    y: Array,
    *,
    eps: float,
    norm: str | float = "l2",
    lo: float = 0.0,
    hi: float = 1.0,
    seed: int = 0,
    index: Array | None = None,
    **options: Any,
) -> DetectionReport:
    """Attack a classifier with its detector, once ignoring the detector and once knowing it.

    Parameters
    ----------
    detector : Detector
        A calibrated one; its `network_` is the classifier.
    x : array (N, d)
        Test images in [lo, hi], float32 or float64.
    y : array (N,)
        Their true labels.
    eps : float
        The largest length of a perturbation, in the units of x.
    norm : {"l2", "linf"}
        Its norm. "L2", 2 and `np.inf` are understood too.
    lo, hi : float
        The range of valid inputs.
    seed : int
        The seed of the attacks.
    index : array (N,), optional
        The positions of the images in the data set, 0 … N − 1 by default.
    **options
        Of `attack_detector`: steps, weights, restarts.

    Returns
    -------
    DetectionReport
        All figures. That of the attacker who knows the detector is at least that of the other one,
        whose points it tries, too.

    Raises
    ------
    ValueError
        As `attack_detector` does, and for no images.

    Examples
    --------
    >>> import numpy as np
    >>> from tinyproto.evaluation import detection_report
    >>> from tinyproto.prototypes import EDWTA, Detector
    >>> x, y = np.array([[0.2, 0.4], [0.2, 0.6], [0.8, 0.4], [0.8, 0.6]]), np.array([0, 0, 1, 1])
    >>> network = EDWTA(prototypes_per_class=1, epochs=0, init="kmeans").fit(x, y)
    >>> report = detection_report(Detector(network, "distance").fit(x, y), x, y, eps=0.4)

    At eps 0.4 all images can be moved across the boundary x₀ = 0.5, but none to within 0.1 of the
    prototype of the other class, where the detector accepts:

    >>> report.without_detector, report.certified, report.adaptive_evasion
    (0.0, 1.0, 0.0)
    >>> detection_report(Detector(network, "distance").fit(x, y), x, y, eps=0.55).certified
    0.0
    """
    norm = resolve_norm(norm)
    attacked = attack_detector(
        detector, x, y, eps=eps, norm=norm, lo=lo, hi=hi, seed=seed, index=index, **options
    )
    if not len(attacked):
        raise ValueError("a detection report needs at least one image")
    network, x, y = detector.network_, to_host(x), to_host(y)
    ignorant = _ignoring(detector, x, y, eps, norm, (lo, hi), seed, index)
    wrong = network.predict(ignorant) != y
    scores, fooled = detector.score(x), detector.score(ignorant)[wrong]
    evasion, adaptive = evades(detector, ignorant, y), evades(detector, attacked, y)
    box: dict[str, Any] = {"norm": norm, "lo": lo, "hi": hi}
    certified = None
    if detector.kind in CERTIFIED:
        certified = _share(lambda: certified_detection_radius(detector, x, y, **box), eps)
    return DetectionReport(
        score=detector.kind,
        norm=norm,
        eps=eps,
        images=len(x),
        false_rejection=float((scores > detector.threshold_).mean()),
        ignoring_auroc=auroc(scores, fooled) if len(fooled) else None,
        ignoring_refused=float((fooled > detector.threshold_).mean()) if len(fooled) else None,
        ignoring_evasion=float(evasion.mean()),
        adaptive_evasion=float(adaptive.mean()),
        robust_accuracy=float((~adaptive).mean()),
        certified=certified,
        without_detector=_share(lambda: exact_radius(network, x, y, **box)[0], eps),
    )


def _ignoring(
    detector: Detector, x: np.ndarray, y: np.ndarray, eps: Radius, norm: str,
    box: tuple[float, float], seed: int, index: Array | None,
) -> np.ndarray:  # fmt: skip
    """The points of an attacker who ignores the detector, those that `attack_detector` tries."""
    network = detector.network_
    victim, xp = Victim(network, lo=box[0], hi=box[1]), select_device(network.device)
    label = np.searchsorted(network.classes_, y)
    index = None if index is None else to_device(index, xp)
    found = ignoring_attack(
        victim, to_device(x, xp), to_device(label, xp), eps=eps, norm=norm, seed=seed, index=index
    )
    return to_host(found)


def _share(radius: Callable[[], np.ndarray], eps: float) -> float | None:
    """The fraction of radii above eps; None where SciPy is missing."""
    try:
        return float((radius() > eps).mean())
    except ImportError:
        return None
