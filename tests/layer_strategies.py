"""Layers with inputs of matching shapes for Hypothesis, and numerical derivatives of them.

All parameters are random, those of BatchNorm too: no term of a gradient is 0 because of an initial
value. Inputs are spaced: no two values of an example are equal, and none is near 0, the kink of a
ReLU.
"""

from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from unittest import mock

import numpy as np
from hypothesis import assume
from hypothesis import strategies as st

from tinyproto import networks, parameters
from tinyproto.layers import (
    Affine,
    AveragePool2D,
    BatchNorm,
    Conv2D,
    Flatten,
    GlobalAveragePool,
    Graph,
    Layer,
    Linear,
    MaxPool2D,
    Normalize,
    Pad2D,
    ReLU,
    Residual,
    Sequential,
)
from tinyproto.networks import Network
from tinyproto.prototypes.dpnp import PrototypeHead


@dataclass
class Case:
    """A layer, an input x for it, and a generator of random numbers."""

    layer: Layer
    x: np.ndarray
    random: np.random.Generator

    def like_output(self, y):
        """A random dy of the shape and dtype of y."""
        return self.random.normal(size=y.shape).astype(y.dtype)

    def astype(self, dtype) -> "Case":
        """The same case in another dtype, the layer changed in place."""
        parameters.convert(self.layer.params, dtype=dtype)
        return Case(self.layer, self.x.astype(dtype), self.random)


def randomize(layer, random, dtype=np.float64):
    """Give every parameter random values, in place."""
    for path, leaf in parameters.leaves(layer.params):
        name = path.rpartition("/")[2]
        if name == "running_variance":
            leaf[...] = random.uniform(0.5, 2, leaf.shape)
        elif name == "scale":
            leaf[...] = random.uniform(0.5, 1.5, leaf.shape) * random.choice([-1, 1], leaf.shape)
        elif name == "weight":
            leaf[...] = random.normal(size=leaf.shape) / np.sqrt(leaf[..., 0].size)
        else:
            leaf[...] = random.normal(size=leaf.shape) / 2
    parameters.convert(layer.params, dtype=dtype)
    if isinstance(layer, Network):
        layer.project()
    return layer


def spaced(random, shape):
    """Values in ±2, in random order, at least 3 / n apart and 1.5 / n from 0."""
    n = int(np.prod(shape))
    levels = np.arange(n) - (n - 1) // 2 + random.uniform(-0.1, 0.1, n) - 0.5
    return random.permutation(4 * levels / n).reshape(shape)


def sides(draw, minimum=1, maximum=8):
    """A height and a different width."""
    height = draw(st.integers(minimum, maximum))
    width = draw(st.integers(minimum, maximum + 1).filter(lambda w: w != height))
    return height, width


BATCHES, CHANNELS, KERNELS = st.integers(1, 4), st.integers(1, 4), st.integers(1, 4)


def windows(draw):
    """The options of a layer with windows, and a height and a width of at least one window."""
    size, stride = draw(KERNELS), draw(st.integers(1, 3))
    return size, stride, sides(draw, minimum=size, maximum=size + 4)


def convolution(draw):
    size, stride, padding = draw(KERNELS), draw(st.integers(1, 3)), draw(st.integers(0, 2))
    smallest = max(1, size - 2 * padding)
    channels, bias = draw(CHANNELS), draw(st.booleans())
    options = {"stride": stride, "padding": padding, "bias": bias}
    layer = Conv2D(channels, draw(CHANNELS), size, **options)
    return layer, (draw(BATCHES), *sides(draw, smallest, smallest + 4), channels)


def linear(draw):
    features = draw(st.integers(1, 6))
    layer = Linear(features, draw(st.integers(1, 5)), bias=draw(st.booleans()))
    return layer, (draw(BATCHES), features)


def batch_norm_of_images(draw):
    channels = draw(CHANNELS)
    return BatchNorm(channels), (draw(BATCHES), *sides(draw, minimum=3, maximum=6), channels)


def batch_norm_of_rows(draw):
    channels = draw(CHANNELS)
    return BatchNorm(channels), (draw(st.integers(4, 8)), channels)


def any_shape(draw):
    form = (*sides(draw), draw(CHANNELS)) if draw(st.booleans()) else (draw(st.integers(1, 6)),)
    return draw(BATCHES), *form


def normalize(draw):
    shape = any_shape(draw)
    numbers = st.lists(st.floats(0.25, 4), min_size=shape[-1], max_size=shape[-1])
    return Normalize(draw(numbers), draw(numbers)), shape


def affine(draw):
    shape = any_shape(draw)
    numbers = st.lists(st.floats(-4, 4), min_size=shape[-1], max_size=shape[-1])
    return Affine(draw(numbers), draw(numbers)), shape


def pad(draw):
    padding = draw(st.integers(0, 2)) if draw(st.booleans()) else draw(st.tuples(*[KERNELS] * 4))
    return Pad2D(padding, draw(st.floats(-2, 2))), images(draw)


def pool(kind):
    def build(draw):
        size, stride, image = windows(draw)
        layer = kind(size, None if stride == size else stride)
        return layer, (draw(BATCHES), *image, draw(CHANNELS))

    return build


def images(draw):
    return draw(BATCHES), *sides(draw), draw(CHANNELS)


def prototype_head(draw):
    features, classes = draw(st.integers(1, 6)), draw(st.integers(2, 5))
    return PrototypeHead(features, classes), (draw(BATCHES), features)


def sequential(draw):
    """A convolution, BatchNorm, ReLU, pooling, Flatten and a Linear layer."""
    channels, out, (height, width) = draw(CHANNELS), draw(CHANNELS), sides(draw, 4, 7)
    kind = draw(st.sampled_from([MaxPool2D, AveragePool2D]))
    pixels = (height - 1) // 2 * ((width - 1) // 2)
    layer = Sequential(
        Conv2D(channels, out, 2), BatchNorm(out), ReLU(), kind(2), Flatten(),
        Linear(out * pixels, draw(st.integers(1, 4))),
    )  # fmt: skip
    return layer, (draw(st.integers(3, 4)), height, width, channels)


def residual(draw):
    """A body that keeps the shape, and the identity as shortcut."""
    channels, (height, width) = draw(CHANNELS), sides(draw, 2, 6)
    layer = Residual(
        Sequential(
            Conv2D(channels, channels, 3, padding=1, bias=False), BatchNorm(channels), ReLU(),
            Conv2D(channels, channels, 3, padding=1),
        )
    )  # fmt: skip
    return layer, (draw(st.integers(3, 4)), height, width, channels)


def residual_with_shortcut(draw):
    """A body that changes the shape, and a 1 × 1 convolution as shortcut."""
    channels, out, (height, width) = draw(CHANNELS), draw(CHANNELS), sides(draw, 3, 7)
    stride = draw(st.integers(1, 2))
    body = Sequential(Conv2D(channels, out, 3, stride=stride, padding=1), BatchNorm(out), ReLU())
    shortcut = Sequential(Conv2D(channels, out, 1, stride=stride, bias=False), BatchNorm(out))
    return Residual(body, shortcut), (draw(st.integers(3, 4)), height, width, channels)


def graph(draw):
    """Up to five nodes that keep the shape, each of one to three sources; nothing is left over."""
    channels, (height, width) = draw(CHANNELS), sides(draw, 2, 5)
    kinds = {
        "conv": lambda: Conv2D(channels, channels, 3, padding=1, bias=draw(st.booleans())),
        "norm": lambda: BatchNorm(channels),
        "relu": ReLU,
        "same": Sequential,
    }
    nodes, unused = {}, ["input"]
    for i in range(draw(st.integers(1, 5))):
        kind, known = draw(st.sampled_from(sorted(kinds))), ["input", *nodes]
        sources = draw(st.lists(st.sampled_from(known), min_size=1, max_size=3))
        nodes[f"{kind}{i}"] = (kinds[kind](), *sources)
        unused = [name for name in (*unused, f"{kind}{i}") if name not in sources]
    unused = [name for name in unused if name != "input"]
    nodes["last"] = (Conv2D(channels, draw(CHANNELS), 2), *unused)
    return Graph(nodes), (draw(st.integers(3, 4)), height, width, channels)


PARTS = {
    "Conv2D": convolution,
    "Linear": linear,
    "BatchNorm of images": batch_norm_of_images,
    "BatchNorm of rows": batch_norm_of_rows,
    "ReLU": lambda draw: (ReLU(), any_shape(draw)),
    "Normalize": normalize,
    "MaxPool2D": pool(MaxPool2D),
    "AveragePool2D": pool(AveragePool2D),
    "GlobalAveragePool": lambda draw: (GlobalAveragePool(), images(draw)),
    "Flatten": lambda draw: (Flatten(), any_shape(draw)),
    "PrototypeHead": prototype_head,
    "Affine": affine,
    "Pad2D": pad,
    "Graph": graph,
    "Sequential": sequential,
    "Residual": residual,
    "Residual with shortcut": residual_with_shortcut,
}
"""name → a function: draw ↦ (layer, shape of its input)."""


def block(channels, out, stride=1):
    return [Conv2D(channels, out, 3, stride=stride, padding=1, bias=False), BatchNorm(out), ReLU()]


def head(kind, features, classes):
    made = {"linear": Linear, "prototypes": PrototypeHead}[kind]
    return made(features, classes)


def small_cnn(kind="prototypes", width=4):
    """A smaller `compact_cnn`: two stages with pooling, global pooling, features, a head."""
    layers = [
        Normalize((0.5, 0.4, 0.3), (0.2, 0.3, 0.25)),
        *block(3, width), MaxPool2D(), *block(width, width + 1), MaxPool2D(2),
        GlobalAveragePool(), Linear(width + 1, 4),
    ]  # fmt: skip
    return Network(Sequential(*layers), head(kind, 4, 3))


def small_resnet(kind="prototypes", width=4):
    """A convolution, a block that keeps the shape, and one of stride 2 with a shortcut."""

    def body(channels, out, stride):
        return Sequential(
            *block(channels, out, stride), Conv2D(out, out, 3, padding=1, bias=False),
            BatchNorm(out),
        )  # fmt: skip

    shortcut = Sequential(Conv2D(width, 2 * width, 1, stride=2, bias=False), BatchNorm(2 * width))
    layers = [
        Normalize((0.5, 0.4, 0.3), (0.2, 0.3, 0.25)), *block(3, width),
        Residual(body(width, width, 1)), ReLU(),
        Residual(body(width, 2 * width, 2), shortcut), ReLU(),
        GlobalAveragePool(), Linear(2 * width, 4),
    ]  # fmt: skip
    return Network(Sequential(*layers), head(kind, 4, 3))


NETWORKS = {
    "small CNN": small_cnn,
    "small ResNet": small_resnet,
    "WRN-10-1": lambda kind: networks.wide_resnet(10, 1, 3, feature_width=4, head=kind),
}
"""name → a function: "linear" or "prototypes" ↦ a network of 3 classes."""


@st.composite
def cases(draw, name, batch=None):
    """A layer of PARTS with random parameters, and an input, in float64."""
    layer, shape = PARTS[name](draw)
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    shape = (batch or shape[0], *shape[1:])
    return Case(randomize(layer, random), spaced(random, shape), random)


@st.composite
def network_cases(draw, name, sizes=(6, 9)):
    """A network of NETWORKS with either head and random parameters, and 3–4 images, in float64."""
    network = NETWORKS[name](draw(st.sampled_from(["linear", "prototypes"])))
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    shape = (draw(st.integers(3, 4)), *sides(draw, *sizes), 3)
    return Case(randomize(network, random), random.random(shape), random)


@contextmanager
def kinks():
    """Yields a list, to which each call of a ReLU or a MaxPool2D inside the block appends on which
    side of its kinks it is."""
    seen = []

    def watched(kind):
        call = kind.__call__

        def watching(self, x, train=False):
            y, backward = call(self, x, train)
            dy = np.arange(1, y.size + 1, dtype=y.dtype).reshape(y.shape)
            seen.append(backward(dy).tobytes())
            return y, backward

        return mock.patch.object(kind, "__call__", watching)

    def watched_with_relu(kind):
        call = kind.forward_relu

        def watching(self, x, train=False):
            y, backward = call(self, x, train)
            seen.append((y > 0).tobytes())
            return y, backward

        return mock.patch.object(kind, "forward_relu", watching)

    with ExitStack() as stack:
        for patch in (watched(ReLU), watched(MaxPool2D)):
            stack.enter_context(patch)
        for kind in (Conv2D, BatchNorm, Residual):
            stack.enter_context(watched_with_relu(kind))
        yield seen


def derivative(function, step=1e-4):
    """d function(t) / dt at t = 0, by central differences of fourth order.

    The example is dropped if a ReLU or a pool changes sides between the ends.
    """
    values, sides_of_kinks = {}, []
    for t in (0, -2, -1, 1, 2):
        with kinks() as seen:
            values[t] = function(t * step)
        sides_of_kinks.append(seen)
    assume(all(seen == sides_of_kinks[0] for seen in sides_of_kinks))
    near, far = values[1] - values[-1], values[2] - values[-2]
    return (8 * near - far) / (12 * step)


CLOSE = 1e-7  # relative to the slope along a typical direction
ROUNDING = 1e-10  # of a gradient that is exactly 0: that of a bias before a BatchNorm in train mode


def assert_slope(gradient, direction, slope):
    """Σ gradient · direction is the slope."""
    typical = np.linalg.norm(gradient) * np.linalg.norm(direction) / np.sqrt(gradient.size)
    error = abs((gradient * direction).sum() - slope)
    assert error <= max(CLOSE * typical, ROUNDING), f"{error:.1e}, typical slope {typical:.1e}"


def unit(random, shape):
    direction = random.normal(size=shape)
    return direction / np.linalg.norm(direction)


def check_input_gradient(case, train, step=1e-4):
    """dx against differences of y along a random direction."""
    y, backward = case.layer(case.x, train)
    dy = case.like_output(y)
    direction = unit(case.random, case.x.shape)
    slope = derivative(lambda t: case.layer(case.x + t * direction, train)[0], step)
    assert_slope(backward(dy), direction, (slope * dy).sum())


def check_parameter_gradients(case, train, step=1e-4):
    """Each parameter's gradient against differences of y along a random direction."""
    y, backward = case.layer(case.x, train)
    dy, grads = case.like_output(y), parameters.zeros(case.layer.params)
    backward(dy, grads)
    for path, leaf in parameters.leaves(case.layer.params):
        if parameters.is_running(path):
            continue
        direction, before = unit(case.random, leaf.shape), leaf.copy()

        def moved(t):
            leaf[...] = before + t * direction
            y = case.layer(case.x, train)[0]
            leaf[...] = before
            return y

        slope = (derivative(moved, step) * dy).sum()
        assert_slope(parameters.flatten(grads)[path], direction, slope)
