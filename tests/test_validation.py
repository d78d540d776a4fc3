"""The checks of shapes, labels, positions and images accept what is right and name what is not."""

import math
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tinyproto.validation import (
    check_count,
    check_images,
    check_index,
    check_labels,
    check_number,
    check_shape,
)

INTEGERS = ["i1", "u1", "i4", "u8", "i8", ">i4", ">u2"]
FLOATS = ["f2", "f4", "f8", ">f4", "g"]


@given(st.lists(st.integers(0, 4), max_size=4), st.lists(st.integers(0, 4), max_size=4))
def test_a_shape_is_accepted_only_if_it_is_the_expected_one(found, expected):
    array = np.zeros(found)
    wildcards = tuple("N" if n == 4 else n for n in expected)
    fits = len(found) == len(expected) and all(
        m == "N" or n == m for n, m in zip(found, wildcards, strict=True)
    )
    if fits:
        check_shape("a", array, wildcards)
    else:
        with pytest.raises(ValueError, match="a must have the shape"):
            check_shape("a", array, wildcards)


@given(
    st.sampled_from(INTEGERS),
    st.lists(st.integers(0, 9), max_size=5),
    st.integers(0, 6),
    st.integers(1, 10),
)
def test_labels_are_accepted_only_if_there_is_one_class_for_each(dtype, values, count, classes):
    y = np.array(values, dtype=dtype)
    if len(values) == count and all(value < classes for value in values):
        found = check_labels(y, count, classes)
        assert found.dtype == np.int64
        assert found.tolist() == values
    else:
        with pytest.raises(ValueError, match="y must hold"):
            check_labels(y, count, classes)


@pytest.mark.parametrize(
    "y", [np.zeros((3, 1), int), np.zeros((1, 3), int), np.zeros((3, 2), int), np.zeros(()),
          np.zeros(3), np.zeros(3, bool), np.array(["a", "b", "c"]), np.array([0, -1, 2]), 1]
)  # fmt: skip
def test_other_labels_are_refused(y):
    with pytest.raises(ValueError, match="y must hold"):
        check_labels(y, 3, 3)


@given(hnp.arrays(st.sampled_from([*INTEGERS, "f8"]), hnp.array_shapes(max_dims=2, max_side=4)))
def test_positions_are_integers_of_0_or_more_one_for_each(index):
    right = index.shape == (3,) and index.dtype.kind in "iu" and (index >= 0).all()
    if right:
        assert check_index(index, 3, np.zeros(3)) is not None
    else:
        with pytest.raises(ValueError, match="index must hold"):
            check_index(index, 3, np.zeros(3))


@given(st.sampled_from(INTEGERS + FLOATS), st.lists(st.integers(-2, 300), min_size=4, max_size=4))
def test_images_are_whole_numbers_to_255_or_floats_to_1(dtype, values):
    kind = np.dtype(dtype)
    if kind.kind != "f":
        bounds = np.iinfo(kind)
        values = [min(max(v, bounds.min), bounds.max) for v in values]
    x = np.array(values).astype(kind).reshape(1, 2, 2, 1)
    highest = 255 if kind.kind in "iu" else 1
    if min(values) >= 0 and max(values) <= highest:
        found = check_images(x)
        assert (found == x).all()
        assert found.dtype.isnative
        assert found.dtype == np.uint8 or found.dtype.kind == "f"
    else:
        with pytest.raises(ValueError, match="x must hold"):
            check_images(x)


def test_nan_is_called_nan():
    with pytest.raises(ValueError, match="x holds NaN"):
        check_images(np.full((1, 2, 2, 1), np.nan))


@pytest.mark.parametrize("x", [np.zeros((2, 4)), np.zeros((1, 2, 2, 1), bool), np.zeros(4, "U1")])
def test_other_images_are_refused(x):
    with pytest.raises(ValueError, match="x must hold"):
        check_images(x)


@given(
    st.one_of(st.integers(-3, 9), st.floats(-2, 9), st.booleans(), st.text(max_size=2), st.none()),
    st.integers(0, 2),
    st.sampled_from([4, float("inf")]),
)
def test_counts_are_whole_numbers_in_a_range(value, least, most):
    if type(value) is int and least <= value <= most:
        assert check_count("steps", np.int64(value), least, most) == value
    else:
        with pytest.raises(ValueError, match="steps must be"):
            check_count("steps", value, least, most)


@given(
    st.one_of(st.integers(-3, 9), st.floats(), st.booleans(), st.text(max_size=2), st.none()),
    st.booleans(),
    st.sampled_from([sys.float_info.max, math.inf, 1]),
)
def test_numbers_are_0_or_more(value, zero, most):
    right = type(value) in (int, float) and (value > 0 or (zero and value == 0))
    if right and value <= most:
        assert check_number("eps", value, zero=zero, most=most) == value
    else:
        with pytest.raises(ValueError, match=r"eps must be (a (finite )?number|in \[0, 1\])"):
            check_number("eps", value, zero=zero, most=most)
