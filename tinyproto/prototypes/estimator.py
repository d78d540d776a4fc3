"""scikit-learn's estimator protocol, with and without scikit-learn.

`import tinyproto` must not take as long as importing scikit-learn does, and must work without it.
So the protocol is implemented here, and scikit-learn's own classes are used only where it has been
imported already.
"""

import inspect
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any, Self

import numpy as np

from ..backend.device import Array, array_module, to_device, to_host
from .validation import check_column_names, check_same_type, check_samples, check_targets


class Classifier:
    """Parameters, predictions, `score` and the tags: what Pipeline and GridSearchCV use."""

    _estimator_type = "classifier"

    def __init_subclass__(cls, **options: Any) -> None:
        """Insert the base class's list of parameters where a docstring has `{parameters}`."""
        super().__init_subclass__(**options)
        described = inspect.cleandoc(cls.__base__.__doc__ or "").partition("----------\n")[2]
        parameters = described.partition("\n\nAttributes")[0]
        if cls.__doc__:  # python -OO removes it
            cls.__doc__ = inspect.cleandoc(cls.__doc__).replace("{parameters}", parameters)

    @classmethod
    def _parameter_names(cls) -> list[str]:
        return sorted(inspect.signature(cls).parameters)

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """The constructor's parameters, by name; `deep` has no effect."""
        return {name: getattr(self, name) for name in self._parameter_names()}

    def set_params(self, **parameters: Any) -> Self:
        """Change parameters of the constructor; raises ValueError for an unknown name."""
        known = self._parameter_names()
        for name, value in parameters.items():
            if name not in known:
                raise ValueError(
                    f"Invalid parameter {name!r} for estimator {type(self).__name__}; "
                    f"valid parameters are: {', '.join(known)}"
                )
            setattr(self, name, value)
        return self

    def _require(self, name: str, valid: bool, expected: str) -> None:
        if not valid:
            raise ValueError(f"{name} must be {expected}, not {getattr(self, name)!r}")

    @contextmanager
    def _unchanged_on_error(self) -> Iterator[None]:
        """What is refused in the block, by ValueError or TypeError, changes nothing."""
        before = vars(self).copy()
        arrays = {name: a.copy() for name, a in before.items() if getattr(a, "ndim", 0)}
        try:
            yield
        except (ValueError, TypeError):
            vars(self).clear()
            vars(self).update(before)
            for name, array in arrays.items():
                before[name][...] = array
            raise

    # What a subclass has: where its arrays are, their dtype, and the scores.

    classes_: np.ndarray
    n_features_in_: int
    _beta: Array

    @property
    def _xp(self) -> ModuleType:
        return array_module(self._beta)

    def _class_scores(self, x: Array) -> tuple[Array, Array]:
        """The class scores (N, C), and the neuron that each comes from (N, C)."""
        raise NotImplementedError

    def decision_function(self, X: Array) -> Array:
        """The class scores (N, C), each that of the class's largest neuron; for two classes their
        difference (N,), as in scikit-learn."""
        z = self._valid_class_scores(X)
        return z[:, 1] - z[:, 0] if z.shape[1] == 2 else z

    def predict_proba(self, X: Array) -> Array:
        """The softmax of the class scores (N, C)."""
        z = self._valid_class_scores(X)
        exponential = self._xp.exp(z - z.max(axis=1, keepdims=True))
        return exponential / exponential.sum(axis=1, keepdims=True)

    def predict(self, X: Array) -> np.ndarray:
        """The predicted class labels (N,), an array of NumPy on every device."""
        winner = to_host(self._valid_class_scores(X).argmax(axis=1))
        return self.classes_[winner]

    def score(self, X: Array, y: Array, sample_weight: Array | None = None) -> float:
        """The accuracy: the fraction of X (N, d) whose predicted class is y (N,), or the part of
        the total weight that they have, for `sample_weight` (N,)."""
        predicted = to_host(self.predict(X))
        y = check_targets(y, len(predicted))
        check_same_type(y, self.classes_)
        if sample_weight is None:
            return float(np.mean(predicted == y))
        weight = to_host(sample_weight)
        if weight.shape != y.shape or weight.dtype.kind not in "iufb":
            raise ValueError(
                f"sample_weight must hold one number for each of the {len(y)} samples, not "
                f"{weight.dtype} {weight.shape}"
            )
        if not (np.isfinite(weight).all() and (weight >= 0).all() and weight.any()):
            raise ValueError("sample_weight must be finite, 0 or more, and not 0 everywhere")
        return float(np.average(predicted == y, weights=weight.astype(np.float64)))

    def _valid_class_scores(self, X: Array) -> Array:
        return self._finite(self._class_scores(self._validate_samples(X))[0])

    def _validate_samples(self, X: Any) -> Array:
        """X on the device and in the dtype of the fitted prototypes."""
        self.check_is_fitted()
        check_column_names(self, X)
        owner = type(self).__name__
        return to_device(
            check_samples(X, self.n_features_in_, owner, dtype=self._beta.dtype), self._xp
        )

    def _finite(self, score: Array) -> Array:
        if not bool(self._xp.isfinite(score).all()):
            raise ValueError(
                f"the scores overflow {score.dtype}: X is too large for the prototypes of this "
                f"{type(self).__name__}; scale it as the samples of fit"
            )
        return score

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
        """Raise scikit-learn's NotFittedError (ValueError without scikit-learn) before `fit`."""
        if not hasattr(self, "classes_"):
            exceptions = sys.modules.get("sklearn.exceptions")
            error = exceptions.NotFittedError if exceptions else ValueError
            raise error(f"this {type(self).__name__} is not fitted yet; call fit first")
