"""The choice of K: the split, the accuracies, and the rule, against their definitions."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinyproto.prototypes import EDWTA, IPWTA, select_prototypes_per_class
from tinyproto.prototypes.selection import choose, stratified_split


def corners(samples=400, noise=0.1, seed=0):
    """Four clusters at the corners of a square, each diagonal a class: K = 2 is needed."""
    corner = np.arange(samples) % 4
    x = np.random.default_rng(seed).normal(size=(samples, 2)) * noise
    x += np.array([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]])[corner]
    return x, np.array(["even", "odd"])[corner % 2]


@given(
    st.lists(st.integers(2, 30), min_size=2, max_size=5), st.floats(0.01, 0.99), st.integers(0, 99)
)
def test_the_split_holds_out_the_same_fraction_of_each_class(sizes, fraction, seed):
    label = np.random.default_rng(seed).permutation(np.repeat(np.arange(len(sizes)), sizes))
    tested = stratified_split(label, fraction, seed)
    for c, size in enumerate(sizes):
        held = int(tested[label == c].sum())
        assert 1 <= held <= size - 1
        assert abs(held - fraction * size) <= 1
    np.testing.assert_array_equal(tested, stratified_split(label, fraction, seed))


def test_another_seed_holds_out_others():
    label = np.arange(100) % 2
    first, second = (stratified_split(label, 0.5, seed) for seed in (0, 1))
    assert (first != second).any()


@given(
    st.lists(st.integers(0, 100), min_size=1, max_size=6),
    st.integers(0, 2**32 - 1),
)
def test_the_rule_is_the_smallest_within_one_standard_error_of_the_best(right, seed):
    candidates = tuple(range(1, len(right) + 1))
    accuracies = tuple(r / 100 for r in right)
    chosen, errors = choose(candidates, accuracies, 100)
    best = max(accuracies)
    bound = best - (best * (1 - best) / 100) ** 0.5
    allowed = [k for k, p in zip(candidates, accuracies, strict=True) if p >= bound]
    assert chosen == min(allowed)
    # The standard error of a mean of 100 outcomes that are 0 or 1.
    for r, error in zip(right, errors, strict=True):
        outcomes = np.repeat([1.0, 0.0], [r, 100 - r])
        assert error == pytest.approx(outcomes.std() / 10)


def test_accuracies_are_those_of_networks_fitted_by_hand():
    x, y = corners(noise=0.4)
    network = EDWTA(1, epochs=3, init="kmeans", random_state=5)
    found = select_prototypes_per_class(network, x, y, (3, 1, 2, 2), held_out=0.3, seed=4)
    assert found.candidates == (1, 2, 3)
    tested = stratified_split((y == "odd").astype(int), 0.3, 4)
    for k, accuracy, error in zip(
        found.candidates, found.accuracies, found.standard_errors, strict=True
    ):
        fitted = EDWTA(k, epochs=3, init="kmeans", random_state=5).fit(x[~tested], y[~tested])
        right = fitted.predict(x[tested]) == y[tested]
        assert accuracy == right.mean()
        assert error == pytest.approx(right.std() / len(right) ** 0.5)
    assert found.prototypes_per_class == 2


def test_the_network_is_not_changed():
    x, y = corners()
    network = IPWTA(3, epochs=1)
    select_prototypes_per_class(network, x, y, (1, 2))
    assert network.get_params() == IPWTA(3, epochs=1).get_params()
    assert not hasattr(network, "classes_")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"candidates": ()}, "candidates must hold at least one"),
        ({"candidates": (1, 0)}, "candidates"),
        ({"candidates": (1.5,)}, "candidates"),
        ({"held_out": 0.0}, "held_out"),
        ({"held_out": 1.0}, "held_out must be above 0 and below 1"),
        ({"seed": -1}, "seed"),
        ({"y": np.array(["even"] * 399 + ["odd"])}, "class odd has one sample"),
        ({"y": np.array(["even"] * 400)}, "at least 2 classes"),
        ({"X": np.full((400, 2), np.nan)}, "NaN"),
    ],
)
def test_wrong_input_is_refused(change, message):
    x, y = corners()
    arguments = {"X": x, "y": y, "candidates": (1,), **change}
    with pytest.raises(ValueError, match=message):
        select_prototypes_per_class(EDWTA(epochs=1), **arguments)
