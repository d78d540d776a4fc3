"""The file of `certify`: radii so far, and what they belong to."""

from pathlib import Path
from typing import Any

import numpy as np

from ...state import array_checksum, load_arrays, save_arrays
from .search import Search

KIND = "radii"


def description(search: Search, x: np.ndarray, label: np.ndarray | None) -> dict[str, Any]:
    """What radii belong to, as JSON holds it: checksums of the arrays, and the options."""
    real, task = search.real, search.task
    return {
        "kind": KIND,
        "network": checksums(real.weights, real.biases, np.array(real.beta), *real.prototypes),
        "inputs": checksums(x),
        "labels": checksums(*([] if label is None else [label])),
        "norm": task.norm,
        "box": [repr(bound) for bound in task.box],
        "overshoot": repr(task.overshoot),
    }


def checksums(*arrays: np.ndarray) -> str:
    """Those of the arrays, in their order."""
    return " ".join(map(array_checksum, arrays))


def save_radii(
    path: str | Path, radius: np.ndarray, length: np.ndarray, content: dict[str, Any]
) -> None:
    """Write radii and lengths (N,), NaN where they are not known yet; whole or not at all."""
    save_arrays({"radius": radius, "length": length}, path, content)


def load_radii(path: str | Path, content: dict[str, Any]) -> tuple[np.ndarray, np.ndarray]:
    """Read them. Raises ValueError if the file is damaged, or its radii belong to something else
    than `content`."""
    arrays, metadata = load_arrays(path)
    if metadata.get("kind") != KIND or set(arrays) != {"radius", "length"}:
        raise ValueError(f"{path} is no file of radii; name another one")
    others = [name for name in content if metadata.get(name) != content[name]]
    if others:
        raise ValueError(
            f"{path} holds radii for other values of {', '.join(others)}; delete it or name "
            f"another file"
        )
    radius, length = arrays["radius"], arrays["length"]
    if radius.shape != length.shape or radius.ndim != 1 or radius.dtype != length.dtype:
        raise ValueError(f"{path}: radius and length must be two arrays of one shape")
    return radius, length
