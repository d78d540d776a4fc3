"""Layers with inputs of matching shapes, for Hypothesis.

`cases(name)` draws one of the package's layers. A layer of your own takes a function of its own,
which draws what is to vary and returns the layer and the shape of its input:

    from hypothesis import given
    from tinyproto.testing import check_gradients
    from tinyproto.testing.layers import cases

    @given(cases(lambda draw: (LayerNorm(5), (3, 5))))
    def test_gradients(case):
        check_gradients(case.layer, case.x)

All parameters are random, those of BatchNorm too: no term of a gradient is 0 because of an initial
value. Inputs are spaced: no two values of an example are equal, and none is near 0, the kink of a
ReLU. Hypothesis has to be installed.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from .. import parameters
from ..layers import (
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
    Pad2D,
    ReLU,
    Residual,
    Sequential,
)
from ..optional import require_package
from ..prototypes import PrototypeHead
from .inputs import randomize, spaced

require_package("hypothesis", "tinyproto.testing.layers")
from hypothesis import strategies as st  # noqa: E402

__all__ = ["PARTS", "Case", "cases"]

Draw = Callable[[st.SearchStrategy[Any]], Any]
Built = tuple[Any, tuple[int, ...]]
"""A layer and the shape of its input."""


@dataclass
class Case:
    """A layer, an input for it, and a generator of random numbers.

    Parameters
    ----------
    layer : Layer
        With random parameters.
    x : array
        An input, in float64.
    random : numpy.random.Generator
        For what else a test draws.

    Examples
    --------
    >>> import numpy as np
    >>> from tinyproto.layers import ReLU
    >>> from tinyproto.testing.layers import Case
    >>> case = Case(ReLU(), np.ones((2, 3)), np.random.default_rng(0))
    >>> case.astype(np.float32).x.dtype
    dtype('float32')
    """

    layer: Any
    x: np.ndarray
    random: np.random.Generator

    def like_output(self, y: np.ndarray) -> np.ndarray:
        """A random dy of the shape and dtype of y."""
        return self.random.normal(size=y.shape).astype(y.dtype)

    def astype(self, dtype: Any) -> "Case":
        """The same case in another dtype, the layer changed in place."""
        parameters.convert(self.layer.params, dtype=dtype)
        return Case(self.layer, self.x.astype(dtype), self.random)


def sides(draw: Draw, minimum: int = 1, maximum: int = 8) -> tuple[int, int]:
    """A height and a different width."""
    height = draw(st.integers(minimum, maximum))
    width = draw(st.integers(minimum, maximum + 1).filter(lambda w: w != height))
    return height, width


BATCHES, CHANNELS, KERNELS = st.integers(1, 4), st.integers(1, 4), st.integers(1, 4)


def windows(draw: Draw) -> tuple[int, int, tuple[int, int]]:
    """The options of a layer with windows, and a height and a width of at least one window."""
    size, stride = draw(KERNELS), draw(st.integers(1, 3))
    return size, stride, sides(draw, minimum=size, maximum=size + 4)


def convolution(draw: Draw) -> Built:
    size, stride, padding = draw(KERNELS), draw(st.integers(1, 3)), draw(st.integers(0, 2))
    smallest = max(1, size - 2 * padding)
    channels, bias = draw(CHANNELS), draw(st.booleans())
    options = {"stride": stride, "padding": padding, "bias": bias}
    layer = Conv2D(channels, draw(CHANNELS), size, **options)
    return layer, (draw(BATCHES), *sides(draw, smallest, smallest + 4), channels)


def linear(draw: Draw) -> Built:
    features = draw(st.integers(1, 6))
    layer = Linear(features, draw(st.integers(1, 5)), bias=draw(st.booleans()))
    return layer, (draw(BATCHES), features)


def batch_norm_of_images(draw: Draw) -> Built:
    channels = draw(CHANNELS)
    return BatchNorm(channels), (draw(BATCHES), *sides(draw, minimum=3, maximum=6), channels)


def batch_norm_of_rows(draw: Draw) -> Built:
    channels = draw(CHANNELS)
    return BatchNorm(channels), (draw(st.integers(4, 8)), channels)


def any_shape(draw: Draw) -> tuple[int, ...]:
    form = (*sides(draw), draw(CHANNELS)) if draw(st.booleans()) else (draw(st.integers(1, 6)),)
    return draw(BATCHES), *form


def normalize(draw: Draw) -> Built:
    shape = any_shape(draw)
    numbers = st.lists(st.floats(0.25, 4), min_size=shape[-1], max_size=shape[-1])
    return Normalize(draw(numbers), draw(numbers)), shape


def affine(draw: Draw) -> Built:
    shape = any_shape(draw)
    numbers = st.lists(st.floats(-4, 4), min_size=shape[-1], max_size=shape[-1])
    return Affine(draw(numbers), draw(numbers)), shape


def pad(draw: Draw) -> Built:
    padding = draw(st.integers(0, 2)) if draw(st.booleans()) else draw(st.tuples(*[KERNELS] * 4))
    return Pad2D(padding, draw(st.floats(-2, 2))), images(draw)


def pool(kind: Callable[..., Layer]) -> Callable[[Draw], Built]:
    def build(draw: Draw) -> Built:
        size, stride, image = windows(draw)
        layer = kind(size, None if stride == size else stride)
        return layer, (draw(BATCHES), *image, draw(CHANNELS))

    return build


def images(draw: Draw) -> tuple[int, ...]:
    return draw(BATCHES), *sides(draw), draw(CHANNELS)


def prototype_head(draw: Draw) -> Built:
    features, classes = draw(st.integers(1, 6)), draw(st.integers(2, 5))
    return PrototypeHead(features, classes), (draw(BATCHES), features)


def sequential(draw: Draw) -> Built:
    """A convolution, BatchNorm, ReLU, pooling, Flatten and a Linear layer."""
    channels, out, (height, width) = draw(CHANNELS), draw(CHANNELS), sides(draw, 4, 7)
    kind = draw(st.sampled_from([MaxPool2D, AveragePool2D]))
    pixels = (height - 1) // 2 * ((width - 1) // 2)
    layer = Sequential(
        Conv2D(channels, out, 2), BatchNorm(out), ReLU(), kind(2), Flatten(),
        Linear(out * pixels, draw(st.integers(1, 4))),
    )  # fmt: skip
    return layer, (draw(st.integers(3, 4)), height, width, channels)


def residual(draw: Draw) -> Built:
    """A body that keeps the shape, and the identity as shortcut."""
    channels, (height, width) = draw(CHANNELS), sides(draw, 2, 6)
    layer = Residual(
        Sequential(
            Conv2D(channels, channels, 3, padding=1, bias=False), BatchNorm(channels), ReLU(),
            Conv2D(channels, channels, 3, padding=1),
        )
    )  # fmt: skip
    return layer, (draw(st.integers(3, 4)), height, width, channels)


def residual_with_shortcut(draw: Draw) -> Built:
    """A body that changes the shape, and a 1 × 1 convolution as shortcut."""
    channels, out, (height, width) = draw(CHANNELS), draw(CHANNELS), sides(draw, 3, 7)
    stride = draw(st.integers(1, 2))
    body = Sequential(Conv2D(channels, out, 3, stride=stride, padding=1), BatchNorm(out), ReLU())
    shortcut = Sequential(Conv2D(channels, out, 1, stride=stride, bias=False), BatchNorm(out))
    return Residual(body, shortcut), (draw(st.integers(3, 4)), height, width, channels)


def flip_average(draw: Draw) -> Built:
    """Features of an image and its flip, which differ."""
    channels, out, (height, width) = draw(CHANNELS), draw(CHANNELS), sides(draw, 2, 6)
    body = Sequential(
        Conv2D(channels, out, 3, padding=1), BatchNorm(out), ReLU(), GlobalAveragePool()
    )
    return FlipAverage(body), (draw(st.integers(3, 4)), height, width, channels)


def graph(draw: Draw) -> Built:
    """Up to five nodes that keep the shape, each of one to three sources; nothing is left over."""
    channels, (height, width) = draw(CHANNELS), sides(draw, 2, 5)
    kinds = {
        "conv": lambda: Conv2D(channels, channels, 3, padding=1, bias=draw(st.booleans())),
        "norm": lambda: BatchNorm(channels),
        "relu": ReLU,
        "same": Sequential,
    }
    nodes: dict[str, tuple[Any, ...]] = {}
    unused = ["input"]
    for i in range(draw(st.integers(1, 5))):
        kind, known = draw(st.sampled_from(sorted(kinds))), ["input", *nodes]
        sources = draw(st.lists(st.sampled_from(known), min_size=1, max_size=3))
        nodes[f"{kind}{i}"] = (kinds[kind](), *sources)
        unused = [name for name in (*unused, f"{kind}{i}") if name not in sources]
    unused = [name for name in unused if name != "input"]
    nodes["last"] = (Conv2D(channels, draw(CHANNELS), 2), *unused)
    return Graph(nodes), (draw(st.integers(3, 4)), height, width, channels)


PARTS: dict[str, Callable[[Draw], Built]] = {
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
    "FlipAverage": flip_average,
    "Graph": graph,
    "Sequential": sequential,
    "Residual": residual,
    "Residual with shortcut": residual_with_shortcut,
}
"""Name of a layer → a function: draw ↦ (layer, shape of its input)."""


@st.composite
def cases(draw: Draw, build: str | Callable[[Draw], Built], batch: int | None = None) -> Case:
    """Draw a layer with random parameters, and an input for it.

    Parameters
    ----------
    build : str or callable
        A name of `PARTS`, or a function like those there: from `draw`, which draws from a strategy
        of Hypothesis, to a layer and the shape of its input.
    batch : int, optional
        The number of examples, in the place of the one that is drawn.

    Returns
    -------
    strategy of Case
        In float64.

    Examples
    --------
    >>> from hypothesis import given
    >>> from tinyproto.layers import Linear
    >>> from tinyproto.testing import check_gradients
    >>> from tinyproto.testing.layers import cases
    >>> @given(cases(lambda draw: (Linear(4, 2), (3, 4))))
    ... def test_gradients(case):
    ...     assert check_gradients(case.layer, case.x).skipped == 0
    >>> test_gradients()
    """
    layer, shape = (PARTS[build] if isinstance(build, str) else build)(draw)
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    shape = (shape[0] if batch is None else batch, *shape[1:])
    return Case(randomize(layer, random), spaced(random, shape), random)
