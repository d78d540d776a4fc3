"""Small networks for tests: of images, for Hypothesis, and of rows, with features and a head.

Hypothesis has to be installed.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from .. import parameters
from ..layers import (
    BatchNorm,
    Conv2D,
    Flatten,
    GlobalAveragePool,
    Layer,
    Linear,
    MaxPool2D,
    Normalize,
    ReLU,
    Residual,
    Sequential,
    initialize,
)
from ..networks import Network, wide_resnet
from ..optional import require_package
from ..prototypes import PrototypeHead
from .inputs import randomize

require_package("hypothesis", "tinyproto.testing.networks")
from hypothesis import strategies as st  # noqa: E402

from .layers import Case, Draw, sides  # noqa: E402

__all__ = ["NETWORKS", "identity_network", "network_cases", "random_network"]


def block(channels: int, out: int, stride: int = 1) -> list[Layer]:
    return [Conv2D(channels, out, 3, stride=stride, padding=1, bias=False), BatchNorm(out), ReLU()]


def make_head(kind: str, features: int, classes: int) -> Layer:
    made: Any = {"linear": Linear, "prototypes": PrototypeHead}[kind]
    return made(features, classes)


def small_cnn(kind: str = "prototypes", width: int = 4) -> Network:
    """A smaller `compact_cnn`: two stages with pooling, global pooling, features, a head."""
    layers = [
        Normalize((0.5, 0.4, 0.3), (0.2, 0.3, 0.25)),
        *block(3, width), MaxPool2D(), *block(width, width + 1), MaxPool2D(2),
        GlobalAveragePool(), Linear(width + 1, 4),
    ]  # fmt: skip
    return Network(Sequential(*layers), make_head(kind, 4, 3))


def small_resnet(kind: str = "prototypes", width: int = 4) -> Network:
    """A convolution, a block that keeps the shape, and one of stride 2 with a shortcut."""

    def body(channels: int, out: int, stride: int) -> Sequential:
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
    return Network(Sequential(*layers), make_head(kind, 4, 3))


NETWORKS: dict[str, Callable[..., Network]] = {
    "small CNN": small_cnn,
    "small ResNet": small_resnet,
    "WRN-10-1": lambda kind: wide_resnet(10, 1, 3, feature_width=4, head=kind),
}
"""Name → a function: "linear" or "prototypes", the kind of head ↦ a network of 3 classes."""


@st.composite
def network_cases(draw: Draw, name: str, sizes: tuple[int, int] = (6, 9)) -> Case:
    """Draw a network with either head and random parameters, and 3–4 images for it.

    Parameters
    ----------
    name : str
        A name of `NETWORKS`.
    sizes : tuple of int
        Between which the height and the width of an image are.

    Returns
    -------
    strategy of Case
        In float64, the images in [0, 1].

    Examples
    --------
    >>> from hypothesis import given
    >>> from tinyproto.testing.networks import network_cases
    >>> @given(network_cases("small CNN"))
    ... def test_scores(case):
    ...     assert case.layer(case.x)[0].shape == (len(case.x), 3)
    >>> test_scores()
    """
    network = NETWORKS[name](draw(st.sampled_from(["linear", "prototypes"])))
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    shape = (draw(st.integers(3, 4)), *sides(draw, *sizes), 3)
    return Case(randomize(network, random), random.random(shape), random)


def random_network(
    seed: int,
    d: int = 6,
    features: int = 5,
    classes: int = 3,
    head: str = "prototypes",
    dtype: Any = np.float64,
) -> Network:
    """Make a small network of linear layers, x ↦ features ↦ scores, with random parameters.

    Parameters
    ----------
    seed : int
        Seed of all parameters.
    d : int
        How many numbers an example x (N, …) has.
    features, classes : int
        The numbers of features and of classes.
    head : str
        "prototypes" or "linear".
    dtype : dtype
        float32 or float64.

    Returns
    -------
    Network
        The features of x in [0, 1] have about the mean 0, so that every class is the answer for
        some.

    Examples
    --------
    >>> import numpy as np
    >>> from tinyproto.testing.networks import random_network
    >>> random_network(0)(np.ones((2, 6)))[0].shape
    (2, 3)
    """
    layers = Sequential(Flatten(), Linear(d, 24), ReLU(), Linear(24, features))
    last: Layer = PrototypeHead(features, classes, seed=seed)
    if head == "linear":
        last = Linear(features, classes)
        initialize(last, seed + 1)
        last.params["bias"][...] = np.random.default_rng(seed).normal(size=classes)
    initialize(layers, seed)
    h, _ = layers(np.random.default_rng(seed).random((200, d)).astype(np.float32))
    layers.layers[-1].params["bias"][...] = -h.mean(axis=0)
    network = Network(layers, last)
    parameters.convert(network.params, np, dtype)
    return network


def identity_network(vectors: np.ndarray, bias: np.ndarray) -> Network:
    """Make a network whose features are its inputs: scores h · wᵀ + bias, in float64.

    Parameters
    ----------
    vectors : array (classes, d)
        The weights w of the linear head, one row a class.
    bias : array (classes,)
        Its biases.

    Returns
    -------
    Network
        Of inputs (N, d).

    Examples
    --------
    >>> import numpy as np
    >>> from tinyproto.testing.networks import identity_network
    >>> identity_network(np.eye(2), np.zeros(2))(np.array([[3.0, 1.0]]))[0]
    array([[3., 1.]])
    """
    classes, d = np.shape(vectors)
    network = Network(Flatten(), Linear(d, classes)).to(np, np.float64)
    network.head.params["weight"][...] = np.transpose(vectors)
    network.head.params["bias"][...] = bias
    return network
