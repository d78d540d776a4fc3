"""The ROC curve of an outlier score, the area under it, and its points."""

import math

import numpy as np

from ..backend.device import Array, to_host
from ..validation import check_number


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

    Raises
    ------
    ValueError
        For no scores, for another shape, and for NaN.

    Examples
    --------
    >>> import numpy as np
    >>> from tinyproto.prototypes import auroc
    >>> auroc(np.array([0.1, 0.3, 0.5, 0.6]), np.array([0.4, 0.7]))
    0.75
    """
    inliers, outliers = np.sort(_scores("inliers", inliers)), _scores("outliers", outliers)
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
        The fraction of the outliers that is accepted at the same threshold. It is interpolated
        between two scores of inliers; where one of these is infinite, it is the higher one.

    Raises
    ------
    ValueError
        As `auroc` does, and for a tpr outside [0, 1].

    Examples
    --------
    >>> import numpy as np
    >>> from tinyproto.prototypes import fpr_at_tpr
    >>> fpr_at_tpr(np.linspace(0, 1, 101), np.array([0.2, 0.97, 0.99, 3.0]))
    0.25
    """
    inliers, outliers = _scores("inliers", inliers), _scores("outliers", outliers)
    if check_number("tpr", tpr) > 1:
        raise ValueError(f"tpr must be between 0 and 1, not {tpr!r}")
    place = tpr * (len(inliers) - 1)
    low, high = np.sort(inliers)[[math.floor(place), math.ceil(place)]].astype(np.float64)
    between = math.isfinite(low) and math.isfinite(high)  # ∞ − ∞ is NaN
    threshold = np.quantile([low, high], place - math.floor(place)) if between else high
    return float((outliers <= threshold).mean())


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

    Raises
    ------
    ValueError
        As `auroc` does.

    Examples
    --------
    >>> import numpy as np
    >>> from tinyproto.prototypes import roc_curve
    >>> fpr, tpr = roc_curve(np.array([0.1, 0.3]), np.array([0.2, 0.4]))
    >>> fpr.tolist(), tpr.tolist()
    ([0.0, 0.0, 0.5, 0.5, 1.0], [0.0, 0.5, 0.5, 1.0, 1.0])
    """
    inliers, outliers = _scores("inliers", inliers), _scores("outliers", outliers)
    thresholds = np.sort(np.concatenate([inliers, outliers]))
    fpr, tpr = (
        np.searchsorted(np.sort(scores), thresholds, side="right") / len(scores)
        for scores in (outliers, inliers)
    )
    return np.concatenate([[0.0], fpr]), np.concatenate([[0.0], tpr])


def _scores(name: str, scores: Array) -> np.ndarray:
    """The scores (N,) on the host. Raises ValueError for none, another shape, or NaN."""
    found = to_host(scores)
    if found.ndim != 1 or not len(found) or found.dtype.kind not in "iufb":
        raise ValueError(
            f"{name} must hold one number for each example, shape (N,), not {found.dtype} "
            f"{found.shape}"
        )
    if np.isnan(found).any():
        raise ValueError(f"{name} holds NaN")
    return found
