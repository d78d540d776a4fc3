"""The operators of ONNX that `load_onnx` knows: each adds the layer that computes it.

Those of windows and of weights are in `onnx_layers`.
"""

import logging
from collections.abc import Callable
from typing import Any

import numpy as np

from ..layers import Affine, Flatten, GlobalAveragePool, ReLU, Sequential
from .onnx_layers import (
    average_pool,
    batch_norm,
    convolution,
    gemm,
    matmul,
    max_pool,
    pad,
)
from .onnx_value import Operator, Value, decimal

LOGGER = logging.getLogger("tinyproto")

Result = Value | np.ndarray


def relu(node: Operator) -> Result:
    return node.apply(ReLU(), node.value())


def unchanged(node: Operator) -> Result:
    """Identity, and Dropout, which does nothing in eval mode."""
    found: Result = node.inputs[0]
    return found


def constant(node: Operator) -> Result:
    kinds = {"value_float": np.float32, "value_floats": np.float32}
    for name in ("value", *kinds, "value_int", "value_ints"):
        if (found := node.attribute(name)) is not None:
            return np.asarray(found, dtype=kinds.get(name))
    raise node.refuse("its value must be an array of numbers")


def softmax(node: Operator) -> Result:
    """Attacks need the scores: a last softmax, which changes no answer, is left out."""
    value = node.value(0, "row")
    if not node.last or node.attribute("axis", 1) not in (1, -1):
        raise node.refuse("only the last one, over the classes, can be left out")
    LOGGER.info("load_onnx leaves out the last %s: the network gives scores", node.kind)
    return value


def arithmetic(node: Operator) -> Result:
    """Add, Sub, Mul, Div: of two constants, of a value and a constant, the sum of two values."""
    a, b = node.input(0), node.input(1)
    if isinstance(a, np.ndarray) and isinstance(b, np.ndarray):
        return np.asarray(ARITHMETIC[node.kind](a, b))
    if isinstance(a, Value) and isinstance(b, Value):
        return add(node)
    if isinstance(a, Value):
        number = per_channel(node, a, b)
        if node.kind == "Div" and not number.all():
            raise node.refuse("its divisor must not be 0")
        # a ∘ c = scale · a + shift
        scale = {"Mul": number, "Div": 1 / number if number.all() else None}.get(node.kind)
        shift = {"Add": number, "Sub": -number}.get(node.kind)
        return affine(node, a, scale, shift)
    number = per_channel(node, node.value(1), a)
    if node.kind == "Div":
        raise node.refuse("cannot divide by what is computed from the network's input")
    if node.kind == "Sub":
        return affine(node, b, -np.ones_like(number), number)
    return affine(node, b, *((number, None) if node.kind == "Mul" else (None, number)))


def affine(
    node: Operator, value: Value, scale: np.ndarray | None, shift: np.ndarray | None
) -> Value:
    """scale · value + shift, of which one may be left out."""
    like = scale if scale is not None else shift
    scale = np.ones_like(like) if scale is None else scale
    shift = np.zeros_like(like) if shift is None else shift
    return node.apply(Affine(scale.tolist(), shift.tolist()), value)


def add(node: Operator) -> Result:
    """The sum of values, Add or Sum."""
    values = [node.value(place) for place in range(len(node.inputs))]
    if node.kind not in ("Add", "Sum"):
        raise node.refuse("one of the two must be constant; only sums of two branches are known")
    for other in values[1:]:
        if not values[0].same_kind(other):
            both = f"{values[0].form} {values[0].shape} and {other.form} {other.shape}"
            order = " in another order" if values[0].shape == other.shape else ""
            raise node.refuse(f"cannot add {both}{order}")
    return node.apply(Sequential(), *values)


def per_channel(node: Operator, value: Value, number: np.ndarray) -> np.ndarray:
    """A constant as one number for each channel of a value, in the order that is used here."""
    channels = value.channels
    rank = len(value.shape) + 1
    shape = (1,) * (rank - number.ndim) + number.shape
    axis = rank - 1 if value.form in ("row", "channels last") else 1
    if (
        channels is None
        or number.dtype.kind not in "fiu"
        or len(shape) != rank
        or any(length != 1 for place, length in enumerate(shape) if place != axis)
        or shape[axis] not in (1, channels)
    ):
        raise node.refuse(
            f"its constant of shape {number.shape} must be one number, or one for each channel of "
            f"{value.form} {value.shape}"
        )
    vector = np.broadcast_to(decimal(number).ravel(), (channels,))
    return vector if value.order is None else vector[value.order]


def flatten(node: Operator) -> Result:
    value, axis = node.value(), node.attribute("axis", 1)
    if axis % (len(value.shape) + 1) != 1:
        raise node.refuse(f"axis must be 1, all of an example in a row, not {axis}")
    return as_row(node, value)


def as_row(node: Operator, value: Value) -> Value:
    """A value as rows (N, d)."""
    if value.form == "row":
        return value
    if value.form == "pooled":
        return Value(value.node, value.shape[:1], "row")
    size, order = value.size, None
    if size is None:
        raise node.refuse(f"the file must say the size of the images, not {value.shape}")
    if value.form == "image" and value.shape[1:] != (1, 1):
        order = np.arange(size).reshape(value.channels, *value.shape[1:])
        order = order.transpose(1, 2, 0).ravel()
    return node.apply(Flatten(), value, shape=(size,), form="row", order=order)


def reshape(node: Operator) -> Result:
    """That of the batch kind: all numbers of an example in one row, or in the shape they have."""
    target = [int(length) for length in node.constant(1, "shape").ravel()]
    if isinstance(node.input(0), np.ndarray):
        return node.constant(0, "data").reshape(target)
    value = node.value()
    size = value.size
    batch = target[:1] in ([0], [-1], [node.batch])
    rest = tuple(target[1:])
    if batch and rest in ((-1,), (size,)):
        return as_row(node, value)
    if batch and size and rest == value.shape:
        return value
    if batch and rest == (size, 1, 1) and value.form == "row" and value.order is None:
        return Value(value.node, (size, 1, 1), "pooled")
    raise node.refuse(
        f"shape must be (N, {size or '-1'}), all of an example in a row, not {tuple(target)}"
    )


def squeeze(node: Operator) -> Result:
    axes = node.integers("axes", 1)
    if isinstance(node.input(0), np.ndarray):
        return np.squeeze(node.inputs[0], None if axes is None else tuple(axes))
    value = node.value(0, "pooled")
    if axes is None or {axis % 4 for axis in axes} != {2, 3}:
        raise node.refuse(f"axes must be [2, 3], not {axes}")
    return as_row(node, value)


def transpose(node: Operator) -> Result:
    permutation = node.attribute("perm")
    if isinstance(node.input(0), np.ndarray):
        return np.transpose(node.inputs[0], permutation)
    value = node.value()
    form, order = TRANSPOSED.get(value.form, ("", []))
    if permutation is None or list(permutation) != order:
        raise node.refuse(f"perm must be {order}, not {permutation}, for {value.form}")
    shape = tuple(value.shape[axis - 1] for axis in order[1:])
    return Value(value.node, shape, form)


TRANSPOSED = {"image": ("channels last", [0, 2, 3, 1]), "channels last": ("image", [0, 3, 1, 2])}


def global_average_pool(node: Operator) -> Result:
    value = node.value(0, "image", "pooled")
    if value.form == "pooled":
        return value
    shape = (value.channels, 1, 1)
    return node.apply(GlobalAveragePool(), value, shape=shape, form="pooled")


def reduce_mean(node: Operator) -> Result:
    """The mean over height and width."""
    value, axes, keep = node.value(), node.integers("axes", 1), node.attribute("keepdims", 1)
    wanted = {"image": {2, 3}, "channels last": {1, 2}}.get(value.form)
    if wanted is None or axes is None or {axis % 4 for axis in axes} != wanted:
        raise node.refuse(f"axes must be those of height and width, not {axes} of {value.form}")
    if keep and value.form == "channels last":
        raise node.refuse("keepdims must be 0")
    pooled = node.apply(GlobalAveragePool(), value, shape=(value.channels, 1, 1), form="pooled")
    return pooled if keep else as_row(node, pooled)


# Constants that newer files compute a shape of. In a shape −1 stands for the number of examples.


def shape_of(node: Operator) -> Result:
    value = node.value()
    if value.size is None:
        raise node.refuse(f"the file must say the size of the images, not {value.shape}")
    shape = np.array([-1, *value.shape], dtype=np.int64)
    return shape[node.attribute("start", 0) : node.attribute("end")]


def gather(node: Operator) -> Result:
    indices = node.constant(1, "indices")
    return np.take(node.constant(0, "data"), indices, axis=node.attribute("axis", 0))


def unsqueeze(node: Operator) -> Result:
    axes = node.integers("axes", 1) or []
    return np.expand_dims(node.constant(0, "data"), tuple(axes))


def concatenate(node: Operator) -> Result:
    parts = [node.constant(place, "inputs") for place in range(len(node.inputs))]
    return np.concatenate(parts, axis=node.attribute("axis"))


def cast(node: Operator) -> Result:
    """Of a constant: all are computed in the types of NumPy that they come in."""
    return node.constant(0, "input")


ARITHMETIC: dict[str, Callable[[Any, Any], Any]] = {
    "Add": np.add, "Sub": np.subtract, "Mul": np.multiply, "Div": np.divide
}  # fmt: skip

OPERATORS: dict[str, Callable[[Operator], Result]] = {
    **dict.fromkeys(ARITHMETIC, arithmetic),
    "AveragePool": average_pool,
    "BatchNormalization": batch_norm,
    "Cast": cast,
    "Concat": concatenate,
    "Constant": constant,
    "Conv": convolution,
    "Dropout": unchanged,
    "Flatten": flatten,
    "Gather": gather,
    "Gemm": gemm,
    "GlobalAveragePool": global_average_pool,
    "Identity": unchanged,
    "LogSoftmax": softmax,
    "MatMul": matmul,
    "MaxPool": max_pool,
    "Pad": pad,
    "ReduceMean": reduce_mean,
    "Relu": relu,
    "Reshape": reshape,
    "Shape": shape_of,
    "Softmax": softmax,
    "Squeeze": squeeze,
    "Sum": add,
    "Transpose": transpose,
    "Unsqueeze": unsqueeze,
}
