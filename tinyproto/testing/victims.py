"""Small models to attack, and victims with examples. Their scores do not depend on the batch.

`problem(seed)` makes one; `problems()` is a strategy of Hypothesis, which has to be installed for
this alone.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import parameters
from ..attacks import Victim
from ..layers import Linear, ReLU, Sequential, initialize
from ..optional import require_package

if TYPE_CHECKING:
    from hypothesis.strategies import SearchStrategy

__all__ = ["constant", "flattened", "hidden", "problem", "problems"]

Model = Callable[[np.ndarray], tuple[np.ndarray, Callable[[np.ndarray], np.ndarray]]]
Problem = tuple[Victim, np.ndarray, np.ndarray]


def hidden(
    seed: int, d: int = 6, classes: int = 5, dtype: Any = np.float64, width: int = 48
) -> Model:
    """Make a random network with one hidden layer.

    Parameters
    ----------
    seed : int
        Seed of its weights.
    d, classes, width : int
        The numbers of inputs, of classes and of hidden units.
    dtype : dtype
        float32 or float64.

    Returns
    -------
    callable
        A model of x (N, d) for `Victim`, whose mean scores over [0, 1] are about 0.

    Examples
    --------
    >>> import numpy as np
    >>> from tinyproto.testing.victims import hidden
    >>> hidden(0)(np.ones((2, 6)))[0].shape
    (2, 5)
    """
    network = initialize(Sequential(Linear(d, width), ReLU(), Linear(width, classes)), seed)
    random = np.random.default_rng(seed)
    for _, leaf in parameters.leaves(network.params):
        leaf[...] = random.normal(size=leaf.shape)
    parameters.convert(network.params, np, dtype)
    mean = network(random.random((200, d)).astype(dtype))[0].mean(axis=0)

    def model(x: np.ndarray) -> tuple[np.ndarray, Any]:
        z, backward = network(x)
        return z - mean, backward

    return model


def flattened(model: Model) -> Model:
    """Make a model of images from a model of rows.

    Parameters
    ----------
    model : callable
        Of x (N, H·W·C).

    Returns
    -------
    callable
        The same model of x (N, H, W, C).

    Examples
    --------
    >>> import numpy as np
    >>> from tinyproto.testing.victims import flattened, hidden
    >>> flattened(hidden(0, d=12))(np.ones((1, 2, 2, 3)))[0].shape
    (1, 5)
    """

    def images(x: np.ndarray) -> tuple[np.ndarray, Any]:
        z, backward = model(np.ascontiguousarray(x.reshape(len(x), -1)))
        return z, lambda dz: backward(dz).reshape(x.shape)

    return images


def problem(
    seed: int, count: int = 8, d: int = 6, classes: int = 5, dtype: Any = np.float64
) -> Problem:
    """Make a victim, examples in its box, and its predictions.

    Parameters
    ----------
    seed : int
        Seed of the model and of the examples.
    count : int
        The number of examples.
    d, classes, dtype
        As in `hidden`.

    Returns
    -------
    victim : Victim
        With the box [0, 1].
    x : array (count, d)
        Examples in it.
    y : array (count,)
        What the victim answers.

    Examples
    --------
    >>> from tinyproto.attacks import pgd
    >>> from tinyproto.testing.victims import problem
    >>> victim, x, y = problem(0)
    >>> bool((victim(pgd(victim, x, y, eps=0.3))[0].argmax(axis=1) != y).any())
    True
    """
    victim = Victim(hidden(seed, d, classes, dtype))
    x = np.random.default_rng(seed).random((count, d)).astype(dtype)
    return victim, x, victim(x)[0].argmax(axis=1)


def problems(**options: Any) -> "SearchStrategy[Problem]":
    """Draw a victim with examples, for Hypothesis.

    Parameters
    ----------
    **options
        Those of `problem`.

    Returns
    -------
    strategy of (victim, x, y)
        What `problem` returns, for any seed.

    Raises
    ------
    ImportError
        Where Hypothesis is not installed.

    Examples
    --------
    >>> import numpy as np
    >>> from hypothesis import given
    >>> from tinyproto.attacks import fgsm
    >>> from tinyproto.testing.victims import problems
    >>> @given(problems(count=2))
    ... def test_ball(drawn):
    ...     victim, x, y = drawn
    ...     assert np.abs(fgsm(victim, x, y, eps=0.125) - x).max() <= 0.125
    >>> test_ball()
    """
    require_package("hypothesis", "tinyproto.testing.victims.problems")
    from hypothesis import strategies as st

    return st.integers(0, 2**32 - 1).map(lambda seed: problem(seed, **options))


def constant(value: float = 0.0, classes: int = 4) -> Model:
    """Make a model with the same scores everywhere, and a gradient of 0.

    Parameters
    ----------
    value : float
        All scores.
    classes : int
        Their number.

    Returns
    -------
    callable
        A model for `Victim`.

    Examples
    --------
    >>> import numpy as np
    >>> from tinyproto.testing.victims import constant
    >>> constant(1.0, classes=2)(np.zeros((1, 3)))[0]
    array([[1., 1.]])
    """
    return lambda x: (np.full((len(x), classes), value), lambda dz: np.zeros_like(x))
