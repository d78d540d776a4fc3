"""The same winner everywhere, in both directions."""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tinyproto.prototypes import (
    IPWTA,
    PlusMinusEDWTA,
    centre_distances,
    euclidean_to_inner_product,
    inner_product_to_euclidean,
)


def margins(values):
    """The difference between the largest and the second largest value of each column."""
    ordered = np.sort(values, axis=0)
    return ordered[-1] - ordered[-2]


@given(st.integers(2, 9), st.integers(1, 8), st.floats(0.1, 10), st.integers(0, 2**32 - 1))
def test_inner_product_to_euclidean_has_the_same_winner(neurons, features, scale, seed):
    random = np.random.default_rng(seed)
    W, b = random.normal(size=(neurons, features)), random.normal(size=neurons)
    centres = inner_product_to_euclidean(W, b, scale)
    extra = centres.shape[1] - features
    assert extra in (0, 1)
    x = 5 * random.normal(size=(200, features))
    extended = np.concatenate([x, np.zeros((200, extra))], axis=1)
    o = W @ x.T + b[:, None]
    clear = margins(o) > 1e-6
    distance = ((extended[:, None] - centres) ** 2).sum(axis=2)
    np.testing.assert_array_equal(o.argmax(axis=0)[clear], distance.argmin(axis=1)[clear])


@given(st.integers(2, 9), st.integers(1, 8), st.integers(0, 2**32 - 1))
def test_euclidean_to_inner_product_has_the_same_winner_and_an_inverse(neurons, features, seed):
    random = np.random.default_rng(seed)
    centres = random.normal(size=(neurons, features))
    W, b = euclidean_to_inner_product(centres)
    x = random.normal(size=(200, features))
    distance = ((x[:, None] - centres) ** 2).sum(axis=2)
    o = W @ x.T + b[:, None]
    clear = margins(o) > 1e-6
    np.testing.assert_array_equal(o.argmax(axis=0)[clear], distance.argmin(axis=1)[clear])
    # The shift of least norm is 0 here, so converting back gives the same centres.
    np.testing.assert_allclose(inner_product_to_euclidean(W, b), centres, atol=1e-8)


@given(st.integers(2, 6), st.integers(6, 9), st.floats(0.1, 10), st.integers(0, 2**32 - 1))
def test_fewer_neurons_than_features_need_no_extra_coordinate(neurons, features, scale, seed):
    random = np.random.default_rng(seed)
    W, b = random.normal(size=(neurons, features)), random.normal(size=neurons)
    assume(np.linalg.cond(W - W.mean(axis=0)) > 0)
    assert inner_product_to_euclidean(W, b, scale).shape == (neurons, features)


@pytest.mark.parametrize("scale", [0, -1.0, float("nan")])
def test_the_scale_is_positive(scale):
    with pytest.raises(ValueError, match="scale must be a finite number above 0"):
        inner_product_to_euclidean(np.eye(2), np.zeros(2), scale)


NOT_FINITE = np.array([[1.0, np.inf]])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: euclidean_to_inner_product(np.ones(3)), r"centres must be \(rows ≥ 1, d\), not"),
        (lambda: euclidean_to_inner_product(NOT_FINITE), "centres must be finite; row 0 is not"),
        (lambda: inner_product_to_euclidean(np.eye(2), np.ones((2, 1))), r"the shape \(2,\), not"),
        (lambda: inner_product_to_euclidean(np.eye(2), np.ones(3)), r"biases must have the shape"),
        (lambda: inner_product_to_euclidean(np.eye(2) * 1j, np.ones(2)), "must hold real numbers"),
        (lambda: inner_product_to_euclidean(np.eye(2), NOT_FINITE[0]), "biases must be finite"),
        (lambda: centre_distances(np.eye(3), np.eye(4)), "columns as the centres, 3, or one less"),
        (lambda: centre_distances(np.eye(3), np.ones((5, 1))), "3, or one less, not 1"),
        (lambda: centre_distances(np.eye(3), np.ones((0, 3))), r"x must be \(rows ≥ 1, d\)"),
    ],
)
def test_wrong_arguments_get_one_line(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_centre_distances_against_the_definition():
    random = np.random.default_rng(0)
    centres, x = random.normal(size=(5, 4)), random.normal(size=(50, 3))
    extended = np.concatenate([x, np.zeros((50, 1))], axis=1)
    expected = np.sqrt(((centres[:, None] - extended) ** 2).sum(axis=2)).min(axis=1)
    np.testing.assert_allclose(centre_distances(centres, x), expected)


def test_converted_centres_lie_far_from_the_data_and_positive_prototypes_near():
    """On the package's sample: what the paper shows with MNIST."""
    from tinyproto.data import load

    data = load("mnist", directory=None, download=False)
    x, y = data.x_train[:2000].reshape(2000, -1) / np.float32(255), data.y_train[:2000]
    inner = IPWTA(2, epochs=10).fit(x, y)
    plus_minus = PlusMinusEDWTA(2, epochs=10).fit(x, y)
    converted = inner_product_to_euclidean(*inner.linear())
    near = centre_distances(plus_minus.positive_prototypes_, x)
    assert np.median(centre_distances(converted, x)) > 1.5 * np.median(near)
