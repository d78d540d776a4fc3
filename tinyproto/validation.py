"""Checks of what comes from outside: shapes, labels, positions, images, counts, norms.

Every public function calls the one for each of its arguments, before anything is computed or
changed. None of them copies an array that is right already.
"""

import math
import sys
from numbers import Integral, Real
from typing import Any

import numpy as np

from .backend.device import Array, array_module, to_host

__all__ = [
    "check_count",
    "check_images",
    "check_index",
    "check_labels",
    "check_shape",
    "resolve_norm",
]


def check_shape(name: str, array: Any, shape: tuple[int | str, ...]) -> None:
    """Refuse what is not an array of this shape.

    Parameters
    ----------
    name : str
        What the message calls the array.
    array : array
        An array of NumPy or CuPy.
    shape : tuple of int or str
        The length of each axis; a letter stands for any length.

    Raises
    ------
    ValueError
        For an array of another shape, and for what is no array.

    Examples
    --------
    >>> import numpy as np
    >>> from tinyproto.validation import check_shape
    >>> check_shape("dy", np.zeros((2, 5)), ("N", 4))
    Traceback (most recent call last):
    ValueError: dy must have the shape (N, 4), not (2, 5)
    """
    found = getattr(array, "shape", None)
    if not has_shape(found, shape):
        expected = ", ".join(map(str, shape)) + ("," if len(shape) == 1 else "")
        given = found if found is not None else f"of type {type(array).__name__}"
        raise ValueError(f"{name} must have the shape ({expected}), not {given}")


def has_shape(found: tuple[int, ...] | None, shape: tuple[int | str, ...]) -> bool:
    """Whether a shape is the expected one, in which a letter stands for any length."""
    if found == shape:
        return True
    return (
        found is not None
        and len(found) == len(shape)
        and all(m == n or isinstance(n, str) for m, n in zip(found, shape, strict=True))
    )


def check_labels(
    y: Any, count: int, classes: int | None = None, name: str = "y", *, wait: bool = True
) -> Array:
    """Refuse what is not one class, 0 … C − 1, for each example.

    Parameters
    ----------
    y : array (N,)
        Labels, integers of any size.
    count : int
        The number of examples N.
    classes : int, optional
        The number of classes C; by default only negative labels are out of range.
    name : str
        What the message calls the labels.
    wait : bool
        False: do not look at the range of labels on a GPU, which would wait for the device; for
        functions that are called at every step, with labels that were checked at the door.

    Returns
    -------
    array (N,)
        The labels as int64, on the device where they are.

    Raises
    ------
    ValueError
        For another shape, such as (N, 1) or (N, C); for numbers that are no integers; for a label
        that is none of the classes.

    Examples
    --------
    >>> import numpy as np
    >>> from tinyproto.validation import check_labels
    >>> check_labels(np.array([0, 2], dtype=np.uint8), 2, classes=3)
    array([0, 2])
    >>> check_labels(np.array([[0], [2]]), 2)
    Traceback (most recent call last):
    ValueError: y must hold one label for each of 2 examples, shape (2,), not (2, 1); use y.ravel()
    """
    xp = array_module(y)
    y = xp.asarray(y)
    if y.shape != (count,):
        many = y.ndim == 2 and len(y) == count
        advice = (
            f"; use {name}.{'ravel()' if y.shape[1] == 1 else 'argmax(axis=1)'}" if many else ""
        )
        raise ValueError(
            f"{name} must hold one label for each of {count} examples, shape ({count},), "
            f"not {y.shape}{advice}"
        )
    if y.dtype.kind not in "iu" and count:
        raise ValueError(f"{name} must hold integers, the classes from 0, not {y.dtype}")
    if count and (wait or xp is np):
        lowest, highest = int(y.min()), int(y.max())
        if lowest < 0 or (classes is not None and highest >= classes):
            wrong = lowest if lowest < 0 else highest
            allowed = "0 or more" if classes is None else f"0 … {classes - 1}"
            raise ValueError(f"{name} must hold classes, {allowed}, not {wrong}")
    return y.astype(xp.int64, copy=False)


def check_index(index: Any, count: int, like: Array) -> Array:
    """The examples' positions in the data set, by which their random numbers are drawn.

    Parameters
    ----------
    index : array (N,) or None
        Integers, 0 or more; None stands for 0 … N − 1.
    count : int
        The number of examples N.
    like : array
        An array on the device where the positions are needed.

    Returns
    -------
    array (N,)
        The positions, on the device of `like`.

    Raises
    ------
    ValueError
        For another shape, for numbers that are no integers, and for negative ones.

    Examples
    --------
    >>> import numpy as np
    >>> from tinyproto.validation import check_index
    >>> check_index(None, 3, like=np.zeros(3))
    array([0, 1, 2])
    >>> check_index(np.arange(2), 3, like=np.zeros(3))
    Traceback (most recent call last):
    ValueError: index must hold one position for each of 3 examples, shape (3,), not (2,)
    """
    xp = array_module(like)
    if index is None:
        return xp.arange(count)
    index = xp.asarray(index)
    if index.shape != (count,):
        raise ValueError(
            f"index must hold one position for each of {count} examples, shape ({count},), "
            f"not {index.shape}"
        )
    if count and (index.dtype.kind not in "iu" or int(index.min()) < 0):
        found = index.dtype if index.dtype.kind not in "iu" else int(index.min())
        raise ValueError(f"index must hold integers of 0 or more, not {found}")
    return index


def check_count(name: str, value: Any, least: int = 1, most: float = float("inf")) -> int:
    """Refuse what is not a whole number in a range.

    Parameters
    ----------
    name : str
        What the message calls the number.
    value : int
        An integer of Python or NumPy; neither 2.0 nor True is one.
    least, most : int
        The range.

    Returns
    -------
    int
        The number, as Python's.

    Raises
    ------
    ValueError
        For a number outside the range, and for what is no whole number.

    Examples
    --------
    >>> from tinyproto.validation import check_count
    >>> check_count("steps", 20)
    20
    >>> check_count("steps", 2.5)
    Traceback (most recent call last):
    ValueError: steps must be a whole number, 1 or more, not 2.5
    """
    whole = isinstance(value, Integral) and not isinstance(value, bool)
    if not whole or not least <= value <= most:
        kind = "" if whole else "a whole number, "
        allowed = f"{least} or more" if most == float("inf") else f"{least} … {most}"
        raise ValueError(f"{name} must be {kind}{allowed}, not {value!r}")
    return int(value)


def resolve_norm(norm: Any, allowed: tuple[str, ...] = ("linf", "l2")) -> str:
    """The name of a norm that may be written in several ways.

    Parameters
    ----------
    norm : str or float
        "linf", "Linf", "l_inf", "inf" or `np.inf`; "l2", "L2", "l_2", "2", 2 or 2.0; the same of 1.
    allowed : tuple of str
        Those of "linf", "l2" and "l1" that are understood here.

    Returns
    -------
    str
        "linf", "l2" or "l1".

    Raises
    ------
    ValueError
        For any other norm.

    Examples
    --------
    >>> import numpy as np
    >>> from tinyproto.validation import resolve_norm
    >>> resolve_norm("L2"), resolve_norm(np.inf)
    ('l2', 'linf')
    >>> resolve_norm(1)
    Traceback (most recent call last):
    ValueError: norm must be 'linf' or 'l2', not 1
    """
    if isinstance(norm, str) and norm in allowed:
        return norm
    number = isinstance(norm, Real) and not isinstance(norm, bool)
    text = f"{norm:g}" if number else str(norm).lower().replace("_", "").removeprefix("l")
    if f"l{text}" not in allowed:
        raise ValueError(f"norm must be {' or '.join(map(repr, allowed))}, not {norm!r}")
    return f"l{text}"


def check_images(x: Any, name: str = "x") -> np.ndarray:
    """Images on the host: whole numbers 0 … 255, or floating-point numbers in [0, 1].

    Parameters
    ----------
    x : array (N, H, W, C)
        The images.
    name : str
        What the message calls them.

    Returns
    -------
    array (N, H, W, C)
        uint8 for integers of any size, else the floating-point numbers as they are, in this
        machine's byte order.

    Raises
    ------
    ValueError
        For another shape; for NaN; for numbers outside these ranges, such as floats that reach 255.

    Examples
    --------
    >>> import numpy as np
    >>> from tinyproto.validation import check_images
    >>> check_images(np.full((1, 2, 2, 1), 255)).dtype
    dtype('uint8')
    >>> check_images(np.array([0.0, 255.0]).reshape(1, 1, 2, 1))
    Traceback (most recent call last):
    ValueError: x must hold floats in [0, 1], not float64 in [0.0, 255.0]; divide by 255
    """
    x = to_host(x)
    if x.ndim != 4:
        raise ValueError(f"{name} must hold images of shape (N, H, W, C), not {x.shape}")
    if x.dtype.kind not in "iuf":
        raise ValueError(
            f"{name} must hold whole numbers 0 … 255 or floats in [0, 1], not {x.dtype}"
        )
    x = x.astype(x.dtype.newbyteorder("="), copy=False)
    if not x.size or x.dtype == np.uint8:
        return x
    lowest, highest = x.min(), x.max()
    if x.dtype.kind == "f":
        if not (lowest >= 0 and highest <= 1):
            if np.isnan(lowest):
                raise ValueError(f"{name} holds NaN (shape {x.shape}, {x.dtype})")
            advice = "; divide by 255" if lowest >= 0 and 1 < highest <= 255 else ""
            raise ValueError(
                f"{name} must hold floats in [0, 1], not {x.dtype} in "
                f"[{float(lowest)}, {float(highest)}]{advice}"
            )
        return x
    if lowest < 0 or highest > 255:
        raise ValueError(
            f"{name} must hold whole numbers 0 … 255, not {x.dtype} in [{lowest}, {highest}]"
        )
    return x.astype(np.uint8)


def check_number(
    name: str, value: Any, *, zero: bool = True, most: float = sys.float_info.max
) -> float:
    """`value` as a float. Raises ValueError unless it is a number above 0, or 0 if `zero`, and at
    most `most`: finite, unless that is infinite."""
    number = isinstance(value, Real) and not isinstance(value, bool)
    if not (number and (value > 0 or (zero and value == 0)) and float(value) <= most):
        finite, least = "finite " if most < math.inf else "", "of 0 or more" if zero else "above 0"
        wanted = f"a {finite}number {least}"
        if zero and most < sys.float_info.max:
            wanted = f"in [0, {most}]"
        raise ValueError(f"{name} must be {wanted}, not {value!r}")
    return float(value)


def require(condition: bool, rule: str, value: Any) -> None:
    """Raise ValueError with the rule and the value unless the condition holds (NaN never does)."""
    if not condition:
        raise ValueError(f"{rule}, not {value!r}")
