"""The operators of ONNX that have windows or weights.

Weights are transposed: a convolution's (out, in, k, k) to (k, k, in, out), a linear layer's to
(in, out), whose rows follow the order of a flattened image (see `onnx_value`).
"""

import math
from typing import Any

import numpy as np

from ..layers import AveragePool2D, BatchNorm, Conv2D, Layer, Linear, MaxPool2D, Pad2D
from .onnx_value import Operator, Value, decimal

Sides = tuple[int, int, int, int]
"""Pixels above, below, left and right."""


def convolution(node: Operator) -> Value:
    weight, bias = node.constant(1, "weight"), node.input(2)
    node.require(group=1)
    if weight.ndim != 4:
        raise node.refuse(f"its weight must have 4 axes, not the shape {weight.shape}")
    size, stride, sides = windows(node, list(weight.shape[2:]))
    out, channels = weight.shape[:2]
    value = node.value(0, "image", "pooled")
    check_channels(node, value, channels)
    if value.form == "pooled":
        if size > 1 or any(sides):
            raise node.refuse("on an image of one pixel only a kernel of 1 is known")
        return linear(node, value, weight[:, :, 0, 0].T, bias, (out, 1, 1))
    same = len(set(sides)) == 1
    if not same:
        value = padded(node, value, sides, 0.0)
    padding = sides[0] if same else 0
    layer = Conv2D(channels, out, size, stride=stride, padding=padding, bias=bias is not None)
    assign(node, layer, weight=weight.transpose(2, 3, 1, 0), bias=bias)
    return node.apply(layer, value, shape=(out, *pooled_sides(value, size, stride, 2 * padding)))


def gemm(node: Operator) -> Value:
    """alpha · A B + beta · C."""
    node.require(transA=0)
    weight, bias = matrix(node), node.input(2)
    weight = weight.T if node.attribute("transB", 0) else weight
    if (alpha := node.attribute("alpha", 1.0)) != 1:
        weight = weight * weight.dtype.type(alpha)
    if bias is not None:
        bias = node.constant(2, "C")
        bias = bias * bias.dtype.type(node.attribute("beta", 1.0))
    return linear(node, node.value(0, "row"), weight, bias, weight.shape[1:])


def matmul(node: Operator) -> Value:
    weight = matrix(node)
    return linear(node, node.value(0, "row"), weight, None, weight.shape[1:])


def matrix(node: Operator) -> np.ndarray:
    weight = node.constant(1, "matrix")
    if weight.ndim != 2:
        raise node.refuse(f"its matrix must have 2 axes, not the shape {weight.shape}")
    return weight


def linear(
    node: Operator, value: Value, weight: np.ndarray, bias: Any, shape: tuple[int, ...]
) -> Value:
    """x W + b, W (in, out)."""
    features, out = weight.shape
    check_channels(node, value, features)
    layer = Linear(features, out, bias=bias is not None)
    if bias is not None and np.broadcast_shapes(bias.shape, (1, out)) == (1, out):
        bias = np.broadcast_to(bias, (1, out))[0]
    weight = weight if value.order is None else weight[value.order]
    assign(node, layer, weight=weight, bias=bias)
    return node.apply(layer, value, shape=shape, order=None)


def batch_norm(node: Operator) -> Value:
    """In eval mode."""
    node.require(training_mode=0)
    value = node.value(0, "image", "pooled", "row")
    names = ("scale", "shift", "running_mean", "running_variance")
    arrays = {name: node.constant(place, name) for place, name in enumerate(names, 1)}
    channels = len(np.atleast_1d(arrays["scale"]))
    check_channels(node, value, channels)
    if value.order is not None:
        arrays = {name: array[value.order] for name, array in arrays.items()}
    layer = BatchNorm(channels, epsilon=float(decimal(np.float32(node.attribute("epsilon", 1e-5)))))
    assign(node, layer, **arrays)
    return node.apply(layer, value)


def max_pool(node: Operator) -> Value:
    size, stride, sides = windows(node, node.attribute("kernel_shape"))
    value = node.value(0, "image")
    value = padded(node, value, sides, -math.inf) if any(sides) else value
    return pool(node, MaxPool2D(size, stride), value)


def average_pool(node: Operator) -> Value:
    size, stride, sides = windows(node, node.attribute("kernel_shape"))
    value = node.value(0, "image")
    if any(sides):
        if not node.attribute("count_include_pad", 0):
            raise node.refuse("with pads, count_include_pad must be 1, not 0")
        value = padded(node, value, sides, 0.0)
    return pool(node, AveragePool2D(size, stride), value)


def pool(node: Operator, layer: MaxPool2D | AveragePool2D, value: Value) -> Value:
    node.require(ceil_mode=0)
    sides = pooled_sides(value, layer.kernel_size, layer.stride, 0)
    return node.apply(layer, value, shape=(value.channels, *sides))


def pad(node: Operator) -> Value:
    """A border of one value around images."""
    node.require(mode="constant")
    pads = node.integers("pads", 1) or []
    if node.input(3) is not None or len(pads) != 8 or any(pads[place] for place in (0, 1, 4, 5)):
        raise node.refuse(f"pads must be those of height and width of images, not {pads}")
    if min(pads) < 0:
        raise node.refuse(f"pads must be 0 or more, not {pads}")
    border = node.attribute("value", 0.0)
    if node.input(2) is not None:
        border = float(node.constant(2, "value").ravel()[0])
    return padded(node, node.value(0, "image"), (pads[2], pads[6], pads[3], pads[7]), border)


def padded(node: Operator, value: Value, sides: Sides, border: float) -> Value:
    above, below, left, right = sides
    height, width = value.shape[1:]
    shape = (
        value.channels,
        None if height is None else above + height + below,
        None if width is None else left + width + right,
    )
    return node.apply(Pad2D(sides, border), value, shape=shape)


def windows(node: Operator, kernel: list[int]) -> tuple[int, int, Sides]:
    """The size and stride of square windows, and the pixels around the image."""
    strides = list(node.attribute("strides", [1] * len(kernel)))
    dilations = list(node.attribute("dilations", [1] * len(kernel)))
    for name, found in (("kernel_shape", list(kernel)), ("strides", strides)):
        if len(found) != 2 or len(set(found)) > 1:
            raise node.refuse(f"{name} must be two equal numbers, not {found}")
    if set(dilations) != {1}:
        raise node.refuse(f"dilations must be 1, not {dilations}")
    if node.attribute("auto_pad", "NOTSET") not in ("NOTSET", "VALID"):
        raise node.refuse(f"pads must be numbers, not auto_pad {node.attribute('auto_pad')}")
    pads = list(node.attribute("pads", [0] * 4))
    if len(pads) != 4 or min(pads) < 0:
        raise node.refuse(f"pads must be four numbers of 0 or more, not {pads}")
    above, left, below, right = pads
    return int(kernel[0]), int(strides[0]), (above, below, left, right)


def pooled_sides(value: Value, size: int, stride: int, padding: int) -> list[int | None]:
    """Height and width after windows."""
    return [
        None if side is None else (side + padding - size) // stride + 1 for side in value.shape[1:]
    ]


def check_channels(node: Operator, value: Value, channels: int) -> None:
    if value.channels not in (None, channels):
        raise node.refuse(f"its weights are for {channels} channels, its input {value.channels}")


def assign(node: Operator, layer: Layer, **arrays: Any) -> None:
    """Put constants into the parameters of a layer, in float32 or, if they have it, float64."""
    for name, leaf in layer.params.items():
        array = arrays[name]
        if not isinstance(array, np.ndarray):
            raise node.refuse(f"its {name} must be constant")
        if array.shape != leaf.shape:
            raise node.refuse(f"its {name} must have the shape {leaf.shape}, not {array.shape}")
        if array.dtype.kind != "f" or not np.isfinite(array).all():
            raise node.refuse(f"its {name} must hold finite floating-point numbers")
        if name == "running_variance" and array.size and array.min() < 0:
            raise node.refuse(f"its {name} must be 0 or more, not {array.min()}")
        dtype = np.float64 if array.dtype == np.float64 else np.float32
        layer.params[name] = np.ascontiguousarray(array, dtype=dtype)
