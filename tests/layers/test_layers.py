"""The output of each layer against its definition; what a call must not change; bits; errors."""

import math
import os
import subprocess
import sys
from copy import deepcopy

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests import ROOT
from tinyproto import networks, parameters
from tinyproto.layers import (
    Affine,
    AveragePool2D,
    BatchNorm,
    Conv2D,
    Flatten,
    FlipAverage,
    GlobalAveragePool,
    Graph,
    Layer,
    Linear,
    MaxPool2D,
    Normalize,
    ReLU,
    Residual,
    Sequential,
    initialize,
)
from tinyproto.layers import convolution as convolution_module
from tinyproto.layers import im2col as im2col_module
from tinyproto.testing import randomize, spaced
from tinyproto.testing.layers import PARTS, cases
from tinyproto.testing.networks import NETWORKS, small_cnn, small_resnet

EXACT = {"rtol": 1e-12, "atol": 1e-13}

each_part = pytest.mark.parametrize("name", PARTS)
mode = pytest.mark.parametrize("train", [False, True], ids=["eval", "train"])
precision = pytest.mark.parametrize("dtype", [np.float32, np.float64])


def same(one, other):
    """The same bits, in the same shape and dtype."""
    assert one.shape == other.shape
    assert one.dtype == other.dtype
    np.testing.assert_array_equal(one, other, strict=True)


def same_trees(one, other):
    one, other = parameters.flatten(one), parameters.flatten(other)
    assert one.keys() == other.keys()
    for path in one:
        if isinstance(one[path], list):
            assert len(one[path]) == len(other[path])
        for a, b in zip(np.atleast_1d(one[path]), np.atleast_1d(other[path]), strict=True):
            same(a, b)


def gradients(layer, backward, dy):
    grads = parameters.zeros(layer.params)
    return backward(dy, grads), grads


# ---------------------------------------------------------------- forward, from the definitions


def corners(x, size, stride):
    """(h, w, window (N, size, size, C)) for every window inside the image."""
    for h, r in enumerate(range(0, x.shape[1] - size + 1, stride)):
        for w, s in enumerate(range(0, x.shape[2] - size + 1, stride)):
            yield h, w, x[:, r : r + size, s : s + size]


def windowed(x, size, stride, channels, function):
    """y[n, h, w] = function(window), window by window."""
    height, width = ((side - size) // stride + 1 for side in x.shape[1:3])
    y = np.full((len(x), height, width, channels), np.nan)
    for h, w, window in corners(x, size, stride):
        y[:, h, w] = function(window)
    return y


def convolved(layer, x):
    weight, bias = layer.params["weight"], layer.params.get("bias", 0)
    edge = (layer.padding, layer.padding)
    padded = np.pad(x, ((0, 0), edge, edge, (0, 0)))

    def products(window):
        y = np.zeros((len(x), weight.shape[3]))
        for a, b, c in np.ndindex(weight.shape[:3]):
            y += window[:, a, b, c, None] * weight[a, b, c]
        return y + bias

    return windowed(padded, layer.kernel_size, layer.stride, weight.shape[3], products)


def normalized(layer, x, train):
    p = layer.params
    over = tuple(range(x.ndim - 1))
    mean, variance = p["running_mean"], p["running_variance"]
    if train:
        mean, variance = x.mean(axis=over), x.var(axis=over)
    return p["scale"] * (x - mean) / np.sqrt(variance + 1e-5) + p["shift"]


def pooled(layer, x, function):
    over = {"axis": (1, 2)}
    return windowed(
        x, layer.kernel_size, layer.stride, x.shape[3], lambda window: function(window, **over)
    )


def applied(layer, x, train=False):
    """The output of a layer, from its definition."""
    p = layer.params
    if isinstance(layer, Sequential):
        for part in layer.layers:
            x = applied(part, x, train)
        return x
    if isinstance(layer, Residual):
        shortcut = applied(layer.shortcut, x, train) if layer.shortcut else x
        return applied(layer.body, x, train) + shortcut
    if isinstance(layer, FlipAverage):
        one, other = np.split(applied(layer.body, np.concatenate([x, np.flip(x, 2)]), train), 2)
        return (one + other) / 2
    if isinstance(layer, Graph):
        values = {"input": x}
        for name, (part, *sources) in layer.nodes.items():
            values[name] = applied(part, sum(values[source] for source in sources), train)
        return values[name]
    return {
        "Conv2D": lambda: convolved(layer, x),
        "Linear": lambda: x @ p["weight"] + p.get("bias", 0),
        "BatchNorm": lambda: normalized(layer, x, train),
        "ReLU": lambda: np.maximum(x, 0),
        "Affine": lambda: np.array(layer.scale) * x + np.array(layer.shift),
        "Pad2D": lambda: np.pad(
            x,
            ((0, 0), layer.padding[:2], layer.padding[2:], (0, 0)),
            constant_values=layer.value,
        ),
        "Normalize": lambda: (x - np.array(layer.mean)) / np.array(layer.std),
        "MaxPool2D": lambda: pooled(layer, x, np.max),
        "AveragePool2D": lambda: pooled(layer, x, np.mean),
        "GlobalAveragePool": lambda: x.mean(axis=(1, 2)),
        "Flatten": lambda: x.reshape(len(x), -1),
        "PrototypeHead": lambda: x @ p["prototypes"].T,
    }[type(layer).__name__]()


@mode
@each_part
@given(st.data())
def test_the_output_is_the_definition(name, train, data):
    case = data.draw(cases(name))
    y, _ = case.layer(case.x, train)
    exact = {"atol": 1e-11 * (1 + abs(y).max())} if name == "Graph" else EXACT  # sums may cancel
    np.testing.assert_allclose(y, applied(case.layer, case.x, train), **exact)


@pytest.mark.parametrize("shape", [(3, 7, 7, 5), (7, 33, 29, 4)])
def test_odd_sizes(shape):
    """7 × 7 × 5, and images so large that a batch of them is several groups, the last shorter."""
    random = np.random.default_rng(0)
    x = spaced(random, shape)
    layers = [
        Conv2D(shape[3], 3, 3, padding=1), Conv2D(shape[3], 3, 3, stride=2),
        Conv2D(shape[3], 2, 4, stride=3, padding=2), Conv2D(shape[3], 3, 1), MaxPool2D(2),
        MaxPool2D(3, 2), AveragePool2D(2), AveragePool2D(3, 1), BatchNorm(shape[3]),
        GlobalAveragePool(), ReLU(),
    ]  # fmt: skip
    for layer in layers:
        randomize(layer, random)
        y, backward = layer(x)
        np.testing.assert_allclose(y, applied(layer, x), **EXACT)
        dy = random.normal(size=y.shape)
        dx, grads = gradients(layer, backward, dy)
        # Without bias and shift, each of these layers is linear in x (ReLU and pooling piecewise),
        # so Σ y dy = Σ x dx; the same holds for each parameter.
        no_offset = y - layer(0 * x)[0]
        assert np.isclose((no_offset * dy).sum(), (x * dx).sum(), rtol=1e-10)
        if isinstance(layer, Conv2D):
            weight, bias = layer.params["weight"], layer.params["bias"]
            np.testing.assert_allclose((grads["weight"] * weight).sum(), (x * dx).sum())
            np.testing.assert_allclose((grads["bias"] * bias).sum(), (dy * bias).sum())


def test_weight_gradients_of_several_groups():
    """They are the sums of the gradients of the single images."""
    random = np.random.default_rng(1)
    layer = randomize(Conv2D(4, 3, 3, padding=1), random)
    x = random.normal(size=(7, 33, 29, 4))
    y, backward = layer(x)
    dy = random.normal(size=y.shape)
    _, together = gradients(layer, backward, dy)
    single = [gradients(layer, layer(x[[i]])[1], dy[[i]])[1] for i in range(7)]
    for name, value in together.items():
        np.testing.assert_allclose(value, sum(g[name] for g in single), rtol=1e-10, atol=1e-11)


@precision
@pytest.mark.parametrize("shape", [(200, 12, 9, 4), (3, 64, 60, 16), (700, 2, 2, 64)])
def test_windows_are_made_in_groups_that_fit_a_cache(shape, dtype, monkeypatch):
    """Of one image at least; for the gradient of the weights, of GROUP_ROWS windows at least."""
    made = []

    def watched(rows, x, *options):
        made.append(options[-1])
        gather(rows, x, *options)

    gather = im2col_module.im2col
    monkeypatch.setattr(convolution_module, "select_backend", lambda *_: im2col_module)
    monkeypatch.setattr(im2col_module, "im2col", watched)
    layer = Conv2D(shape[3], 2, 3, padding=1)
    parameters.convert(layer.params, dtype=dtype)
    rows = shape[1] * shape[2]
    of_an_image = rows * shape[3] * 9 * np.dtype(dtype).itemsize
    group = max(1, im2col_module.GROUP_BYTES // of_an_image)
    y, backward = layer(np.zeros(shape, dtype))
    assert max(columns.nbytes for columns in made) == group * of_an_image
    assert sum(map(len, made)) == len(y) * shape[1]
    made.clear()
    gradients(layer, backward, y)
    minimum = math.ceil(im2col_module.GROUP_ROWS / rows)
    assert max(map(len, made)) == max(group, minimum) * shape[1]
    assert sum(map(len, made)) == len(y) * shape[1]


def test_on_a_gpu_all_images_are_one_group(monkeypatch):
    """An empty batch has no group."""
    monkeypatch.setattr(im2col_module, "array_module", lambda x: "a device's")
    seen = [part for count in (5, 0, 1) for part in im2col_module._groups(np.zeros((count, 2)), 2)]
    assert seen == [slice(0, 5), slice(0, 1)]


@precision
@pytest.mark.parametrize("size", [2, 3, 16, 17])
def test_max_pooling_of_equal_values_takes_the_first_in_reading_order(size, dtype):
    """17 × 17 pixels are more than a byte can number."""
    x = np.zeros((1, size, size + 1, 2), dtype)
    x[0, -1, :, 1] = 1  # the last row of one channel ties by itself
    y, backward = MaxPool2D(size, 1)(x)
    dx = backward(np.array([[[[1, 2], [10, 20]]]], dtype))
    expected = np.zeros_like(x)
    expected[0, 0, 0, 0], expected[0, 0, 1, 0] = 1, 10
    expected[0, -1, 0, 1], expected[0, -1, 1, 1] = 2, 20
    same(dx, expected)
    same(y, np.array([[[[0, 1], [0, 1]]]], dtype))


def test_the_gradient_of_relu_is_0_at_0():
    y, backward = ReLU()(np.array([[-1.0, 0.0, 2.0]]))
    same(y, np.array([[0.0, 0.0, 2.0]]))
    same(backward(np.ones((1, 3))), np.array([[0.0, 0.0, 1.0]]))


def test_relu_of_nan_is_nan():
    assert np.isnan(ReLU()(np.array([[np.nan]]))[0]).all()


# ---------------------------------------------------------------- calls change nothing


@pytest.mark.parametrize("name", ["BatchNorm of images", "BatchNorm of rows"])
@given(st.data())
def test_batch_statistics_are_appended_to_grads(name, data):
    case = data.draw(cases(name))
    over = tuple(range(case.x.ndim - 1))
    y, backward = case.layer(case.x, train=True)
    _, grads = gradients(case.layer, backward, case.like_output(y))
    (mean,), (variance,) = grads["running_mean"], grads["running_variance"]
    np.testing.assert_allclose(mean, case.x.mean(axis=over), **EXACT)
    np.testing.assert_allclose(variance, case.x.var(axis=over, ddof=1), **EXACT)
    y, backward = case.layer(case.x)
    _, grads = gradients(case.layer, backward, case.like_output(y))
    assert grads["running_mean"] == grads["running_variance"] == []


@mode
@each_part
@given(st.data())
def test_a_call_changes_nothing(name, train, data):
    """Not the layer, not its parameters, not x and not dy."""
    case = data.draw(cases(name))
    before, x = deepcopy(case.layer), case.x.copy()
    y, backward = case.layer(case.x, train)
    dy = case.like_output(y)
    dy_before, y_before = dy.copy(), y.copy()
    gradients(case.layer, backward, dy)
    same_trees(case.layer.params, before.params)
    assert vars(case.layer).keys() == vars(before).keys()
    same(case.x, x)
    same(dy, dy_before)
    same(y, y_before)


@mode
@each_part
@given(st.data())
def test_two_calls_of_a_layer_are_independent(name, train, data):
    case = data.draw(cases(name))
    other = case.random.permutation(case.x.ravel()).reshape(case.x.shape)
    y, backward = case.layer(case.x, train)
    dy = case.like_output(y)
    dx, grads = gradients(case.layer, backward, dy)
    _, first = case.layer(case.x, train)
    _, second = case.layer(other, train)
    elsewhere, _ = gradients(case.layer, second, case.like_output(y))
    for _ in range(2):  # a backward pass can be called again
        again, grads_again = gradients(case.layer, first, dy)
        same(again, dx)
        same_trees(grads_again, grads)
    assert elsewhere.shape == dx.shape


@mode
@each_part
@given(st.data())
def test_gradients_of_parameters_add_up(name, train, data):
    case = data.draw(cases(name))
    y, backward = case.layer(case.x, train)
    one, two = case.like_output(y), case.like_output(y)
    alone = [parameters.flatten(gradients(case.layer, backward, dy)[1]) for dy in (one, two)]
    together = parameters.zeros(case.layer.params)
    backward(one, together)
    backward(two, together)
    for path, value in parameters.leaves(together):
        if isinstance(value, list):
            same_trees({"": value}, {"": alone[0][path] + alone[1][path]})
            assert len(value) == 2 * train
        else:
            np.testing.assert_allclose(value, alone[0][path] + alone[1][path], **EXACT)


def without(tree, path):
    """A copy of the tree without one leaf."""
    name, _, rest = path.partition("/")
    return {
        key: without(value, rest) if key == name and rest else deepcopy(value)
        for key, value in tree.items()
        if key != name or rest
    }


@mode
@each_part
@given(st.data())
def test_a_parameter_without_a_slot_is_skipped(name, train, data):
    """The other gradients have the same bits, without one slot, without all, and without grads."""
    case = data.draw(cases(name))
    y, backward = case.layer(case.x, train)
    dy = case.like_output(y)
    dx, full = gradients(case.layer, backward, dy)
    for path, _ in parameters.leaves(full):
        grads = without(parameters.zeros(case.layer.params), path)
        same(backward(dy, grads), dx)
        same_trees(grads, without(full, path))
    same(backward(dy, empty := {}), dx)
    assert empty == {}
    same(backward(dy), dx)
    same(backward(dy, parameters.without_running(grads := parameters.zeros(case.layer.params))), dx)
    for path, value in parameters.leaves(grads):  # `without_running` gave views of these
        if parameters.is_running(path):
            assert value == []
        else:
            same(value, parameters.flatten(full)[path])


def test_an_attack_computes_no_gradient_of_weights(monkeypatch):
    """Neither without grads, nor where the slot is missing."""

    def forbidden(*arguments):
        raise AssertionError("computed a gradient that nobody asked for")

    random = np.random.default_rng(0)
    network = randomize(small_resnet(), random)
    z, backward = network(random.random((3, 8, 7, 3)))
    monkeypatch.setattr(im2col_module, "weight_gradient", forbidden)
    dx = backward(z)
    same(backward(z, {"head": parameters.zeros(network.params["head"])}), dx)
    with pytest.raises(AssertionError, match="nobody asked"):
        backward(z, parameters.zeros(network.params))


# ---------------------------------------------------------------- bits


def check_each_example_alone(layer, x, dy):
    """Outputs and input gradients of a batch are, bit for bit, those of its examples one by one,
    and of batches of unequal size."""
    y, backward = layer(x)
    dx = backward(dy)
    for cut in (range(1, len(x)), [len(x) - 1] if len(x) > 2 else []):
        parts = np.split(np.arange(len(x)), cut)
        found = [(y, backward(dy[part])) for part in parts for y, backward in [layer(x[part])]]
        same(np.concatenate([y for y, _ in found]), y)
        same(np.concatenate([dx for _, dx in found]), dx)


@precision
@each_part
@given(st.data())
def test_an_example_does_not_depend_on_its_batch(name, dtype, data):
    case = data.draw(cases(name)).astype(dtype)
    y, _ = case.layer(case.x)
    check_each_example_alone(case.layer, case.x, case.like_output(y))


@precision
@pytest.mark.parametrize(
    ("build", "shape"),
    [
        (networks.compact_cnn, (5, 32, 32, 3)),
        (lambda: networks.compact_cnn(head="prototypes"), (5, 17, 13, 3)),
        (small_resnet, (12, 33, 29, 3)),
        (lambda: NETWORKS["WRN-10-1"]("linear"), (5, 16, 16, 3)),
    ],
    ids=["compact_cnn", "odd compact_cnn", "small ResNet", "WRN-10-1"],
)
def test_an_example_does_not_depend_on_its_batch_in_a_network(build, shape, dtype):
    random = np.random.default_rng(2)
    network = randomize(build(), random, dtype)
    x = random.random(shape).astype(dtype)
    classes = network(x[:1])[0].shape[1]
    check_each_example_alone(network, x, random.normal(size=(len(x), classes)).astype(dtype))


DIGEST = """
import hashlib
import numpy as np
from tinyproto.testing import randomize
from tinyproto.testing.networks import small_cnn, small_resnet
from tinyproto import networks, parameters
from tinyproto.backend import cpu

print(cpu.load_numba().get_num_threads())
for build, shape in (
    (lambda: networks.compact_cnn(head="prototypes"), (5, 32, 32, 3)),
    (small_cnn, (16, 33, 29, 3)),
    (small_resnet, (16, 33, 29, 3)),
):
    for dtype in (np.float32, np.float64):
        random = np.random.default_rng(0)
        network = randomize(build(), random, dtype)
        x = random.random(shape).astype(dtype)
        for train in (False, True):
            z, backward = network(x, train)
            grads = parameters.zeros(network.params)
            dx = backward(random.normal(size=z.shape).astype(dtype), grads)
            digest = hashlib.sha256(z.tobytes() + dx.tobytes())
            for path, value in parameters.leaves(grads):
                digest.update(path.encode())
                for array in value if isinstance(value, list) else [value]:
                    digest.update(array.tobytes())
            print(digest.hexdigest())
"""


@pytest.mark.slow
def test_no_bit_depends_on_the_number_of_threads():
    """Scores, input gradients, gradients of all parameters and batch statistics; also with BLAS
    allowed to use several threads."""
    seen = {}
    for count, blas in (("1", "1"), ("2", "2"), ("3", "2")):
        environment = {
            **os.environ, "NUMBA_NUM_THREADS": count, "OPENBLAS_NUM_THREADS": blas,
            "OMP_WAIT_POLICY": "passive",
        }  # fmt: skip
        run = subprocess.run(
            [sys.executable, "-c", DIGEST],
            cwd=ROOT,
            env=environment,
            capture_output=True,
            text=True,
        )
        assert run.returncode == 0, run.stderr
        threads, *seen[count] = run.stdout.split()
        assert threads == count
    assert len(set(seen["1"])) == 12
    assert seen["1"] == seen["2"] == seen["3"]


@mode
@each_part
@given(st.data())
def test_float32_stays_float32(name, train, data):
    case = data.draw(cases(name)).astype(np.float32)
    y, backward = case.layer(case.x, train)
    assert y.dtype == np.float32
    dx, grads = gradients(case.layer, backward, case.like_output(y))
    assert dx.dtype == np.float32
    assert dx.shape == case.x.shape
    for path, value in parameters.leaves(grads):
        leaf = parameters.flatten(case.layer.params)[path]
        for array in value if isinstance(value, list) else [value]:
            assert (array.dtype, array.shape) == (np.float32, leaf.shape)


@mode
@each_part
@given(st.data())
def test_float32_is_float64_up_to_rounding(name, train, data):
    case = data.draw(cases(name))
    y, backward = case.layer(case.x, train)
    dy = case.like_output(y)
    dx, grads = gradients(case.layer, backward, dy)
    single = case.astype(np.float32)
    y32, backward = single.layer(single.x, train)
    dx32, grads32 = gradients(single.layer, backward, dy.astype(np.float32))
    pairs = [(y32, y), (dx32, dx)]
    slots = zip(parameters.leaves(grads32), parameters.leaves(grads), strict=True)
    pairs += [(a, b) for (_, a), (_, b) in slots if not isinstance(b, list)]
    for found, exact in pairs:
        scale = 1 + np.abs(exact).max()
        np.testing.assert_allclose(found, exact, rtol=0, atol=2e-4 * scale)


def strided(array):
    """The same numbers with gaps between them, the axes of an image in another order."""
    turned = np.moveaxis(array, -1, 1)
    wide = np.full((*turned.shape[:-1], 2 * turned.shape[-1]), np.nan, array.dtype)
    wide[..., ::2] = turned
    view = np.moveaxis(wide[..., ::2], 1, -1)
    assert (view == array).all()
    return view


@mode
@each_part
@given(st.data())
def test_arrays_need_not_be_contiguous(name, train, data):
    case = data.draw(cases(name))
    y, backward = case.layer(case.x, train)
    dy = case.like_output(y)
    dx, grads = gradients(case.layer, backward, dy)
    y_strided, backward = case.layer(strided(case.x), train)
    dx_strided, grads_strided = gradients(case.layer, backward, strided(dy))
    np.testing.assert_allclose(y_strided, y, **EXACT)
    np.testing.assert_allclose(dx_strided, dx, **EXACT)
    for (_, a), (_, b) in zip(
        parameters.leaves(grads_strided), parameters.leaves(grads), strict=True
    ):
        np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-12)


# ---------------------------------------------------------------- initial weights, trees, errors


def test_initial_weights_have_variance_two_over_fan_in():
    for layer, fan_in in ((Conv2D(16, 64, 3), 16 * 9), (Linear(100, 200), 100)):
        weight = initialize(layer, seed=3).params["weight"]
        assert weight.dtype == np.float32
        assert abs(weight.mean()) < 4 * weight.std() / np.sqrt(weight.size)
        assert weight.var() == pytest.approx(2 / fan_in, rel=5 / np.sqrt(weight.size))
        assert (layer.params["bias"] == 0).all()


@pytest.mark.parametrize("build", [lambda: Conv2D(2, 3, 3), lambda: Linear(4, 5)])
def test_a_new_layer_has_the_weights_of_seed_0(build):
    same_trees(build().params, initialize(build(), 0).params)
    assert not (build().params["weight"] == initialize(build(), 1).params["weight"]).any()


def test_weights_are_drawn_by_seed_and_path():
    def drawn(seed, *names):
        parts = Layer()
        parts.params = {name: {"weight": np.zeros((3, 4), np.float32)} for name in names}
        return [part["weight"].copy() for part in initialize(parts, seed).params.values()]

    a, b = drawn(0, "a", "b")
    same(a, drawn(0, "x", "a")[1])  # whatever other weights there are
    assert not (a == b).any()
    assert not (a == drawn(1, "a")[0]).any()
    layer = BatchNorm(2)
    same_trees(initialize(layer, 5).params, BatchNorm(2).params)


def test_a_tree_of_parameters_is_made_of_the_trees_of_the_parts():
    conv, norm = Conv2D(1, 2, 1), BatchNorm(2)
    residual = Residual(Sequential(conv, norm, ReLU()), Conv2D(1, 2, 1, bias=False))
    paths = list(parameters.flatten(residual.params))
    assert paths == [
        "body/0/weight", "body/0/bias", "body/1/scale", "body/1/shift", "body/1/running_mean",
        "body/1/running_variance", "shortcut/weight",
    ]  # fmt: skip
    parameters.convert(residual.params, dtype=np.float64)
    assert conv.params["weight"].dtype == norm.params["scale"].dtype == np.float64
    assert Sequential(ReLU(), Flatten()).params == Residual(ReLU()).params == {}


WRONG_OPTIONS = [
    (lambda: Conv2D(0, 1, 3), "Conv2D: in_channels must be an integer of 1 or more, not 0"),
    (lambda: Conv2D(1, 2.0, 3), "Conv2D: out_channels must be an integer of 1 or more, not 2.0"),
    (lambda: Conv2D(1, 1, -3), "Conv2D: kernel_size must be an integer of 1 or more, not -3"),
    (lambda: Conv2D(1, 1, (3, 3)), "kernel_size must be an integer of 1 or more, not (3, 3)"),
    (lambda: Conv2D(1, 1, 3, stride=0), "Conv2D: stride must be an integer of 1 or more, not 0"),
    (lambda: Conv2D(1, 1, 3, padding=-1), "Conv2D: padding must be 0 or more, not -1"),
    (lambda: Conv2D(1, 1, 3, padding="same"), "must be a whole number, 0 or more, not 'same'"),
    (lambda: Conv2D(1, 1, 3, padding=True), "must be a whole number, 0 or more, not True"),
    (lambda: Normalize([], []), "Normalize: mean must hold one number or more"),
    (lambda: Affine([], []), "Affine: scale must hold one number or more"),
    (lambda: Normalize(0.5, 0.25), "Normalize: mean must be a sequence of numbers, not 0.5"),
    (lambda: Affine([1.0], 0.25), "Affine: shift must be a sequence of numbers, not 0.25"),
    (lambda: Sequential([Linear(2, 2)]), "Sequential is made of layers, not of type list"),
    (lambda: FlipAverage(len), "FlipAverage is made of layers, not of type builtin"),
    (lambda: Residual(len), "Residual is made of layers, not of type builtin"),
    (lambda: Residual(ReLU(), len), "Residual is made of layers, not of type builtin"),
    (lambda: Linear(0, 1), "Linear: in_features must be an integer of 1 or more, not 0"),
    (lambda: Linear(1, None), "Linear: out_features must be an integer of 1 or more, not None"),
    (lambda: BatchNorm(0), "BatchNorm: channels must be an integer of 1 or more, not 0"),
    (lambda: MaxPool2D(0), "MaxPool2D: kernel_size must be an integer of 1 or more, not 0"),
    (lambda: MaxPool2D(2, 0), "MaxPool2D: stride must be an integer of 1 or more, not 0"),
    (
        lambda: AveragePool2D(1.5),
        "AveragePool2D: kernel_size must be an integer of 1 or more, not 1.5",
    ),
    (lambda: Normalize((0, 0), (1,)), "Normalize: std must hold 2 numbers above 0, not (1,)"),
    (lambda: Normalize((0,), (0,)), "Normalize: std must hold 1 numbers above 0, not (0,)"),
]

IMAGE, ROW = np.zeros((2, 5, 4, 3)), np.zeros((2, 3))
WRONG_SHAPES = [
    (Conv2D(2, 1, 3), IMAGE, "Conv2D expects x of shape (N, H, W, 2), not (2, 5, 4, 3)"),
    (Conv2D(3, 1, 3), IMAGE[0], "Conv2D expects x of shape (N, H, W, 3), not (5, 4, 3)"),
    (Conv2D(3, 1, 5), IMAGE, "windows of 5 pixels do not fit an image of 4 with padding 0"),
    (Conv2D(3, 1, 8, padding=1), IMAGE, "of 8 pixels do not fit an image of 5 with padding 1"),
    (Linear(4, 1), ROW, "Linear expects x of shape (N, 4), not (2, 3)"),
    (Linear(3, 1), IMAGE, "Linear expects x of shape (N, 3), not (2, 5, 4, 3)"),
    (BatchNorm(4), IMAGE, "BatchNorm expects x of shape (N, H, W, 4), not (2, 5, 4, 3)"),
    (BatchNorm(4), ROW, "BatchNorm expects x of shape (N, 4), not (2, 3)"),
    (BatchNorm(3), IMAGE[0], "BatchNorm expects x of shape (N, H, W, 3), not (5, 4, 3)"),
    (MaxPool2D(5), IMAGE, "MaxPool2D: windows of 5 pixels do not fit (5, 4)"),
    (AveragePool2D(5), IMAGE, "AveragePool2D: windows of 5 pixels do not fit (5, 4)"),
    (MaxPool2D(2), ROW, "MaxPool2D expects x of shape (N, H, W, C), not (2, 3)"),
    (GlobalAveragePool(), ROW, "GlobalAveragePool expects x of shape (N, H, W, C), not (2, 3)"),
    (Normalize((0,), (1,)), IMAGE, "Normalize expects 1 channels, not 3"),
    (FlipAverage(Flatten()), ROW, "FlipAverage expects x of shape (N, H, W, C), not (2, 3)"),
    (
        FlipAverage(ReLU()),
        IMAGE,
        "FlipAverage: body must give rows (N, features), not (4, 5, 4, 3)",
    ),
    (
        Residual(Conv2D(3, 3, 2)),
        IMAGE,
        "Residual: body gives (2, 4, 3, 3), shortcut (2, 5, 4, 3)",
    ),
]


def one_line(function, *arguments):
    with pytest.raises(ValueError) as caught:  # noqa: PT011 (the text is what is tested)
        function(*arguments)
    text = str(caught.value)
    assert "\n" not in text
    return text


@pytest.mark.parametrize(("build", "says"), WRONG_OPTIONS, ids=[says for _, says in WRONG_OPTIONS])
def test_a_wrong_option_is_named(build, says):
    assert says in one_line(build)


@pytest.mark.parametrize(("layer", "x", "says"), WRONG_SHAPES, ids=[s for *_, s in WRONG_SHAPES])
def test_a_wrong_shape_is_named(layer, x, says):
    for dtype in (np.float32, np.float64):
        assert says in one_line(layer, x.astype(dtype))


def test_batch_norm_in_train_mode_needs_more_than_one_value():
    x = np.ones((1, 3), np.float32)
    assert "2 values a channel or more, not 1" in one_line(lambda: BatchNorm(3)(x, train=True))
    assert np.isfinite(BatchNorm(3)(x)[0]).all()  # in eval mode one is enough


@settings(max_examples=10)
@given(st.data())
def test_a_channel_of_variance_0(data):
    """It gives its shift, and finite gradients."""
    case = data.draw(cases("BatchNorm of images"))
    x = np.zeros_like(case.x) + 3
    y, backward = case.layer(x, train=True)
    np.testing.assert_allclose(y, np.broadcast_to(case.layer.params["shift"], y.shape))
    dx, grads = gradients(case.layer, backward, case.like_output(y))
    assert np.isfinite(dx).all()
    assert (grads["running_variance"][0] == 0).all()


def test_the_variance_is_precise_with_a_large_mean():
    """Σ (x − μ)² is; Σ x² − m μ² would be rounding error alone in float32."""
    x = (1e4 + np.random.default_rng(0).normal(size=(4, 5, 6, 3))).astype(np.float32)
    layer = BatchNorm(3)
    y, backward = layer(x, train=True)
    _, grads = gradients(layer, backward, y)
    exact = x.astype(np.float64).var(axis=(0, 1, 2), ddof=1)
    np.testing.assert_allclose(grads["running_variance"][0], exact, rtol=1e-5)
    np.testing.assert_allclose(y.std(axis=(0, 1, 2)), 1, rtol=1e-4)


def test_shapes_of_the_small_networks():
    assert small_cnn()(np.zeros((2, 9, 8, 3), np.float32))[0].shape == (2, 3)
    assert small_resnet("linear")(np.zeros((2, 9, 8, 3), np.float32))[0].shape == (2, 3)


# ---------------------------------------------------------------- empty and invalid inputs


@pytest.mark.parametrize(
    "name",
    [
        "Conv2D", "ReLU", "GlobalAveragePool", "Sequential", "Residual", "Linear", "MaxPool2D",
        "AveragePool2D", "Flatten", "Normalize",
    ],
)  # fmt: skip
@settings(max_examples=5)
@given(st.data())
def test_an_empty_batch(name, data):
    case = data.draw(cases(name))
    y, backward = case.layer(case.x[:0])
    assert y.shape == (0, *case.layer(case.x)[0].shape[1:])
    dx, grads = gradients(case.layer, backward, y)
    assert dx.shape == (0, *case.x.shape[1:])
    for _, value in parameters.leaves(grads):
        assert isinstance(value, list) or (value == 0).all()


@pytest.mark.filterwarnings("error::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("kind", [MaxPool2D, AveragePool2D])
def test_no_channels(kind, dtype, capfd):
    x = np.zeros((2, 4, 4, 0), dtype)
    y, backward = kind()(x)
    assert y.shape == (2, 2, 2, 0)
    assert backward(y).shape == x.shape
    assert capfd.readouterr().err == ""  # where Numba tells of what a kernel raises


@pytest.mark.parametrize(
    "layer",
    [Normalize((0.5,) * 3, (0.25,) * 3), BatchNorm(3), GlobalAveragePool(), Conv2D(3, 1, 1)],
)
def test_bytes_are_refused(layer):
    """An image of bytes must be converted to floating-point numbers in [0, 1] first."""
    assert "uint8" in one_line(layer, np.full((1, 4, 5, 3), 200, np.uint8))


@pytest.mark.parametrize("layer", [MaxPool2D(), AveragePool2D()])
def test_a_wrong_shape_of_dy_is_refused(layer):
    _, backward = layer(np.zeros((1, 6, 6, 3)))
    one_line(backward, np.zeros((1, 2, 2, 3)))


def test_max_pooling_of_a_window_with_nan_is_nan():
    x = np.zeros((1, 2, 2, 1))
    for place in range(4):
        y, _ = MaxPool2D()(np.where(np.arange(4).reshape(1, 2, 2, 1) == place, np.nan, x))
        assert np.isnan(y).all()


def test_batch_norm_needs_an_epsilon_above_0():
    with pytest.raises(ValueError, match="epsilon must be above 0 and finite in float32, not -1"):
        BatchNorm(3, epsilon=-1)
