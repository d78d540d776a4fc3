"""Compiled code on all cores of the CPU: the only module that starts Numba's threads.

Numba compiles a parallel loop three times over. Here one such loop serves every kernel,

    for worker in prange(workers): function(worker, workers, arguments)

where `function` is the address of a C function: a kernel is compiled once, as a plain loop. Its
arguments are packed into numbers of eight bytes, an array as its address and its shape, so arrays
must be contiguous.
"""

import functools
import importlib
import math
import os
import struct
import threading
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from . import fork

SPIN_COUNT = "20000"
"""How often an idle thread of OpenMP looks for work before it sleeps: well below a millisecond.
Waking it costs 40 µs, a fifth of a small layer; one that never sleeps takes a core from others."""

MIN_WORK_PER_THREAD = 1 << 22
"""Operations for which a second thread is worth its start: 20 µs of a core at its peak."""

numba: Any = None
packed_arguments: Any = None
compile_lock = threading.RLock()
_workqueue_lock = threading.RLock()
_one_loop_at_once: AbstractContextManager[Any] = nullcontext()  # the lock, under `workqueue`
_serial = False  # whether this process was forked from one whose threads it cannot use


def load_numba() -> Any:
    """Import Numba on first use: `import tinyproto` stays as cheap as `import numpy`."""
    global numba, packed_arguments
    with compile_lock:
        if numba is None:
            found = importlib.import_module("numba")
            if found.config.DISABLE_JIT:
                raise RuntimeError("NUMBA_DISABLE_JIT is set: tinyproto's kernels are compiled")
            _start_threads(found)
            packed_arguments = importlib.import_module(".arguments", __package__)
            numba = found
    return numba


def _start_threads(numba: Any) -> None:
    """Start Numba's threads, in the layer that the user chose, if any, and else in OpenMP.

    Raises ValueError, with Numba's advice, where that layer is not installed.
    """
    global _one_loop_at_once, _serial
    os.environ.setdefault("GOMP_SPINCOUNT", SPIN_COUNT)
    with suppress(ValueError):  # other code has not started them yet
        _serial = numba.threading_layer() == "omp" and fork.was_forked()
    chosen = "NUMBA_THREADING_LAYER_PRIORITY" in os.environ
    if not chosen and numba.config.THREADING_LAYER_PRIORITY == ["tbb", "omp", "workqueue"]:
        # Where there is no OpenMP, the next; `workqueue` takes far longer to start a loop.
        numba.config.THREADING_LAYER_PRIORITY = ["omp", "tbb", "workqueue"]
    # Else Numba makes a lock between processes, and with it fixes the start method of
    # multiprocessing; a worker that is terminated then leaves a semaphore behind.
    parallel: Any = importlib.import_module("numba.np.ufunc.parallel")
    if parallel._backend_init_process_lock is None:
        parallel._backend_init_process_lock = nullcontext()
    numba.get_num_threads()
    if numba.threading_layer() == "workqueue":
        _one_loop_at_once = _workqueue_lock


def worker_count(work: float = math.inf) -> int:
    """How many threads should share an amount of work.

    In a process that was forked after its parent used OpenMP's threads, that is one: they do not
    survive a fork.

    Parameters
    ----------
    work : float
        An estimate, in arithmetic operations or bytes.

    Returns
    -------
    int
        At least 1, and at most Numba's number of threads.

    Examples
    --------
    >>> from tinyproto.backend import worker_count
    >>> worker_count(1000)
    1
    """
    if work < 2 * MIN_WORK_PER_THREAD:
        return 1
    numba = load_numba()
    if _serial:
        return 1
    count: int = numba.get_num_threads()
    return count if work == math.inf else int(min(count, work // MIN_WORK_PER_THREAD))


ArgumentType = tuple[np.dtype, int] | type


class CompiledFunction(NamedTuple):
    """A compiled C function (worker, workers, packed), and how its arguments are packed."""

    function: Any
    layout: Any  # a struct.Struct
    kernel: str
    names: list[str]


class cpu_kernel:
    """A decorator: a function that runs compiled, on several cores of the CPU at once.

    Called as `kernel(workers, *arguments)`, it runs `body(worker, workers, *arguments)` for
    worker = 0 … workers − 1, side by side. Each must write only what no other writes, and what is
    written must not depend on `workers`. For code that runs on a GPU too, see `kernel`.

    Parameters
    ----------
    body : callable
        `body(worker, workers, *arguments)` does one worker's part of the work. Its arguments are
        contiguous arrays of NumPy, and numbers; it returns nothing.

    Notes
    -----
    A body cannot raise, and writes to an array whatever its flag `writeable` says: check both
    before the call. Values that it captures from a function around it are compiled in; such a
    kernel is compiled anew in each process.

    Examples
    --------
    >>> import numpy as np
    >>> from tinyproto.backend import cpu_kernel
    >>> @cpu_kernel
    ... def double(worker, workers, x):
    ...     for i in range(worker, len(x), workers):
    ...         x[i] *= 2
    >>> x = np.arange(4.0)
    >>> double(2, x)
    >>> x
    array([0., 2., 4., 6.])
    """

    def __init__(self, body: Callable[..., None]):
        functools.update_wrapper(self, body)
        self.body = body
        self._compiled: dict[tuple[ArgumentType, ...], CompiledFunction] = {}

    def __call__(self, workers: int, *arguments: Any) -> None:
        types = tuple(map(argument_type, arguments))
        compiled = self._compiled.get(types) or self._compile(types)
        run(compiled, workers, arguments)

    def _compile(self, types: tuple[ArgumentType, ...]) -> CompiledFunction:
        load_numba()
        body = numba.njit(nogil=True, error_model="numpy", inline="always")(self.body)
        names = argument_names(self.body)[2:]
        call = f"_body(_worker, _workers, {', '.join(names)})"
        with compile_lock:  # of several threads, one compiles
            if types not in self._compiled:
                self._compiled[types] = compile_function(
                    self.body, {"_body": body}, call, names, types
                )
        return self._compiled[types]


def argument_type(argument: Any) -> ArgumentType:
    """What an argument is compiled for: (dtype, dimensions) of an array, the type of a number."""
    if isinstance(argument, np.ndarray):
        return argument.dtype, argument.ndim
    return type(argument)


def argument_names(function: Callable[..., Any]) -> list[str]:
    return list(function.__code__.co_varnames[: function.__code__.co_argcount])


def run(compiled: CompiledFunction, workers: int, arguments: Sequence[Any]) -> None:
    """Call a compiled function in `workers` threads.

    Raises ValueError for an array that is not contiguous: its shape alone does not say where its
    elements are.
    """
    numbers: list[Any] = []
    for name, argument in zip(compiled.names, arguments, strict=True):
        if isinstance(argument, np.ndarray):
            if not argument.flags.c_contiguous:
                raise ValueError(
                    f"kernel {compiled.kernel}: argument {name} is not contiguous (shape "
                    f"{argument.shape}, strides {argument.strides}); use np.ascontiguousarray"
                )
            numbers.append(argument.ctypes.data)
            numbers += argument.shape
        else:
            numbers.append(bool(argument) if isinstance(argument, np.bool_) else argument)
    packed = np.empty(len(numbers), dtype=np.int64)
    compiled.layout.pack_into(packed, 0, *numbers)
    address = compiled.function.address
    if workers == 1 or _serial:
        packed_arguments.run_serial(address, workers, packed)
    else:
        with _one_loop_at_once:
            packed_arguments.run_parallel(address, workers, packed)


def compile_function(
    body: Callable[..., None],
    scope: Mapping[str, Any],
    call: str,
    names: Sequence[str],
    types: Sequence[ArgumentType],
) -> CompiledFunction:
    """Compile the C function that unpacks arguments of these names and types and makes a call.

    `call` is the call's source text, and `scope` holds what the text refers to; `body` is the
    function that it is compiled for. Raises TypeError for a wrong number of arguments, and
    ValueError for an array of foreign byte order.
    """
    kernel, lines, layout = body.__name__, [], ""
    if len(names) != len(types):
        expected = f"{len(names)} arguments ({', '.join(names)})"
        raise TypeError(f"kernel {kernel} takes {expected}, not {len(types)}")
    for name, type_ in zip(names, types, strict=True):
        index = len(layout)
        if isinstance(type_, tuple):
            dtype, dimensions = type_
            if not dtype.isnative:
                raise ValueError(
                    f"kernel {kernel}: argument {name} has foreign byte order ({dtype})"
                )
            axes = range(index + 1, index + 1 + dimensions)
            shape = "".join(f"_read_integer(_packed, {axis}), " for axis in axes)
            address = f"_read_integer(_packed, {index})"
            lines.append(f"{name} = _array_at({address}, ({shape}), _{dtype.name})")
            layout += "q" * (1 + dimensions)
        elif issubclass(type_, float | np.floating):
            convert = "_float32" if type_ is np.float32 else ""
            lines.append(f"{name} = {convert}(_read_double(_packed, {index}))")
            layout += "d"
        else:
            convert = "bool" if issubclass(type_, bool | np.bool_) else ""
            lines.append(f"{name} = {convert}(_read_integer(_packed, {index}))")
            layout += "q"
    text = (
        "\n" * (body.__code__.co_firstlineno - 1)  # so that errors point at the body
        + f"def make(_checksum):\n def {kernel}(_worker, _workers, _packed):\n  _checksum\n  "
        + "\n  ".join([*lines, call])
        + f"\n return {kernel}"
    )
    scope = {
        **scope,
        "_array_at": packed_arguments.array_at,
        "_read_integer": packed_arguments.read_integer,
        "_read_double": packed_arguments.read_double,
        "_float32": np.float32,
        "__name__": body.__module__,
    }
    scope |= {f"_{type_[0].name}": type_[0].type for type_ in types if isinstance(type_, tuple)}
    file = body.__code__.co_filename
    exec(compile(text, file, "exec"), scope)
    signature = numba.types.void(*[numba.types.int64] * 3)
    # A closure variable is part of the key of Numba's cache; the names in the code are not.
    made = scope["make"](f"{source_checksum()} {types}")
    # In an interactive session Numba cannot cache. What a body captures becomes part of the code,
    # and Numba does not look whether it has changed.
    in_file = Path(file).is_file() and not body.__closure__
    compile_c_function = importlib.import_module(".cache", __package__).compile_c_function
    function = compile_c_function(made, signature, in_file)
    return CompiledFunction(function, struct.Struct(layout), kernel, list(names))


@functools.cache
def source_checksum() -> int:
    """A number that changes with any source of this package that a kernel can be built from.

    Numba's cache looks only at the file of the outermost function. With the checksum in its key,
    it also sees an edit to a function in another file of this package.
    """
    package = Path(__file__).parent.parent
    folders = ("backend", "cpu", "kernels")
    files = [file for folder in folders for file in sorted((package / folder).rglob("*.py"))]
    return zlib.crc32(b"".join(file.read_bytes() for file in files))


def _locks() -> Iterator[AbstractContextManager[Any]]:
    """What a thread that compiles, or runs a loop of `workqueue`, holds."""
    yield compile_lock
    yield _one_loop_at_once
    if numba is not None:
        yield importlib.import_module("numba.core.compiler_lock").global_compiler_lock


def _after_fork_in_child() -> None:
    """GNU OpenMP's threads do not survive a fork; the other layers start theirs again."""
    global _serial
    _serial = _serial or (numba is not None and numba.threading_layer() == "omp")


fork.at_fork(_after_fork_in_child, _locks)
