"""Checks of the samples and labels that a network is given, with the messages of scikit-learn."""

import sys
import warnings
from typing import Any

import numpy as np

from ..backend.device import Array, array_module, to_host


def warn(message: str, category: str = "UserWarning") -> None:
    """Warn at the line that called this package, with scikit-learn's category of that name where
    scikit-learn has been imported."""
    level, frame = 1, sys._getframe()
    while frame.f_back and str(frame.f_globals.get("__name__")).startswith("tinyproto."):
        level, frame = level + 1, frame.f_back
    found = getattr(sys.modules.get("sklearn.exceptions"), category, UserWarning)
    warnings.warn(message, found, stacklevel=level)


LEARNED = ("weights_", "biases_", "positive_prototypes_", "negative_prototypes_", "_beta")
"""The arrays that training changes; a network has some of them."""


def check_learned(network: Any) -> None:
    """Raise ValueError for an array of `LEARNED` of another shape or dtype than the fitted network
    has, such as one that the user has replaced: a kernel would read beyond it."""
    dtype, found = network._beta.dtype, vars(network)
    neurons = len(network.prototype_labels_)
    shape: tuple[int, ...]
    for name in LEARNED:
        if (array := found.get(name)) is None:
            continue
        if name == "_beta":
            shape = (1,)
        else:
            shape = (neurons,) if name == "biases_" else (neurons, network.n_features_in_)
        if array.shape != shape or array.dtype != dtype:
            raise ValueError(
                f"{name.lstrip('_')} must be {dtype} {shape}, as fitted, not {array.dtype} "
                f"{array.shape}"
            )


def check_samples(
    X: Any,
    features: int | None = None,
    estimator: str = "the model",
    *,
    dtype: Any = None,
    name: str = "X",
) -> Array:
    """`X` as a C-ordered (N, d) array of float32 or float64 on the device where it is.

    Other numbers become float64, and all of them `dtype` if that is given. Raises ValueError, or
    TypeError for what is not a number, that says what was found: sparse, complex or text data,
    masked values, a wrong number of dimensions or `features`, no samples, no features, NaN,
    infinity, or a value too large for the dtype.
    """
    if type(X).__module__.startswith("scipy.sparse"):
        raise TypeError(f"sparse data ({type(X).__name__}) was passed; call .toarray() on it first")
    if np.ma.is_masked(X):
        raise ValueError(f"{name} has masked values; fill them, for example by {name}.filled(0)")
    xp = array_module(X)
    X = xp.asarray(X)
    if X.dtype.kind == "c":
        raise ValueError(f"Complex data not supported: {name} has dtype {X.dtype}")
    if X.dtype.kind not in "iufbO":
        raise ValueError(f"{name} must hold numbers, not {X.dtype}; convert them to float first")
    if X.ndim != 2:
        raise ValueError(
            f"Expected 2D array (samples, features), got shape {X.shape}. "
            "Reshape your data: .reshape(len(X), -1) for images, .reshape(1, -1) for one sample"
        )
    if len(X) == 0:
        raise ValueError(f"{name} holds no samples: 0 sample(s) (shape={X.shape})")
    if X.shape[1] == 0:
        raise ValueError(
            f"{name} has 0 feature(s) (shape={X.shape}) while a minimum of 1 is required."
        )
    if features is not None and X.shape[1] != features:
        raise ValueError(
            f"{name} has {X.shape[1]} features, but {estimator} is expecting {features} features "
            "as input"
        )
    given = X
    with np.errstate(over="ignore"):  # what becomes infinite is refused below
        if X.dtype not in (np.float32, np.float64):
            try:
                X = X.astype(np.float64)
            except TypeError as error:
                raise TypeError(
                    f"{name} argument must hold a string or a number: {error}"
                ) from None
            except ValueError as error:
                raise ValueError(f"{name} must hold numbers: {error}") from None
        X = X if dtype is None else X.astype(dtype, copy=False)
    if not bool(xp.isfinite(X).all()):
        sample, feature = np.argwhere(~np.isfinite(to_host(X)))[0]
        value = float(given[sample, feature])
        found = "NaN" if np.isnan(value) else "infinity (inf)"
        if np.isfinite(value):
            found = f"a value too large for {X.dtype} ({value:g})"
        raise ValueError(f"Input {name} contains {found}: sample {sample}, feature {feature}")
    return xp.ascontiguousarray(X)


def check_targets(y: Any, samples: int, name: str = "y") -> np.ndarray:
    """`y` as a (samples,) array of labels: integers, booleans or strings.

    (samples, 1) is accepted with a warning, as scikit-learn does. Raises ValueError for a missing
    or continuous target, NaN, strings among numbers, or a wrong number of labels.
    """
    if y is None:
        raise ValueError(f"this requires y to be passed, but the target {name} is None")
    if np.ma.is_masked(y):
        raise ValueError(f"{name} has masked values; leave these samples out")
    y = to_host(y)
    if y.shape == (samples, 1):
        message = f"A column-vector {name} was passed when a 1d array was expected"
        warn(message, "DataConversionWarning")
        y = y.ravel()
    if y.shape != (samples,):
        advice = f"; if it has a column for each class, use {name}.argmax(axis=1)"
        raise ValueError(
            f"{name} must hold one label for each of the {samples} samples, not {y.shape}"
            + advice * (y.ndim == 2 and len(y) == samples)
        )
    if y.dtype.kind == "O":
        values = y.tolist()
        text = [isinstance(value, str) for value in values]
        if any(text) and not all(text):
            other = values[text.index(False)]
            raise ValueError(
                f"Mix of label input types (string and number): {name} holds {other!r} beside "
                f"{values[text.index(True)]!r}"
            )
        if all(text):
            return y
        y = np.asarray(values)
    if y.dtype.kind == "f":
        if not np.isfinite(y).all():
            found = "NaN" if np.isnan(y).any() else "infinity (inf)"
            raise ValueError(f"Input {name} contains {found}")
        if (y != np.floor(y)).any():
            raise ValueError(f"Unknown label type: continuous, such as {y[y != np.floor(y)][0]}")
    elif y.dtype.kind not in "iubUST":
        raise ValueError(f"Unknown label type: {name} must hold integers or strings, not {y.dtype}")
    return y


def check_same_type(y: np.ndarray, classes: np.ndarray) -> None:
    """Raise ValueError for strings where the classes are numbers, and the reverse: NumPy would
    compare them as strings, or call all of them different."""
    text = [array.dtype.kind in "USTO" for array in (y, classes)]
    if text[0] != text[1]:
        kinds = ["strings" if t else "numbers" for t in text]
        raise ValueError(f"y holds {kinds[0]}, but the classes are {kinds[1]}: {classes[:5]}")


def encode_targets(y: Any, samples: int, classes: Any = None) -> tuple[np.ndarray, np.ndarray]:
    """The sorted classes (C,), those of `y` or those given, and the index of each sample's (N,).

    Raises ValueError for fewer than 2 classes, a label that is none of them, or bad labels.
    """
    y = check_targets(y, samples)
    if classes is not None:
        classes = check_targets(classes, np.size(classes), "classes")
        check_same_type(y, classes)
    known = np.unique(y if classes is None else classes)
    if len(known) < 2:
        raise ValueError(f"at least 2 classes are needed, but y holds one class: {known[0]}")
    unknown = ~np.isin(y, known)
    if unknown.any():
        raise ValueError(f"y holds {y[unknown][0]}, which is not one of the classes {known}")
    return known, np.searchsorted(known, y)


def column_names(X: Any) -> np.ndarray | None:
    """The names of a data frame's columns, if they are strings; None for an array."""
    columns = getattr(X, "columns", None)
    if columns is None or not len(columns):
        return None
    names = np.empty(len(columns), dtype=object)
    names[:] = list(columns)
    types = sorted({type(name).__qualname__ for name in names})
    if "str" in types and len(types) > 1:
        raise TypeError(
            "Feature names are only supported if all input features have string names, but your "
            f"input has {types} as feature name / column name types; "
            "use X.columns = X.columns.astype(str)"
        )
    return names if types == ["str"] else None


def check_column_names(estimator: Any, X: Any) -> None:
    """Raise ValueError unless a data frame's columns are those that `estimator` was fitted with;
    warn where only one of the two has names. As scikit-learn does, with its messages."""
    fitted, found = getattr(estimator, "feature_names_in_", None), column_names(X)
    owner = type(estimator).__name__
    if fitted is None or found is None:
        if found is not None:
            warn(f"X has feature names, but {owner} was fitted without feature names")
        elif fitted is not None:
            warn(f"X does not have valid feature names, but {owner} was fitted with feature names")
        return
    if fitted.tolist() == found.tolist():
        return
    message = "The feature names should match those that were passed during fit.\n"
    unseen, missing = sorted(set(found) - set(fitted)), sorted(set(fitted) - set(found))
    for title, names in (
        ("Feature names unseen at fit time:\n", unseen),
        ("Feature names seen at fit time, yet now missing:\n", missing),
    ):
        if names:
            listed = [f"- {name}\n" for name in names[:5]] + ["- ...\n"] * (len(names) > 5)
            message += title + "".join(listed)
    if not unseen and not missing:
        message += "Feature names must be in the same order as they were in fit.\n"
    raise ValueError(message)


def check_rows(rows: Any, name: str = "rows", at_least: int = 1) -> np.ndarray:
    """`rows` (N, d) on the host, in float64. Raises ValueError unless there are enough rows of
    finite real numbers, and d is 1 or more."""
    found = to_host(rows)
    if found.dtype.kind not in "iufb":
        raise ValueError(f"{name} must hold real numbers, not {found.dtype}")
    if found.ndim != 2 or len(found) < at_least or not found.shape[1]:
        raise ValueError(f"{name} must be (rows ≥ {at_least}, d), not of shape {found.shape}")
    found = found.astype(np.float64, copy=False)
    finite = np.isfinite(found).all(axis=1)
    if not finite.all():
        raise ValueError(f"{name} must be finite; row {int(finite.argmin())} is not")
    return found
