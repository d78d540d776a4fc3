"""Certified accuracy over radii, and the Clopper-Pearson interval, against their definitions."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinyproto.prototypes import certified_accuracy, clopper_pearson

RADII = st.lists(st.sampled_from([0.0, 0.1, 0.5, 1.0, 2.5, math.inf]), min_size=1, max_size=20)


@given(RADII, st.lists(st.sampled_from([0.0, 0.1, 0.3, 1.0, 2.5, 9.0]), max_size=6))
def test_certified_accuracy_counts_the_inputs(radius, radii):
    radii = [*radii, *filter(math.isfinite, radius)]  # at these a radius is just large enough
    expected = [sum(r >= at and r > 0 for r in radius) / len(radius) for at in radii]
    np.testing.assert_allclose(certified_accuracy(radius, radii), expected, atol=1e-15)
    assert certified_accuracy(radius, np.reshape(radii, (-1, 1))).shape == (len(radii), 1)


def tail(successes, n, p):
    """P(S ≥ successes) of n trials with probability p."""
    return sum(
        math.comb(n, s) * p**s * (1 - p) ** (n - s) for s in range(successes, n + 1)
    )  # fmt: skip


@given(st.integers(1, 40), st.data(), st.sampled_from([0.5, 0.9, 0.95, 0.999]))
def test_each_tail_at_the_ends_of_the_interval_has_half_of_what_is_left(n, data, confidence):
    pytest.importorskip("scipy")
    successes = data.draw(st.integers(0, n))
    lower, upper = clopper_pearson(successes, n, confidence)
    half = (1 - confidence) / 2
    assert 0 <= lower <= successes / n <= upper <= 1
    if successes > 0:
        np.testing.assert_allclose(tail(successes, n, lower), half, rtol=1e-8)
    else:
        assert lower == 0
    if successes < n:
        np.testing.assert_allclose(1 - tail(successes + 1, n, upper), half, rtol=1e-6)
    else:
        assert upper == 1


def test_without_scipy_the_closed_forms_are_left(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    np.testing.assert_allclose(clopper_pearson(0, 100)[1], 1 - 0.025 ** (1 / 100))
    np.testing.assert_allclose(clopper_pearson(100, 100)[0], 0.025 ** (1 / 100))
    with pytest.raises(ImportError, match="needs SciPy; install it with: pip install scipy"):
        clopper_pearson(1, 100)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [((5, 4), "successes"), ((-1, 4), "successes"), ((0, 0), "n must"),
     ((1, 4, 1.0), "confidence must be between 0 and 1, not 1.0")],
)  # fmt: skip
def test_wrong_counts_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        clopper_pearson(*arguments)


@pytest.mark.parametrize(
    ("radius", "radii", "message"),
    [([], [1.0], "radius must be"), ([-1.0], [1.0], "radius must be"),
     ([math.nan], [1.0], "radius must be"), ([1.0], [-1.0], "radii must be"),
     ([1.0], [math.inf], "radii must be")],
)  # fmt: skip
def test_what_is_no_radius_is_refused(radius, radii, message):
    with pytest.raises(ValueError, match=message):
        certified_accuracy(radius, radii)
