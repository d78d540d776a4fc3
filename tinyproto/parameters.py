"""Parameters are a tree: nested dicts whose leaves are arrays, named by their paths.

    params = {"features": {"0": {"weight": W, "bias": b}, "1": {"scale": γ, …}}, "head": {…}}

The tree of a network is made of its layers' own dicts, so what is changed here in place is what the
layers use. `features/0/weight` is the path of a leaf: its name in a file, and in an optimizer.
"""

from collections.abc import Iterator, Mapping
from types import ModuleType
from typing import Any

import numpy as np

from .backend.device import Array, array_module, to_device

Tree = dict[str, Any]

RUNNING = "running_"
"""Leaves whose name starts so are no parameters but running averages: the slot of one in a tree of
gradients is a list of the values to be averaged in."""


def leaves(tree: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, Any]]:
    """Every leaf with its path, in the order of the layers."""
    for name, value in tree.items():
        here = f"{path}/{name}" if path else name
        if isinstance(value, Mapping):
            yield from leaves(value, here)
        else:
            yield here, value


def flatten(tree: Mapping[str, Any]) -> dict[str, Any]:
    """path → leaf (the very arrays, not copies)."""
    return dict(leaves(tree))


def is_running(path: str) -> bool:
    """Whether a leaf is a running average (see `RUNNING`)."""
    return path.rpartition("/")[2].startswith(RUNNING)


def zeros(params: Mapping[str, Any]) -> Tree:
    """A tree of gradients for `backward(dy, grads)`: zeros for a parameter, an empty list for a
    running average. Delete a slot, or a whole branch, and what it belongs to is left as it is."""
    found: Tree = {}
    for name, value in params.items():
        if isinstance(value, Mapping):
            found[name] = zeros(value)
        else:
            found[name] = [] if is_running(name) else array_module(value).zeros_like(value)
    return found


def without_running(grads: Mapping[str, Any]) -> Tree:
    """The same slots, less those of running averages: what is added here is added there."""
    return {
        name: without_running(value) if isinstance(value, Mapping) else value
        for name, value in grads.items()
        if not is_running(name)
    }


def convert(params: Tree, xp: ModuleType = np, dtype: Any = None) -> None:
    """Move all leaves to an array module and a dtype, in place."""
    for name, value in params.items():
        if isinstance(value, dict):
            convert(value, xp, dtype)
        else:
            params[name] = to_device(value, xp).astype(dtype or value.dtype)


def assign(params: Mapping[str, Any], arrays: Mapping[str, Array], source: str = "arrays") -> None:
    """Copy arrays, by path, into the leaves.

    Raises ValueError that names the path for an entry missing, unknown or of another shape, before
    anything is changed.
    """
    own = flatten(params)
    for verb, found in (
        ("misses", set(own) - set(arrays)),
        ("has unknown", set(arrays) - set(own)),
    ):
        if found:
            names = sorted(found)
            more = f" and {len(names) - 3} more" if len(names) > 3 else ""
            raise ValueError(f"{source} {verb} entries: {', '.join(names[:3])}{more}")
    for path, leaf in own.items():
        if arrays[path].shape != leaf.shape:
            raise ValueError(
                f"{source}: {path} has shape {arrays[path].shape}, expected {leaf.shape}"
            )
        if arrays[path].dtype.kind not in "fiu":
            raise ValueError(f"{source}: {path} holds no real numbers, but {arrays[path].dtype}")
    for path, leaf in own.items():
        leaf[...] = to_device(arrays[path], array_module(leaf)).astype(leaf.dtype)


def count(params: Mapping[str, Any]) -> int:
    """How many numbers are learned."""
    return sum(int(leaf.size) for path, leaf in leaves(params) if not is_running(path))
