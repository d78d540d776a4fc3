"""Compiling through Numba's cache, whose files may be missing, damaged or of another kernel.

Whatever is wrong with them costs time, never an exception or a wrong result: the function is then
compiled. `cpu.load_numba` imports this module when a kernel first runs: it imports Numba.
"""

import functools
import logging
import pickle
import warnings
import zlib
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from numba.core.caching import FunctionCache, NullCache
from numba.core.ccallback import CFunc
from numba.core.serialize import dumps
from numba.core.sigutils import normalize_signature

Key = Any


class CheckedFiles:
    """The files of a cache, in which each entry is stored with its key and its checksum.

    Numba trusts its files. But two processes that compile at the same time may give two kernels one
    file, a full disk may leave an index that names a file of older code, and a changed bit in
    machine code is met only when it runs.
    """

    def __init__(self, files: Any):
        self.files = files
        self.flush = files.flush

    def load(self, key: Key) -> Any:
        """The entry, or None where there is none. Raises an exception where it is damaged."""
        found = self.files.load(key)
        if found is None:
            return None
        stored_key, checksum, data = found
        if checksum != zlib.crc32(data):
            raise ValueError("the checksum does not match")
        return pickle.loads(data) if stored_key == key else None

    def save(self, key: Key, entry: Any) -> None:
        data = dumps(entry)
        self.files.save(key, (key, zlib.crc32(data), data))


class KernelCache(NullCache):
    """Numba's cache of one function, or no cache where that cannot be used."""

    def __init__(self, function: Callable[..., Any]):
        self.cache: Any = NullCache()
        try:
            self.cache = FunctionCache(function)
            self.cache._cache_file = CheckedFiles(self.cache._cache_file)
        except Exception as error:  # such as that no folder can be written
            warn_of_cache(error)

    def load_overload(self, signature: Any, context: Any) -> Any:
        """The compiled function, or None."""
        found = None
        try:
            found = self.cache.load_overload(signature, context)
        except Exception as error:
            warn_of_cache(error, self.cache.cache_path)
            with suppress(Exception):
                self.cache.flush()  # a damaged index could not be added to
        if found is None and self.cache.cache_path:
            tell_that_kernels_are_compiled()
        return found

    def save_overload(self, signature: Any, compiled: Any) -> None:
        try:
            self.cache.save_overload(signature, compiled)
        except Exception as error:
            warn_of_cache(error, self.cache.cache_path)


def compile_cached(function: Any, *signature: str) -> None:
    """Compile a function of Numba's, a `CFunc` or a dispatcher, or load it from the cache."""
    function._cache = KernelCache(function.__wrapped__)
    function.compile(*signature)


def compile_c_function(function: Callable[..., Any], signature: Any, in_file: bool) -> CFunc:
    """What `numba.cfunc` does. A function that no file holds cannot be cached."""
    compiled = CFunc(function, normalize_signature(signature), locals={}, options={})
    if in_file:
        compile_cached(compiled)
    else:
        compiled.compile()
    return compiled


@functools.cache
def tell_that_kernels_are_compiled() -> None:
    """Say once why the first call takes long. A warning is shown where logging is not set up."""
    logging.getLogger("tinyproto").warning(
        "tinyproto: compiling kernels for this processor (once; later runs load them from the "
        "cache)"
    )


_warned = False


def warn_of_cache(error: Exception, folder: str | None = None) -> None:
    """Warn once in a process that compiled kernels cannot be read or kept."""
    global _warned
    if not _warned:
        _warned = True
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        place = f"in {folder} " if folder else ""
        warnings.warn(
            f"Numba's cache of compiled kernels {place}cannot be used ({reason}); what is missing "
            "in it is compiled again, with the same results. If this is said each time, set "
            "NUMBA_CACHE_DIR to a folder that can be written",
            RuntimeWarning,
            stacklevel=2,
        )
