"""Trees of parameters: names, copies, conversion and assignment."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinyproto import parameters
from tinyproto.layers import BatchNorm, Conv2D, Linear, ReLU, Sequential

arrays = st.builds(
    lambda shape, seed: np.random.default_rng(seed).normal(size=shape).astype(np.float32),
    st.lists(st.integers(0, 3), max_size=3).map(tuple),
    st.integers(0, 1000),
)
names = st.sampled_from(["0", "1", "weight", "bias", "running_mean", "running_x", "runningly"])
trees = st.dictionaries(
    names,
    st.recursive(arrays, lambda inner: st.dictionaries(names, inner, max_size=3), max_leaves=8),
    max_size=4,
)
"""Trees of float32 arrays (some empty); a name may be that of a leaf or of a branch."""


def walk(tree, path=()):
    """Every leaf with its path, in the simplest way."""
    for name in tree:
        if isinstance(tree[name], dict):
            yield from walk(tree[name], (*path, name))
        else:
            yield (*path, name), tree[name]


@given(trees)
def test_leaves_and_flatten_return_the_arrays_themselves_in_order(tree):
    expected = [("/".join(path), leaf) for path, leaf in walk(tree)]
    found = list(parameters.leaves(tree))
    assert [path for path, _ in found] == [path for path, _ in expected]
    assert all(a is b for (_, a), (_, b) in zip(found, expected, strict=True))
    flat = parameters.flatten(tree)
    assert list(flat) == [path for path, _ in expected]
    assert all(flat[path] is leaf for path, leaf in expected)


def test_running_averages_are_recognized_by_the_name_of_the_leaf():
    assert parameters.is_running("features/1/running_mean")
    assert parameters.is_running("running_variance")
    assert not parameters.is_running("running_branch/weight")
    assert not parameters.is_running("runningly")


@given(trees)
def test_zeros_have_a_slot_for_each_leaf(tree):
    grads = dict(walk(parameters.zeros(tree)))
    assert grads.keys() == dict(walk(tree)).keys()
    lists = [slot for slot in grads.values() if isinstance(slot, list)]
    assert len({id(slot) for slot in lists}) == len(lists)  # no two share one
    for path, leaf in walk(tree):
        if path[-1].startswith("running_"):
            assert grads[path] == []
        else:
            assert (grads[path].shape, grads[path].dtype) == (leaf.shape, leaf.dtype)
            assert (grads[path] == 0).all()
            assert grads[path] is not leaf


@given(trees)
def test_without_running_returns_the_other_slots_themselves(tree):
    grads = parameters.zeros(tree)
    fewer = dict(walk(parameters.without_running(grads)))
    kept = {
        path: slot
        for path, slot in walk(grads)
        if not path[-1].startswith("running_")  # a branch may have any name
    }
    assert fewer.keys() == kept.keys()
    assert all(fewer[path] is slot for path, slot in kept.items())
    assert dict(walk(grads)).keys() == dict(walk(tree)).keys()  # nothing is taken from it


@given(trees)
def test_convert_changes_the_tree_in_place(tree):
    branches = {id(tree[name]) for name in tree if isinstance(tree[name], dict)}
    before = dict(walk(tree))
    parameters.convert(tree, dtype=np.float64)
    assert {id(tree[name]) for name in tree if isinstance(tree[name], dict)} == branches
    for path, leaf in walk(tree):
        assert leaf.dtype == np.float64
        np.testing.assert_array_equal(leaf, before[path])
        assert before[path].dtype == np.float32
    parameters.convert(tree)
    assert all(leaf.dtype == np.float64 for _, leaf in walk(tree))


@given(trees)
def test_count_ignores_running_averages(tree):
    expected = sum(leaf.size for path, leaf in walk(tree) if not path[-1].startswith("running_"))
    found = parameters.count(tree)
    assert found == expected
    assert type(found) is int


def network():
    return Sequential(Conv2D(2, 3, 2), BatchNorm(3), ReLU(), Linear(3, 4))


def test_count_of_layers():
    assert parameters.count(network().params) == (2 * 2 * 2 * 3 + 3) + (3 + 3) + (3 * 4 + 4)


@given(st.integers(0, 2**32 - 1))
def test_assign_copies_into_the_leaves(seed):
    random = np.random.default_rng(seed)
    layer = network()
    leaves = parameters.flatten(layer.params)
    given = {path: random.normal(size=leaf.shape) for path, leaf in leaves.items()}
    order = random.permutation(list(given))
    parameters.assign(layer.params, {path: given[path] for path in order})
    for path, leaf in parameters.leaves(layer.params):
        assert leaf is leaves[path]
        assert leaf.dtype == np.float32
        np.testing.assert_array_equal(leaf, given[path].astype(np.float32))
        given[path][...] = 7
        assert not (leaf == 7).any()


def missing(arrays):
    del arrays["1/scale"]


def many_missing(arrays):
    for path in ("0/bias", "0/weight", "1/scale", "1/shift", "3/weight"):
        del arrays[path]


def unknown(arrays):
    arrays["2/weight"] = np.zeros(3)


def misshaped(arrays):
    arrays["3/weight"] = np.zeros((4, 3))


def scalar(arrays):
    arrays["0/bias"] = np.float32(1)


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (missing, "model.npz misses entries: 1/scale"),
        (many_missing, "model.npz misses entries: 0/bias, 0/weight, 1/scale and 2 more"),
        (unknown, "model.npz has unknown entries: 2/weight"),
        (misshaped, "model.npz: 3/weight has shape (4, 3), expected (3, 4)"),
        (scalar, "model.npz: 0/bias has shape (), expected (3,)"),
    ],
)
def test_what_assign_refuses_is_named_and_nothing_is_changed(spoil, says):
    layer = network()
    before = {path: leaf.copy() for path, leaf in parameters.leaves(layer.params)}
    arrays = {path: np.full(leaf.shape, 7.0) for path, leaf in before.items()}
    spoil(arrays)
    with pytest.raises(ValueError) as caught:  # noqa: PT011 (the text is what is tested)
        parameters.assign(layer.params, arrays, "model.npz")
    assert str(caught.value) == says
    for path, leaf in parameters.leaves(layer.params):
        np.testing.assert_array_equal(leaf, before[path])


@pytest.mark.parametrize("array", [np.array(["a", "b", "c"]), np.array([1j, 2, 3])])
def test_assign_refuses_what_is_no_real_number(array):
    layer = network()
    before = {path: leaf.copy() for path, leaf in parameters.leaves(layer.params)}
    arrays = {path: np.full(leaf.shape, 7.0) for path, leaf in before.items()}
    arrays["1/shift"] = array
    with pytest.raises(ValueError, match="1/shift"):
        parameters.assign(layer.params, arrays, "model.npz")
    for path, leaf in parameters.leaves(layer.params):
        np.testing.assert_array_equal(leaf, before[path])


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("weight", np.nan, "file.npz: 1/weight holds values that are infinite or NaN in float32"),
        ("weight", np.inf, "infinite or NaN in float32"),
        ("weight", -np.inf, "infinite or NaN in float32"),
        ("weight", 1e39, "infinite or NaN in float32"),  # a float64 that float32 cannot hold
        ("running_variance", -1e-9, "1/running_variance holds negative values, such as -1e-09"),
    ],
)
def test_check_finds_values_that_no_training_gives(name, value, says):
    params = {"1": {"weight": np.ones(3, np.float32), "running_variance": np.ones(3, np.float32)}}
    found = {path: leaf.astype(np.float64) for path, leaf in parameters.leaves(params)}
    parameters.check_arrays(params, found, "file.npz", values=True)
    found[f"1/{name}"][1] = value
    parameters.check_arrays(params, found, "file.npz")
    with pytest.raises(ValueError, match=says):
        parameters.check_arrays(params, found, "file.npz", values=True)
    assert all((leaf == 1).all() for _, leaf in parameters.leaves(params))
