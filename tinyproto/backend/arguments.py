"""How compiled code reads its arguments from eight-byte packed, and the one parallel loop.

Imports Numba: `host` imports this when it first runs something.
"""

from typing import Any

import numba
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

INT, DOUBLE = ir.IntType(64), ir.DoubleType()


def _reader(kind: Any, of: Any) -> Any:
    @intrinsic
    def read(context, packed, place):  # type: ignore[no-untyped-def]
        def emit(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
            packed, place = arguments
            start = builder.inttoptr(packed, ir.PointerType(kind))
            return builder.load(builder.gep(start, [place], source_etype=kind))

        return of(types.int64, types.int64), emit

    return read


integer, number = _reader(INT, types.int64), _reader(DOUBLE, types.float64)


@intrinsic
def pointer(context, address, like):  # type: ignore[no-untyped-def]
    """The address as a pointer to numbers of a dtype."""

    def emit(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        to = context.get_value_type(signature.return_type)
        return builder.inttoptr(arguments[0], to)

    return types.CPointer(like.dtype)(types.int64, like), emit


@numba.njit(inline="always")
def array(address, shape, dtype):  # type: ignore[no-untyped-def]
    return numba.carray(pointer(address, dtype), shape)  # type: ignore[call-arg]


@intrinsic
def _call(context, function, worker, workers, packed):  # type: ignore[no-untyped-def]
    def emit(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        kind = ir.FunctionType(ir.VoidType(), [INT] * 3)
        builder.call(builder.inttoptr(arguments[0], ir.PointerType(kind)), arguments[1:])
        return context.get_dummy_value()

    return types.void(*[types.int64] * 4), emit


@numba.njit("void(int64, int64[::1])", nogil=True, cache=True)
def call(function, packed):  # type: ignore[no-untyped-def]
    """All the work in the calling thread."""
    _call(function, 0, 1, packed.ctypes.data)  # type: ignore[call-arg]


@numba.njit("void(int64, int64, int64[::1])", parallel=True, nogil=True, cache=True)
def launch(function, workers, packed):  # type: ignore[no-untyped-def]
    """The work shared out to `workers`."""
    for worker in numba.prange(workers):
        _call(function, worker, workers, packed.ctypes.data)  # type: ignore[call-arg]
