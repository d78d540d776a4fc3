"""Philox against Random123's published vectors, and what a number depends on."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinyproto.kernels.philox import philox, random_words
from tinyproto.random import normal, permutation, uniform, words

# kat_vectors of Random123: philox4x32, 10 rounds: counter, key, output.
VECTORS = [
    ("00000000 00000000 00000000 00000000", "00000000 00000000",
     "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
    ("ffffffff ffffffff ffffffff ffffffff", "ffffffff ffffffff",
     "408f276d 41c83b0e a20bc7c6 6d5451fd"),
    ("243f6a88 85a308d3 13198a2e 03707344", "a4093822 299f31d0",
     "d16cfe09 94fdcceb 5001e420 24126ea1"),
]  # fmt: skip


def parse(text):
    return [int(word, 16) for word in text.split()]


@pytest.mark.parametrize(("counter", "key", "expected"), VECTORS)
def test_published_vectors(counter, key, expected):
    assert list(philox(*parse(counter), *parse(key))) == parse(expected)


def test_the_compiled_kernel_is_the_same_function():
    """The vectors' first counter word is too large for a row of blocks; compare on small ones."""
    index = np.array([0, 0x85A308D3, 0xFFFFFFFF])
    out = np.empty((3, 12), np.int64)
    key, rest = (0xA4093822, 0x299F31D0), (0x13198A2E, 0x03707344)
    random_words(3, index, *key, *rest, out)
    for row, i in zip(out, index, strict=True):
        for block in range(3):
            expected = philox(block, int(i), *rest, *key)
            assert row[4 * block : 4 * block + 4].tolist() == list(expected)


@given(st.integers(0, 2**32 - 1), st.integers(1, 20), st.permutations(range(7)))
def test_a_number_depends_on_its_identifiers_only(seed, count, order):
    together = words(count, np.arange(7), seed=seed, stream="test", epoch=3, restart=2, step=5)
    alone = [
        words(count, np.array([i]), seed=seed, stream="test", epoch=3, restart=2, step=5)[0]
        for i in order
    ]
    np.testing.assert_array_equal(together[list(order)], alone)
    more = words(count + 3, np.arange(7), seed=seed, stream="test", epoch=3, restart=2, step=5)
    np.testing.assert_array_equal(more[:, :count], together)


def test_every_identifier_counts():
    identifiers = {"seed": 1, "stream": "a", "epoch": 0, "restart": 0, "step": 0}
    base = words(8, np.arange(4), **identifiers)
    for change in ({"seed": 2}, {"stream": "b"}, {"epoch": 1}, {"restart": 1}, {"step": 1}):
        assert (words(8, np.arange(4), **{**identifiers, **change}) != base).mean() > 0.9


def test_uniform_and_normal_have_their_moments():
    u = uniform(20_000, np.arange(5), seed=0, stream="moments")
    assert u.min() >= 0
    assert u.max() < 1
    assert abs(u.mean() - 1 / 2) < 0.005
    assert abs(u.var() - 1 / 12) < 0.002
    z = normal(20_000, np.arange(5), seed=0, stream="moments")
    assert abs(z.mean()) < 0.02
    assert abs(z.var() - 1) < 0.02
    assert abs((z**4).mean() - 3) < 0.15


@given(st.integers(0, 300), st.integers(0, 5))
def test_permutation(n, epoch):
    order = permutation(n, seed=0, stream="test", epoch=epoch)
    assert sorted(order.tolist()) == list(range(n))


@pytest.mark.parametrize("identifiers", [{"seed": -1}, {"seed": 2**32}, {"step": 2**16}])
def test_an_identifier_out_of_range_is_refused(identifiers):
    with pytest.raises(ValueError, match=r"must be in \[0, 2\*\*"):
        words(1, np.arange(1), **{"seed": 0, "stream": "test", **identifiers})


@pytest.mark.parametrize("name", ["count", "seed", "epoch", "restart", "step"])
@pytest.mark.parametrize("value", [1.5, 1.0, "1", None])
def test_an_identifier_that_is_no_integer_is_refused(name, value):
    """A fraction would be cut off, and give another one's numbers."""
    given = {"count": 1, "seed": 0, "stream": "test", name: value}
    with pytest.raises(ValueError, match=f"{name} must be an integer"):
        words(index=np.arange(1), **given)


@pytest.mark.parametrize("index", [[0.5, 1.5], [[0], [1]], 3, ["0"], [True]])
def test_an_index_that_is_no_row_of_integers_is_refused(index):
    with pytest.raises(ValueError, match="index must hold integers"):
        words(1, np.array(index), seed=0, stream="test")


@pytest.mark.parametrize("index", [-1, 2**32])
def test_an_index_out_of_range_is_refused(index):
    with pytest.raises(ValueError, match="index must be in"):
        words(1, np.array([index]), seed=0, stream="test")
