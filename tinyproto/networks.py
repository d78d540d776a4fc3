"""Networks for small images: features and a head.

    h, z = features(x), head(h)

`compact_cnn` is small enough to be trained on a CPU; `resnet18` (He and others, arXiv 1512.03385)
and `wide_resnet` (Zagoruyko and Komodakis, arXiv 1605.07146) are those of the papers, in their form
for CIFAR. x is (N, H, W, 3) in [0, 1]; the first layer normalizes it, so attacks work in pixels.
"""

import copy
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from . import layers, parameters, state
from .backend.device import Array
from .layers import (
    Backward,
    BatchNorm,
    Conv2D,
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
from .parameters import Tree
from .prototypes.dpnp import PrototypeHead

CIFAR10_MEAN, CIFAR10_STD = (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)


class Network(Layer):
    """Class scores z (N, classes) of images x, through `features` and `head`.

    `settings` says how it was built, so that `save` and `load` need nothing else. In eval mode it
    is all that an attack asks for: `Victim(network)`.
    """

    def __init__(self, features: Layer, head: Layer, settings: dict[str, Any] | None = None):
        self.features, self.head = features, head
        self.settings = settings or {}
        self.params = {"features": features.params, "head": head.params}

    def __call__(self, x: Array, train: bool = False) -> tuple[Array, Backward]:
        h, features = self.features(x, train)
        z, head = self.head(h, train)

        def backward(dy: Array, grads: Tree | None = None) -> Array:
            grads = grads or {}
            return features(head(dy, grads.get("head")), grads.get("features"))

        return z, backward

    def project(self) -> None:
        """What has to hold after each step: prototypes lie on their sphere."""
        if isinstance(self.head, PrototypeHead):
            self.head.project()

    def to(self, xp: ModuleType = np, dtype: Any = None) -> "Network":
        """Move to an array module and a dtype, in place."""
        parameters.convert(self.params, xp, dtype)
        return self


def compact_cnn(classes: int = 10, *, feature_width: int = 64, **head: Any) -> Network:
    """Six 3 × 3 convolutions, 32-32-64-64-128-128, of about 0.3 million weights in all."""
    parts = [
        *_normalized(3, 32), *_normalized(32, 32), MaxPool2D(),
        *_normalized(32, 64), *_normalized(64, 64), MaxPool2D(),
        *_normalized(64, 128), *_normalized(128, 128), GlobalAveragePool(),
        Linear(128, feature_width),
    ]  # fmt: skip
    return _network("compact_cnn", parts, classes, feature_width, {}, head)


def resnet18(classes: int = 10, *, feature_width: int = 64, **head: Any) -> Network:
    """The ResNet-18 of adversarial training on CIFAR: 3 × 3 at the start, four stages of 64-512."""
    parts, width = _normalized(3, 64), 64
    for stage, channels in enumerate((64, 128, 256, 512)):
        for block in range(2):
            stride = 2 if stage and not block else 1
            parts += [_basic(width, channels, stride), ReLU()]
            width = channels
    parts += [GlobalAveragePool(), Linear(512, feature_width)]
    return _network("resnet18", parts, classes, feature_width, {}, head)


def wide_resnet(
    depth: int = 28, width: int = 10, classes: int = 10, *, feature_width: int = 64, **head: Any
) -> Network:
    """WRN-depth-width: pre-activation blocks, (depth − 4)/6 in each of three stages.

    Raises ValueError for a depth that is not 6 n + 4.
    """
    if depth < 10 or (depth - 4) % 6:
        raise ValueError(f"wide_resnet: depth must be 6 n + 4 (10, 16, …), not {depth}")
    parts: list[Layer] = [Conv2D(3, 16, 3, padding=1, bias=False)]
    channels = 16
    for stage in range(3):
        for block in range((depth - 4) // 6):
            wide = 16 * 2**stage * width
            parts += _preactivated(channels, wide, 2 if stage and not block else 1)
            channels = wide
    parts += [BatchNorm(channels), ReLU(), GlobalAveragePool(), Linear(channels, feature_width)]
    own = {"depth": depth, "width": width}
    return _network("wide_resnet", parts, classes, feature_width, own, head)


def fold(network: Network) -> Network:
    """A copy for eval mode, whose convolutions have taken in the BatchNorm behind them: the same
    scores up to rounding, faster. It does not follow the network's further training; it is not
    meant to be trained, and cannot be saved."""
    return Network(layers.fold(network.features), copy.deepcopy(network.head))


RENAMED = {"start": "init"}  # in files that an earlier version saved

BUILDERS: dict[str, Callable[..., Network]] = {
    "compact_cnn": compact_cnn,
    "resnet18": resnet18,
    "wide_resnet": wide_resnet,
}


def save(path: str | Path, network: Network, **metadata: Any) -> None:
    """Write a network that a builder here made; `load` gives it back. Raises ValueError for one
    that none did."""
    if not network.settings:
        raise ValueError("only a network that a builder made can be saved, no folded one")
    settings = {  # JSON knows no numbers of NumPy
        name: value.item() if isinstance(value, np.generic) else value
        for name, value in network.settings.items()
    }
    about = {"network": settings, **metadata}
    state.save_arrays(parameters.flatten(network.params), path, about)


def load(path: str | Path, xp: ModuleType = np) -> Network:
    """The network that `save` wrote. Raises ValueError for another file, or for entries unknown,
    missing or of another shape, by name."""
    arrays, metadata = state.load_arrays(path)
    network = rebuild(metadata.get("network"), str(path))
    if any(array.dtype == np.float64 for array in arrays.values()):
        network.to(dtype=np.float64)
    parameters.assign(network.params, arrays, str(path))
    return network.to(xp)


def rebuild(settings: Any, source: str) -> Network:
    """A network from its `settings`. Raises ValueError for what no builder here knows."""
    known: dict[str, Any] = settings if isinstance(settings, dict) else {}
    builder = BUILDERS.get(str(known.get("kind")))
    if builder is None:
        raise ValueError(f"{source} holds no network, but {known.get('kind')!r}")
    try:
        return builder(**{RENAMED.get(k, k): v for k, v in known.items() if k != "kind"})
    except TypeError as error:
        raise ValueError(f"{source} holds unknown settings: {error}") from None


def _network(
    kind: str,
    parts: list[Layer],
    classes: int,
    feature_width: int,
    own: dict[str, Any],
    head: dict[str, Any],
) -> Network:
    settings = {"kind": kind, **own, "classes": classes, "feature_width": feature_width, **head}
    options = {"head": "linear", "seed": 0, **head}
    kind_of_head, seed = options.pop("head"), options.pop("seed")
    mean, std = options.pop("mean", CIFAR10_MEAN), options.pop("std", CIFAR10_STD)
    if kind_of_head == "prototypes":
        last: Layer = PrototypeHead(feature_width, classes, seed=seed, **options)
    elif kind_of_head == "linear":
        last = Linear(feature_width, classes, **options)
    else:
        raise ValueError(f"head must be 'linear' or 'prototypes', not {kind_of_head!r}")
    network = Network(Sequential(Normalize(mean, std), *parts), last, settings)
    initialized: Network = initialize(network, seed)
    return initialized


def _normalized(channels: int, out: int, stride: int = 1) -> list[Layer]:
    convolution = Conv2D(channels, out, 3, stride=stride, padding=1, bias=False)
    return [convolution, BatchNorm(out), ReLU()]


def _basic(channels: int, out: int, stride: int) -> Residual:
    """Two convolutions and a shortcut; the ReLU after the sum follows."""
    body = Sequential(
        *_normalized(channels, out, stride), Conv2D(out, out, 3, padding=1, bias=False),
        BatchNorm(out),
    )  # fmt: skip
    if stride == 1 and channels == out:
        return Residual(body)
    beside = Conv2D(channels, out, 1, stride=stride, bias=False)
    return Residual(body, Sequential(beside, BatchNorm(out)))


def _preactivated(channels: int, out: int, stride: int) -> list[Layer]:
    """BatchNorm and ReLU before each convolution; where the shape changes, the shortcut takes the
    activated input as the body does."""
    first, second = (
        Conv2D(channels, out, 3, stride=stride, padding=1, bias=False),
        Conv2D(out, out, 3, padding=1, bias=False),
    )
    before: list[Layer] = [BatchNorm(channels), ReLU()]
    after: list[Layer] = [first, BatchNorm(out), ReLU(), second]
    if stride == 1 and channels == out:
        return [Residual(Sequential(*before, *after))]
    shortcut = Conv2D(channels, out, 1, stride=stride, bias=False)
    return [*before, Residual(Sequential(*after), shortcut)]
