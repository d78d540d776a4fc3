"""The architectures, and the blocks that they are made of."""

import math
from collections.abc import Callable
from typing import Any

from ..layers import (
    BatchNorm,
    Conv2D,
    FlipAverage,
    GlobalAveragePool,
    Layer,
    Linear,
    MaxPool2D,
    Normalize,
    Pad2D,
    ReLU,
    Residual,
    Sequential,
    initialize,
)
from ..layers.checks import positive_integers
from ..prototypes.dpnp import PrototypeHead
from .description import check_description, layer_from
from .network import Network

CIFAR10_MEAN, CIFAR10_STD = (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)
"""Mean and standard deviation of each colour in CIFAR-10's training images, in [0, 1]."""


def compact_cnn(classes: int = 10, *, feature_width: int | None = 64, **head: Any) -> Network:
    """Build a CNN of six 3 × 3 convolutions, 32-32-64-64-128-128, with 0.3 million weights.

    Parameters
    ----------
    classes : int
    feature_width : int, optional
        Length of the features h, the output of a linear layer; None for no such layer: h is what
        the pooling gives.
    **head
        Options, with their defaults in brackets:

        - head : {"linear", "prototypes"}, the kind of head ["linear"];
        - seed : int, of the initial weights [0];
        - padding : int or four of them, pixels of black around each image (see `Pad2D`) [0];
        - flip_average : bool, whether h is the mean over an image and its horizontal flip, for
          twice the time (see `FlipAverage`) [False];
        - mean, std : three floats each, to normalize the colours with [those of CIFAR-10];
        - all others are passed to the head, a `Linear` or a `PrototypeHead`.

    Returns
    -------
    Network

    Raises
    ------
    ValueError, TypeError
        For an option with an invalid value, or an unknown one.

    Examples
    --------
    >>> import numpy as np
    >>> from tinyproto.networks import compact_cnn
    >>> network = compact_cnn(5, head="prototypes", seed=1)
    >>> network(np.zeros((2, 32, 32, 3), np.float32))[0].shape
    (2, 5)
    """
    parts = [
        *conv_bn_relu(3, 32), *conv_bn_relu(32, 32), MaxPool2D(),
        *conv_bn_relu(32, 64), *conv_bn_relu(64, 64), MaxPool2D(),
        *conv_bn_relu(64, 128), *conv_bn_relu(128, 128), GlobalAveragePool(),
    ]  # fmt: skip
    return build("compact_cnn", parts, 128, classes, feature_width, {}, head)


def resnet18(classes: int = 10, *, feature_width: int | None = 64, **head: Any) -> Network:
    """Build the ResNet-18 for CIFAR: a 3 × 3 convolution first, and four stages of 64 to 512.

    Parameters
    ----------
    classes : int
    feature_width : int, optional
        Length of the features h, the output of a linear layer; None for no such layer: h is what
        the pooling gives.
    **head
        As in `compact_cnn`.

    Returns
    -------
    Network
        With 11.2 million weights.

    Raises
    ------
    ValueError, TypeError
        For an option with an invalid value, or an unknown one.

    Notes
    -----
    It is the network of the literature on adversarial training, with a layer of features before the
    head.

    Examples
    --------
    >>> from tinyproto import parameters
    >>> from tinyproto.networks import resnet18
    >>> round(parameters.count(resnet18().params) / 1e6, 1)
    11.2
    """
    parts, width = conv_bn_relu(3, 64), 64
    for stage, channels in enumerate((64, 128, 256, 512)):
        for block in range(2):
            stride = 2 if stage and not block else 1
            parts += [basic_block(width, channels, stride), ReLU()]
            width = channels
    parts.append(GlobalAveragePool())
    return build("resnet18", parts, 512, classes, feature_width, {}, head)


def wide_resnet(
    depth: int = 28,
    width: int = 10,
    classes: int = 10,
    *,
    feature_width: int | None = 64,
    **head: Any,
) -> Network:
    """Build a wide residual network, WRN-depth-width, of pre-activation blocks.

    Parameters
    ----------
    depth : int
        6 n + 4: there are n = (depth − 4)/6 blocks in each of three stages.
    width : int
        The stages have 16, 32 and 64 times as many channels.
    classes : int
    feature_width : int, optional
        Length of the features h, the output of a linear layer; None for no such layer: h is what
        the pooling gives.
    **head
        As in `compact_cnn`.

    Returns
    -------
    Network

    Raises
    ------
    ValueError, TypeError
        For a depth that is not 6 n + 4, an option with an invalid value, or an unknown one.

    Examples
    --------
    >>> import numpy as np
    >>> from tinyproto.networks import wide_resnet
    >>> network = wide_resnet(10, 1, classes=4)
    >>> network(np.zeros((2, 8, 8, 3), np.float32))[0].shape
    (2, 4)
    """
    positive_integers("wide_resnet", depth=depth, width=width)
    if depth < 10 or (depth - 4) % 6:
        raise ValueError(f"wide_resnet: depth must be 6 n + 4 (10, 16, …), not {depth}")
    parts: list[Layer] = [Conv2D(3, 16, 3, padding=1, bias=False)]
    channels = 16
    for stage in range(3):
        for block in range((depth - 4) // 6):
            out = 16 * 2**stage * width
            parts += preactivation_block(channels, out, 2 if stage and not block else 1)
            channels = out
    parts += [BatchNorm(channels), ReLU(), GlobalAveragePool()]
    options = {"depth": depth, "width": width}
    return build("wide_resnet", parts, channels, classes, feature_width, options, head)


def from_layers(features: dict[str, Any], head: dict[str, Any], classes: int = 0) -> Network:
    """Build a network of the layers of two descriptions, with initial weights (see `description`);
    the number of classes is for the reader."""
    settings = {"kind": "layers", "classes": classes, "features": features, "head": head}
    return Network(layer_from(features), layer_from(head), settings)


BUILDERS: dict[str, Callable[..., Network]] = {
    "compact_cnn": compact_cnn,
    "layers": from_layers,
    "resnet18": resnet18,
    "wide_resnet": wide_resnet,
}
"""The builders by name, which is "kind" in a network's settings."""


RENAMED = {"start": "init"}
"""Settings in files that an earlier version saved, and their names now."""


def from_settings(settings: Any, source: str = "settings") -> Network:
    """Build a network from the settings of another one.

    Parameters
    ----------
    settings : dict
        "kind", a name in BUILDERS, and the arguments of that builder: `Network.settings`.
    source : str
        Where they are from, for the error message.

    Returns
    -------
    Network
        With initial weights.

    Raises
    ------
    ValueError
        For settings that no builder accepts.

    Examples
    --------
    >>> from tinyproto.networks import compact_cnn, from_settings
    >>> from_settings(compact_cnn(7).settings).settings["classes"]
    7
    """
    known: dict[str, Any] = settings if isinstance(settings, dict) else {}
    builder = BUILDERS.get(str(known.get("kind")))
    if builder is None:
        raise ValueError(f"{source} holds no network, but {known.get('kind')!r}")
    try:
        return builder(**{RENAMED.get(k, k): v for k, v in known.items() if k != "kind"})
    except Exception as error:  # what a layer makes of a text where a number is expected
        kind = "unknown" if isinstance(error, TypeError) else "invalid"
        raise ValueError(f"{source} holds {kind} settings: {error}") from error


def check_settings(settings: Any, numbers: int, entries: int, source: str) -> dict[str, Any]:
    """The settings in a file of so many numbers in so many entries. Raises ValueError, before any
    network is built, for those of a larger one: the size of its head, and of the last stage of a
    wide residual network, are lower bounds."""
    known: dict[str, Any] = settings if isinstance(settings, dict) else {}
    if str(known.get("kind")) not in BUILDERS:
        raise ValueError(f"{source} holds no network, but {known.get('kind')!r}")
    if known["kind"] == "layers":
        return _check_layers(known, numbers, source)
    defaults = {"depth": 28, "width": 10} if known["kind"] == "wide_resnet" else {}
    defaults |= {"classes": 10, "feature_width": 64}
    sizes = {name: known.get(name, default) for name, default in defaults.items()}
    if sizes["feature_width"] is None:
        sizes["feature_width"] = 1  # its features are wider
    for name, size in sizes.items():
        if type(size) is not int or size < 1:
            raise ValueError(f"{source}: {name} must be an integer of 1 or more, not {size!r}")
    for name in ("mean", "std"):
        values = known.get(name, [])
        if type(values) is not list or not all(
            type(value) in (int, float) and abs(value) < math.inf for value in values
        ):
            raise ValueError(f"{source}: {name} must be a list of finite numbers, not {values!r}")
    least = sizes["classes"] * sizes["feature_width"]
    if known["kind"] == "wide_resnet":
        least += 9 * (64 * sizes["width"]) ** 2 * max(1, (sizes["depth"] - 4) // 3 - 1)
    if least > numbers or sizes.get("depth", 1) > entries:
        described = ", ".join(f"{name} {size}" for name, size in sizes.items())
        raise ValueError(
            f"{source}: its settings ({described}) are those of a larger network than the one "
            f"whose {numbers:,} numbers in {entries} arrays it holds"
        )
    return {RENAMED.get(name, name): value for name, value in known.items()}


def _check_layers(settings: dict[str, Any], numbers: int, source: str) -> dict[str, Any]:
    """The same for settings that describe layers."""
    try:
        for name in ("features", "head"):
            numbers = check_description(settings.get(name), numbers)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{source} holds invalid settings: {error}") from None
    return settings


def build(
    kind: str,
    parts: list[Layer],
    pooled: int,
    classes: int,
    feature_width: int | None,
    options: dict[str, Any],
    head: dict[str, Any],
) -> Network:
    """The network of these layers after `Normalize`, which give `pooled` numbers, its head (see
    `compact_cnn`), initial weights, and the settings for `from_settings`: `options` are the
    builder's own."""
    width = pooled if feature_width is None else feature_width
    positive_integers(kind, classes=classes, feature_width=width)
    if feature_width is not None:
        parts = [*parts, Linear(pooled, feature_width)]
    settings = {"kind": kind, **options, "classes": classes, "feature_width": feature_width, **head}
    options = {"head": "linear", "seed": 0, "padding": 0, "flip_average": False, **head}
    kind_of_head, seed = options.pop("head"), options.pop("seed")
    border, flip_average = Pad2D(options.pop("padding")), options.pop("flip_average")
    if type(flip_average) is not bool:
        raise ValueError(f"flip_average must be True or False, not {flip_average!r}")
    mean, std = options.pop("mean", CIFAR10_MEAN), options.pop("std", CIFAR10_STD)
    if kind_of_head == "prototypes":
        last: Layer = PrototypeHead(width, classes, seed=seed, **options)
    elif kind_of_head == "linear":
        last = Linear(width, classes, **options)
    else:
        raise ValueError(f"head must be 'linear' or 'prototypes', not {kind_of_head!r}")
    normalize = Normalize(mean, std)
    plain = {"mean": normalize.mean, "std": normalize.std, "padding": border.padding}
    settings |= {name: list(values) for name, values in plain.items() if name in settings}  # JSON
    first = Sequential(border, normalize) if any(border.padding) else normalize
    features: Layer = Sequential(first, *parts)
    network = Network(FlipAverage(features) if flip_average else features, last, settings)
    initialized: Network = initialize(network, seed)
    return initialized


def conv_bn_relu(channels: int, out: int, stride: int = 1) -> list[Layer]:
    """A 3 × 3 convolution, BatchNorm and ReLU."""
    convolution = Conv2D(channels, out, 3, stride=stride, padding=1, bias=False)
    return [convolution, BatchNorm(out), ReLU()]


def basic_block(channels: int, out: int, stride: int) -> Residual:
    """ResNet's basic block: two convolutions and a shortcut, without the ReLU after the sum."""
    body = Sequential(
        *conv_bn_relu(channels, out, stride), Conv2D(out, out, 3, padding=1, bias=False),
        BatchNorm(out),
    )  # fmt: skip
    if stride == 1 and channels == out:
        return Residual(body)
    shortcut = Conv2D(channels, out, 1, stride=stride, bias=False)
    return Residual(body, Sequential(shortcut, BatchNorm(out)))


def preactivation_block(channels: int, out: int, stride: int) -> list[Layer]:
    """A block with BatchNorm and ReLU before each of its two convolutions. Where the shape changes,
    the shortcut has the same normalized input as the body."""
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
