"""Compiled work on all cores of the CPU: the one place that starts threads inside Numba.

A parallel loop of Numba is compiled three times over. Here there is one such loop for everything,

    for worker in prange(workers): function(worker, workers, arguments)

and `function` is the address of a C function: each kernel is compiled once, as a plain loop. The
arguments travel as numbers of eight bytes: an array as its address and shape, so it must be
contiguous.
"""

import importlib
import math
import os
import struct
import sys
import threading
import time
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

SPINS = "20000"
"""How often an idle thread of OpenMP looks for work before it sleeps: well below a millisecond.
Waking it costs 40 µs, a fifth of a small layer; one that never sleeps takes a core from others."""

LEAST_WORK = 1 << 22
"""Operations for which a second thread is worth its start, about: 20 µs at what a core does."""

numba: Any = None
packed_arguments: Any = None
_lock = threading.RLock()


def load_numba() -> Any:
    """Import Numba on first use: `import tinyproto` stays as cheap as `import numpy`."""
    global numba, packed_arguments
    with _lock:
        if numba is None:
            os.environ.setdefault("GOMP_SPINCOUNT", SPINS)
            found = importlib.import_module("numba")
            if "NUMBA_THREADING_LAYER" not in os.environ:
                found.config.THREADING_LAYER = _threading_layer()
            with compile_notice():
                packed_arguments = importlib.import_module(".arguments", __package__)
            numba = found
    return numba


def _threading_layer() -> str:
    """OpenMP where it loads; Numba's own `workqueue` takes far longer to start a loop."""
    try:
        importlib.import_module("numba.np.ufunc.omppool")
    except ImportError:
        return "workqueue"
    return "omp"


def workers(work: float = math.inf) -> int:
    """How many threads share so much work, in operations or bytes."""
    if work < 2 * LEAST_WORK:
        return 1
    count: int = load_numba().get_num_threads()
    return count if work == math.inf else int(min(count, work // LEAST_WORK))


class cpu_kernel:
    """A kernel of the CPU alone: `body(worker, workers, *arrays)` does one worker's share.

    Called with the number of workers and the arrays, it runs them side by side. A worker writes
    only what it owns, and what is written must not depend on how many there are.
    """

    def __init__(self, body: Callable[..., None]):
        self.body = body
        self.__name__ = body.__name__
        self.__doc__ = body.__doc__
        self._compiled: dict[Any, Any] = {}

    def __call__(self, count: int, *arguments: Any) -> None:
        kinds = tuple(map(kind, arguments))
        compiled = self._compiled.get(kinds)
        if compiled is None:
            load_numba()
            body = numba.njit(nogil=True, error_model="numpy", inline="always")(self.body)
            names = argument_names(self.body)[2:]
            call = f"body(worker, workers, {', '.join(names)})"
            compiled = compile_for(self.body, {"body": body}, call, names, kinds)
            self._compiled[kinds] = compiled
        run(compiled, count, arguments)


Kind = tuple[np.dtype, int] | type


def kind(argument: Any) -> Kind:
    """What an argument is compiled for."""
    if isinstance(argument, np.ndarray):
        if not argument.dtype.isnative:
            raise ValueError(
                f"a kernel was given an array of foreign byte order ({argument.dtype})"
            )
        return argument.dtype, argument.ndim
    return type(argument)


def run(compiled: Any, count: int, arguments: Sequence[Any]) -> None:
    """Run a compiled function in `count` workers."""
    function, form = compiled
    numbers: list[Any] = []
    for argument in arguments:
        if isinstance(argument, np.ndarray):
            if not argument.flags.c_contiguous:
                raise ValueError("a kernel was given an array that is not contiguous")
            numbers.append(argument.ctypes.data)
            numbers += argument.shape
        else:
            numbers.append(argument)
    packed = np.empty(len(numbers), dtype=np.int64)
    form.pack_into(packed, 0, *numbers)
    if count == 1:
        packed_arguments.call(function.address, packed)
    elif numba.config.THREADING_LAYER == "workqueue":
        with _lock:  # which cannot be started from two threads at once
            packed_arguments.launch(function.address, count, packed)
    else:
        packed_arguments.launch(function.address, count, packed)


def argument_names(function: Callable[..., Any]) -> list[str]:
    return list(function.__code__.co_varnames[: function.__code__.co_argcount])


def compile_for(
    source: Callable[..., None],
    scope: Mapping[str, Any],
    call: str,
    names: Sequence[str],
    kinds: Sequence[Kind],
) -> Any:
    """The C function (worker, workers, packed) that takes arguments of these names and kinds from
    the packed ones and makes the `call`; their form for `struct`. `scope` holds what the call
    names, `source` is where it comes from."""
    lines, form = [], ""
    for name, kind in zip(names, kinds, strict=True):
        place = len(form)
        if isinstance(kind, tuple):
            dtype, dimensions = kind
            shape = "".join(f"integer(packed, {place + 1 + axis}), " for axis in range(dimensions))
            lines.append(f"{name} = array(integer(packed, {place}), ({shape}), {dtype.name})")
            form += "q" * (1 + dimensions)
        elif issubclass(kind, float | np.floating):
            lines.append(f"{name} = {'float32' * (kind is np.float32)}(number(packed, {place}))")
            form += "d"
        else:
            lines.append(f"{name} = {'bool' * (kind is bool)}(integer(packed, {place}))")
            form += "q"
    text = (
        "\n" * (source.__code__.co_firstlineno - 1)  # so that errors point at the body
        + f"def make(stamp):\n def {source.__name__}(worker, workers, packed):\n  stamp\n  "
        + "\n  ".join([*lines, call])
        + f"\n return {source.__name__}"
    )
    scope = {
        **scope,
        "array": packed_arguments.array,
        "integer": packed_arguments.integer,
        "number": packed_arguments.number,
        "float32": np.float32,
        "__name__": source.__module__,
    }
    scope |= {kind[0].name: kind[0].type for kind in kinds if isinstance(kind, tuple)}
    exec(compile(text, source.__code__.co_filename, "exec"), scope)
    signature = numba.types.void(*[numba.types.int64] * 3)
    # The stamp is part of the cache's key, which does not see the names in the code.
    made = scope["make"](f"{source_checksum()} {kinds}")
    with compile_notice():
        function = numba.cfunc(signature, cache=True)(made)
    return function, struct.Struct(form)


def source_checksum() -> int:
    """A number that changes when any source that a kernel can be built from changes.

    Numba's cache looks only at the file of the outermost function; as a closure variable the stamp
    becomes part of the key, and an edited routine in another file is seen.
    """
    global _stamp
    if _stamp is None:
        here = Path(__file__).parent
        files = [here / name for name in ("arguments.py", "cpu.py", "kernel.py")]
        for folder in ("cpu", "kernels"):
            files += sorted((here.parent / folder).rglob("*.py"))
        _stamp = zlib.crc32(b"".join(file.read_bytes() for file in files))
    return _stamp


_stamp: int | None = None


@contextmanager
def compile_notice() -> Iterator[None]:
    """Says in one line what is waited for, when compiling takes more than a second in all."""
    global _compiling
    begun = time.perf_counter()
    timer = threading.Timer(max(0.0, 1 - _compiling), _say_so)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        _compiling += time.perf_counter() - begun


_compiling, _said = 0.0, False


def _say_so() -> None:
    global _said
    if not _said:
        _said = True
        print(
            "tinyproto: preparing kernels for this processor (compiled once, later runs load them)",
            file=sys.stderr,
        )
