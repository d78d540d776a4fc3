"""What kernel bodies call: routines, and functions that combine or synchronize the lanes of a row.

The only file that imports `numba.cuda`.
"""

import operator
import types
from collections.abc import Callable
from functools import partial, update_wrapper
from typing import Any

from . import cpu

MAX_LANES = 256
"""Threads of a CUDA block at most, a power of two: the size of a reduction's shared buffer."""

cuda: Any = None


def load_cuda() -> Any:
    """Import `numba.cuda` on first use."""
    global cuda
    if cuda is None:
        config = cpu.load_numba().config
        from numba import cuda as numba_cuda

        cuda = numba_cuda
        # CuPy and Numba share the legacy default stream; without this every launch would wait
        # on the host for the stream that an array names.
        config.CUDA_ARRAY_INTERFACE_SYNC = False
        # A grid has one block per row: it is small where a batch is.
        config.CUDA_LOW_OCCUPANCY_WARNINGS = 0
    return cuda


class routine:
    """A decorator: a function that several kernel bodies call, compiled for the CPU or for CUDA.

    Called from Python it runs as plain Python, as the CPU's only lane: for reading and for tests.

    Parameters
    ----------
    function : callable
        The function. It may call other routines.
    cuda : callable, optional
        Makes the function that takes its place on CUDA: `cuda(dtype)`, of the dtype of the
        reductions' buffers.

    Examples
    --------
    >>> from tinyproto.backend import routine
    >>> @routine
    ... def lerp(a, b, fraction):
    ...     return a + fraction * (b - a)
    >>> lerp(2.0, 4.0, 0.25)
    2.5
    """

    def __init__(self, function: Callable[..., Any], cuda: Callable[..., Any] | None = None):
        update_wrapper(self, function)
        self.function = function
        self._make_cuda = cuda
        self._compiled: dict[Any, Any] = {}

    def compiled(self, target: str, dtype: Any, reassociate: bool) -> Any:
        """The function as other compiled code calls it; see `jit`."""
        key = (target, dtype, reassociate)
        if key not in self._compiled:
            function = self.function
            if target == "cuda" and self._make_cuda is not None:
                function = self._make_cuda(dtype)
            self._compiled[key] = jit(function, target, dtype, reassociate, inline_callers=True)
        return self._compiled[key]

    def __call__(self, *arguments: Any) -> Any:
        return self.function(*arguments)


def jit(
    function: Callable[..., Any], target: str, dtype: Any, reassociate: bool, inline_callers: bool
) -> Any:
    """Compile a body or routine, and the routines that it names, for "cpu" or "cuda".

    `dtype` is that of the buffers of CUDA's reductions. `reassociate` lets LLVM change the order of
    sums on the CPU, and so vectorize them: the order is fixed when it compiles, so a row's bits do
    not depend on the other rows; NaN and infinity keep their meaning. Only bodies with `row_sum`
    need it. In the others the arithmetic stays as written: LLVM may reorder the same source
    differently when Numba compiles it and when it fills its cache.
    """
    named = {
        name: function.__globals__[name].compiled(target, dtype, reassociate)
        for name in function.__code__.co_names
        if isinstance(function.__globals__.get(name), routine)
    }
    bound = types.FunctionType(
        function.__code__,
        {**function.__globals__, **named},
        function.__name__,
        closure=function.__closure__,
    )
    if target == "cuda":
        # A routine is inlined into the body, so that a reduction is called from the body alone:
        # numba-cuda links a function once for every path to it, and a shared buffer must be single.
        inline = "always" if named and inline_callers else "never"
        return cuda.jit(device=True, inline=inline)(bound)
    return cpu.numba.njit(
        error_model="numpy",
        forceinline=True,
        fastmath={"reassoc", "contract", "nsz"} if reassociate else False,
    )(bound)


def _block_barrier(dtype: Any) -> Callable[[], None]:
    def wait() -> None:
        cuda.syncthreads()

    return wait


def _block_reduction(combine: Callable[[Any, Any], Any]) -> Callable[[Any], Any]:
    """A tree in plain shared memory: half the lanes combine two values each, then half of those.
    (Shuffles between the threads of a warp do not run in the simulator.)"""

    def make(dtype: Any) -> Callable[[Any], Any]:
        def reduce(value):  # type: ignore[no-untyped-def]
            shared = cuda.shared.array(MAX_LANES, dtype)
            lane = cuda.threadIdx.x
            half = cuda.blockDim.x // 2
            cuda.syncthreads()
            shared[lane] = value
            cuda.syncthreads()
            while half > 0:
                if lane < half:
                    shared[lane] = combine(shared[lane], shared[lane + half])
                cuda.syncthreads()
                half //= 2
            return shared[0]

        return reduce

    return make


@partial(routine, cuda=_block_barrier)
def sync() -> None:
    """In a kernel's body: wait until all lanes of the row have called it.

    What a lane wrote before, the others may read after. On the CPU, where a row has one lane, it
    does nothing. All lanes of a row must call it, or none.

    Examples
    --------
    >>> from tinyproto.backend import sync
    >>> sync()
    """


@partial(routine, cuda=_block_reduction(operator.add))
def row_sum(value: Any) -> Any:
    """In a kernel's body: the sum of a value over the lanes of the row.

    On CUDA a tree in shared memory, on the CPU, where a row has one lane, the value itself. All
    lanes of a row must call it, and all get the sum.

    Parameters
    ----------
    value : float
        This lane's part of the sum.

    Returns
    -------
    float
        The sum over the lanes.

    Examples
    --------
    >>> from tinyproto.backend import row_sum
    >>> row_sum(1.5)
    1.5
    """
    return value


@partial(routine, cuda=_block_reduction(max))
def row_max(value: Any) -> Any:
    """In a kernel's body: the maximum of a value over the lanes of the row.

    On CUDA a tree in shared memory, on the CPU, where a row has one lane, the value itself. All
    lanes of a row must call it, and all get the maximum.

    Parameters
    ----------
    value : float
        This lane's value.

    Returns
    -------
    float
        The largest value of the lanes.

    Examples
    --------
    >>> from tinyproto.backend import row_max
    >>> row_max(1.5)
    1.5
    """
    return value
