"""What a layer refuses at its door, in one line, before anything is computed or changed; and what
it must not refuse: any layout of memory, no images."""

import math
from itertools import permutations
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.layers.test_layers import gradients, mode, precision, same, same_trees
from tinyproto import layers, networks, parameters
from tinyproto.cpu import direct, winograd
from tinyproto.cpu.geometry import Geometry
from tinyproto.layers import (
    BatchNorm,
    Conv2D,
    Flatten,
    FlipAverage,
    Graph,
    Linear,
    ReLU,
    Residual,
    Sequential,
    checks,
    fold,
)
from tinyproto.prototypes import PrototypeHead
from tinyproto.testing.layers import PARTS, cases
from tinyproto.testing.networks import NETWORKS, network_cases

WITH_PARAMETERS = [
    "Conv2D", "Linear", "BatchNorm of images", "BatchNorm of rows", "PrototypeHead", "Sequential",
    "Residual", "Residual with shortcut",
]  # fmt: skip
OTHER_DTYPES = ["float16", "longdouble", "int64", "uint8", "bool", "complex64", ">f4", ">f8"]

each_part = pytest.mark.parametrize("name", PARTS)
each_with_parameters = pytest.mark.parametrize("name", WITH_PARAMETERS)


def other_shapes(shape):
    """Shapes near this one: axes more, fewer, longer, shorter, of length 1, in another order."""
    found = {(*shape, 1), (1, *shape), shape[1:], shape[:-1], (), (math.prod(shape),)}
    found |= set(permutations(shape))
    for axis, length in enumerate(shape):
        found |= {(*shape[:axis], n, *shape[axis + 1 :]) for n in (0, 1, length + 1, 3 * length)}
        found.add((*shape[:axis], max(0, length - 1), *shape[axis + 1 :]))
    return sorted(found - {shape})


def replace(tree, path, leaf):
    *branches, name = path.split("/")
    for branch in branches:
        tree = tree[branch]
    tree[name] = leaf


def refused(function, *arguments):
    with pytest.raises(ValueError) as caught:  # noqa: PT011 (the text is what is tested)
        function(*arguments)
    text = str(caught.value)
    assert "\n" not in text or text.startswith(("Sequential(", "Residual("))
    return text


def drawn_leaf(data, case):
    path, leaf = data.draw(st.sampled_from(list(parameters.leaves(case.layer.params))))
    return path, path.rpartition("/")[2], leaf


# ---------------------------------------------------------------- shapes


@precision
@each_with_parameters
@given(st.data())
def test_a_parameter_of_another_shape_is_refused(name, dtype, data):
    case = data.draw(cases(name)).astype(dtype)
    path, leaf_name, leaf = drawn_leaf(data, case)
    shape = data.draw(st.sampled_from(other_shapes(leaf.shape)))
    replace(case.layer.params, path, np.ones(shape, dtype))
    for layer in (case.layer, case.layer.forward_relu):
        for train in (False, True):
            says = refused(layer, case.x, train)
            assert f"params['{leaf_name}'] of shape {leaf.shape}, not {shape}" in says


@mode
@precision
@each_part
@given(st.data())
def test_a_gradient_of_another_shape_is_refused(name, dtype, train, data):
    case = data.draw(cases(name)).astype(dtype)
    y, backward = case.layer(case.x, train)
    shape = data.draw(st.sampled_from(other_shapes(y.shape)))
    grads = parameters.zeros(case.layer.params)
    for arguments in ((), (grads,)):
        says = refused(backward, np.ones(shape, dtype), *arguments)
        assert f"expects dy of shape {y.shape}, not {shape}" in says
    same_trees(grads, parameters.zeros(case.layer.params))


@each_with_parameters
@given(st.data())
def test_a_slot_of_another_shape_is_refused_before_any_is_changed(name, data):
    case = data.draw(cases(name))
    y, backward = case.layer(case.x, train=True)
    path, leaf_name, leaf = drawn_leaf(data, case)
    wrong = np.zeros(data.draw(st.sampled_from(other_shapes(leaf.shape))))
    grads, before = (parameters.zeros(case.layer.params) for _ in range(2))
    for tree in (grads, before):
        replace(tree, path, [wrong] if parameters.is_running(leaf_name) else wrong)
    assert f"{path} has shape {wrong.shape}, expected" in refused(backward, y, grads)
    same_trees(grads, before)


@each_part
@given(st.data())
def test_an_input_of_another_shape_is_refused_or_has_another_output(name, data):
    """Never by an exception of NumPy or of a kernel."""
    case = data.draw(cases(name))
    shape = data.draw(st.sampled_from(other_shapes(case.x.shape)))
    try:
        y, backward = case.layer(np.ones(shape))
    except ValueError as error:
        says = str(error)
    else:
        assert backward(y).shape == shape
        return
    assert says.startswith((name.split()[0], "Linear", "Conv2D", "BatchNorm")), says


def test_slots_without_a_parameter_are_refused():
    _, backward = Sequential(Linear(2, 3), ReLU())(np.ones((1, 2)))
    dy = np.ones((1, 3))
    for grads, says in (
        ({"1": {"weight": dy}}, "a slot '1/weight' and params no such leaf"),
        ({"0/weight": np.ones((2, 3))}, "a slot '0/weight' and params no such leaf"),
        ({"0": np.ones((2, 3))}, "0 must be a tree, not of type ndarray"),
        ({"0": {"bias": None}}, r"0/bias has shape None, expected (3,)"),
        ({"0": {"bias": np.ones(3, int)}}, "0/bias must hold float32 or float64, not int64"),
    ):
        assert says in refused(backward, dy, grads)
    _, backward = BatchNorm(2)(np.ones((3, 2)), train=True)
    assert "must be a list" in refused(backward, np.ones((3, 2)), {"running_mean": np.ones(2)})


# ---------------------------------------------------------------- dtypes and devices


@each_part
@pytest.mark.parametrize("dtype", OTHER_DTYPES)
@settings(max_examples=3)
@given(st.data())
def test_numbers_of_another_dtype_are_refused(name, dtype, data):
    case = data.draw(cases(name))
    y, backward = case.layer(case.x)
    assert f"for dy, not {np.dtype(dtype)}" in refused(backward, y.astype(dtype))
    if name != "Flatten":
        assert f"for x, not {np.dtype(dtype)}" in refused(case.layer, case.x.astype(dtype))
    if name in WITH_PARAMETERS:
        path, leaf_name, leaf = drawn_leaf(data, case)
        replace(case.layer.params, path, leaf.astype(dtype))
        says = f"for params['{leaf_name}'], not {np.dtype(dtype)}"
        assert says in refused(case.layer, case.x)


@each_part
@settings(max_examples=3)
@given(st.data())
def test_what_is_no_array_is_refused(name, data):
    case = data.draw(cases(name))
    y, backward = case.layer(case.x)
    assert "expects an array for dy, not list" in refused(backward, y.tolist())
    if name not in ("Flatten", "Sequential", "Residual", "Residual with shortcut"):
        assert "expects an array for x, not list" in refused(case.layer, case.x.tolist())
    for wrong in (None, 1.5, [1.0]) if name in WITH_PARAMETERS else ():
        path, leaf_name, leaf = drawn_leaf(data, case)
        replace(case.layer.params, path, wrong)
        says = f"expects an array for params['{leaf_name}'], not {type(wrong).__name__}"
        assert says in refused(case.layer, case.x)
        replace(case.layer.params, path, leaf)


def test_a_parameter_that_is_missing_is_named():
    layer, x = Linear(2, 3), np.ones((1, 2))
    del layer.params["bias"]
    same(layer(x)[0], x @ layer.params["weight"])
    assert repr(layer) == "Linear(2, 3, bias=False)"
    del layer.params["weight"]
    assert "expects an array for params['weight'], not NoneType" in refused(layer, x)


def test_a_parameter_on_another_device_is_named(monkeypatch):
    layer, x = Linear(2, 3), np.ones((1, 2)).view(np.memmap)  # of another type than its parameters
    same(layer(x)[0], layer(np.ones((1, 2)))[0])
    names = {id(x): "cupy", id(layer.params["weight"]): "numpy"}
    monkeypatch.setattr(checks, "array_module", lambda a: SimpleNamespace(__name__=names[id(a)]))
    assert "got an array of cupy, but its params['weight'] is one of numpy" in refused(layer, x)


# ---------------------------------------------------------------- trees


def test_a_tree_or_a_layer_that_was_replaced_is_noticed():
    """The optimizer would move one tree and the pass use another."""
    x = np.ones((2, 4), np.float32)
    network = networks.Network(Sequential(Linear(4, 3), ReLU()), PrototypeHead(3, 5))
    network.params["head"] = {"prototypes": np.ones((5, 3), np.float32)}
    assert "Network: params['head'] is not the tree" in refused(network, x)
    network.head = PrototypeHead(3, 5)
    assert "Network: params['head'] is not the tree" in refused(network, x)
    network.params["head"] = network.head.params
    network(x)
    network.features.layers[0].params = Linear(4, 3).params
    assert "Sequential: params['0'] is not the tree" in refused(network, x)
    average = FlipAverage(Sequential(Flatten(), Linear(4, 4)))
    average.params = Linear(4, 4).params
    assert "FlipAverage: params is not the tree" in refused(average, x.reshape(2, 2, 2, 1))
    residual = Residual(Linear(4, 4), Linear(4, 4))
    del residual.params["shortcut"]
    assert "Residual: params['shortcut'] is not the tree" in refused(residual, x)


def test_the_sizes_of_a_layer_are_those_it_was_built_with():
    """A weight of another valid size is another layer."""
    for layer, x, weight in (
        (Conv2D(3, 4, 3), np.ones((1, 5, 5, 3)), np.ones((3, 3, 3, 8))),
        (Conv2D(3, 4, 3), np.ones((1, 5, 5, 3)), np.ones((5, 5, 3, 4))),
        (Linear(3, 4), np.ones((1, 3)), np.ones((3, 8))),
    ):
        layer.params["weight"] = weight
        assert f"not {weight.shape}" in refused(layer, x)


@pytest.mark.parametrize("name", NETWORKS)
@settings(max_examples=3)
@given(st.data())
def test_a_folded_network_checks_its_parameters_too(name, data):
    case = data.draw(network_cases(name)).astype(np.float32)
    folded = networks.fold(case.layer)
    paths = [path for path, _ in parameters.leaves(folded.params) if path.endswith("bias")]
    replace(folded.params, data.draw(st.sampled_from(paths)), np.zeros(77, np.float32))
    assert "not (77,)" in refused(folded, case.x)


def test_what_does_not_fit_is_not_folded():
    """Where it would be broadcast, and what is no network."""
    says = refused(networks.fold, Sequential())
    assert says == "network must be a Network, not Sequential; layers.fold folds any layer"
    convolution = Conv2D(3, 4, 3)
    says = refused(fold, Sequential(convolution, BatchNorm(1)))
    assert says == "BatchNorm(1) does not fit the output of Conv2D(3, 4, kernel_size=3)"
    norm = BatchNorm(4)
    norm.params["scale"] = np.ones(1, np.float32)
    assert "params['scale'] of shape (4,), not (1,)" in refused(fold, Sequential(convolution, norm))
    convolution.params["weight"] = np.ones((3, 3, 3, 1), np.float32)
    assert "not (3, 3, 3, 1)" in refused(fold, Sequential(convolution, BatchNorm(4)))


@pytest.mark.parametrize("dtype", OTHER_DTYPES)
def test_a_network_is_not_converted_to_another_dtype(dtype):
    network = networks.compact_cnn()
    before = {path: leaf.copy() for path, leaf in parameters.leaves(network.params)}
    assert f"not {np.dtype(dtype)}" in refused(lambda: network.to(dtype=dtype))
    same_trees(network.params, before)


# ---------------------------------------------------------------- what must not be refused


def layouts(array):
    """The same numbers, with other strides."""
    reverse = (slice(None, None, -1),) * array.ndim
    yield np.asfortranarray(array)
    yield array[reverse].copy()[reverse]
    yield np.repeat(array, 2, axis=-1)[..., ::2]
    readonly = array.copy()
    readonly.flags.writeable = False
    yield readonly


@mode
@precision
@each_part
@settings(max_examples=5)
@given(st.data())
def test_the_layout_of_memory_changes_no_bit(name, dtype, train, data):
    case = data.draw(cases(name)).astype(dtype)
    y, backward = case.layer(case.x, train)
    dy = case.like_output(y)
    dx, grads = gradients(case.layer, backward, dy)
    for x, other_dy in zip(layouts(case.x), layouts(dy), strict=True):
        found, backward = case.layer(x, train)
        same(found, y)
        found, found_grads = gradients(case.layer, backward, other_dy)
        same(found, dx)
        same_trees(found_grads, grads)
    for path, leaf in list(parameters.leaves(case.layer.params)):
        for other in layouts(leaf):
            replace(case.layer.params, path, other)
            found, backward = case.layer(case.x, train)
            same(found, y)
            same(backward(dy), dx)


@precision
@each_part
@settings(max_examples=5)
@given(st.data())
def test_no_images_are_a_batch_too(name, dtype, data):
    case = data.draw(cases(name)).astype(dtype)
    y, backward = case.layer(case.x[:0])
    assert y.shape == (0, *case.layer(case.x)[0].shape[1:])
    dx, grads = gradients(case.layer, backward, y)
    assert dx.shape == case.x[:0].shape
    assert all(not np.any(leaf) for _, leaf in parameters.leaves(grads))


# ---------------------------------------------------------------- the backends of a convolution


@pytest.mark.parametrize("backend", [direct, winograd])
@given(st.data())
def test_a_backend_refuses_arrays_of_another_shape(backend, data):
    """Called without the layer, too."""
    arrays = {
        "x": np.ones((2, 6, 5, 16), np.float32),
        "dy": np.ones((2, 6, 5, 20), np.float32),
        "relu_mask": np.ones((2, 6, 5, 20), np.float32),
        "bias": np.ones(20, np.float32),
        "weight": np.ones((3, 3, 16, 20), np.float32),
    }
    geometry = Geometry(3, 1, 1, arrays["x"].shape, arrays["dy"].shape)
    made, transposed = (
        backend.prepare_weights(arrays["weight"], geometry, t) for t in (False, True)
    )
    passes = {
        "weight": lambda weight, **_: backend.prepare_weights(weight, geometry, False),
        "x bias": lambda x, bias, **_: backend.forward(x, made, bias, geometry, True),
        "dy relu_mask": lambda dy, relu_mask, **_: backend.input_gradient(
            dy, transposed, geometry, relu_mask
        ),
        "x dy relu_mask": lambda x, dy, relu_mask, **_: backend.weight_gradient(
            x, dy, geometry, relu_mask
        ),
    }
    names, run = data.draw(st.sampled_from(list(passes.items())))
    run(**arrays)
    name = data.draw(st.sampled_from(names.split()))
    shape = data.draw(st.sampled_from(other_shapes(arrays[name].shape)))
    for wrong in (np.ones(shape, np.float32), arrays[name].astype(np.float64)):
        says = refused(lambda wrong=wrong: run(**{**arrays, name: wrong}))
        assert f"convolution: {name} must be float32 of shape" in says


# ---------------------------------------------------------------- reprs


@each_part
@settings(max_examples=10)
@given(st.data())
def test_a_layer_says_how_it_is_built(name, data):
    """What it prints builds the same layer again."""
    layer = data.draw(cases(name)).layer
    if isinstance(layer, (FlipAverage, Graph, Sequential, Residual)):
        lines = repr(layer).splitlines()
        assert lines[0] == f"{type(layer).__name__}("
        assert lines[-1] == ")"
        assert all(line.startswith("  ") for line in lines[1:-1])
        return
    built = eval(repr(layer), {**vars(layers), "PrototypeHead": PrototypeHead})
    assert repr(built) == repr(layer)
    assert parameters.count(built.params) == parameters.count(layer.params)


def test_reprs():
    residual = Residual(Sequential(Conv2D(3, 4, 3, stride=2), BatchNorm(4)), Conv2D(3, 4, 1))
    assert repr(Sequential(residual, Flatten())) == (
        "Sequential(\n"
        "  (0): Residual(\n"
        "    (body): Sequential(\n"
        "      (0): Conv2D(3, 4, kernel_size=3, stride=2)\n"
        "      (1): BatchNorm(4)\n"
        "    )\n"
        "    (shortcut): Conv2D(3, 4, kernel_size=1)\n"
        "  )\n"
        "  (1): Flatten()\n"
        ")"
    )
    assert repr(Sequential()) == "Sequential()"
