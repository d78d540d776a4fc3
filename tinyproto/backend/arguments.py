"""How compiled code reads its arguments from numbers of eight bytes, and the one parallel loop.

`cpu.load_numba` imports this module when a kernel first runs: it imports Numba.
"""

from typing import Any

import numba
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from .cache import compile_cached

INT64, DOUBLE = ir.IntType(64), ir.DoubleType()


def _reader(ir_type: Any, numba_type: Any) -> Any:
    """The function (packed, index) ↦ the number at that index of the packed arguments."""

    @intrinsic
    def read(context, packed, index):  # type: ignore[no-untyped-def]
        def emit(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
            packed, index = arguments
            start = builder.inttoptr(packed, ir.PointerType(ir_type))
            return builder.load(builder.gep(start, [index], source_etype=ir_type))

        return numba_type(types.int64, types.int64), emit

    return read


read_integer, read_double = _reader(INT64, types.int64), _reader(DOUBLE, types.float64)


@intrinsic
def _pointer(context, address, dtype):  # type: ignore[no-untyped-def]
    """The address as a pointer to numbers of a dtype."""

    def emit(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        pointer_type = context.get_value_type(signature.return_type)
        return builder.inttoptr(arguments[0], pointer_type)

    return types.CPointer(dtype.dtype)(types.int64, dtype), emit


@numba.njit(inline="always")
def array_at(address, shape, dtype):  # type: ignore[no-untyped-def]
    """The contiguous array of this shape and dtype that begins at an address."""
    return numba.carray(_pointer(address, dtype), shape)  # type: ignore[call-arg]


@intrinsic
def _call(context, function, worker, workers, packed):  # type: ignore[no-untyped-def]
    """Call the C function at an address."""

    def emit(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        c_type = ir.FunctionType(ir.VoidType(), [INT64] * 3)
        builder.call(builder.inttoptr(arguments[0], ir.PointerType(c_type)), arguments[1:])
        return context.get_dummy_value()

    return types.void(*[types.int64] * 4), emit


@numba.njit(nogil=True)
def run_serial(function, workers, packed):  # type: ignore[no-untyped-def]
    """All the work in the calling thread."""
    for worker in range(workers):
        _call(function, worker, workers, packed.ctypes.data)  # type: ignore[call-arg]


@numba.njit(parallel=True, nogil=True)
def run_parallel(function, workers, packed):  # type: ignore[no-untyped-def]
    """The work divided among `workers` threads."""
    for worker in numba.prange(workers):
        _call(function, worker, workers, packed.ctypes.data)  # type: ignore[call-arg]


for run in (run_serial, run_parallel):
    compile_cached(run, "void(int64, int64, int64[::1])")
