"""The float32 fast path of the CPU against the general code in float64; a layer fused with the ReLU
after it; BatchNorm folded into convolutions."""

from copy import deepcopy

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.layers.test_layers import (
    check_each_example_alone,
    gradients,
    mode,
    precision,
    same,
    same_trees,
)
from tinyproto import networks, parameters
from tinyproto.cpu import direct, winograd
from tinyproto.layers import (
    BatchNorm,
    Conv2D,
    Flatten,
    Layer,
    Linear,
    ReLU,
    Residual,
    Sequential,
    fold,
    im2col,
)
from tinyproto.layers.convolution_backend import select_backend
from tinyproto.testing import randomize
from tinyproto.testing.layers import PARTS, Case, cases
from tinyproto.testing.networks import network_cases, small_resnet

WIDE = {
    "compact_cnn": lambda: networks.compact_cnn(4, feature_width=7),
    "ResNet of 16": lambda: small_resnet(width=16),
    "WRN-10-2": lambda: networks.wide_resnet(10, 2, 3, feature_width=4, head="prototypes"),
}
each_wide = pytest.mark.parametrize("name", WIDE)


def wide_case(name, seed=0, count=3):
    random = np.random.default_rng(seed)
    network = randomize(WIDE[name](), random)
    return Case(network, random.random((count, 13, 11, 3)), random)


class Unfused(Layer):
    """A layer without a fused pass."""

    def __init__(self, layer):
        self.layer, self.params = layer, layer.params

    def __call__(self, x, train=False):
        return self.layer(x, train)


# ---------------------------------------------------------------- choosing a backend


@pytest.mark.parametrize(
    ("x", "weight", "stride", "padding", "channels", "module"),
    [
        ("float32", "float32", 1, 1, 16, winograd),
        ("float32", "float32", 1, 2, 64, winograd),
        ("float32", "float32", 1, 3, 64, direct),
        ("float32", "float32", 2, 1, 64, direct),
        ("float32", "float32", 1, 1, 3, direct),
        ("float64", "float64", 1, 1, 64, im2col),
        ("float32", "float64", 1, 1, 64, im2col),
        ("float64", "float32", 1, 1, 64, im2col),
    ],
)
def test_select_backend(x, weight, stride, padding, channels, module):
    x, weight = np.zeros((1, 8, 8, 64), x), np.zeros((3, 3, 64, 64), weight)
    assert select_backend(x, weight, stride, padding, channels) is module
    if module is winograd:
        assert select_backend(x, weight[:1, :1], stride, padding, channels) is direct


# ---------------------------------------------------------------- float32 against float64


def check_precision(case, train, tolerance):
    """y, dx and all gradients in float32 against float64: the norm of the difference."""

    def close(found, exact):
        assert found.dtype == np.float32
        assert np.linalg.norm(found - exact) <= tolerance * (np.linalg.norm(exact) + 1e-6)

    case = case.astype(np.float32)  # so that both compute with the same numbers
    single = deepcopy(case)
    double = case.astype(np.float64)
    y, backward = double.layer(double.x, train)
    dy = double.like_output(y).astype(np.float32)
    dx, grads = gradients(double.layer, backward, dy.astype(np.float64))
    y_single, backward = single.layer(single.x, train)
    dx_single, grads_single = gradients(single.layer, backward, dy)
    close(y_single, y)
    close(dx_single, dx)
    sizes = [np.abs(g).max() for g in parameters.flatten(grads).values() if len(g)]
    largest = max(sizes, default=0) or 1
    for path, exact in parameters.leaves(grads):
        found = parameters.flatten(grads_single)[path]
        if isinstance(exact, list):
            for a, b in zip(found, exact, strict=True):
                close(a, b)
        else:  # the gradient of a bias before a BatchNorm is 0 except for rounding
            assert np.abs(found - exact).max() <= 3 * tolerance * largest, path


@mode
@pytest.mark.parametrize("name", [name for name in PARTS if name not in ("Sequential", "Residual")])
@given(st.data())
def test_float32_layers_agree_with_float64(name, train, data):
    # In train mode, dividing by the deviation of a channel that hardly varies amplifies its error.
    amplified = train and name.startswith("BatchNorm")
    check_precision(data.draw(cases(name)), train, 1e-2 if amplified else 1e-4)


@mode
@each_wide
@settings(max_examples=3)
@given(st.integers(0, 1000))
def test_float32_networks_agree_with_float64(name, train, seed):
    check_precision(wide_case(name, seed), train, 5e-3 if train else 1e-3)


def test_scores_of_a_folded_network_are_those_of_float64_to_four_digits():
    network = randomize(networks.compact_cnn(), np.random.default_rng(1))
    x = np.random.default_rng(0).random((16, 32, 32, 3))
    exact, _ = network(x)
    z, _ = networks.fold(network.to(dtype=np.float32))(x.astype(np.float32))
    assert np.abs(z - exact).max() <= 1e-4 * np.abs(exact).max()


@each_wide
@pytest.mark.parametrize("folded", [False, True])
def test_an_example_does_not_depend_on_its_batch(name, folded):
    case = wide_case(name, count=5).astype(np.float32)
    layer = networks.fold(case.layer) if folded else case.layer
    z, _ = layer(case.x)
    check_each_example_alone(layer, case.x, case.like_output(z))


@pytest.mark.parametrize("channels", [3, 16])
def test_arrays_of_other_dtypes_and_strides_are_converted(channels):
    """Kernels compute addresses: they must get the dtype and the memory layout that they expect."""
    random = np.random.default_rng(0)
    layer = randomize(Conv2D(channels, 20, 3, padding=1), random, np.float32)
    x = random.normal(size=(2, 6, 5, channels)).astype(np.float32)
    y, backward = layer(x)
    dx, grads = gradients(layer, backward, y)
    dx_double, grads_double = gradients(layer, backward, y.astype(np.float64))
    same(dx_double, dx)
    same_trees(grads_double, grads)
    weight, bias = layer.params["weight"], layer.params["bias"]
    layer.params["weight"] = np.asfortranarray(weight)
    layer.params["bias"] = np.repeat(bias.astype(np.float64), 2)[::2]
    same(layer(x)[0], y)


# ---------------------------------------------------------------- a layer and its ReLU


PAIRS = {
    "convolution": lambda: Conv2D(3, 5, 3, padding=1),
    "convolution of many channels": lambda: Conv2D(16, 33, 3, padding=1),
    "convolution of stride 2": lambda: Conv2D(16, 20, 3, stride=2, padding=1),
    "BatchNorm": lambda: BatchNorm(16),
    "Residual": lambda: Residual(Conv2D(16, 16, 3, padding=1)),
}


@mode
@precision
@pytest.mark.parametrize("name", PAIRS)
def test_a_fused_relu_gives_the_same_bits_as_a_separate_one(name, dtype, train):
    random = np.random.default_rng(0)
    layer = randomize(PAIRS[name](), random, dtype)
    channels = layer.params["weight"].shape[2] if "weight" in layer.params else 16
    x = random.normal(size=(3, 9, 7, channels)).astype(dtype)
    fused, separate = Sequential(layer, ReLU()), Sequential(Unfused(layer), ReLU())
    y, backward = fused(x, train)
    expected, other = separate(x, train)
    same(y, expected)
    assert (y == 0).any()
    dy = random.normal(size=y.shape).astype(dtype)
    dx, grads = gradients(fused, backward, dy)
    expected, other_grads = gradients(separate, other, dy)
    same(dx, expected)
    same_trees(grads, other_grads)


class LeakyReLU(ReLU):
    """A subclass of ReLU that computes something else."""

    def __call__(self, x, train=False):
        return np.where(x > 0, x, x / 8), lambda dy, grads=None: np.where(x > 0, dy, dy / 8)


def test_only_a_plain_relu_is_fused():
    convolution = Conv2D(3, 4, 3)
    x = np.random.default_rng(0).normal(size=(2, 6, 5, 3)).astype(np.float32)
    y, _ = Sequential(convolution, LeakyReLU())(x)
    assert (y < 0).any()


class Doubled(Conv2D):
    """A pass of its own: the inherited `forward_relu` would ignore it."""

    def __call__(self, x, train=False):
        y, backward = super().__call__(x, train)
        return 2 * y, lambda dy, grads=None: backward(2 * dy, grads)


class TwiceDoubled(Doubled):
    """Overrides nothing itself."""


class DoubledForward(Conv2D):
    """What `__call__` and `forward_relu` call in common, changed without regard to the ReLU."""

    def _forward(self, x, train, relu):
        y, backward = super()._forward(x, train, relu=False)
        return 2 * y, lambda dy, grads=None: backward(2 * dy, grads)


class Doubling:
    """A mixin."""

    def __call__(self, x, train=False):
        y, backward = super().__call__(x, train)
        return 2 * y, lambda dy, grads=None: backward(2 * dy, grads)


class Mixed(Doubling, Conv2D):
    """The pass of the mixin, and no method of its own."""


class OwnFusedPass(Conv2D):
    """A fused pass of its own, and no other method."""

    def forward_relu(self, x, train=False):
        return super().forward_relu(x, train)


class DoubledAfterIt(Doubling, OwnFusedPass):
    """Another pass than that of the class before the one that defines the fused pass."""


@pytest.mark.parametrize("kind", [Doubled, TwiceDoubled, DoubledForward, Mixed, DoubledAfterIt])
def test_a_subclass_with_a_pass_of_its_own_does_not_inherit_the_fused_one(kind):
    layer = kind(3, 4, 3)
    x = np.random.default_rng(0).normal(size=(2, 6, 5, 3)).astype(np.float32)
    y, backward = Sequential(layer, ReLU())(x)
    assert kind.forward_relu is Layer.forward_relu
    same(y, np.maximum(layer(x)[0], 0))
    same(y, 2 * np.maximum(Conv2D(3, 4, 3)(x)[0], 0))
    same(backward(y), layer(x)[1](y))
    same(fold(Sequential(layer, BatchNorm(4)))(x)[0], Sequential(layer, BatchNorm(4))(x)[0])


class Named(Conv2D):
    """A convolution with a name; its pass is the same."""

    def __init__(self, name, *options):
        super().__init__(*options)
        self.name = name

    def __repr__(self):
        return self.name


class Clipped(Doubled):
    """A fused pass for its own rule."""

    def forward_relu(self, x, train=False):
        y, backward = Conv2D.forward_relu(self, x, train)
        return 2 * y, lambda dy, grads=None: backward(2 * dy, grads)


def test_a_subclass_with_the_same_pass_keeps_the_fused_one(monkeypatch):
    assert Named.forward_relu is Conv2D.forward_relu
    assert Clipped.forward_relu is not Layer.forward_relu
    x = np.random.default_rng(0).normal(size=(2, 6, 5, 3)).astype(np.float32)
    expected = np.maximum(Conv2D(3, 4, 3)(x)[0], 0)
    monkeypatch.setattr(ReLU, "__call__", None)  # a separate ReLU would fail
    same(Sequential(Named("stem", 3, 4, 3), ReLU())(x)[0], expected)
    same(Sequential(Clipped(3, 4, 3), ReLU())(x)[0], 2 * expected)


def test_a_gradient_of_another_shape_is_refused():
    _, backward = Sequential(Residual(Conv2D(3, 3, 3, padding=1)), ReLU())(np.zeros((2, 8, 8, 3)))
    with pytest.raises(ValueError, match="expects dy of shape"):
        backward(np.zeros((2, 4, 4, 3)))


def test_one_relu_is_fused_at_a_time():
    """Of several in a row all are applied, and so is one at the start."""
    layer = Sequential(ReLU(), Conv2D(2, 3, 1), ReLU(), ReLU(), ReLU())
    x = np.random.default_rng(0).normal(size=(2, 4, 5, 2))
    y, backward = layer(x)
    expected = np.maximum(layer.layers[1](np.maximum(x, 0))[0], 0)
    same(y, expected)
    dx, grads = gradients(layer, backward, y)
    assert set(grads) == {"1"}
    assert not dx[x < 0].any()


# ---------------------------------------------------------------- folding


@precision
@pytest.mark.parametrize("name", WIDE)
@settings(max_examples=3)
@given(st.integers(0, 1000))
def test_folding_changes_nothing_beyond_rounding(name, dtype, seed):
    case = wide_case(name, seed).astype(dtype)
    folded = networks.fold(case.layer)
    z, backward = case.layer(case.x)
    z_folded, backward_folded = folded(case.x)
    assert z_folded.dtype == dtype
    rounding = 1e-12 if dtype == np.float64 else 2e-4
    for one, other in ((z_folded, z), (backward_folded(z), backward(z))):
        assert np.linalg.norm(one - other) <= rounding * np.linalg.norm(other)


@settings(max_examples=5)
@given(st.data())
def test_small_networks_fold(data):
    for name in ("small CNN", "small ResNet"):
        case = data.draw(network_cases(name))
        z, _ = case.layer(case.x)
        np.testing.assert_allclose(networks.fold(case.layer)(case.x)[0], z, rtol=1e-9, atol=1e-9)


def parts_of(layer):
    for part in getattr(layer, "layers", ()):
        yield part
        yield from parts_of(part)
    for name in ("body", "shortcut", "features"):
        if getattr(layer, name, None) is not None:
            yield from parts_of(getattr(layer, name))


@pytest.mark.parametrize(
    ("name", "count"), [("compact_cnn", 0), ("ResNet of 16", 0), ("WRN-10-2", 3)]
)
def test_the_number_of_batch_norms_that_cannot_be_folded(name, count):
    """In a wide ResNet, those after a sum."""
    network = WIDE[name]()
    for folded in (networks.fold(network), fold(Sequential(network))):
        assert sum(isinstance(part, BatchNorm) for part in parts_of(folded)) == count


def test_a_network_with_a_pass_of_its_own_keeps_it():
    class Opposite(networks.Network):
        def __call__(self, x, train=False):
            return -super().__call__(x, train)[0], None

    x = np.ones((1, 2, 2, 3))
    network = networks.Network(Flatten(), Linear(12, 2))
    same(networks.fold(Opposite(network.features, network.head))(x)[0], -network(x)[0])


def test_a_folded_network_is_a_copy():
    network = randomize(networks.compact_cnn(), np.random.default_rng(0), np.float32)
    x = np.random.default_rng(1).random((2, 8, 8, 3), np.float32)
    folded = networks.fold(network)
    before, _ = folded(x)
    for _, leaf in parameters.leaves(network.params):
        leaf[...] = 0
    same(folded(x)[0], before)


@pytest.mark.parametrize("stride", [1, 2])
def test_weights_are_prepared_once_in_a_folded_network(stride, monkeypatch):
    """And again when they are replaced by another array."""
    made = []
    for backend in (winograd, direct):
        prepare = backend.prepare_weights
        monkeypatch.setattr(
            backend, "prepare_weights", lambda *a, prepare=prepare: made.append(1) or prepare(*a)
        )
    layer = Conv2D(16, 20, 3, stride=stride, padding=1)
    layer = fold(randomize(layer, np.random.default_rng(0), np.float32))
    x = np.random.default_rng(1).random((2, 6, 5, 16), np.float32)
    for _ in range(3):
        y, backward = layer(x)
        dx = backward(y)
    assert len(made) == 2
    with pytest.raises(ValueError, match="read-only"):
        layer.params["weight"] *= 2
    layer.params["weight"] = 2 * layer.params["weight"]
    layer.params["bias"] = 2 * layer.params["bias"]
    doubled, backward = layer(x)
    np.testing.assert_allclose(doubled, 2 * y, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(backward(y), 2 * dx, rtol=1e-5, atol=1e-5)
    assert len(made) == 4


def test_a_folded_network_that_is_trained_uses_the_weights_it_has():
    layer = fold(randomize(Conv2D(16, 20, 3, padding=1), np.random.default_rng(0), np.float32))
    x = np.random.default_rng(1).random((2, 6, 5, 16), np.float32)
    layer(x)[1](layer(x)[0])  # fills the cache of prepared weights
    for train in (True, False):
        layer(x, train=True)
        layer.params["weight"] *= 3
        plain = deepcopy(layer)
        plain.weight_cache = None
        y, backward = layer(x, train)
        expected, other = plain(x, train)
        same(y, expected)
        same(backward(y), other(y))


def test_a_bias_before_a_batch_norm_is_folded_too():
    layer = randomize(Sequential(Conv2D(3, 4, 3), BatchNorm(4)), np.random.default_rng(0))
    x = np.random.default_rng(1).random((2, 6, 5, 3))
    np.testing.assert_allclose(fold(layer)(x)[0], layer(x)[0], rtol=1e-12, atol=1e-12)


def test_a_folded_network_cannot_be_saved(tmp_path):
    with pytest.raises(ValueError, match="cannot describe a folded network"):
        networks.save(networks.fold(networks.compact_cnn()), tmp_path / "model.npz")
    assert not list(tmp_path.iterdir())
