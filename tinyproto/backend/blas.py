"""The images of a batch, shared out to threads; BLAS itself runs one.

What an image gives must not depend on its batch, nor on the number of threads. So products are
taken image by image, and the threads take turns at fixed groups of images: BLAS's own threads would
split one product in ways that depend on how many there are.
"""

import ctypes
import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

_lock = threading.Lock()
_state: dict[str, Any] = {"pool": None, "size": 0, "depth": 0, "before": 1, "blas": None}


def count() -> int:
    """How many threads share the work: NUMBA_NUM_THREADS, or the processors at hand."""
    named = os.environ.get("NUMBA_NUM_THREADS", "")
    if named.isdigit() and int(named) > 0:
        return int(named)
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def share(work: Callable[[slice], None], images: int, group: int) -> None:
    """Call `work` with slices of `group` images (the last may be shorter) that cover 0 … images.

    The groups do not depend on the number of threads, and `work` must write to its own images only;
    it should spend its time where Python's lock is not held.
    """
    parts = [slice(start, min(start + group, images)) for start in range(0, images, group)]
    with one_blas_thread():
        if len(parts) == 1 or count() == 1:
            for part in parts:
                work(part)
        else:
            list(_pool().map(work, parts))


def _pool() -> ThreadPoolExecutor:
    if _state["size"] != count():
        _state["pool"] = ThreadPoolExecutor(count(), "tinyproto")
        _state["size"] = count()
    pool: ThreadPoolExecutor = _state["pool"]
    return pool


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Within, the OpenBLAS that NumPy brings runs one thread; another BLAS is left as it is."""
    setter, getter = _blas()
    with _lock:
        if _state["depth"] == 0 and setter:
            _state["before"] = getter()
            setter(1)
        _state["depth"] += 1
    try:
        yield
    finally:
        with _lock:
            _state["depth"] -= 1
            if _state["depth"] == 0 and setter:
                setter(_state["before"])


def _blas() -> tuple[Any, Any]:
    """Functions that set and get the number of OpenBLAS's threads, or (None, None)."""
    if _state["blas"] is None:
        _state["blas"] = _find_blas()
    found: tuple[Any, Any] = _state["blas"]
    return found


def _find_blas() -> tuple[Any, Any]:
    package = Path(np.__file__).parent
    places = [package.parent / "numpy.libs", package / ".dylibs", package / ".libs"]
    for path in sorted(p for place in places for p in place.glob("*openblas*")):
        library = ctypes.CDLL(str(path))
        for prefix in ("scipy_openblas", "openblas"):
            for suffix in ("64_", ""):
                try:
                    setter = library[f"{prefix}_set_num_threads{suffix}"]
                    return setter, library[f"{prefix}_get_num_threads{suffix}"]
                except AttributeError:
                    continue
    return None, None
