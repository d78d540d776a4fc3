"""Vectors of float32 for Numba: the widest that the processor at hand has, written as IR of LLVM.

Numba compiles loops over single numbers, and leaves it to LLVM to find the vectors. Where a loop is
worth every register, this says which: a `vector` holds WIDTH numbers; `load` and `store` take an
address; `+`, `−` and `fma` act number by number. LLVM turns them into AVX-512, AVX2, SSE or NEON,
and a fused multiply-add into two operations where there is no such instruction.

Addresses are int64, in bytes: `address(array)` is the first one's. Nothing is checked.
"""

import operator
from typing import Any

import numba
import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.codegen import get_host_cpu_features
from numba.extending import intrinsic, models, overload, register_jitable, register_model


def _width() -> int:
    """Numbers in a register: 16 with AVX-512, 8 with AVX2 and FMA, else 4."""
    config: Any = numba.config
    features = config.CPU_FEATURES
    if features is None:
        features = "" if config.CPU_NAME == "generic" else get_host_cpu_features()
    has = set(features.split(","))
    if "+avx512f" in has:
        return 16
    return 8 if {"+avx2", "+fma"} <= has else 4


compiled = numba.njit(nogil=True, error_model="numpy")
inline = numba.njit(forceinline=True, error_model="numpy")

WIDTH = _width()
BYTES = 4 * WIDTH

FLOAT, INT, LANE, BYTE = ir.FloatType(), ir.IntType(64), ir.IntType(32), ir.IntType(8)
VECTOR = ir.VectorType(FLOAT, WIDTH)


nothing = np.empty((0, 0, 0, 0), dtype=np.float32)
"""An empty array in the place of a relu_mask says that there is none."""


@register_jitable
def padded(count: int) -> int:
    """So many numbers, filled up to whole vectors."""
    return -(-count // WIDTH) * WIDTH


class _Vector(types.Type):
    def __init__(self) -> None:
        super().__init__(name=f"float32x{WIDTH}")


vector = _Vector()


@register_model(_Vector)
class _Model(models.PrimitiveModel):
    def __init__(self, manager: Any, kind: Any):
        super().__init__(manager, kind, VECTOR)


# What the intrinsics, and the micro-kernel, are made of: functions that emit IR.


def pointer(builder: Any, address: Any, to: Any = VECTOR) -> Any:
    return builder.inttoptr(address, ir.PointerType(to))


def emit_load(builder: Any, address: Any) -> Any:
    value = builder.load(pointer(builder, address))
    value.align = 4
    return value


def emit_store(builder: Any, value: Any, address: Any) -> None:
    builder.store(value, pointer(builder, address)).align = 4


def emit_splat(builder: Any, scalar: Any) -> Any:
    """The vector of WIDTH equal numbers."""
    kind = ir.VectorType(scalar.type, WIDTH)
    nothing = ir.Constant(kind, ir.Undefined)
    first = builder.insert_element(nothing, scalar, ir.Constant(LANE, 0))
    return builder.shuffle_vector(first, nothing, ir.Constant(ir.VectorType(LANE, WIDTH), None))


def emit_fma(builder: Any, a: Any, x: Any, c: Any) -> Any:
    """a x + c: fused where the processor can, which `llvm.fma` would be at any price."""
    kind = ir.FunctionType(VECTOR, [VECTOR] * 3)
    function = cgutils.get_or_insert_function(builder.module, kind, f"llvm.fmuladd.v{WIDTH}f32")
    return builder.call(function, [a, x, c])


def _first(builder: Any, count: Any) -> Any:
    """The mask of the first `count` numbers."""
    places = ir.Constant(ir.VectorType(INT, WIDTH), list(range(WIDTH)))
    return builder.icmp_signed("<", places, emit_splat(builder, count))


def _masked(builder: Any, name: str, result: Any, arguments: list[Any]) -> Any:
    kind = ir.FunctionType(result, [argument.type for argument in arguments])
    name = f"llvm.masked.{name}.v{WIDTH}f32.p0"
    return builder.call(cgutils.get_or_insert_function(builder.module, kind, name), arguments)


ALIGNMENT = ir.Constant(LANE, 4)


@intrinsic
def address(context, array):
    """The address of an array's first element."""

    def emit(context, builder, signature, arguments):
        data = context.make_array(signature.args[0])(context, builder, arguments[0]).data
        return builder.ptrtoint(data, INT)

    return types.int64(array), emit


@intrinsic
def load(context, address):
    def emit(context, builder, signature, arguments):
        return emit_load(builder, *arguments)

    return vector(types.int64), emit


@intrinsic
def store(context, value, address):
    def emit(context, builder, signature, arguments):
        emit_store(builder, *arguments)
        return context.get_dummy_value()

    return types.void(vector, types.int64), emit


@intrinsic
def load_first(context, address, count):
    """The first `count` numbers, then zeros; what lies behind them is not touched."""

    def emit(context, builder, signature, arguments):
        mask, nothing = _first(builder, arguments[1]), ir.Constant(VECTOR, None)
        place = pointer(builder, arguments[0])
        return _masked(builder, "load", VECTOR, [place, ALIGNMENT, mask, nothing])

    return vector(types.int64, types.int64), emit


@intrinsic
def store_first(context, value, address, count):
    def emit(context, builder, signature, arguments):
        mask, place = _first(builder, arguments[2]), pointer(builder, arguments[1])
        _masked(builder, "store", ir.VoidType(), [arguments[0], place, ALIGNMENT, mask])
        return context.get_dummy_value()

    return types.void(vector, types.int64, types.int64), emit


@inline
def load_some(address, count):
    """A whole vector, or where there are fewer numbers these, then zeros."""
    return load(address) if count >= WIDTH else load_first(address, count)


@inline
def store_some(value, address, count):
    """A whole vector, or as many numbers as there is room for."""
    if count >= WIDTH:
        store(value, address)
    else:
        store_first(value, address, count)


@intrinsic
def splat(context, scalar):
    """The vector of WIDTH times the same number."""

    def emit(context, builder, signature, arguments):
        return emit_splat(builder, arguments[0])

    return vector(types.float32), emit


@intrinsic
def fma(context, a, x, c):
    """a x + c, where a is a number or a vector, x and c are vectors."""

    def emit(context, builder, signature, arguments):
        a, x, c = arguments
        if signature.args[0] is not vector:
            a = emit_splat(builder, a)
        return emit_fma(builder, a, x, c)

    return vector(a if a is vector else types.float32, vector, vector), emit


def _where(comparison: str, ordered: bool) -> Any:
    """The intrinsic (x, y, value, other) ↦ value where x compares with y so, else other."""

    @intrinsic
    def where(context, x, y, value, other):
        def emit(context, builder, signature, arguments):
            x, y, value, other = arguments
            compare = builder.fcmp_ordered if ordered else builder.fcmp_unordered
            return builder.select(compare(comparison, x, y), value, other)

        return vector(vector, vector, vector, vector), emit

    return where


_where_greater, _where_equal = _where(">", True), _where("==", True)
_where_not_at_most = _where(">", False)


@inline
def where_positive(relu_mask, value):
    """value where relu_mask > 0, else 0: a ReLU's backward pass."""
    zero = splat(np.float32(0))
    return _where_greater(relu_mask, zero, value, zero)


@inline
def load_masked(x, relu_mask, offset, count):
    """`load_some` at an offset in x, in bytes. With a relu_mask (like x, or empty), 0 where the
    mask is not above 0."""
    value = load_some(address(x) + offset, count)
    if relu_mask.size:
        return where_positive(load_some(address(relu_mask) + offset, count), value)
    return value


@inline
def where_above(relu_mask, minimum, value):
    """value, and 0 where relu_mask ≤ minimum."""
    return _where_not_at_most(relu_mask, minimum, value, splat(np.float32(0)))


@inline
def where_greater(x, y, value, other):
    """value where x > y or x is NaN, else other."""
    return _where_greater(x, y, value, _where_equal(x, x, other, value))


@inline
def where_equal(x, y, value):
    """value where x = y, else 0."""
    return _where_equal(x, y, value, splat(np.float32(0)))


@intrinsic
def at_least(context, value, minimum):
    """max(value, minimum); a NaN stays one."""

    def emit(context, builder, signature, arguments):
        value, minimum = arguments
        return builder.select(builder.fcmp_ordered("<", value, minimum), minimum, value)

    return vector(vector, vector), emit


@intrinsic
def load_bytes(context, address):
    """WIDTH unsigned bytes as numbers."""

    def emit(context, builder, signature, arguments):
        value = builder.load(pointer(builder, arguments[0], ir.VectorType(BYTE, WIDTH)))
        value.align = 1
        return builder.uitofp(value, VECTOR)

    return vector(types.int64), emit


@intrinsic
def store_bytes(context, value, address):
    """Numbers from 0 to 255 as unsigned bytes."""

    def emit(context, builder, signature, arguments):
        value, place = arguments
        value = builder.fptoui(value, ir.VectorType(BYTE, WIDTH))
        builder.store(value, pointer(builder, place, value.type)).align = 1
        return context.get_dummy_value()

    return types.void(vector, types.int64), emit


def _operator(function: Any, name: str) -> None:
    @intrinsic
    def combine(context, x, y):
        def emit(context, builder, signature, arguments):
            return getattr(builder, name)(*arguments)

        return vector(vector, vector), emit

    @overload(function, inline="always")
    def _(x, y):
        if x is vector and y is vector:
            return lambda x, y: combine(x, y)
        return None


_operator(operator.add, "fadd")
_operator(operator.sub, "fsub")


@compiled
def clear(address, length):
    """Zeros, `length` bytes of them."""
    zero = splat(np.float32(0))
    for at in range(address, address + length, BYTES):
        store_some(zero, at, (address + length - at) // 4)
