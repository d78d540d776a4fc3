"""An estimator of scikit-learn as a victim: with gradients where they are derived here, else scores
alone.

`classifiers` and `transforms` have the derivations; a pipeline is their chain, the backward passes
in reverse. They are looked up by the exact class: a class of your own that overrides something has
scores alone.
"""

import copy
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ..attacks import Victim
from ..attacks.victim import Model
from ..backend.device import Array, to_host
from ..optional import require_package
from .classifiers import CLASSIFIERS, answer_of, follow_answer, pairwise_margins, two_scores
from .transforms import TRANSFORMS

LEAST_PROBABILITY = 1e-12
"""Smaller ones are counted as this, so that their logarithms are finite."""


def from_sklearn(estimator: Any, *, lo: float = 0.0, hi: float = 1.0) -> Victim:
    """A victim of a fitted classifier of scikit-learn.

    Parameters
    ----------
    estimator : estimator
        A classifier, a pipeline that ends in one, or a search over parameters (its
        `best_estimator_`). With gradients: linear models, SVC and NuSVC with a linear kernel,
        MLPClassifier, NearestCentroid, networks of `tinyproto.prototypes`, and pipelines of
        StandardScaler, MinMaxScaler, MaxAbsScaler, RobustScaler, PCA and Normalizer in front of
        them. Anything else that has `decision_function` or `predict_proba`, such as a forest, has
        scores alone: Square can attack it, and attacks that need gradients refuse it.
    lo, hi : float
        The bounds of an input, as the estimator takes it: before the scalers of a pipeline.

    Returns
    -------
    Victim
        Its inputs are rows (N, d) or images (N, …), which the estimator sees as rows. Column c of
        its scores is the class `estimator.classes_[c]`: labels that are not 0 … C − 1 go through
        `encode_labels`. Of two classes with one score s, the scores are (−s, s).

    Raises
    ------
    ImportError
        Without scikit-learn: `pip install -e ".[sklearn]"`.
    ValueError
        For an estimator that is not fitted, is no classifier, gives more than one label for an
        example, or has neither `decision_function` nor `predict_proba`.

    Notes
    -----
    The class of the largest score is what `predict` answers. SVC decides by votes of pairs of
    classes; `classifiers` explains what is attacked in their place.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.linear_model import LogisticRegression
    >>> from tinyproto.attacks import apgd
    >>> from tinyproto.interop import encode_labels, from_sklearn
    >>> x, labels = np.array([[0.3], [0.4], [0.6], [0.7]]), np.array(["low", "low", "high", "high"])
    >>> estimator = LogisticRegression().fit(x, labels)
    >>> victim = from_sklearn(estimator)
    >>> attacked = apgd(victim, x, encode_labels(estimator, labels), eps=0.25)
    >>> estimator.predict(attacked)
    array(['high', 'high', 'low', 'low'], dtype='<U4')
    """
    require_package("sklearn", "from_sklearn")
    _check_classifier(estimator)
    rows = with_gradients(estimator) or scores_alone(estimator)

    def model(x: Array) -> Any:
        x = to_host(x)
        output = rows(x.reshape(len(x), math.prod(x.shape[1:])))
        if not isinstance(output, tuple):
            return output
        z, backward = output
        return z, lambda dz: backward(dz).astype(x.dtype, copy=False).reshape(x.shape)

    model.__qualname__ = type(estimator).__name__
    return Victim(model, lo=lo, hi=hi)


def encode_labels(estimator: Any, labels: Any) -> np.ndarray:
    """The labels of an estimator as an attack takes them: columns of the scores, 0 … C − 1.

    Parameters
    ----------
    estimator : estimator
        A fitted classifier: anything with `classes_` (C,).
    labels : array (N,)
        Labels as the estimator knows them, strings or numbers.

    Returns
    -------
    array (N,)
        Of int64; `estimator.classes_[y]` is the way back.

    Raises
    ------
    ValueError
        For a label that is none of the classes.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.neighbors import KNeighborsClassifier
    >>> from tinyproto.interop import encode_labels
    >>> estimator = KNeighborsClassifier(1).fit([[0.0], [0.5], [1.0]], ["cat", "dog", "owl"])
    >>> encode_labels(estimator, ["owl", "cat"])
    array([2, 0])
    """
    classes, labels = np.asarray(estimator.classes_), np.asarray(labels)
    if labels.ndim != 1:
        raise ValueError(f"labels must have the shape (N,), not {labels.shape}")
    unknown = ~np.isin(labels, classes)
    if unknown.any():
        raise ValueError(f"labels hold {labels[unknown][0]!s}, which is none of {classes}")
    return np.searchsorted(classes, labels).astype(np.int64)


def with_gradients(estimator: Any) -> Model | None:
    """Scores of rows (N, d) and their backward pass; None where that is not derived here."""
    estimator, before = _parts(estimator)
    looked_up = [_look_up(step, TRANSFORMS) for step in before]
    looked_up.append(_look_up(estimator, CLASSIFIERS))
    chain = [part for part in looked_up if part is not None]
    if len(chain) < len(looked_up):
        return None

    def model(x: np.ndarray) -> tuple[np.ndarray, Callable[[np.ndarray], np.ndarray]]:
        backwards = []
        for part in chain:
            x, backward = part(x)
            backwards.append(backward)

        def reverse(dz: np.ndarray) -> np.ndarray:
            for backward in reversed(backwards):
                dz = backward(dz)
            return dz

        return x, reverse

    return model


def _look_up(part: Any, table: dict[str, Any]) -> Model | None:
    library = type(part).__module__.partition(".")[0]
    if library == "tinyproto" and table is CLASSIFIERS:
        model: Model = part  # it is such a function already
        return model
    build = table.get(type(part).__name__) if library == "sklearn" else None
    return build(part) if build else None


def _parts(estimator: Any) -> tuple[Any, list[Any]]:
    """The classifier itself, and the transforms in front of it."""
    if hasattr(estimator, "best_estimator_"):
        return _parts(estimator.best_estimator_)
    if not hasattr(estimator, "steps"):
        return estimator, []
    steps = [step for _, step in estimator.steps if step not in (None, "passthrough")]
    before: list[Any] = []
    for step in steps[:-1]:
        last, first = _parts(step)
        before += [*first, last]
    last, first = _parts(steps[-1])
    return last, before + first


def scores_alone(estimator: Any) -> Callable[[np.ndarray], np.ndarray]:
    """Scores (N, C) of rows (N, d) whose largest is what `predict` answers.

    A rule of its own, such as a threshold or votes, may decide otherwise than by the largest score:
    the class that is answered is lifted above the others.
    """
    estimator, before = _parts(estimator)
    score, answer = _score_function(estimator), answer_of(estimator)

    def scores(x: np.ndarray) -> np.ndarray:
        for step in before:
            x = step.transform(x)
        z = score(x)
        if z.shape[1] != len(estimator.classes_):
            raise ValueError(
                f"{type(estimator).__name__} has {z.shape[1]} scores for "
                f"{len(estimator.classes_)} classes"
            )
        return follow_answer(z, answer(x))

    return scores


def _score_function(estimator: Any) -> Callable[[np.ndarray], np.ndarray]:
    """Scores (N, C) by the best that the estimator has: the margins of an SVC's pairs, the decision
    function, or the logarithms of probabilities."""
    if type(estimator).__name__ in ("SVC", "NuSVC"):
        pairs = copy.copy(estimator).set_params(decision_function_shape="ovo", break_ties=False)
        margins, _ = pairwise_margins(len(estimator.classes_))
        return lambda x: margins(pairs.decision_function(x))[0]
    if hasattr(estimator, "decision_function"):
        return lambda x: two_scores(estimator.decision_function(x))
    if not hasattr(estimator, "predict_proba"):
        raise ValueError(
            f"{type(estimator).__name__} has neither decision_function nor predict_proba, and its "
            "answers alone are no scores"
        )
    return lambda x: np.log(np.maximum(estimator.predict_proba(x), LEAST_PROBABILITY))


def _check_classifier(estimator: Any) -> None:
    """Refuse what gives no scores of classes for each example."""
    from sklearn.utils.validation import check_is_fitted

    name = type(estimator).__name__
    if not hasattr(estimator, "predict"):
        raise ValueError(f"from_sklearn takes a fitted classifier, not {name}")
    check_is_fitted(estimator)
    classes = getattr(estimator, "classes_", None)
    if classes is None:
        raise ValueError(f"from_sklearn takes a classifier, and {name} has no classes_")
    one_label = isinstance(classes, np.ndarray) and classes.ndim == 1
    if one_label and hasattr(estimator, "n_features_in_"):
        one_label = estimator.predict(np.zeros((1, estimator.n_features_in_))).shape == (1,)
    if not one_label:
        raise ValueError(f"{name} gives more than one label for an example: attack one at a time")
