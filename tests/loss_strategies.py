"""Scores with labels of matching shapes for Hypothesis, every loss, and its definition.

A definition is the paper's formula for one example, without any care for rounding: it is for small
scores in float64.
"""

from dataclasses import dataclass

import numpy as np
from hypothesis import strategies as st

from tinyproto import losses

SMOOTHING = 0.1


@dataclass
class Case:
    """Two sets of scores z and w (N, C), labels y (N,) and target classes (N,) other than y."""

    z: np.ndarray
    w: np.ndarray
    y: np.ndarray
    target: np.ndarray

    def rows(self, key) -> "Case":
        return Case(self.z[key], self.w[key], self.y[key], self.target[key])


def labels(random, count, classes):
    y = random.integers(0, classes, count)
    return y, (y + random.integers(1, classes, count)) % classes


@st.composite
def scores(draw, classes=(4, 7), examples=(1, 5), gap=(0.3, 1.0)):
    """Scores of which no two of an example tie: they differ by at least gap[0]."""
    classes, count = draw(st.integers(*classes)), draw(st.integers(*examples))
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))

    def distinct():
        levels = random.uniform(*gap, size=(count, classes)).cumsum(axis=1)
        return random.permuted(levels - levels.mean(axis=1, keepdims=True), axis=1)

    return Case(distinct(), distinct(), *labels(random, count, classes))


@st.composite
def any_scores(draw, elements, dtypes=(np.float32, np.float64), classes=(4, 7), examples=(1, 4)):
    """Scores drawn one by one from `elements`, so ties and extremes are common."""
    classes, count = draw(st.integers(*classes)), draw(st.integers(*examples))
    dtype = draw(st.sampled_from(dtypes))
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    row = st.lists(elements, min_size=classes, max_size=classes)
    z, w = (
        np.array(draw(st.lists(row, min_size=count, max_size=count)), dtype=dtype) for _ in range(2)
    )
    return Case(z, w, *labels(random, count, classes))


# Each loss of a case at z and w → value, gradient at z, and gradient at w where it has one.
LOSSES = {
    "cross_entropy": lambda case, z, w: losses.cross_entropy(z, case.y),
    "smoothed": lambda case, z, w: losses.cross_entropy(z, case.y, SMOOTHING),
    "margin": lambda case, z, w: losses.margin(z, case.y),
    "dlr": lambda case, z, w: losses.dlr(z, case.y),
    "targeted_dlr": lambda case, z, w: losses.targeted_dlr(z, case.y, case.target),
    "boosted_cross_entropy": lambda case, z, w: losses.boosted_cross_entropy(z, case.y),
    "kl_divergence": lambda case, z, w: losses.kl_divergence(z, w),
    "weighted_kl": lambda case, z, w: losses.weighted_kl(z, w, case.y),
    "squared_error": lambda case, z, w: losses.squared_error(z, w),
}


def softmax(z):
    return np.exp(z) / np.exp(z).sum()


def others(values, y):
    return np.delete(values, y)


def ordered(z):
    return np.sort(z)[::-1]


def smoothed(z, y):
    target = np.full(len(z), SMOOTHING / len(z))
    target[y] += 1 - SMOOTHING
    return -(target * np.log(softmax(z))).sum()


def dlr(z, y):
    return -(z[y] - others(z, y).max()) / (ordered(z)[0] - ordered(z)[2])


def targeted_dlr(z, y, t):
    return -(z[y] - z[t]) / (ordered(z)[0] - (ordered(z)[2] + ordered(z)[3]) / 2)


def kl(z, w):
    return (softmax(z) * np.log(softmax(z) / softmax(w))).sum()


# Each definition of one example: its z (C,), w (C,), label and target → the value.
DEFINITIONS = {
    "cross_entropy": lambda z, w, y, t: -np.log(softmax(z)[y]),
    "smoothed": lambda z, w, y, t: smoothed(z, y),
    "margin": lambda z, w, y, t: others(z, y).max() - z[y],
    "dlr": lambda z, w, y, t: dlr(z, y),
    "targeted_dlr": lambda z, w, y, t: targeted_dlr(z, y, t),
    "boosted_cross_entropy": lambda z, w, y, t: (
        -np.log(softmax(z)[y]) - np.log(1 - others(softmax(z), y).max())
    ),
    "kl_divergence": lambda z, w, y, t: kl(z, w),
    "weighted_kl": lambda z, w, y, t: kl(z, w) * (1 - softmax(z)[y]),
    "squared_error": lambda z, w, y, t: ((z - w) ** 2).sum(),
}


def defined(name, case, z, w):
    """The definition's values (N,) at z and w."""
    definition = DEFINITIONS[name]
    return np.array([definition(*of) for of in zip(z, w, case.y, case.target, strict=True)])


def numerical_derivative(function, at, direction, step=1e-3):
    """The derivative (N,) of each example's value along its row of `direction`.

    A central difference of fourth order; its own error is of the order of step⁴ and 1e-16 / step.
    """
    near = function(at + step * direction) - function(at - step * direction)
    far = function(at + 2 * step * direction) - function(at - 2 * step * direction)
    return (8 * near - far) / (12 * step)
