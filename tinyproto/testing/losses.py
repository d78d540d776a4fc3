"""Class scores with labels of matching shapes, for Hypothesis, which has to be installed.

A loss of your own is checked at scores of which no two tie:

    from hypothesis import given
    from tinyproto.testing import check_gradients
    from tinyproto.testing.losses import scores

    @given(scores())
    def test_gradients(case):
        check_gradients(my_loss, case.z, case.y)
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..optional import require_package

require_package("hypothesis", "tinyproto.testing.losses")
from hypothesis import strategies as st  # noqa: E402

__all__ = ["Case", "any_scores", "scores"]

Draw = Callable[[st.SearchStrategy[Any]], Any]


@dataclass
class Case:
    """Two sets of scores, labels, and other classes.

    Parameters
    ----------
    z, w : array (N, C)
        Scores.
    y : array (N,)
        Labels: columns of z.
    target : array (N,)
        Classes other than y.

    Examples
    --------
    >>> import numpy as np
    >>> from tinyproto.testing.losses import Case
    >>> Case(np.eye(2), np.ones((2, 2)), np.array([0, 1]), np.array([1, 0])).rows([1]).y
    array([1])
    """

    z: np.ndarray
    w: np.ndarray
    y: np.ndarray
    target: np.ndarray

    def rows(self, key: Any) -> "Case":
        """Some of the examples, by an index, a slice or a list."""
        return Case(self.z[key], self.w[key], self.y[key], self.target[key])


def labels(random: np.random.Generator, count: int, classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Labels (count,), and for each another class."""
    y = random.integers(0, classes, count)
    return y, (y + random.integers(1, classes, count)) % classes


@st.composite
def scores(
    draw: Draw,
    classes: tuple[int, int] = (4, 7),
    examples: tuple[int, int] = (1, 5),
    gap: tuple[float, float] = (0.3, 1.0),
) -> Case:
    """Draw scores of which no two of an example tie: at no kink of a loss.

    Parameters
    ----------
    classes, examples : tuple of int
        The least and the largest number of classes, and of examples.
    gap : tuple of float
        Between which the differences of scores are that follow one another.

    Returns
    -------
    strategy of Case
        In float64; the scores of an example have the mean 0.

    Examples
    --------
    >>> from hypothesis import given
    >>> from tinyproto.losses import cross_entropy
    >>> from tinyproto.testing import check_gradients
    >>> from tinyproto.testing.losses import scores
    >>> @given(scores())
    ... def test_gradients(case):
    ...     assert check_gradients(cross_entropy, case.z, case.y).skipped == 0
    >>> test_gradients()
    """
    count_of_classes, count = draw(st.integers(*classes)), draw(st.integers(*examples))
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))

    def distinct() -> np.ndarray:
        levels = random.uniform(*gap, size=(count, count_of_classes)).cumsum(axis=1)
        return random.permuted(levels - levels.mean(axis=1, keepdims=True), axis=1)

    return Case(distinct(), distinct(), *labels(random, count, count_of_classes))


@st.composite
def any_scores(
    draw: Draw,
    elements: st.SearchStrategy[float],
    dtypes: Any = (np.float32, np.float64),
    classes: tuple[int, int] = (4, 7),
    examples: tuple[int, int] = (1, 4),
) -> Case:
    """Draw scores one by one, so ties and extremes are common.

    Parameters
    ----------
    elements : strategy of float
        Where each score comes from.
    dtypes : sequence of dtype
        The dtypes of the scores.
    classes, examples : tuple of int
        The least and the largest number of classes, and of examples.

    Returns
    -------
    strategy of Case
        Both sets of scores in one dtype.

    Examples
    --------
    >>> import numpy as np
    >>> from hypothesis import given, strategies
    >>> from tinyproto.losses import dlr
    >>> from tinyproto.testing.losses import any_scores
    >>> @given(any_scores(strategies.sampled_from([0.0, 1e4])))
    ... def test_finite(case):
    ...     assert np.isfinite(dlr(case.z, case.y)[1]).all()
    >>> test_finite()
    """
    count_of_classes, count = draw(st.integers(*classes)), draw(st.integers(*examples))
    dtype = draw(st.sampled_from(dtypes))
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    row = st.lists(elements, min_size=count_of_classes, max_size=count_of_classes)
    z, w = (
        np.array(draw(st.lists(row, min_size=count, max_size=count)), dtype=dtype) for _ in range(2)
    )
    return Case(z, w, *labels(random, count, count_of_classes))
