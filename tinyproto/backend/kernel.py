"""One body, two compilers: `@kernel` makes a CPU loop and a CUDA kernel of the work on one row."""

import importlib
from collections.abc import Callable
from functools import partial, update_wrapper
from typing import Any

import numpy as np

from . import cpu, device, routines
from .cuda import argument_type, compile_kernel

MAX_BLOCKS = 65535
"""CUDA blocks of a launch at most; with more rows, a block does several."""


def kernel(
    body: Callable[..., None] | None = None, *, fast: str | None = None, lanes: int = 128
) -> Any:
    """A decorator: a function written once, as the work on one row, that runs on CPU and GPU.

    The body does row `i` with lane `t` of `T`. The loop over the rows is not in it: `kernel` adds
    the loop that suits the device, and compiles it with Numba when it is first called.

    ====================  =========================  =====================================
    ..                    CPU                        CUDA
    ====================  =========================  =====================================
    rows                  divided among the threads  one block of threads each
    lanes of a row        one: t = 0, T = 1          the threads of the block, T = `lanes`
    `range(t, n, T)`      0 … n − 1, vectorized      every T-th element, from the t-th
    `row_sum`, `row_max`  the value itself           a reduction over the block
    `sync`                nothing                    a barrier for the block
    ====================  =========================  =====================================

    Parameters
    ----------
    body : callable
        `body(i, t, T, *arguments)`. Its arguments are arrays and numbers; it returns nothing.
    fast : str, optional
        The name of a module with a function of the same name, written with the CPU's vector
        instructions: `function(i, *arguments)` does row i and returns True, or returns False and
        leaves the row to the body. It is called on the CPU, where all floating-point arrays are
        float32.
    lanes : int
        T, the threads of a block on CUDA: a power of two from 32 to 256.

    Returns
    -------
    Kernel
        Called as `kernel(rows, *arguments)`, it runs the body for rows 0 … rows − 1 where the
        arrays are. Arguments may be named. On the CPU, arrays must be contiguous.

    Notes
    -----
    Rules for a body:

    - A row writes only what no other row writes. Then the results are the same bits for any number
      of threads. (Gather what a row needs, do not scatter what it gives.)
    - Elements are divided among the lanes by `range(t, n, T)`, and what only one lane may do is
      under `if t == 0`. A value that is the sum of the lanes' parts is `row_sum(part)`. Where one
      lane reads what another wrote, `sync()` must lie in between. All lanes must reach a
      `row_sum`, `row_max` or `sync`.
    - Constants take the arrays' dtype, `x.dtype.type(0.5)`: a Python float is a float64, and would
      make float32 arithmetic slow.
    - What several bodies share is a `routine`.
    - A body cannot raise, and writes to an array whatever its flag `writeable` says: check both
      before the call. Values that it captures from a function around it are compiled in; such a
      kernel is compiled anew in each process.

    Examples
    --------
    Each row of an array, divided by its sum. Lane t adds up the elements t, t + T, t + 2T, …; the
    lanes' parts are summed; each lane divides its elements.

    >>> import numpy as np
    >>> from tinyproto.backend import kernel, row_sum
    >>> @kernel
    ... def normalize(i, t, T, x, y):
    ...     part = x.dtype.type(0)
    ...     for j in range(t, x.shape[1], T):
    ...         part += x[i, j]
    ...     total = row_sum(part)
    ...     for j in range(t, x.shape[1], T):
    ...         y[i, j] = x[i, j] / total
    >>> x = np.array([[1.0, 3.0], [2.0, 2.0]])
    >>> y = np.empty_like(x)
    >>> normalize(len(x), x, y)
    >>> y
    array([[0.25, 0.75],
           [0.5 , 0.5 ]])

    With arrays of CuPy the same call runs on the GPU.
    """
    return partial(Kernel, fast=fast, lanes=lanes) if body is None else Kernel(body, fast, lanes)


class Kernel:
    """What `kernel` makes of a body."""

    def __init__(self, body: Callable[..., None], fast: str | None = None, lanes: int = 128):
        if lanes not in (32, 64, 128, 256):
            raise ValueError(f"kernel: lanes must be 32, 64, 128 or 256, not {lanes!r}")
        update_wrapper(self, body)
        self.__name__ = body.__name__
        self.body = body
        self.fast = fast
        self.lanes = lanes
        self.argument_names = cpu.argument_names(body)[3:]
        self._compiled: dict[tuple[cpu.ArgumentType, ...], cpu.CompiledFunction] = {}
        self._compiled_cuda: dict[Any, Any] = {}

    def __call__(self, rows: int, *arguments: Any, **named: Any) -> None:
        """Run the body for rows 0 … rows − 1, on the CPU in as many threads as are worth it."""
        if named:
            arguments = self._in_order(arguments, named)
        if device.array_module(*arguments) is not np:
            self.launch(rows, *arguments)
        elif rows:
            work = 64 * sum(a.nbytes for a in arguments if isinstance(a, np.ndarray))
            arguments = (rows, *arguments)
            types = tuple(map(cpu.argument_type, arguments))
            compiled = self._compiled.get(types) or self._compile_cpu(types)
            cpu.run(compiled, min(rows, cpu.worker_count(work)), arguments)

    def _in_order(self, arguments: tuple[Any, ...], named: dict[str, Any]) -> tuple[Any, ...]:
        """All arguments in the body's order. Raises TypeError where one is missing or unknown."""
        rest = self.argument_names[len(arguments) :]
        if set(rest) != set(named):
            wrong = ", ".join(sorted(set(rest) ^ set(named)))
            raise TypeError(f"kernel {self.__name__}: missing, repeated or unknown: {wrong}")
        return (*arguments, *(named[name] for name in rest))

    def launch(
        self, rows: int, *arguments: Any, lanes: int | None = None, blocks: int = MAX_BLOCKS
    ) -> None:
        """Run on the CUDA device, or in the simulator, with `lanes` lanes instead of its own.

        They are a power of two, and may be fewer than 32 here. Raises ValueError for others.
        """
        lanes = lanes or self.lanes
        if not 0 < lanes <= routines.MAX_LANES or lanes & (lanes - 1):  # a reduction halves them
            raise ValueError(
                f"lanes must be a power of two up to {routines.MAX_LANES}, not {lanes}"
            )
        if not rows:
            return
        arguments = (rows, *arguments)
        types = tuple(map(argument_type, arguments))
        compiled = self._compiled_cuda.get(types)
        if compiled is None:
            loop = self.cuda_loop(reduction_dtype(arguments))
            compiled = self._compiled_cuda[types] = compile_kernel(loop, types)
        compiled(min(rows, blocks), lanes, arguments)

    def _compile_cpu(self, types: tuple[cpu.ArgumentType, ...]) -> cpu.CompiledFunction:
        """The loop over one worker's rows, for arguments of these types."""
        cpu.load_numba()
        arguments = ", ".join(self.argument_names)
        scope = {"_body": self._jit("cpu", None)}
        call = f"_body(_i, 0, 1, {arguments})"
        if self.fast is not None and _all_float32(types):
            scope["_fast"] = self.fast_function()
            call = f"if not _fast(_i, {arguments}):\n    {call}"
        loop = f"for _i in range({_part('_worker')}, {_part('(_worker + 1)')}):\n   {call}"
        names = ["_rows", *self.argument_names]
        with cpu.compile_lock:  # of several threads, one compiles
            if types not in self._compiled:
                self._compiled[types] = cpu.compile_function(self.body, scope, loop, names, types)
        return self._compiled[types]

    def fast_function(self) -> Any:
        """The function in the module `fast`. Raises TypeError where it does not fit the body."""
        found = getattr(importlib.import_module(str(self.fast)), self.__name__, None)
        expected = ["i", *self.argument_names]
        if found is None or cpu.argument_names(getattr(found, "py_func", found)) != expected:
            signature = f"{self.__name__}({', '.join(expected)})"
            raise TypeError(f"kernel {self.__name__}: {self.fast} has no function {signature}")
        return found

    def cuda_loop(self, dtype: Any) -> Callable[..., None]:
        """The function (rows, *arguments) that Numba compiles for CUDA, a block for each row.

        `dtype` is that of the buffers of reductions.
        """
        cuda = routines.load_cuda()
        arguments = ", ".join(self.argument_names)
        line = self.body.__code__.co_firstlineno  # so that errors point at the body
        text = (
            "\n" * (line - 1) + f"def {self.__name__}_cuda(_rows, {arguments}):\n"
            "  for _i in range(cuda.blockIdx.x, _rows, cuda.gridDim.x):\n"
            f"   _body(_i, cuda.threadIdx.x, cuda.blockDim.x, {arguments})"
        )
        scope = {"_body": self._jit("cuda", dtype), "cuda": cuda, "__name__": self.body.__module__}
        exec(compile(text, self.body.__code__.co_filename, "exec"), scope)
        return scope[f"{self.__name__}_cuda"]

    def _jit(self, target: str, dtype: Any) -> Any:
        reassociate = "row_sum" in self.body.__code__.co_names
        return routines.jit(self.body, target, dtype, reassociate, inline_callers=False)


def _part(worker: str) -> str:
    """Where a worker's rows begin."""
    return f"_rows * {worker} // _workers"


def _all_float32(types: tuple[cpu.ArgumentType, ...]) -> bool:
    """Whether all floating-point arrays are float32."""
    dtypes = [type_[0] for type_ in types if isinstance(type_, tuple)]
    return all(dtype == np.float32 for dtype in dtypes if dtype.kind == "f")


def reduction_dtype(arguments: tuple[Any, ...]) -> Any:
    """The dtype of the first floating-point array: that of the reductions' buffers."""
    for argument in arguments:
        found = getattr(argument, "dtype", None)
        if found is not None and np.dtype(found).kind == "f":
            return np.float64 if np.dtype(found) == np.float64 else np.float32
    return np.float32
