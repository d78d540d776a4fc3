"""Parameters are a tree: nested dicts whose leaves are arrays, each named by its path.

    params = {"features": {"0": {"weight": W, "bias": b}, "1": {"scale": γ, …}}, "head": {…}}

The tree of a network is made of its layers' own dicts, so a leaf that is changed in place here is
changed in the layer. `features/0/weight` is the path of a leaf: its name in a file and in an
optimizer. Gradients are a tree of the same nesting (see `zeros`).
"""

from collections.abc import Iterator, Mapping
from types import ModuleType
from typing import Any

import numpy as np

from .backend.device import Array, array_module, is_read_only, to_device

__all__ = [
    "RUNNING", "Tree", "assign", "check_arrays", "convert", "count", "flatten", "is_running",
    "leaves", "without_running", "zeros",
]  # fmt: skip

Tree = dict[str, Any]
"""Nested dicts with arrays as leaves."""

RUNNING = "running_"
"""A leaf whose name starts with this is not a parameter but a running average. In a tree of
gradients its slot is a list of the values that the optimizer step averages in."""


def leaves(tree: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, Any]]:
    """Go through all leaves with their paths, in the order of the layers.

    Parameters
    ----------
    tree : Tree
        Parameters or gradients.
    path : str
        The path of `tree` itself, put in front of those of its leaves.

    Yields
    ------
    path : str
        Such as "features/0/weight".
    leaf : array
        The array itself, not a copy.

    Examples
    --------
    >>> from tinyproto.layers import Linear
    >>> from tinyproto.parameters import leaves
    >>> [(path, leaf.shape) for path, leaf in leaves(Linear(3, 2).params)]
    [('weight', (3, 2)), ('bias', (2,))]
    """
    for name, value in tree.items():
        full = f"{path}/{name}" if path else name
        if isinstance(value, Mapping):
            yield from leaves(value, full)
        else:
            yield full, value


def flatten(tree: Mapping[str, Any]) -> dict[str, Any]:
    """Turn a tree into one dict from path to leaf.

    Parameters
    ----------
    tree : Tree
        Parameters or gradients.

    Returns
    -------
    dict of str to array
        The arrays themselves, not copies.

    Examples
    --------
    >>> from tinyproto.parameters import flatten
    >>> flatten({"features": {"0": {"weight": 1, "bias": 2}}, "head": {"weight": 3}})
    {'features/0/weight': 1, 'features/0/bias': 2, 'head/weight': 3}
    """
    return dict(leaves(tree))


def is_running(path: str) -> bool:
    """Say whether a leaf is a running average, which no gradient moves.

    Parameters
    ----------
    path : str
        The path or the name of a leaf.

    Returns
    -------
    bool
        Whether its name starts with `RUNNING`.

    Examples
    --------
    >>> from tinyproto.parameters import is_running
    >>> is_running("features/1/running_mean"), is_running("features/1/scale")
    (True, False)
    """
    return path.rpartition("/")[2].startswith(RUNNING)


def zeros(params: Mapping[str, Any]) -> Tree:
    """Make the tree of gradients that `backward(dy, grads)` adds to.

    A parameter's slot is an array of zeros, a running average's an empty list. Delete a slot, or a
    whole branch, and the parameters that it belongs to are frozen.

    Parameters
    ----------
    params : Tree
        Parameters.

    Returns
    -------
    Tree
        Gradients of the same nesting.

    Examples
    --------
    >>> from tinyproto.layers import BatchNorm
    >>> from tinyproto.parameters import zeros
    >>> grads = zeros(BatchNorm(2).params)
    >>> grads["scale"], grads["running_mean"]
    (array([0., 0.], dtype=float32), [])
    """
    grads: Tree = {}
    for name, value in params.items():
        if isinstance(value, Mapping):
            grads[name] = zeros(value)
        else:
            grads[name] = [] if is_running(name) else array_module(value).zeros_like(value)
    return grads


def without_running(grads: Mapping[str, Any]) -> Tree:
    """Leave out the slots of running averages; a pass that gets this tree does not update them.

    Parameters
    ----------
    grads : Tree
        Gradients.

    Returns
    -------
    Tree
        A new tree of the same arrays: what is added to them is added to those of `grads`.

    Examples
    --------
    >>> from tinyproto.layers import BatchNorm
    >>> from tinyproto.parameters import without_running, zeros
    >>> list(without_running(zeros(BatchNorm(2).params)))
    ['scale', 'shift']
    """
    return {
        name: without_running(value) if isinstance(value, Mapping) else value
        for name, value in grads.items()
        if isinstance(value, Mapping) or not is_running(name)
    }


def convert(params: Tree, xp: ModuleType = np, dtype: Any = None) -> None:
    """Move all leaves to an array module (NumPy or CuPy) and a dtype, in place.

    Parameters
    ----------
    params : Tree
        Parameters; the dicts stay, their leaves are replaced.
    xp : module
        numpy or cupy.
    dtype : dtype, optional
        float32 or float64; by default each leaf keeps its own.

    Raises
    ------
    ValueError
        For another dtype, in which weights would lose their digits.

    Examples
    --------
    >>> import numpy as np
    >>> from tinyproto.layers import Linear
    >>> from tinyproto.parameters import convert
    >>> layer = Linear(3, 2)
    >>> convert(layer.params, dtype=np.float64)
    >>> layer.params["weight"].dtype
    dtype('float64')
    """
    if dtype is not None and np.dtype(dtype) not in (np.float32, np.float64):
        raise ValueError(f"dtype must be float32 or float64, not {np.dtype(dtype)}")
    for name, value in params.items():
        if isinstance(value, dict):
            convert(value, xp, dtype)
        else:
            params[name] = to_device(value, xp).astype(dtype or value.dtype)


def assign(params: Mapping[str, Any], arrays: Mapping[str, Array], source: str = "arrays") -> None:
    """Copy arrays, named by paths, into the leaves.

    Parameters
    ----------
    params : Tree
        Parameters, changed in place; each leaf keeps its device and dtype. One that is read-only is
        replaced.
    arrays : mapping of str to array
        One array for each leaf, of its shape.
    source : str
        What an error message calls `arrays`, such as the name of a file.

    Raises
    ------
    ValueError
        For an entry that is missing, unknown, of another shape or of no real numbers. It names the
        path, and nothing has been changed.

    Examples
    --------
    >>> import numpy as np
    >>> from tinyproto.layers import Linear
    >>> from tinyproto.parameters import assign
    >>> layer = Linear(1, 2)
    >>> assign(layer.params, {"weight": np.ones((1, 2)), "bias": np.array([3, 4])})
    >>> layer.params["bias"]
    array([3., 4.], dtype=float32)
    """
    check_arrays(params, arrays, source)
    _assign(params, arrays, "")


def _assign(params: Any, arrays: Mapping[str, Array], path: str) -> None:
    for name, leaf in params.items():
        if isinstance(leaf, Mapping):
            _assign(leaf, arrays, f"{path}{name}/")
            continue
        if is_read_only(leaf):
            leaf = params[name] = leaf.copy()
        leaf[...] = to_device(arrays[path + name], array_module(leaf)).astype(leaf.dtype)


def check_arrays(
    params: Mapping[str, Any],
    arrays: Mapping[str, Array],
    source: str = "arrays",
    *,
    values: bool = False,
) -> None:
    """Check that `assign` can copy arrays into the leaves; nothing is changed.

    Parameters
    ----------
    params : Tree
        Parameters.
    arrays : mapping of str to array
        Arrays by paths.
    source : str
        What an error message calls `arrays`, such as the name of a file.
    values : bool
        Whether to check the values, too, as for a file that is not trusted.

    Raises
    ------
    ValueError
        For an entry that is missing, unknown, of another shape or of no real numbers. With
        `values`, also for one that is infinite or NaN in the dtype of its leaf, and for a running
        variance below 0.

    Examples
    --------
    >>> import numpy as np
    >>> from tinyproto.layers import Linear
    >>> from tinyproto.parameters import check_arrays
    >>> arrays = {"weight": np.full((1, 2), np.nan), "bias": np.zeros(2)}
    >>> check_arrays(Linear(1, 2).params, arrays)
    >>> check_arrays(Linear(1, 2).params, arrays, "model.npz", values=True)
    Traceback (most recent call last):
    ValueError: model.npz: weight holds values that are infinite or NaN in float32
    """
    own = flatten(params)
    for verb, names in (
        ("misses", sorted(set(own) - set(arrays))),
        ("has unknown", sorted(set(arrays) - set(own))),
    ):
        if names:
            more = f" and {len(names) - 3} more" if len(names) > 3 else ""
            raise ValueError(f"{source} {verb} entries: {', '.join(names[:3])}{more}")
    for path, leaf in own.items():
        array = arrays[path]
        if array.shape != leaf.shape:
            raise ValueError(f"{source}: {path} has shape {array.shape}, expected {leaf.shape}")
        if array.dtype.kind not in ("fiu" if leaf.dtype.kind == "f" else "iu"):
            numbers = "real numbers" if leaf.dtype.kind == "f" else "integers"
            raise ValueError(f"{source}: {path} holds no {numbers}, but {array.dtype}")
        if values:
            variance = is_running(path) and path.endswith("variance")
            check_values(path, array, leaf.dtype, source, nonnegative=variance)


def check_values(
    path: str, array: Array, dtype: Any, source: str, *, nonnegative: bool = False
) -> None:
    """Raise ValueError for a value that is infinite or NaN in the dtype of its leaf, or negative
    where it must not be."""
    if not array.size:
        return
    lowest, highest = float(array.min()), float(array.max())  # both are NaN if any value is
    limit = float((np.finfo if np.dtype(dtype).kind == "f" else np.iinfo)(dtype).max)
    if not -limit <= lowest <= highest <= limit:
        raise ValueError(
            f"{source}: {path} holds values that are infinite or NaN in {np.dtype(dtype)}"
        )
    if nonnegative and lowest < 0:
        raise ValueError(f"{source}: {path} holds negative values, such as {lowest}")


def count(params: Mapping[str, Any]) -> int:
    """Count the numbers that are learned; running averages do not count.

    Parameters
    ----------
    params : Tree
        Parameters.

    Returns
    -------
    int
        How many there are.

    Examples
    --------
    >>> from tinyproto.layers import Linear
    >>> from tinyproto.parameters import count
    >>> count(Linear(3, 2).params)
    8
    """
    return sum(int(leaf.size) for path, leaf in leaves(params) if not is_running(path))
