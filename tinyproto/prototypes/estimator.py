"""scikit-learn's estimator protocol, with and without scikit-learn, and the checks of its input.

`import tinyproto` must not cost what importing scikit-learn costs, and must work without it; so the
protocol is written out here, and scikit-learn's own classes are used only once it is loaded.
"""

import inspect
import sys
import warnings
from typing import Any, Self

import numpy as np

from ..backend.device import Array, array_module, to_host


class Classifier:
    """`get_params`, `set_params`, `score` and the tags: what Pipeline and GridSearchCV ask for."""

    _estimator_type = "classifier"

    @classmethod
    def _parameter_names(cls) -> list[str]:
        return sorted(name for name in inspect.signature(cls).parameters)

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """The constructor's arguments, by name."""
        return {name: getattr(self, name) for name in self._parameter_names()}

    def set_params(self, **parameters: Any) -> Self:
        """Change arguments of the constructor. Raises ValueError for a name that it has not."""
        known = self._parameter_names()
        for name, value in parameters.items():
            if name not in known:
                raise ValueError(
                    f"Invalid parameter {name!r} for estimator {type(self).__name__}; "
                    f"valid parameters are: {', '.join(known)}"
                )
            setattr(self, name, value)
        return self

    def predict(self, X: Array) -> Array:
        raise NotImplementedError

    def score(self, X: Array, y: Array) -> float:
        """The share of samples whose predicted class is `y`."""
        return float(np.mean(to_host(self.predict(X)) == to_host(y)))

    def __repr__(self) -> str:
        defaults = inspect.signature(type(self)).parameters
        changed = (
            f"{name}={value!r}"
            for name, value in self.get_params().items()
            if repr(value) != repr(defaults[name].default)
        )
        return f"{type(self).__name__}({', '.join(changed)})"

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "classes_")

    def __sklearn_tags__(self) -> Any:
        from sklearn.utils import ClassifierTags, InputTags, Tags, TargetTags

        return Tags(
            estimator_type="classifier",
            target_tags=TargetTags(required=True),
            classifier_tags=ClassifierTags(),
            input_tags=InputTags(),
        )

    def check_is_fitted(self) -> None:
        if not hasattr(self, "classes_"):
            # scikit-learn tells "not fitted" by a class of its own; without it a ValueError does.
            exceptions = sys.modules.get("sklearn.exceptions")
            error = exceptions.NotFittedError if exceptions else ValueError
            raise error(f"this {type(self).__name__} is not fitted yet; call fit first")


def check_samples(X: Any, expected: int | None = None, owner: str = "the model") -> Array:
    """`X` as a C-ordered (N, d) array of float32 or float64, other numbers as float64, where it is.

    Raises ValueError (TypeError for what is no number) in one line that names what was found:
    sparse, complex or text data, a wrong number of dimensions or features, no samples, no
    features, NaN or infinity.
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
    if expected is not None and X.shape[1] != expected:
        raise ValueError(
            f"X has {X.shape[1]} features, but {owner} is expecting {expected} features as input"
        )
    if not bool(xp.isfinite(X).all()):
        X = to_host(X)
        sample, feature = np.argwhere(~np.isfinite(X))[0]
        found = "NaN" if np.isnan(X[sample, feature]) else "infinity (inf)"
        raise ValueError(f"Input X contains {found}: sample {sample}, feature {feature}")
    return xp.ascontiguousarray(X)


def check_labels(y: Any, samples: int) -> np.ndarray:
    """`y` as a (samples,) array of labels: integers, booleans or strings.

    Raises ValueError for a missing or continuous target, NaN, or another number of labels.
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
