"""BLAS in one thread: its own threads split a product in ways that depend on how many there are,
and the result for one example must not depend on the number of threads."""

import ctypes
import functools
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

_lock = threading.Lock()
_depth = 0  # how many `one_blas_thread` blocks are open
_threads_before = 1  # what OpenBLAS was set to before the first of them


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """A block in which the OpenBLAS that NumPy brings runs one thread.

    Blocks may nest, and several Python threads may enter one at the same time: the last to leave
    restores the number of threads. Another BLAS is left as it is.

    Yields
    ------
    None

    Examples
    --------
    >>> import numpy as np
    >>> from tinyproto.backend import one_blas_thread
    >>> with one_blas_thread():
    ...     y = np.ones((4, 3)) @ np.ones((3, 2))
    >>> y.shape
    (4, 2)
    """
    global _depth, _threads_before
    set_threads, get_threads = openblas_threads()
    with _lock:
        if _depth == 0 and set_threads:
            _threads_before = get_threads()
            set_threads(1)
        _depth += 1
    try:
        yield
    finally:
        with _lock:
            _depth -= 1
            if _depth == 0 and set_threads:
                set_threads(_threads_before)


@functools.cache
def openblas_threads() -> tuple[Any, Any]:
    """OpenBLAS's functions that set and get its number of threads, or (None, None)."""
    package = Path(np.__file__).parent
    folders = [package.parent / "numpy.libs", package / ".dylibs", package / ".libs"]
    for path in sorted(p for folder in folders for p in folder.glob("*openblas*")):
        library = ctypes.CDLL(str(path))
        for prefix in ("scipy_openblas", "openblas"):
            for suffix in ("64_", ""):
                try:
                    set_threads = library[f"{prefix}_set_num_threads{suffix}"]
                    return set_threads, library[f"{prefix}_get_num_threads{suffix}"]
                except AttributeError:
                    continue
    return None, None
