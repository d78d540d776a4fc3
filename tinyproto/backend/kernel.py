"""One row body → a Numba CPU loop and a Numba CUDA kernel. The only file that imports `numba.cuda`.

A kernel is written once, as the work of lane `t` of `T` on row `i`:

    @kernel
    def scale(i, t, T, x, factor):
        for j in range(t, x.shape[1], T):
            x[i, j] *= factor

    scale(x.shape[0], x, factor)

On the CPU each worker loops over its part of the rows with a single lane (t = 0, T = 1: the
compiler folds both away and vectorises the inner loop). On CUDA a block takes a row and its threads
are the lanes. A row writes only what it owns, so the results are the same bits for any number of
threads.

Lanes meet through three primitives, which on the CPU are nothing or the identity: `sync()`,
`row_sum(value)` and `row_max(value)`. Parts that several bodies share are marked `@routine`.
A kernel names arguments that are good to try it on (`@scale.example`); the checks that run every
kernel in the CUDA simulator and build it for real architectures take them from there.
"""

import importlib
import operator
import types
from collections.abc import Callable
from typing import Any

import numpy as np

from . import cpu, device

MAX_LANES = 256  # threads of a block, a power of two; the size of a reduction's shared buffer
MAX_BLOCKS = 65535

registry: dict[str, "kernel"] = {}
"""Every kernel that has been defined, by name."""

numba: Any = None
cuda: Any = None


def _load_numba() -> None:
    """Import Numba on first use: `import tinyproto` stays as cheap as `import numpy`."""
    global numba, cuda
    if numba is None:
        numba = cpu.load_numba()
        from numba import cuda as cuda_

        cuda = cuda_
        # CuPy and Numba share the legacy default stream; without this every launch would wait
        # on the host for the stream that an array names.
        numba.config.CUDA_ARRAY_INTERFACE_SYNC = False


class routine:
    """A part of a body, compiled for whichever target the body is built for."""

    def __init__(self, function: Callable[..., Any], cuda: Callable[..., Any] | None = None):
        self.function = function
        self._make_cuda = cuda
        self._built: dict[Any, Any] = {}

    def build(self, target: str, dtype: Any, sums: bool) -> Any:
        """The compiled device function; `dtype` is that of the reduction buffers on CUDA."""
        key = (target, dtype, sums)
        if key not in self._built:
            function = self.function
            if target == "cuda" and self._make_cuda is not None:
                function = self._make_cuda(dtype)
            self._built[key] = _inline(function, target, dtype, sums)
        return self._built[key]

    def __call__(self, *arguments: Any) -> Any:
        """Plain Python, with one lane: for reading, and for tests."""
        return self.function(*arguments)


def _inline(function: Any, target: str, dtype: Any, sums: bool, inlined: bool = True) -> Any:
    """Compile a body or routine, with the routines that it names built for the same target."""
    named = {
        name: function.__globals__[name].build(target, dtype, sums)
        for name in function.__code__.co_names
        if isinstance(function.__globals__.get(name), routine)
    }
    rebound = types.FunctionType(
        function.__code__,
        {**function.__globals__, **named},
        function.__name__,
        closure=function.__closure__,
    )
    if target == "cuda":
        # A routine is inlined into the body, so that a reduction is called from the body alone:
        # numba-cuda links a function once for every path to it, and a shared buffer must be single.
        return cuda.jit(device=True, inline="always" if named and inlined else "never")(rebound)
    # Reassociation lets LLVM vectorise a sum; the order it picks is fixed when it compiles, so a
    # row's bits do not depend on the other rows. NaN and infinity keep their meaning. A body that
    # sums over no lanes gains nothing by it, and keeps the arithmetic as it is written: LLVM may
    # reorder the same source differently when Numba compiles it and when it fills its cache.
    return numba.njit(
        error_model="numpy",
        forceinline=True,
        fastmath={"reassoc", "contract", "nsz"} if sums else False,
    )(rebound)


def _tree(combine: Callable[[Any, Any], Any]) -> Callable[[Any], Any]:
    """A block-wide reduction in plain shared memory (shuffles do not run in the simulator)."""

    def make(dtype: Any) -> Any:
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


def _barrier(dtype: Any) -> Any:
    def wait():  # type: ignore[no-untyped-def]
        cuda.syncthreads()

    return wait


def _nothing() -> None:
    pass


def _identity(value: Any) -> Any:
    return value


sync = routine(_nothing, cuda=_barrier)
row_sum = routine(_identity, cuda=_tree(operator.add))
row_max = routine(_identity, cuda=_tree(max))

LOOP = {
    "thread": "for i in range(rows):\n   body(i, 0, 1, {arguments})",
    "cuda": "for i in range(cuda.blockIdx.x, rows, cuda.gridDim.x):\n"
    "   body(i, cuda.threadIdx.x, cuda.blockDim.x, {arguments})",
}


class kernel:
    """The decorator. Calling the kernel runs `body` for rows 0 … rows − 1 where the arrays live."""

    def __init__(self, body: Callable[..., None]):
        self.body = body
        self.__name__ = body.__name__
        self.__doc__ = body.__doc__
        self._built: dict[Any, Any] = {}
        self.in_vectors: str | None = None
        """A module with a function of the same name in vector code (float32, on the CPU): called as
        fast(i, *arguments), it does row i and returns True, or leaves it to the body."""
        self.make_example: Callable[[np.random.Generator, Any], tuple[Any, ...]] | None = None
        registry[self.__name__] = self

    def example(self, make: Callable[[np.random.Generator, Any], tuple[Any, ...]]) -> Any:
        """Register `make(random, dtype) -> (rows, *arguments)`: small arguments to check it on."""
        self.make_example = make
        return make

    def __call__(self, rows: int, *arguments: Any) -> None:
        """Where the arrays live; on the CPU in as many threads as so much work deserves."""
        if device.array_module(*arguments) is not np:
            self.launch(rows, *arguments)
        elif rows:
            work = 64 * sum(a.nbytes for a in arguments if isinstance(a, np.ndarray))
            arguments = (rows, *arguments)
            kinds = tuple(map(cpu.kind, arguments))
            built = self._built.get(kinds) or self._build_on_host(kinds)
            cpu.run(built, min(rows, cpu.workers(work)), arguments)

    def _build_on_host(self, kinds: tuple[Any, ...]) -> Any:
        """The loop over one worker's rows, for arguments of these kinds; see `host`."""
        _load_numba()
        names = cpu.argument_names(self.body)[3:]
        loop = "for i in range(rows * worker // workers, rows * (worker + 1) // workers):\n   "
        scope = {"body": self._inlined("cpu", None)}
        if self.in_vectors and _all_float32(kinds):
            scope["fast"] = getattr(importlib.import_module(self.in_vectors), self.__name__)
            loop += f"if not fast(i, {', '.join(names)}):\n    "
        call = f"{loop}body(i, 0, 1, {', '.join(names)})"
        built = cpu.compile_for(self.body, scope, call, ["rows", *names], kinds)
        self._built[kinds] = built
        return built

    def _inlined(self, target: str, dtype: Any) -> Any:
        sums = "row_sum" in self.body.__code__.co_names
        return _inline(self.body, target, dtype, sums, inlined=False)

    def launch(
        self, rows: int, *arguments: Any, lanes: int = 128, blocks: int = MAX_BLOCKS
    ) -> None:
        """Run on the CUDA device, or in the simulator. `lanes` is a power of two."""
        if rows:
            built = self.build("cuda", reduction_dtype(arguments))
            built[min(rows, blocks), lanes](rows, *arguments)

    def build(self, target: str, dtype: Any = None) -> Any:
        """The compiled loop over rows for `target`: "cuda", or "thread" for arrays with gaps,
        in the calling thread."""
        key = (target, dtype)
        if key not in self._built:
            _load_numba()
            code = self.body.__code__
            arguments = ", ".join(cpu.argument_names(self.body)[3:])
            name = f"{self.__name__}_{target}"
            source = (
                "\n" * (code.co_firstlineno - 1)  # so that errors point at the body
                + f"def make(stamp):\n def {name}(rows, {arguments}):\n  stamp\n  "
                + LOOP[target].format(arguments=arguments)
                + f"\n return {name}"
            )
            names = {
                "body": self._inlined(target, dtype),
                "cuda": cuda,
                "__name__": self.body.__module__,
            }
            exec(compile(source, code.co_filename, "exec"), names)
            loop = names["make"](cpu.source_checksum())
            if target == "cuda":
                built = cuda.jit(loop)
            else:
                built = numba.njit(nogil=True, error_model="numpy", cache=True)(loop)
            self._built[key] = built
        return self._built[key]

    def compile(self, *signature: Any, dtype: Any, capability: tuple[int, int], output: str) -> Any:
        """PTX or LTO-IR for a compute capability, with no driver and no device.

        `signature` are the Numba types of the arguments after `rows`. numba-cuda asks for the
        current device while it types a callee; the patch answers in its place.
        """
        from unittest import mock

        self._built.pop(("cuda", dtype), None)
        loop = self.build("cuda", dtype).py_func
        current = types.SimpleNamespace(compute_capability=capability)
        with mock.patch("numba.cuda.dispatcher.get_current_device", return_value=current):
            return cuda.compile(
                loop,
                (numba.int64, *signature),
                device=False,
                abi="numba",
                cc=capability,
                output=output,
            )[0]


def _all_float32(kinds: tuple[Any, ...]) -> bool:
    """Whether all floating-point arrays are of float32."""
    dtypes = [kind[0] for kind in kinds if isinstance(kind, tuple)]
    return all(dtype == np.float32 for dtype in dtypes if dtype.kind == "f")


def reduction_dtype(arguments: tuple[Any, ...]) -> Any:
    """The dtype of the first floating-point array: that of the reduction buffers."""
    for argument in arguments:
        found = getattr(argument, "dtype", None)
        if found is not None and np.dtype(found).kind == "f":
            return np.float64 if np.dtype(found) == np.float64 else np.float32
    return np.float32
