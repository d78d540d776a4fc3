"""Networks with matching data for Hypothesis, and their loss by its definition."""

from dataclasses import dataclass

import numpy as np
from hypothesis import strategies as st

from tinyproto.prototypes import EDWTA, IPWTA, PlusMinusEDWTA

KINDS = (IPWTA, EDWTA, PlusMinusEDWTA)


@dataclass
class Problem:
    """An initialized network, samples x (N, d) and the index of each one's class, label (N,)."""

    network: object
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
    draw,
    kinds=KINDS,
    dtype="float64",
    samples=(1, 6),
    classes=(2, 4),
    per_class=(1, 3),
    features=(1, 6),
):
    """A network of 2–4 classes, 1–3 neurons each and 1–6 features; prototypes and β are random."""
    ranges = (classes, per_class, features, samples)
    classes, per_class, features, count = (draw(st.integers(*bounds)) for bounds in ranges)
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    network = draw(st.sampled_from(kinds))(
        per_class,
        epochs=0,
        dtype=dtype,
        beta=draw(st.floats(0.2, 2.0)),
        init_scale=1.0,
        random_state=draw(st.integers(0, 1000)),
    )
    x = random.normal(size=(count + classes, features)).astype(dtype)
    label = np.concatenate([np.arange(classes), random.integers(0, classes, count)])
    network.fit(x, label)
    return Problem(network, x[classes:], label[classes:])


def scores(problem: Problem, x: np.ndarray) -> np.ndarray:
    """o (N, neurons) by the definitions."""
    values = problem.parameters
    if "weights_" in values:
        return x @ values["weights_"].T + values["biases_"]
    positive = 0.5 * ((x[:, None] - values["positive_prototypes_"]) ** 2).sum(axis=2)
    negative = 0.0
    if "negative_prototypes_" in values:
        negative = 0.5 * ((x[:, None] - values["negative_prototypes_"]) ** 2).sum(axis=2)
    return values["beta"][0] * (negative - positive)


def loss(problem: Problem, x: np.ndarray, label: np.ndarray) -> float:
    """Σ over samples of E = −log Σ_own softmax(o), by its definition."""
    o = scores(problem, x)
    q = np.exp(o - o.max(axis=1, keepdims=True))
    q /= q.sum(axis=1, keepdims=True)
    own = np.arange(o.shape[1]) // problem.network.prototypes_per_class == label[:, None]
    return float(-np.log((q * own).sum(axis=1)).sum())


def finite_difference(function, array: np.ndarray, step: float = 1e-5) -> np.ndarray:
    """∂function/∂array by central differences; `array` is changed in place and restored."""
    gradient = np.empty_like(array)
    for at in np.ndindex(array.shape):
        value = array[at]
        array[at] = value + step
        above = function()
        array[at] = value - step
        below = function()
        array[at] = value
        gradient[at] = (above - below) / (2 * step)
    return gradient
