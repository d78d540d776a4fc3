"""Checks of the samples and labels that a network is given, with the messages of scikit-learn."""

import sys
import warnings
from typing import Any

import numpy as np

from ..backend.device import Array, array_module, to_host


def is_integer(value: Any, minimum: int) -> bool:
    """Whether a value is an integer, of Python or NumPy, and at least `minimum`."""
    return isinstance(value, (int, np.integer)) and int(value) >= minimum


def check_samples(X: Any, features: int | None = None, estimator: str = "the model") -> Array:
    """`X` as a C-ordered (N, d) array of float32 or float64 on the device where it is.

    Other numbers become float64. Raises ValueError, or TypeError for what is not a number, in one
    line that says what was found: sparse, complex or text data, a wrong number of dimensions or
    `features`, no samples, no features, NaN or infinity.
    """
    if type(X).__module__.startswith("scipy.sparse"):
        raise TypeError(f"sparse data ({type(X).__name__}) was passed; call .toarray() on it first")
    xp = array_module(X)
    X = xp.asarray(X)
    if X.dtype.kind == "c":
        raise ValueError(f"Complex data not supported: X has dtype {X.dtype}")
    if X.dtype not in (np.float32, np.float64):
        try:
            X = X.astype(np.float64)
        except TypeError as error:
            raise TypeError(f"X argument must hold a string or a number: {error}") from None
        except ValueError as error:
            raise ValueError(f"X must hold numbers: {error}") from None
    if X.ndim != 2:
        raise ValueError(
            f"Expected 2D array (samples, features), got shape {X.shape}. "
            "Reshape your data: .reshape(len(X), -1) for images, .reshape(1, -1) for one sample"
        )
    if len(X) == 0:
        raise ValueError(f"X holds no samples: 0 sample(s) (shape={X.shape})")
    if X.shape[1] == 0:
        raise ValueError(f"X has 0 feature(s) (shape={X.shape}) while a minimum of 1 is required.")
    if features is not None and X.shape[1] != features:
        raise ValueError(
            f"X has {X.shape[1]} features, but {estimator} is expecting {features} features as "
            "input"
        )
    if not bool(xp.isfinite(X).all()):
        X = to_host(X)
        sample, feature = np.argwhere(~np.isfinite(X))[0]
        found = "NaN" if np.isnan(X[sample, feature]) else "infinity (inf)"
        raise ValueError(f"Input X contains {found}: sample {sample}, feature {feature}")
    return xp.ascontiguousarray(X)


def check_targets(y: Any, samples: int) -> np.ndarray:
    """`y` as a (samples,) array of labels: integers, booleans or strings.

    Raises ValueError for a missing or continuous target, NaN, or a wrong number of labels.
    """
    if y is None:
        raise ValueError("fit requires y to be passed, but the target y is None")
    y = to_host(y)
    if y.ndim == 2 and y.shape[1] == 1:
        exceptions = sys.modules.get("sklearn.exceptions")
        category = exceptions.DataConversionWarning if exceptions else UserWarning
        message = "A column-vector y was passed when a 1d array was expected"
        warnings.warn(message, category, stacklevel=3)
        y = y.ravel()
    if y.ndim != 1 or len(y) != samples:
        raise ValueError(f"y must hold one label for each of the {samples} samples, not {y.shape}")
    if y.dtype.kind == "f":
        if not np.isfinite(y).all():
            found = "NaN" if np.isnan(y).any() else "infinity (inf)"
            raise ValueError(f"Input y contains {found}")
        if (y != np.floor(y)).any():
            raise ValueError(f"Unknown label type: continuous, such as {y[y != np.floor(y)][0]}")
    return y


def encode_targets(y: Any, samples: int, classes: Any = None) -> tuple[np.ndarray, np.ndarray]:
    """The sorted classes (C,), those of `y` or those given, and the index of each sample's (N,).

    Raises ValueError for fewer than 2 classes, a label that is none of them, or bad labels.
    """
    y = check_targets(y, samples)
    known = np.unique(y if classes is None else np.asarray(classes))
    if len(known) < 2:
        raise ValueError(f"at least 2 classes are needed, but y holds one class: {known[0]}")
    unknown = ~np.isin(y, known)
    if unknown.any():
        raise ValueError(f"y holds {y[unknown][0]}, which is not one of the classes {known}")
    return known, np.searchsorted(known, y)
