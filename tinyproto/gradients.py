"""Whether a tree of gradients fits its parameters: checked before a backward pass or a step."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from .backend.device import is_read_only
from .parameters import RUNNING, is_running, leaves

__all__ = ["check_gradient_tree"]

FLOAT32 = np.dtype(np.float32)


def check_gradient_tree(
    params: Mapping[str, Any], grads: Mapping[str, Any], path: str = ""
) -> None:
    """Refuse a tree of gradients that does not fit the parameters.

    Parameters
    ----------
    params : Tree
        Parameters.
    grads : Tree
        Gradients, of all parameters or of some. The slot of a running average is a list of arrays.
    path : str
        The path of both trees, for the error message.

    Raises
    ------
    ValueError
        For a slot that has no leaf, or is not an array of its shape; for a slot or a leaf of
        another dtype than float32 and float64.

    Examples
    --------
    >>> import numpy as np
    >>> from tinyproto.layers import Linear
    >>> from tinyproto.gradients import check_gradient_tree
    >>> check_gradient_tree(Linear(3, 2).params, {"bias": np.zeros(3)})
    Traceback (most recent call last):
    ValueError: grads: bias has shape (3,), expected (2,)
    """
    for name, slot in grads.items():
        leaf, kind = params.get(name), type(slot)
        if kind is dict is type(leaf):
            check_gradient_tree(leaf, slot, f"{path}/{name}" if path else name)
        elif not (
            (kind is type(leaf) is np.ndarray and not name.startswith(RUNNING))
            and (slot.shape == leaf.shape and slot.dtype == leaf.dtype == FLOAT32)
        ):  # not the usual case, which takes a tenth of the time
            _check_slot(params, name, slot, path)


def check_mutable(leaves: Mapping[str, Any], slots: Mapping[str, Any]) -> None:
    """Raise ValueError for a leaf with a slot that a step could not change, before any is."""
    for path in slots:
        if is_read_only(leaves[path]):
            raise ValueError(
                f"params: {path} is read-only, as in a folded network after a pass in eval mode; "
                "train the network that it was folded from"
            )


def _check_slot(params: Mapping[str, Any], name: str, slot: Any, path: str) -> None:
    """Raise ValueError if the slot does not fit, for `check_gradient_tree`."""
    full = f"{path}/{name}" if path else name
    if name not in params:
        for missing, _ in leaves({name: slot}, path):
            raise ValueError(f"grads has a slot {missing!r} and params no such leaf")
        return
    leaf = params[name]
    expected: type = Mapping if isinstance(leaf, Mapping) else list
    if not isinstance(slot, expected) and (expected is Mapping or is_running(name)):
        wanted = "a tree" if expected is Mapping else "a list of arrays"
        raise ValueError(f"grads: {full} must be {wanted}, not of type {type(slot).__name__}")
    if expected is Mapping:
        check_gradient_tree(leaf, slot, full)
        return
    if leaf.dtype not in (np.float32, np.float64):  # in float16 an epsilon or a step may be 0
        raise ValueError(f"params: {full} must hold float32 or float64, not {leaf.dtype}")
    for array in slot if is_running(name) else [slot]:
        found = getattr(array, "shape", None)
        if found != leaf.shape:
            raise ValueError(f"grads: {full} has shape {found}, expected {leaf.shape}")
        if array.dtype not in (np.float32, np.float64):  # whose squares float16 cannot hold
            raise ValueError(f"grads: {full} must hold float32 or float64, not {array.dtype}")
