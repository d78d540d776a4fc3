"""Saving and loading arrays: one .npz file with an entry for each name, and metadata as JSON.

Nothing is pickled, so loading a file never runs code from it.
"""

import json
import os
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from .backend.device import Array, to_host

__all__ = ["METADATA", "atomic_write", "load_arrays", "save_arrays"]

METADATA = "metadata.json"
"""The entry of the file that holds the metadata."""


def save_arrays(
    arrays: Mapping[str, Array], path: str | Path, metadata: Mapping[str, Any] | None = None
) -> None:
    """Write named arrays and metadata to one file, whole or not at all (see `atomic_write`).

    Parameters
    ----------
    arrays : mapping of str to array
        Arrays of NumPy or CuPy, of any shape and any dtype but object.
    path : str or Path
        The file. Its folder is made if there is none.
    metadata : mapping, optional
        Anything else to store, of JSON's types.

    Raises
    ------
    ValueError
        For an array of Python objects, or one named "metadata.json".

    Examples
    --------
    >>> import numpy as np
    >>> from tinyproto.state import load_arrays, save_arrays
    >>> save_arrays({"features/0/weight": np.eye(2)}, "model.npz", {"classes": 2})
    >>> arrays, metadata = load_arrays("model.npz")
    >>> list(arrays), metadata
    (['features/0/weight'], {'classes': 2})
    """
    host = {name: to_host(array) for name, array in arrays.items()}
    for name, array in host.items():
        if array.dtype.hasobject:
            raise ValueError(f"cannot save {name!r}: its elements are Python objects")
    if METADATA in host:
        raise ValueError(f"{METADATA!r} is not a name for an array")
    text = np.frombuffer(json.dumps(dict(metadata or {})).encode(), dtype=np.uint8)
    with atomic_write(path) as temporary, open(temporary, "wb") as file:
        np.savez(file, **{METADATA: text}, **host)  # type: ignore[arg-type]


def load_arrays(path: str | Path) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Read what `save_arrays` wrote.

    Parameters
    ----------
    path : str or Path
        The file.

    Returns
    -------
    arrays : dict of str to array
        NumPy arrays by name, in the order in which they were saved.
    metadata : dict
        The metadata.

    Raises
    ------
    ValueError
        For any other file.
    OSError
        For a file that cannot be read.

    Examples
    --------
    >>> import numpy as np
    >>> from tinyproto.state import load_arrays, save_arrays
    >>> save_arrays({"x": np.arange(3)}, "x.npz")
    >>> load_arrays("x.npz")
    ({'x': array([0, 1, 2])}, {})
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        metadata = json.loads(arrays.pop(METADATA).tobytes())
    except (ValueError, KeyError, EOFError, zipfile.BadZipFile, AttributeError) as error:
        raise ValueError(f"{path} is not a file that tinyproto saved: {error}") from None
    return arrays, metadata


@contextmanager
def atomic_write(path: str | Path) -> Iterator[Path]:
    """Write a file whole or not at all: a program that is killed leaves the old file as it was.

    The block writes to a temporary file in the same folder. When the block ends without an error,
    that file is renamed to `path` in one step; otherwise it is removed.

    Parameters
    ----------
    path : str or Path
        The file to write. Its folder is made if there is none.

    Yields
    ------
    Path
        The temporary file.

    Examples
    --------
    >>> from pathlib import Path
    >>> from tinyproto.state import atomic_write
    >>> with atomic_write("answer.txt") as temporary:
    ...     _ = temporary.write_text("42")
    >>> Path("answer.txt").read_text()
    '42'
    """
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
