"""scikit-learn's estimator protocol, with and without scikit-learn.

`import tinyproto` must not take as long as importing scikit-learn does, and must work without it.
So the protocol is implemented here, and scikit-learn's own classes are used only where it has been
imported already.
"""

import inspect
import sys
from typing import Any, Self

import numpy as np

from ..backend.device import Array, to_host


class Classifier:
    """`get_params`, `set_params`, `score` and the tags: what Pipeline and GridSearchCV use."""

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

    def predict(self, X: Array) -> Array:
        raise NotImplementedError

    def score(self, X: Array, y: Array) -> float:
        """The accuracy: the fraction of X (N, d) whose predicted class is y (N,)."""
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
        """Raise scikit-learn's NotFittedError (ValueError without scikit-learn) before `fit`."""
        if not hasattr(self, "classes_"):
            exceptions = sys.modules.get("sklearn.exceptions")
            error = exceptions.NotFittedError if exceptions else ValueError
            raise error(f"this {type(self).__name__} is not fitted yet; call fit first")
