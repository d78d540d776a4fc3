"""Files of models that ship: small, and the same weights only once."""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

import tinyproto.pretrained.card as cards
from tinyproto import state
from tinyproto.networks.storage import WEIGHTS_FROM

Arrays = Mapping[str, np.ndarray]
SMALL = 4096  # numbers of an array that stays in float32: biases, statistics, prototypes of a head


def rounded(arrays: Arrays) -> dict[str, np.ndarray]:
    """The arrays with the large ones in float16."""
    return {
        name: array.astype(np.float16)
        if array.size > SMALL and array.dtype == np.float32
        else array
        for name, array in arrays.items()
    }


def write(arrays: Arrays, target: Path, metadata: Mapping[str, Any]) -> str:
    """Write the file of a model. Where another model ships with the same weights, the file has the
    settings alone, and that of the other one is put beside it: returns the words for that, or
    ""."""
    for path in sorted(cards.FOLDER.glob("*.npz")) if "network" in metadata else ():
        known, _ = state.load_arrays(path)
        same = known.keys() == arrays.keys() and all(
            np.array_equal(known[name], array) for name, array in arrays.items()
        )
        if same and path.name != target.name:
            shutil.copyfile(path, target.with_name(path.name))
            state.save_arrays({}, target, {**metadata, WEIGHTS_FROM: path.name})
            return f", in the file of {path.stem}"
    state.save_arrays(arrays, target, metadata)
    return ""
