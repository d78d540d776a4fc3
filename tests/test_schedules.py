"""Schedules by hand, and what they have in common."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinyproto.schedules import cosine, one_cycle, step_decay


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: cosine(-1, 10), "peak must be 0 or more, not -1"),
        (lambda: cosine(1, 0), "steps must be 1 or more, not 0"),
        (lambda: cosine(1, 10, warmup=5), r"warmup must be a fraction of the steps .*, not 5"),
        (
            lambda: one_cycle(1, 10, warmup=1.0),
            "warmup must be a fraction of .*, not 1.0",
        ),
        (lambda: one_cycle(1, 10, start=2), r"start must be in \[0, 1\], not 2"),
        (lambda: one_cycle(1, 10, end=-1), r"end must be in \[0, 1\], not -1"),
        (lambda: step_decay(1, 10, milestones=(5,)), r"milestones must be in \[0, 1\], not 5"),
        (lambda: step_decay(1, 10, factor=0), r"factor must be in \(0, 1\], not 0"),
        (lambda: step_decay(1, 10)(10), "step must be in 0 … 9, not 10"),
        (lambda: cosine(1, 10)(-1), "step must be in 0 … 9, not -1"),
        (lambda: cosine(1, 2.5), "steps must be 1 or more, not 2.5"),
        (lambda: cosine(1, 10)(1.5), "step must be in 0 … 9, not 1.5"),
        (lambda: one_cycle(1, 10)(10), "step must be in 0 … 9, not 10"),
    ],
)
def test_arguments_that_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_step_decay():
    rate = step_decay(0.4, 8)
    assert [rate(step) for step in range(8)] == [0.4] * 4 + [0.4 * 0.1] * 2 + [0.4 * 0.1**2] * 2
    rate = step_decay(1.0, 100, milestones=(0.55,), factor=0.5)
    assert 0.55 * 100 > 55  # by rounding, which must not cost a step
    assert [rate(step) for step in range(100)] == [1.0] * 55 + [0.5] * 45
    rate = step_decay(1.0, 3, milestones=())
    assert [rate(step) for step in range(3)] == [1.0] * 3


def test_cosine():
    rate = cosine(2.0, 4)
    expected = [2, 1 + math.sqrt(0.5), 1, 1 - math.sqrt(0.5)]
    np.testing.assert_allclose([rate(step) for step in range(4)], expected, rtol=1e-14)
    rate = cosine(3.0, 8, warmup=0.25)  # 1/3 and 2/3 of the peak, then the peak
    np.testing.assert_allclose([rate(step) for step in range(3)], [1, 2, 3], rtol=1e-14)
    np.testing.assert_allclose(rate(5), 1.5, rtol=1e-14)
    assert cosine(3.0, 1, warmup=0.9)(0) == 3.0


def test_one_cycle():
    rate = one_cycle(2.0, 11, warmup=0.4, start=0.1, end=0.2)
    np.testing.assert_allclose(
        [rate(step) for step in range(5)], [0.2, 0.65, 1.1, 1.55, 2.0], rtol=1e-14
    )
    np.testing.assert_allclose(rate(7), 0.4 + 1.6 / 2, rtol=1e-14)
    np.testing.assert_allclose(rate(6), 0.4 + 1.6 * 0.75, rtol=1e-14)
    np.testing.assert_allclose(rate(10), 0.4, rtol=1e-14)
    assert one_cycle(2.0, 100)(0) == 2.0 * 0.04
    assert one_cycle(2.0, 100)(99) == 0
    assert one_cycle(2.0, 1)(0) == 2.0
    assert [one_cycle(2.0, 2, warmup=0.9)(step) for step in (0, 1)] == [2.0, 0.0]


@given(
    st.floats(1e-3, 10), st.integers(1, 60), st.floats(0, 0.99), st.floats(0, 1), st.floats(0, 1)
)
def test_schedules_rise_to_the_peak_and_fall_from_it(peak, steps, warmup, start, end):
    for rate in (
        step_decay(peak, steps, (warmup, 0.9), max(end, 0.01)),
        cosine(peak, steps, warmup),
        one_cycle(peak, steps, warmup, start, end),
    ):
        values = [rate(step) for step in range(steps)]
        assert all(type(value) is float and 0 <= value <= peak * (1 + 1e-12) for value in values)
        top = int(np.argmax(values))
        rise, fall = np.diff(values[: top + 1]), np.diff(values[top:])
        assert (rise >= 0).all()
        assert (fall <= 1e-12 * peak).all()
    values = [one_cycle(peak, steps, warmup, start, end)(step) for step in range(steps)]
    assert max(values) == pytest.approx(peak)
    if steps > 1:
        assert values[-1] == pytest.approx(end * peak, abs=1e-15)
    assert max(cosine(peak, steps, warmup)(step) for step in range(steps)) == peak
