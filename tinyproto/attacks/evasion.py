"""What the attacks on detectors share: what evades, and the attacker who ignores the detector."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..backend.device import Array, to_host
from ..prototypes import Detector, FeatureDetector
from ..prototypes.validation import encode_targets
from ..validation import check_index, check_labels, check_number
from .pgd import pgd
from .region import Radius
from .victim import Victim

IMAGES = 256  # attacked together


def evades(detector: Detector | FeatureDetector, x: Array, y: Array) -> np.ndarray:
    """Whether each input is classified wrongly and accepted.

    Parameters
    ----------
    detector : Detector or FeatureDetector
        A calibrated one; its `network_` is the classifier.
    x : array (N, …)
        The inputs.
    y : array (N,)
        Their true labels.

    Returns
    -------
    array (N,)
        Of bool.

    Raises
    ------
    ValueError
        For a detector that is not calibrated, and for inputs or labels that it does not know.

    Examples
    --------
    >>> import numpy as np
    >>> from tinyproto.attacks import evades
    >>> from tinyproto.prototypes import EDWTA, Detector
    >>> x, y = np.array([[0.2, 0.4], [0.2, 0.6], [0.8, 0.4], [0.8, 0.6]]), np.array([0, 0, 1, 1])
    >>> network = EDWTA(prototypes_per_class=1, epochs=0, init="kmeans").fit(x, y)
    >>> detector = Detector(network, "distance").fit(x, y)
    >>> evades(detector, np.array([[0.4, 0.5], [0.6, 0.5], [0.75, 0.5]]), np.array([0, 0, 0]))
    array([False, False,  True])
    """
    detector.check_is_fitted()
    if isinstance(detector, FeatureDetector):
        answer, score = detector.judge(x)
        wrong: np.ndarray = answer != to_host(check_labels(y, len(x), detector.classes))
        return wrong & (score <= detector.threshold_)
    x, network = to_host(x), detector.network_
    x = x.reshape(len(x), math.prod(x.shape[1:]))
    label = encode_targets(y, len(x), network.classes_)[1]
    return (network.predict(x) != network.classes_[label]) & detector.accepts(x)


def check_weights(weights: Sequence[float], *, zero: bool = True) -> None:
    """Refuse weights λ that are not one number or more, above 0, or 0 or more if `zero`.

    Raises
    ------
    ValueError
        Otherwise.
    """
    if not isinstance(weights, Sequence | np.ndarray) or not len(weights):
        raise ValueError(f"weights must be a tuple of one number or more, not {weights!r}")
    for weight in weights:
        check_number("each of the weights", weight, zero=zero)


def ignoring_attack(
    victim: Victim, x: Array, y: Array, *, eps: Radius, norm: str, seed: int = 0,
    index: Array | None = None,
) -> Array:  # fmt: skip
    """PGD as of an attacker who ignores the detector, and only wants the classification wrong."""
    options: dict[str, Any] = {"norm": norm, "seed": seed, "early_exit": False}
    index = check_index(index, len(x), like=x)
    found = x.astype(x.dtype.newbyteorder("="))
    radii: Any = eps
    for first in range(0, len(x), IMAGES):
        part = slice(first, first + IMAGES)
        radius = radii[part] if getattr(radii, "ndim", 0) else radii
        found[part] = pgd(victim, x[part], y[part], eps=radius, index=index[part], **options)
    return found
