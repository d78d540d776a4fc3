"""The transforms of scikit-learn that stand in front of a classifier, with gradients.

The values are those of the transform itself; only its backward pass is ours, dx (N, d) of dy
(N, k):

    StandardScaler, RobustScaler   y = (x − m)/s               dx = dy/s
    MaxAbsScaler                   y = x/s                     dx = dy/s
    MinMaxScaler                   y = x s + m                 dx = dy s
    PCA                            y = (x − m) Vᵀ / s          dx = (dy/s) V
    Normalizer                     y = x/‖x‖                   dx = (dy − (y·dy) ∇‖x‖)/‖x‖

The last is the quotient rule: ∂y_i/∂x_j = δ_ij/‖x‖ − x_i ∇_j‖x‖/‖x‖² = (δ_ij − y_i ∇_j‖x‖)/‖x‖,
with ∇‖x‖ = x/‖x‖ for L2, sign x for L1, and sign x_k at k, where |x_k| is largest, for the maximum.
A row of zeros stays as it is. A scaler that clips has the gradient 0 where it does: not at the
limits themselves, where the black and the white pixels of an image are.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from ..attacks.victim import Model


def scaler(transform: Any) -> Model:
    """Those that divide by `scale_`; None stands for 1."""
    scale = getattr(transform, "scale_", None)
    scale = np.asarray(1.0 if scale is None else scale)
    return _diagonal(transform, 1 / scale, -scale, scale)


def min_max_scaler(transform: Any) -> Model:
    """It multiplies by `scale_`."""
    low, high = transform.feature_range
    width = (high - low) / transform.scale_  # more than that of the data for a constant feature
    highest = np.maximum(transform.data_max_, transform.data_min_ + width)
    return _diagonal(transform, transform.scale_, transform.data_min_, highest)


def _diagonal(transform: Any, slope: np.ndarray, lowest: np.ndarray, highest: np.ndarray) -> Model:
    """Each feature times its slope. A transform that clips does so for x < lowest and
    x > highest: in y, rounding may put x = highest on either side of the limit."""
    clips = getattr(transform, "clip", False)

    def model(x: np.ndarray) -> tuple[np.ndarray, Callable[[np.ndarray], np.ndarray]]:
        low, high = lowest.astype(x.dtype), highest.astype(x.dtype)
        inside = (low <= x) & (x <= high) if clips else True
        return transform.transform(x), lambda dy: dy * slope * inside

    return model


def pca(transform: Any) -> Model:
    """Onto the principal components, scaled to variance 1 where it whitens."""
    scale: Any = 1.0
    if transform.whiten:
        deviation = np.sqrt(transform.explained_variance_)
        scale = np.maximum(deviation, np.finfo(deviation.dtype).eps)

    def model(x: np.ndarray) -> tuple[np.ndarray, Callable[[np.ndarray], np.ndarray]]:
        return transform.transform(x), lambda dy: dy / scale @ transform.components_

    return model


def normalizer(transform: Any) -> Model:
    """Each row divided by its norm."""

    def model(x: np.ndarray) -> tuple[np.ndarray, Callable[[np.ndarray], np.ndarray]]:
        y, size = transform.transform(x), np.abs(x)
        if transform.norm == "l2":
            norm = np.sqrt((x * x).sum(axis=1, keepdims=True))
            slope = y
        elif transform.norm == "l1":
            norm, slope = size.sum(axis=1, keepdims=True), np.sign(x)
        else:
            norm = size.max(axis=1, keepdims=True)
            largest = np.arange(x.shape[1]) == size.argmax(axis=1)[:, None]
            slope = np.sign(x) * largest
        norm = np.where(norm == 0, 1, norm)
        return y, lambda dy: (dy - (y * dy).sum(axis=1, keepdims=True) * slope) / norm

    return model


TRANSFORMS: dict[str, Callable[[Any], Model]] = {
    "StandardScaler": scaler,
    "RobustScaler": scaler,
    "MaxAbsScaler": scaler,
    "MinMaxScaler": min_max_scaler,
    "PCA": pca,
    "Normalizer": normalizer,
}
"""Class of scikit-learn → its transform with gradients, of a fitted one."""
