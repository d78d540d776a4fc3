"""What a layer checks before it computes: its input, its parameters, the gradient at its output.

Native code checks no bounds, so nothing of another shape, dtype or device than a layer was built
for may reach it. Only shapes and dtypes are compared, never the numbers: NaN passes through.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from ..backend.device import Array, array_module
from ..gradients import check_gradient_tree
from ..parameters import Tree

TINY = float(np.finfo(np.float32).tiny)
"""Above it, and below its inverse, a number is a normal one in float32, and so is its inverse."""

FLOATS = frozenset({np.dtype(np.float32), np.dtype(np.float64)})
"""What the engine computes in, in this machine's byte order."""


def positive_integers(owner: str, **values: Any) -> None:
    """Raise ValueError for the first value that is not an integer of 1 or more."""
    for name, value in values.items():
        if not isinstance(value, int | np.integer) or isinstance(value, bool) or value < 1:
            raise ValueError(f"{owner}: {name} must be an integer of 1 or more, not {value!r}")


def check_floats(owner: str, name: str, array: Any) -> None:
    """Raise ValueError for what is no array, or not of float32 or float64."""
    dtype = getattr(array, "dtype", None)
    if dtype in FLOATS:
        return
    if dtype is None:
        raise ValueError(f"{owner} expects an array for {name}, not {type(array).__name__}")
    advice = f"use {name}.astype(np.float32)"
    if dtype.kind in "iu" and name == "x":
        advice = "images of 0 … 255 are divided by np.float32(255) first"
    wanted = "floating-point numbers, float32 or float64"
    raise ValueError(f"{owner} expects {wanted}, for {name}, not {dtype}; {advice}")


def check_input(owner: str, x: Any, dimensions: int, features: int | None = None) -> None:
    """Raise ValueError unless x holds floating-point numbers in `dimensions` axes, and the last has
    the length `features`, if that is given."""
    if getattr(x, "dtype", None) not in FLOATS:
        check_floats(owner, "x", x)
    if x.ndim != dimensions or (features is not None and x.shape[-1] != features):
        form = "(N, H, W, C)" if dimensions == 4 else "(N, d)"
        if features is not None:
            form = form.replace("C", f"{features}").replace("d", f"{features}")
        raise ValueError(f"{owner} expects x of shape {form}, not {x.shape}")


def check_parameters(layer: Any, like: Array) -> None:
    """Raise ValueError unless the parameters have the layer's `parameter_shapes`, and are
    floating-point numbers on the device where the array `like` is. A bias may be missing."""
    params, kind = layer.params, type(like)
    for name, shape in layer.parameter_shapes.items():
        leaf = params.get(name)
        if type(leaf) is kind and leaf.shape == shape and leaf.dtype in FLOATS:
            continue
        if name == "bias" and name not in params:
            continue
        check_floats(f"{layer!r}", f"params[{name!r}]", leaf)
        if leaf.shape != shape:
            raise ValueError(
                f"{layer!r} expects params[{name!r}] of shape {shape}, not {leaf.shape}"
            )
        found, wanted = array_module(leaf).__name__, array_module(like).__name__
        if found != wanted:
            raise ValueError(
                f"{layer!r} got an array of {wanted}, but its params[{name!r}] is one of {found}; "
                "see `parameters.convert`"
            )


def check_backward(layer: Any, dy: Any, shape: tuple[int, ...], grads: Tree | None) -> None:
    """Raise ValueError unless dy is like the layer's output, and each slot like its parameter."""
    if getattr(dy, "shape", None) != shape or dy.dtype not in FLOATS:
        owner = type(layer).__name__
        check_floats(owner, "dy", dy)
        raise ValueError(f"{owner} expects dy of shape {shape}, not {dy.shape}")
    if grads:
        check_gradient_tree(layer.params, grads)


def refuse_branch(owner: Any, name: str | None = None) -> None:
    """Raise ValueError: a layer of another one, or its tree of parameters, was replaced, and an
    optimizer would move parameters that the pass does not use. Without a name it is all of
    `params`."""
    kind, branch = type(owner).__name__, "params" if name is None else f"params[{name!r}]"
    raise ValueError(
        f"{kind}: {branch} is not the tree of the layer it belongs to; change the arrays "
        f"in it, and to replace the layer, build the {kind} anew"
    )


def check_branches(owner: Any, parts: Mapping[str, Any]) -> None:
    """`refuse_branch` where `params` does not hold the trees of the parts, by name."""
    for name, part in parts.items():
        branch = owner.params.get(name)
        if branch is not part.params and (branch or part.params):
            refuse_branch(owner, name)
