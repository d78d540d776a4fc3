"""SIMD for Numba: vectors of float32, as wide as this processor's registers, in LLVM's IR.

Numba compiles loops over single numbers and leaves it to LLVM to vectorize them. The loops of the
fast path say instead which vectors they use: a `vector` holds WIDTH numbers, `load` and `store`
take an address, and `+`, `−` and `fma` work on each number. LLVM turns them into AVX-512, AVX2, SSE
or NEON; without a fused multiply-add instruction, `fma` becomes two operations.

Addresses are int64, in bytes: `address(array)` is that of the first element. No bounds are checked.
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
    """How many float32 a register holds: 16 with AVX-512, 8 with AVX2 and FMA, else 4."""
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
"""Numbers in a vector, and its size in bytes."""

FLOAT, INT, LANE, BYTE = ir.FloatType(), ir.IntType(64), ir.IntType(32), ir.IntType(8)
VECTOR = ir.VectorType(FLOAT, WIDTH)

NO_MASK = np.empty((0, 0, 0, 0), dtype=np.float32)
"""Means that there is no relu_mask: compiled code takes no None."""


@register_jitable
def padded(count: int) -> int:
    """The count, rounded up to a multiple of WIDTH."""
    return -(-count // WIDTH) * WIDTH


class _Vector(types.Type):
    def __init__(self) -> None:
        super().__init__(name=f"float32x{WIDTH}")


vector = _Vector()


@register_model(_Vector)
class _Model(models.PrimitiveModel):
    def __init__(self, manager: Any, kind: Any):
        super().__init__(manager, kind, VECTOR)


# Functions that emit IR: the intrinsics below, and the micro-kernel, are made of them.


def pointer(builder: Any, address: Any, to: Any = VECTOR) -> Any:
    return builder.inttoptr(address, ir.PointerType(to))


def emit_load(builder: Any, address: Any) -> Any:
    value = builder.load(pointer(builder, address))
    value.align = 4
    return value


def emit_store(builder: Any, value: Any, address: Any) -> None:
    builder.store(value, pointer(builder, address)).align = 4


def emit_splat(builder: Any, scalar: Any) -> Any:
    """A vector of WIDTH copies of the scalar."""
    kind = ir.VectorType(scalar.type, WIDTH)
    undefined = ir.Constant(kind, ir.Undefined)
    first = builder.insert_element(undefined, scalar, ir.Constant(LANE, 0))
    return builder.shuffle_vector(first, undefined, ir.Constant(ir.VectorType(LANE, WIDTH), None))


def emit_fma(builder: Any, a: Any, x: Any, c: Any) -> Any:
    """a x + c. `llvm.fmuladd` is fused only where the processor has the instruction; `llvm.fma`
    would call a slow function elsewhere."""
    kind = ir.FunctionType(VECTOR, [VECTOR] * 3)
    function = cgutils.get_or_insert_function(builder.module, kind, f"llvm.fmuladd.v{WIDTH}f32")
    return builder.call(function, [a, x, c])


def _lane_mask(builder: Any, count: Any) -> Any:
    """True for the first `count` numbers of a vector."""
    lanes = ir.Constant(ir.VectorType(INT, WIDTH), list(range(WIDTH)))
    return builder.icmp_signed("<", lanes, emit_splat(builder, count))


def _call_masked(builder: Any, name: str, result: Any, arguments: list[Any]) -> Any:
    """LLVM's masked load or store."""
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
    """The vector at an address."""

    def emit(context, builder, signature, arguments):
        return emit_load(builder, *arguments)

    return vector(types.int64), emit


@intrinsic
def store(context, value, address):
    """Write a vector to an address."""

    def emit(context, builder, signature, arguments):
        emit_store(builder, *arguments)
        return context.get_dummy_value()

    return types.void(vector, types.int64), emit


@intrinsic
def load_partial(context, address, count):
    """The first `count` numbers, then zeros; memory beyond these numbers is not read."""

    def emit(context, builder, signature, arguments):
        mask, zeros = _lane_mask(builder, arguments[1]), ir.Constant(VECTOR, None)
        source = pointer(builder, arguments[0])
        return _call_masked(builder, "load", VECTOR, [source, ALIGNMENT, mask, zeros])

    return vector(types.int64, types.int64), emit


@intrinsic
def store_partial(context, value, address, count):
    """Write the first `count` numbers of a vector."""

    def emit(context, builder, signature, arguments):
        mask, target = _lane_mask(builder, arguments[2]), pointer(builder, arguments[1])
        _call_masked(builder, "store", ir.VoidType(), [arguments[0], target, ALIGNMENT, mask])
        return context.get_dummy_value()

    return types.void(vector, types.int64, types.int64), emit


@inline
def load_up_to(address, count):
    """A whole vector, or, where fewer than WIDTH numbers are left, these and then zeros."""
    return load(address) if count >= WIDTH else load_partial(address, count)


@inline
def store_up_to(value, address, count):
    """Write a whole vector, or its first `count` numbers where that is less than WIDTH."""
    if count >= WIDTH:
        store(value, address)
    else:
        store_partial(value, address, count)


@intrinsic
def splat(context, scalar):
    """A vector of WIDTH copies of a number."""

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


def _select(comparison: str, ordered: bool) -> Any:
    """The intrinsic (x, y, value, other) ↦ value where the comparison of x with y is true, else
    other. With a NaN, an ordered comparison is false and an unordered one is true."""

    @intrinsic
    def select(context, x, y, value, other):
        def emit(context, builder, signature, arguments):
            x, y, value, other = arguments
            compare = builder.fcmp_ordered if ordered else builder.fcmp_unordered
            return builder.select(compare(comparison, x, y), value, other)

        return vector(vector, vector, vector, vector), emit

    return select


_select_greater, _select_equal = _select(">", True), _select("==", True)
_select_not_less_or_equal = _select(">", False)


@inline
def select_positive(relu_mask, value):
    """value where relu_mask > 0, else 0: the backward pass of a ReLU."""
    zero = splat(np.float32(0))
    return _select_greater(relu_mask, zero, value, zero)


@inline
def load_with_relu_mask(x, relu_mask, offset, count):
    """`load_up_to` at an offset in x, in bytes. With a relu_mask (like x, or NO_MASK), 0 where the
    mask is not above 0."""
    value = load_up_to(address(x) + offset, count)
    if relu_mask.size:
        return select_positive(load_up_to(address(relu_mask) + offset, count), value)
    return value


@inline
def select_above(x, minimum, value):
    """value where x > minimum or x is NaN, else 0."""
    return _select_not_less_or_equal(x, minimum, value, splat(np.float32(0)))


@inline
def select_greater(x, y, value, other):
    """value where x > y or x is NaN, else other."""
    return _select_greater(x, y, value, _select_equal(x, x, other, value))


@inline
def select_equal(x, y, value):
    """value where x = y, else 0."""
    return _select_equal(x, y, value, splat(np.float32(0)))


@intrinsic
def maximum(context, value, minimum):
    """max(value, minimum); a NaN stays one."""

    def emit(context, builder, signature, arguments):
        value, minimum = arguments
        return builder.select(builder.fcmp_ordered("<", value, minimum), minimum, value)

    return vector(vector, vector), emit


@intrinsic
def load_bytes(context, address):
    """A vector of WIDTH unsigned bytes, as float32."""

    def emit(context, builder, signature, arguments):
        value = builder.load(pointer(builder, arguments[0], ir.VectorType(BYTE, WIDTH)))
        value.align = 1
        return builder.uitofp(value, VECTOR)

    return vector(types.int64), emit


@intrinsic
def store_bytes(context, value, address):
    """Write numbers from 0 to 255 as unsigned bytes."""

    def emit(context, builder, signature, arguments):
        value, target = arguments
        value = builder.fptoui(value, ir.VectorType(BYTE, WIDTH))
        builder.store(value, pointer(builder, target, value.type)).align = 1
        return context.get_dummy_value()

    return types.void(vector, types.int64), emit


def _operator(function: Any, name: str) -> None:
    """Give vectors a binary operator, LLVM's instruction of this name."""

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
def zero_fill(address, length):
    """Write `length` bytes of zeros."""
    zero = splat(np.float32(0))
    for at in range(address, address + length, BYTES):
        store_up_to(zero, at, (address + length - at) // 4)
