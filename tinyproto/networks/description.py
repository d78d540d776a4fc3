"""What a layer is built with, as a tree that JSON can hold, and the layer built of it.

    {"layer": "Sequential", "layers": [{"layer": "Flatten"}, {"layer": "Linear", …}]}

`save` writes it for a network that no builder made, such as one from an ONNX file.
"""

import inspect
import math
from typing import Any

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
from ..prototypes.dpnp import PrototypeHead
from .network import Network

KINDS: dict[str, type[Layer]] = {
    kind.__name__: kind
    for kind in (
        Affine, AveragePool2D, BatchNorm, Conv2D, Flatten, GlobalAveragePool, Linear, MaxPool2D,
        Normalize, Pad2D, PrototypeHead, ReLU,
    )
}  # fmt: skip
"""Layers that are not made of layers. Each keeps the arguments of `__init__` as attributes."""

SIZES = {
    "Conv2D": ("kernel_size", "kernel_size", "in_channels", "out_channels"),
    "Linear": ("in_features", "out_features"),
    "BatchNorm": ("channels",),
    "PrototypeHead": ("features", "classes"),
}
"""The arguments whose product is the size of the largest parameter."""


def describe(layer: Layer) -> dict[str, Any]:
    """The description of a layer. Raises ValueError for one of a class that is not the package's,
    and for a folded one, whose biases its class would not have."""
    kind = type(layer).__name__
    if type(layer) is Sequential:
        return {"layer": kind, "layers": [describe(part) for part in layer.layers]}
    if type(layer) is Residual:
        shortcut = {"shortcut": describe(layer.shortcut)} if layer.shortcut else {}
        return {"layer": kind, "body": describe(layer.body), **shortcut}
    if type(layer) is FlipAverage:
        return {"layer": kind, "body": describe(layer.body)}
    if type(layer) is Graph:
        nodes = [[name, describe(part), *at] for name, (part, *at) in layer.nodes.items()]
        return {"layer": kind, "nodes": nodes}
    if KINDS.get(kind) is not type(layer):
        raise ValueError(f"cannot describe a layer of the class {kind}, only the package's own")
    if getattr(layer, "weight_cache", None) is not None:
        raise ValueError("cannot describe a folded network, only the one that it was folded from")
    options = {name: _plain(layer, name) for name in _arguments(kind)}
    return {"layer": kind, **options}


def describe_network(network: Network) -> dict[str, Any]:
    """The settings of a network of the package's layers, for `from_settings`."""
    last = network.head if not isinstance(network.head, Sequential) else Sequential()
    classes = getattr(last, "classes", getattr(last, "out_features", 0))
    features, head = describe(network.features), describe(network.head)
    return {"kind": "layers", "classes": classes, "features": features, "head": head}


def layer_from(description: Any) -> Layer:
    """The layer of a description, with initial parameters. Raises ValueError, TypeError or KeyError
    for what is no description."""
    options = dict(description)
    kind = options.pop("layer")
    if kind == "Sequential":
        return Sequential(*map(layer_from, options.pop("layers")))
    if kind == "Residual":
        shortcut = layer_from(options["shortcut"]) if "shortcut" in options else None
        return Residual(layer_from(options["body"]), shortcut)
    if kind == "FlipAverage":
        return FlipAverage(layer_from(options["body"]))
    if kind == "Graph":
        return Graph({name: (layer_from(part), *at) for name, part, *at in options["nodes"]})
    if kind not in KINDS:
        raise ValueError(f"unknown layer {kind!r}")
    if kind == "PrototypeHead":
        options["init"] = "random"  # no matrix of features² numbers for what a file replaces
    return KINDS[kind](**options)


def check_description(description: Any, numbers: int) -> int:
    """How many of so many numbers in a file are left for other layers. Raises ValueError for a
    description of layers with more parameters, before any of them is made."""
    if not isinstance(description, dict):
        raise ValueError(f"a layer is described by a dict, not {description!r}")
    parts = [*_list(description.get("layers")), description.get("body")]
    parts += [description.get("shortcut")]
    parts += [node[1] for node in _list(description.get("nodes")) if len(_list(node)) > 1]
    for part in parts:
        if part is not None:
            numbers = check_description(part, numbers)
    sizes: list[Any] = [
        description.get(name) for name in SIZES.get(str(description.get("layer")), ())
    ]
    if not all(type(size) is int and size > 0 for size in sizes):
        raise ValueError(f"invalid sizes of a layer: {description!r}")
    numbers -= math.prod(sizes) if sizes else 0
    if numbers < 0:
        raise ValueError("its layers have more parameters than it holds")
    return numbers


def _arguments(kind: str) -> list[str]:
    """The names of the arguments that a layer of this kind keeps."""
    names = [*inspect.signature(KINDS[kind]).parameters]
    return [name for name in names if name not in ("init", "seed")]


def _plain(layer: Layer, name: str) -> Any:
    """An argument that a layer was built with, of JSON's types."""
    if name == "bias":
        return "bias" in layer.params
    value = getattr(layer, name)
    if isinstance(value, tuple):
        return list(value)
    return value.item() if hasattr(value, "item") else value


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
