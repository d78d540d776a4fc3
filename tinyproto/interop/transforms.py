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
A row of zeros stays as it is. A scaler that clips has the gradient 0 where it does.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from ..attacks.victim import Model


def scaler(transform: Any) -> Model:
    """Those that divide by `scale_`; None stands for 1."""
    scale = getattr(transform, "scale_", None)
    return _diagonal(transform, 1.0 if scale is None else 1 / np.asarray(scale), (-1.0, 1.0))


def min_max_scaler(transform: Any) -> Model:
    """It multiplies by `scale_`."""
    return _diagonal(transform, transform.scale_, transform.feature_range)


def _diagonal(transform: Any, slope: Any, limits: tuple[float, float]) -> Model:
    """Each feature times its slope, clipped to the limits where the transform clips."""
    clips = getattr(transform, "clip", False)

    def model(x: np.ndarray) -> tuple[np.ndarray, Callable[[np.ndarray], np.ndarray]]:
        y = transform.transform(x)
        inside = (limits[0] < y) & (y < limits[1]) if clips else True
        return y, lambda dy: dy * slope * inside

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
