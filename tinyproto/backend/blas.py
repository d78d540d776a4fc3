"""BLAS in one thread: its own threads split a product in ways that depend on how many there are,
and the result for one example must not depend on the number of threads."""

import functools
import importlib
import os
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from .fork import at_fork

Library = tuple[Callable[[], int], Callable[[int], Any]]
"""The functions that get and set the number of threads of a BLAS library."""

_lock = threading.RLock()
_depths: dict[int, int] = {}  # in how many `one_blas_thread` blocks each thread is
_threads_before: list[int] = []  # what shared libraries were set to before the first thread came


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """A block in which NumPy's BLAS runs one thread.

    Blocks may nest, and several Python threads may enter one at the same time: the last to leave
    restores the number of threads. A BLAS that threadpoolctl cannot set is left as it is; then
    there is one warning.

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
    global _threads_before
    thread = threading.get_ident()
    with _lock:
        shared, per_thread = blas_libraries()
        if not _depths:
            _threads_before = _set_to_one(shared)
        _depths[thread] = _depths.get(thread, 0) + 1
    own_before = _set_to_one(per_thread)
    try:
        yield
    finally:
        _restore(per_thread, own_before)
        with _lock:
            _depths[thread] -= 1
            if not _depths[thread]:
                del _depths[thread]
            if not _depths:
                _restore(shared, _threads_before)


def _set_to_one(libraries: list[Library]) -> list[int]:
    """Returns what their numbers of threads were."""
    before = []
    for get_threads, set_threads in libraries:
        before.append(get_threads())
        if before[-1] != 1:
            set_threads(1)
    return before


def _restore(libraries: list[Library], before: list[int]) -> None:
    for (_, set_threads), count in zip(libraries, before, strict=True):
        if count != 1:
            set_threads(count)


@functools.cache
def blas_libraries() -> tuple[list[Library], list[Library]]:
    """Libraries whose number of threads is one for the whole process, and those in which each
    thread has its own. Warns where NumPy's BLAS is neither."""
    shared: list[Library] = []
    per_thread: list[Library] = []
    for controller in numpy_blas():
        library = controller.get_num_threads, _setter(controller)
        (per_thread if _is_per_thread(*library) else shared).append(library)
    if not shared + per_thread:
        _warn_of_blas()
    return shared, per_thread


def numpy_blas() -> list[Any]:
    """threadpoolctl's controllers of the BLAS that NumPy brings, or else, as in conda, of all."""
    controllers = importlib.import_module("threadpoolctl").ThreadpoolController().lib_controllers
    found = [each for each in controllers if each.user_api == "blas"]
    package = Path(np.__file__).resolve().parent
    folders = {package, package.with_name("numpy.libs")}
    return [each for each in found if folders & set(Path(each.filepath).parents)] or found


def _setter(controller: Any) -> Callable[[int], Any]:
    """A function that sets a library's number of threads from whichever thread.

    From version 3.8 on, threadpoolctl ignores all threads but the first to set that of OpenBLAS.
    """
    let_others_set = getattr(controller, "clear_controlling_thread", None)
    if let_others_set is None:
        return controller.set_num_threads

    def set_threads(count: int) -> None:
        let_others_set(force=True)
        controller.set_num_threads(count)
        let_others_set(force=True)

    return getattr(controller, "_real_set_num_threads", set_threads)  # faster


def _is_per_thread(get_threads: Callable[[], int], set_threads: Callable[[int], Any]) -> bool:
    """Whether a number of threads that is set in this thread is not that of another."""
    before, seen = get_threads(), []
    changed = 2 if before == 1 else 1
    set_threads(changed)
    effective = get_threads() == changed
    thread = threading.Thread(target=lambda: seen.append(get_threads()))
    thread.start()
    thread.join()
    set_threads(before)
    return effective and seen != [changed]


def _warn_of_blas() -> None:
    """Say that NumPy's BLAS keeps its threads, unless it has none or was told to use one."""
    libraries = np.show_config(mode="dicts").get("Build Dependencies", {})
    name = str(libraries.get("blas", {}).get("name", "")).lower()
    variable = "VECLIB_MAXIMUM_THREADS" if "accelerate" in name else "OMP_NUM_THREADS"
    if name not in ("", "none") and os.environ.get(variable) != "1":
        warnings.warn(
            f"the number of threads of NumPy's BLAS ({name}) cannot be set from here: the last "
            "bits of results may depend on it. To make them the same everywhere, set "
            f"{variable}=1 before Python starts",
            RuntimeWarning,
            stacklevel=4,
        )


def _after_fork_in_child() -> None:
    """Only the thread that forked is left: the blocks of the others have no end."""
    thread = threading.get_ident()
    others = [each for each in _depths if each != thread]
    for each in others:
        del _depths[each]
    if others and not _depths:
        _restore(blas_libraries()[0], _threads_before)


at_fork(_after_fork_in_child, lambda: [_lock])
