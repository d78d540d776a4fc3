"""The micro-kernel and the vector operations that it is made of, against NumPy."""

import numba
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinyproto.cpu.gemm import NR, WIDTH, gemm, gemm_accumulate
from tinyproto.cpu.simd import (
    address,
    load,
    load_bytes,
    load_partial,
    maximum,
    select_above,
    select_equal,
    select_greater,
    select_positive,
    splat,
    store,
    store_bytes,
    store_partial,
)


@numba.njit
def multiply(accumulate, a, b, c, columns):
    """c (+)= Σ_r a[:, r] b[r]; a (rows, R, K), b (R, K, n), c (rows, n)."""
    rows, R, K = a.shape
    n = b.shape[2]
    strides = R * K * 4, R, K * 4, K, 4
    if accumulate:
        gemm_accumulate(
            rows, columns, address(a), *strides, address(b), K * n * 4, n * 4, address(c), n * 4
        )
    else:
        gemm(rows, columns, address(a), *strides, address(b), K * n * 4, n * 4, address(c), n * 4)


@given(
    st.integers(1, 30), st.integers(1, 3), st.integers(1, 9), st.booleans(), st.booleans(),
    st.integers(0, 2**32 - 1),
)  # fmt: skip
def test_a_product_of_any_size(rows, R, K, wide, add, seed):
    random = np.random.default_rng(seed)
    a, b = (random.normal(size=s).astype(np.float32) for s in ((rows, R, K), (R, K, NR)))
    c = random.normal(size=(rows, NR)).astype(np.float32)
    columns = NR if wide else WIDTH
    expected = c.astype(np.float64)
    expected[:, :columns] = np.einsum("mrk,rkn->mn", a, b.astype(np.float64))[:, :columns] + (
        c[:, :columns] if add else 0
    )
    multiply(add, a, b, c, columns)
    np.testing.assert_allclose(c, expected, rtol=1e-4, atol=1e-4)


def test_an_element_has_the_same_bits_in_a_tile_of_any_height():
    random = np.random.default_rng(0)
    a, b = (random.normal(size=s).astype(np.float32) for s in ((23, 1, 50), (1, 50, NR)))
    together, single = np.zeros((23, NR), np.float32), np.zeros((23, NR), np.float32)
    multiply(False, a, b, together, NR)
    for m in range(23):
        multiply(False, a[m : m + 1], b, single[m : m + 1], NR)
    np.testing.assert_array_equal(together, single)


@numba.njit
def copy_partial(x, y, count):
    store_partial(load_partial(address(x), count), address(y), count)
    store(load_partial(address(x), count), address(y) + 4 * WIDTH)


@pytest.mark.parametrize("count", range(WIDTH + 1))
def test_part_of_a_vector(count):
    x, y = np.arange(1, WIDTH + 1, dtype=np.float32), np.full(2 * WIDTH, -1, np.float32)
    copy_partial(x, y, count)
    loaded = np.where(np.arange(WIDTH) < count, x, 0)
    np.testing.assert_array_equal(y[:WIDTH], np.where(loaded > 0, loaded, -1))
    np.testing.assert_array_equal(y[WIDTH:], loaded)


@numba.njit
def select_all(x, y, value, found):
    a, b, c = load(address(x)), load(address(y)), load(address(value))
    step = 4 * WIDTH
    store(maximum(a, b), address(found))
    store(select_positive(a, c), address(found) + step)
    store(select_above(a, b, c), address(found) + 2 * step)
    store(select_greater(a, b, c, b), address(found) + 3 * step)
    store(select_equal(a, b, c), address(found) + 4 * step)
    store(a - b + splat(np.float32(1)), address(found) + 5 * step)


def test_selections_with_nan():
    nan = np.nan
    x = np.resize(np.array([1, -1, 0, nan, 2, 2], np.float32), WIDTH)
    y = np.resize(np.array([0, 0, 0, 0, 3, 2], np.float32), WIDTH)
    value = np.arange(1, WIDTH + 1, dtype=np.float32)
    found = np.zeros((6, WIDTH), np.float32)
    select_all(x, y, value, found)
    isnan = np.isnan(x)
    np.testing.assert_array_equal(found[0], np.where(isnan, nan, np.maximum(x, y)))
    np.testing.assert_array_equal(found[1], np.where(x > 0, value, 0))
    np.testing.assert_array_equal(found[2], np.where(isnan | (x > y), value, 0))
    np.testing.assert_array_equal(found[3], np.where(isnan | (x > y), value, y))
    np.testing.assert_array_equal(found[4], np.where(x == y, value, 0))
    np.testing.assert_array_equal(found[5], x - y + 1)


@numba.njit
def through_bytes(x, held, y):
    store_bytes(load(address(x)), address(held))
    store(load_bytes(address(held)), address(y))


def test_numbers_as_bytes():
    x, y = np.linspace(0, 255, WIDTH).astype(np.uint8).astype(np.float32), np.zeros(WIDTH, "f")
    held = np.full(WIDTH + 1, 7, np.uint8)
    through_bytes(x, held, y)
    np.testing.assert_array_equal(held[:-1], x)
    assert held[-1] == 7
    np.testing.assert_array_equal(y, x)
