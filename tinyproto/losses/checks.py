"""What a loss checks first: its scores and labels."""

from typing import Any

import numpy as np

from ..backend.device import Array, array_module
from ..validation import check_labels, check_shape

largest, INT64, UINT64 = np.maximum.reduce, np.dtype(np.int64), np.dtype(np.uint64)


def check_scores(owner: str, z: Any, classes: int = 1, **same: Any) -> None:
    """Raise ValueError unless z (N, C) holds floating-point scores of `classes` or more classes,
    and each of the arrays in `same`, given by name, has its shape too."""
    shape: tuple[int, ...] = getattr(z, "shape", ())
    if len(shape) != 2:
        check_shape(f"{owner}: z", z, ("N", "C"))
    if shape[1] < classes:
        raise ValueError(f"{owner} needs scores of at least {classes} classes, not {shape[1]}")
    for name, array in same.items():
        check_shape(f"{owner}: {name}", array, shape)
    for array in (z, *same.values()):
        if array.dtype.kind != "f":
            raise ValueError(f"{owner}: z must hold floating-point numbers, not {array.dtype}")


def check_columns(z: Array, y: Any, name: str = "y") -> Array:
    """The labels y (N,), columns of z (N, C), as int64; ValueError for labels that are not. On a
    GPU their range is not looked at."""
    if (
        (type(y) is type(z) is np.ndarray and y.dtype == INT64 and y.shape == z.shape[:1])
        # As an unsigned number, a negative one is large: one pass over the labels is enough.
        and largest(y.view(UINT64), initial=0) < z.shape[1]
    ):
        return y
    xp, found = array_module(z), array_module(y)
    if found is not xp:
        raise ValueError(
            f"{name} must be an array of {xp.__name__}, as the scores, not {found.__name__}"
        )
    return check_labels(y, len(z), z.shape[1], name, wait=False)
