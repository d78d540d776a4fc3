"""The layers of this package as nodes of an ONNX graph.

A layer is written with an example of zeros, of which its own pass gives the shape that the next one
gets. Weights have the names that PyTorch gives them: features.1.weight.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..backend.device import Array, to_host
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
from ..layers.graph import INPUT, sum_of
from ..networks import Network
from ..prototypes.base import WinnerTakeAll
from ..prototypes.dpnp import PrototypeHead

Named = tuple[str, Array]
"""The name of a value in the file, and the value for one example of zeros, as it is here."""


class Nodes:
    """The nodes and the constants of a graph, in the order of computation."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.constants: list[Any] = []

    def add(self, kind: str, name: str, inputs: Sequence[str], **attributes: Any) -> str:
        """Append a node; returns the name of its output."""
        from onnx import helper

        output = f"{name}:{kind}" if name else kind
        self.nodes.append(helper.make_node(kind, inputs, [output], name=output, **attributes))
        return output

    def constant(self, path: str, name: str, value: Any, dtype: Any) -> str:
        """Append a constant; returns its name."""
        from onnx import numpy_helper

        name = joined(path, name)
        array = np.ascontiguousarray(to_host(value) if hasattr(value, "dtype") else value, dtype)
        self.constants.append(numpy_helper.from_array(array, name))
        return name

    def finished(self, output: str) -> list[Any]:
        """The nodes, the output of the last one under the name of the graph's."""
        from onnx import helper

        if not self.nodes:
            return [helper.make_node("Identity", ["x"], [output], name=output)]
        self.nodes[-1].output[0] = output
        return self.nodes


def joined(path: str, name: str) -> str:
    """The path of a part."""
    return f"{path}.{name}" if path else name


def write(nodes: Nodes, layer: Layer, path: str, x: Named) -> Named:
    """Append the nodes of a layer, which has a path in the network, for an input; its output."""

    def inside(part: Layer, name: str, x: Named) -> Named:
        return write(nodes, part, joined(path, name), x)

    if isinstance(layer, Network):
        return inside(layer.head, "head", inside(layer.features, "features", x))
    if type(layer) is Sequential:
        for i, part in enumerate(layer.layers):
            x = inside(part, str(i), x)
        return x
    if type(layer) is Residual:
        body = inside(layer.body, "body", x)
        shortcut = inside(layer.shortcut, "shortcut", x) if layer.shortcut else x
        return nodes.add("Add", path, [body[0], shortcut[0]]), body[1] + shortcut[1]
    if type(layer) is FlipAverage:
        return _flip_average(nodes, layer, path, x)
    if type(layer) is Graph:
        values = {INPUT: x}
        for name, (part, *sources) in layer.nodes.items():
            total = sum_of(name, sources, {source: values[source][1] for source in sources})
            names = [values[source][0] for source in sources]
            inner = joined(path, name)
            added = nodes.add("Sum", inner, names) if len(names) > 1 else names[0]
            values[name] = inside(part, name, (added, total))
        return values[name]
    writer = WRITERS.get(type(layer))
    if writer is None:
        raise ValueError(f"cannot write a layer of the class {type(layer).__name__} to ONNX")
    return writer(nodes, layer, path, x[0], x[1]), layer(x[1])[0]


def _flip_average(nodes: Nodes, layer: FlipAverage, path: str, x: Named) -> Named:
    """One pass of 2 N images, the flipped ones last, as rows (2, N, features), and their mean."""
    if type(layer.body) is FlipAverage:  # the same mean, whose nodes would have the same names
        return write(nodes, layer.body, path, x)
    ends = {"starts": [-1], "ends": [np.iinfo(np.int64).min], "axes": [3], "steps": [-1]}
    slices = [nodes.constant(path, name, value, np.int64) for name, value in ends.items()]
    flipped = nodes.add("Slice", path, [x[0], *slices])
    pair = nodes.add("Concat", path, [x[0], flipped], axis=0)
    both, y = write(nodes, layer.body, path, (pair, x[1]))
    shape = nodes.constant(path, "halves", [2, -1, y.shape[1]], np.int64)
    halves = nodes.add("Reshape", path, [both, shape])
    return nodes.add("ReduceMean", path, [halves], axes=[0], keepdims=0), y


def write_winner_take_all(nodes: Nodes, model: WinnerTakeAll) -> tuple[np.dtype, int]:
    """z_c = max_{k of class c} Aₖ·x + bₖ; the dtype and the number of classes."""
    weight, bias = model.linear()
    dtype, classes = model._beta.dtype, len(model.classes_)
    constants = [
        nodes.constant("", "weight", weight, dtype),
        nodes.constant("", "bias", bias, dtype),
    ]
    scores = nodes.add("Gemm", "neurons", ["x", *constants], transB=1)
    shape = nodes.constant("", "shape", [0, classes, len(weight) // classes], np.int64)
    grouped = nodes.add("Reshape", "neurons", [scores, shape])
    nodes.add("ReduceMax", "classes", [grouped], axes=[2], keepdims=0)
    return dtype, classes


def _parameters(nodes: Nodes, layer: Any, path: str) -> list[str]:
    """The parameters of a layer as constants, their axes as in ONNX."""
    names = []
    for name, leaf in layer.params.items():
        leaf = to_host(leaf)
        if name == "weight":
            leaf = leaf.transpose(3, 2, 0, 1) if leaf.ndim == 4 else leaf.T
        names.append(nodes.constant(path, name, leaf, leaf.dtype))
    return names


def _channels(nodes: Nodes, path: str, name: str, values: Sequence[float], x: Array) -> str:
    """One number a channel, in a shape that fits x."""
    shape = (1, -1, *[1] * (x.ndim - 2))
    return nodes.constant(path, name, np.reshape(values, shape), x.dtype)


def _convolution(nodes: Nodes, layer: Conv2D, path: str, name: str, x: Array) -> str:
    return nodes.add(
        "Conv", path, [name, *_parameters(nodes, layer, path)], pads=[layer.padding] * 4,
        **_windows(layer),
    )  # fmt: skip


def _windows(layer: Conv2D | MaxPool2D | AveragePool2D) -> dict[str, list[int]]:
    return {"kernel_shape": [layer.kernel_size] * 2, "strides": [layer.stride] * 2}


def _batch_norm(nodes: Nodes, layer: BatchNorm, path: str, name: str, x: Array) -> str:
    inputs = [name, *_parameters(nodes, layer, path)]
    return nodes.add("BatchNormalization", path, inputs, epsilon=layer.epsilon)


def _linear(nodes: Nodes, layer: Linear | PrototypeHead, path: str, name: str, x: Array) -> str:
    return nodes.add("Gemm", path, [name, *_parameters(nodes, layer, path)], transB=1)


def _relu(nodes: Nodes, layer: ReLU, path: str, name: str, x: Array) -> str:
    return nodes.add("Relu", path, [name])


def _pool(nodes: Nodes, layer: MaxPool2D | AveragePool2D, path: str, name: str, x: Array) -> str:
    kind = "MaxPool" if type(layer) is MaxPool2D else "AveragePool"
    return nodes.add(kind, path, [name], **_windows(layer))


def _global_average_pool(
    nodes: Nodes, layer: GlobalAveragePool, path: str, name: str, x: Array
) -> str:
    return nodes.add("Flatten", path, [nodes.add("GlobalAveragePool", path, [name])])


def _flatten(nodes: Nodes, layer: Flatten, path: str, name: str, x: Array) -> str:
    """In the order of our pixels: rows, columns, channels."""
    if x.ndim == 4:
        name = nodes.add("Transpose", path, [name], perm=[0, 2, 3, 1])
    return nodes.add("Flatten", path, [name])


def _normalize(nodes: Nodes, layer: Normalize, path: str, name: str, x: Array) -> str:
    mean = _channels(nodes, path, "mean", layer.mean, x)
    std = _channels(nodes, path, "std", layer.std, x)
    return nodes.add("Div", path, [nodes.add("Sub", path, [name, mean]), std])


def _affine(nodes: Nodes, layer: Affine, path: str, name: str, x: Array) -> str:
    scale = _channels(nodes, path, "scale", layer.scale, x)
    shift = _channels(nodes, path, "shift", layer.shift, x)
    return nodes.add("Add", path, [nodes.add("Mul", path, [name, scale]), shift])


def _pad(nodes: Nodes, layer: Pad2D, path: str, name: str, x: Array) -> str:
    above, below, left, right = layer.padding
    sides = [0, 0, above, left, 0, 0, below, right]
    pads = nodes.constant(path, "pads", sides, np.int64)
    value = nodes.constant(path, "value", layer.value, x.dtype)
    return nodes.add("Pad", path, [name, pads, value])


WRITERS: dict[type, Any] = {
    Affine: _affine,
    AveragePool2D: _pool,
    BatchNorm: _batch_norm,
    Conv2D: _convolution,
    Flatten: _flatten,
    GlobalAveragePool: _global_average_pool,
    Linear: _linear,
    MaxPool2D: _pool,
    Normalize: _normalize,
    Pad2D: _pad,
    PrototypeHead: _linear,
    ReLU: _relu,
}
