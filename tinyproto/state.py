"""Saving and loading: one .npz keyed by path, metadata as JSON inside, never a pickle."""

import json
import os
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from .backend.device import Array, to_host

METADATA = "metadata.json"


def save(path: str | Path, arrays: Mapping[str, Array], metadata: Mapping[str, Any]) -> None:
    """Write the arrays and the metadata. The file appears whole, under a name of its own until
    then: a run that is cut off leaves what was there before."""
    path = Path(path)
    host = {name: to_host(array) for name, array in arrays.items()}
    for name, array in host.items():
        if array.dtype.hasobject:
            raise ValueError(f"cannot save {name!r}: its elements are Python objects")
    if METADATA in host:
        raise ValueError(f"{METADATA!r} is not a name for an array")
    text = np.frombuffer(json.dumps(dict(metadata)).encode(), dtype=np.uint8)
    with replacing(path) as temporary, open(temporary, "wb") as file:
        np.savez(file, **{METADATA: text}, **host)  # type: ignore[arg-type]


def load(path: str | Path) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """The arrays and the metadata that `save` wrote. Raises ValueError for any other file."""
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        metadata = json.loads(arrays.pop(METADATA).tobytes())
    except (ValueError, KeyError, EOFError, zipfile.BadZipFile, AttributeError) as error:
        raise ValueError(f"{path} is not a model that tinyproto saved: {error}") from None
    return arrays, metadata


class replacing:
    """`with replacing(path) as temporary:` write to `temporary`; it takes the name `path` when the
    block ends well, and is removed when it does not."""

    def __init__(self, path: str | Path):
        self.path = Path(path)
        self.temporary = self.path.with_name(f".{self.path.name}.{os.getpid()}.part")

    def __enter__(self) -> Path:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        return self.temporary

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        try:
            if kind is None:
                os.replace(self.temporary, self.path)
        finally:
            self.temporary.unlink(missing_ok=True)
