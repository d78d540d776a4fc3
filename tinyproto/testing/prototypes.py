"""Winner-take-all networks with matching data, for Hypothesis, which has to be installed."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..optional import require_package
from ..prototypes import EDWTA, IPWTA, PlusMinusEDWTA

require_package("hypothesis", "tinyproto.testing.prototypes")
from hypothesis import strategies as st  # noqa: E402

__all__ = ["KINDS", "Problem", "problems"]

KINDS = (IPWTA, EDWTA, PlusMinusEDWTA)
"""The three kinds of winner-take-all networks."""


@dataclass
class Problem:
    """A network with random parameters, and examples with their classes.

    Parameters
    ----------
    network : PlusMinusEDWTA, EDWTA or IPWTA
        Initialized, not trained.
    x : array (N, d)
        Examples.
    label : array (N,)
        The index of each one's class.

    Examples
    --------
    >>> import numpy as np
    >>> from tinyproto.prototypes import EDWTA
    >>> from tinyproto.testing.prototypes import Problem
    >>> x, label = np.eye(2), np.array([0, 1])
    >>> network = EDWTA(1, epochs=0, init="samples").fit(x, label)
    >>> sorted(Problem(network, x, label).parameters)
    ['beta', 'positive_prototypes_']
    """

    network: Any
    x: np.ndarray
    label: np.ndarray

    @property
    def parameters(self) -> dict[str, np.ndarray]:
        """The arrays that are trained, by name (not copies)."""
        names = ("weights_", "biases_", "positive_prototypes_", "negative_prototypes_")
        found = {name: getattr(self.network, name) for name in names if hasattr(self.network, name)}
        return found if isinstance(self.network, IPWTA) else {**found, "beta": self.network._beta}


@st.composite
def problems(
    draw: Callable[[st.SearchStrategy[Any]], Any],
    kinds: Sequence[Any] = KINDS,
    dtype: str = "float64",
    samples: tuple[int, int] = (1, 6),
    classes: tuple[int, int] = (2, 4),
    per_class: tuple[int, int] = (1, 3),
    features: tuple[int, int] = (1, 6),
) -> Problem:
    """Draw a network, whose prototypes and β are random, with examples.

    Parameters
    ----------
    kinds : sequence of class
        Of which kind the network is one.
    dtype : str
        "float32" or "float64".
    samples, classes, per_class, features : tuple of int
        The least and the largest number of examples, of classes, of neurons for each class, and of
        features.

    Returns
    -------
    strategy of Problem
        The labels are random, and need not be the answers of the network.

    Examples
    --------
    >>> from hypothesis import given
    >>> from tinyproto.testing.prototypes import problems
    >>> @given(problems(classes=(3, 3)))
    ... def test_probabilities(problem):
    ...     assert problem.network.predict_proba(problem.x).shape[1] == 3
    >>> test_probabilities()
    """
    ranges = (classes, per_class, features, samples)
    class_count, neurons, width, count = (draw(st.integers(*bounds)) for bounds in ranges)
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    network = draw(st.sampled_from(kinds))(
        neurons,
        epochs=0,
        dtype=dtype,
        beta=draw(st.floats(0.2, 2.0)),
        init_scale=1.0,
        random_state=draw(st.integers(0, 1000)),
    )
    x = random.normal(size=(count + class_count, width)).astype(dtype)
    label = np.concatenate([np.arange(class_count), random.integers(0, class_count, count)])
    network.fit(x, label)
    return Problem(network, x[class_count:], label[class_count:])
