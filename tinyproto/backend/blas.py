"""BLAS in one thread: its own threads split a product in ways that depend on how many there are,
and what an example gives must not depend on their number."""

import ctypes
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

_lock = threading.Lock()
_state: dict[str, Any] = {"depth": 0, "before": 1, "blas": None}


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
