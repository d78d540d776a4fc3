"""The box [lo, hi] that a victim's inputs lie in: one pair of bounds, or one for each feature.

A bound is a number, or an array that broadcasts with one example. Bounds written as a formula,
(0 − mean)/std, seldom are float32 numbers, and normalized pixels may miss them by a few units in
the last place. Such an x is accepted (`outside_box`), and the box is widened around each of its
elements that lies outside: to min(lo, x) … max(hi, x). So x itself is always feasible, and no
element goes farther outside than it was.

A feature that no attack may change has the empty interval lo = ∞, hi = −∞, which widens to x alone.
"""

import math
from typing import Any

import numpy as np

from ..backend.device import Array, array_module, to_device
from .victim import Bound, Victim, varies


def clip_to_box(moved: Array, x: Array, lo: Bound, hi: Bound) -> Array:
    """Points clipped to [lo, hi] in the dtype of x, in which lo and hi may not be representable.

    Parameters
    ----------
    moved : array (N, …)
        The points to clip.
    x : array (N, …)
        The examples: an element outside the box widens it to itself.
    lo, hi : float or array
        The box.

    Returns
    -------
    array (N, …)
        The clipped points.
    """
    least, greatest = _rounded_inward(lo, x, math.inf), _rounded_inward(hi, x, -math.inf)
    return array_module(x).clip(moved.astype(x.dtype, copy=False), *widened(x, least, greatest))


def _rounded_inward(bound: Bound, x: Array, inward: float) -> Any:
    """A bound in the dtype of x; `inward` is the infinity in the direction of the box."""
    dtype = x.dtype.type
    if not varies(bound):
        rounded = dtype(bound)
        outside = float(rounded) < bound if inward > 0 else float(rounded) > bound
        return np.nextafter(rounded, dtype(inward)) if outside else rounded
    xp = array_module(x)
    exact: Any = to_device(bound, xp)
    rounded = exact.astype(dtype)
    outside = (rounded < exact) if inward > 0 else (rounded > exact)
    return xp.where(outside, xp.nextafter(rounded, xp.asarray(inward, dtype=dtype)), rounded)


def widened(x: Array, lo: Any, hi: Any) -> tuple[Any, Any]:
    """The bounds; where an element of x lies outside, arrays like x with bounds that hold it."""
    xp = array_module(x)
    if varies(lo, hi):
        lo, hi = (to_device(b, xp) if varies(b) else b for b in (lo, hi))
        inside = not x.size or (bool((x >= lo).all()) and bool((x <= hi).all()))
    else:
        inside = not x.size or (bool(x.min() >= lo) and bool(x.max() <= hi))
    if inside:
        return lo, hi  # as nearly always: no array is made
    return xp.minimum(x, lo), xp.maximum(x, hi)


def outside_box(lo: float, hi: float) -> float:
    """How far outside the box an example may lie: 4 units in the last place of a float32, which is
    how far bounds that are computed in float32 and in float64, by any order of a division and a
    subtraction, may differ."""
    finite = [abs(bound) for bound in (lo, hi) if math.isfinite(bound)]
    return 4 * float(np.finfo(np.float32).eps) * max(finite, default=0.0)


def check_box(what: str, x: Array, victim: Victim) -> None:
    """Refuse examples, which the message calls `what`, that are not in the victim's box, or of
    another shape than its bounds and the features that are kept.

    Raises
    ------
    ValueError
        Otherwise.
    """
    xp, lo, hi = array_module(x), victim.lo, victim.hi
    found = f"{x.dtype} of shape {x.shape}"
    bounds: dict[str, Any] = {"keep": victim.keep, "lo": lo, "hi": hi}
    for name, bound in bounds.items():
        if not _fits(np.shape(bound), x.shape[1:]):
            number = "" if name == "keep" else "a number or "
            raise ValueError(
                f"{name} must be {number}an array like one example, of shape {x.shape[1:]}, "
                f"not {np.shape(bound)}"
            )
    if not len(x):
        return
    least, greatest = float(x.min()), float(x.max())
    if math.isnan(least):
        raise ValueError(f"{what} holds NaN ({found})")
    if varies(lo, hi):
        empty = lo > hi  # of features that are kept
        lo, hi = np.where(empty, -math.inf, lo), np.where(empty, math.inf, hi)
        slack = np.vectorize(outside_box, otypes=[np.float64])(lo, hi)
        low, high = to_device(lo - slack, xp), to_device(hi + slack, xp)
        if not bool(((low <= x) & (x <= high)).all()):
            raise ValueError(f"{what} must lie in [lo, hi] of each feature, and does not ({found})")
    elif max(lo - least, greatest - hi) > outside_box(lo, hi):
        levels = "; divide by 255" if (lo, hi) == (0, 1) and least >= 0 and greatest <= 255 else ""
        raise ValueError(
            f"{what} must lie in [{lo}, {hi}], not [{least}, {greatest}] ({found})"
            f"{levels if greatest > 2 else ''}"
        )


def _fits(shape: tuple[int, ...], example: tuple[int, ...]) -> bool:
    """Whether an array of this shape broadcasts with one example, and to no other shape."""
    if len(shape) > len(example):
        return False
    ends = example[len(example) - len(shape) :]
    return all(m in (1, n) for m, n in zip(shape, ends, strict=True))


def box_size(shape: tuple[int, ...], norm: str, victim: Victim) -> float:
    """The distance between opposite corners of the box of examples (N, …)."""
    if varies(victim.lo, victim.hi):
        width = np.broadcast_to(np.maximum(victim.hi - victim.lo, 0.0), shape[1:]).ravel()
        order = {"linf": math.inf, "l2": 2, "l1": 1}[norm]
        return float(np.linalg.norm(width, order)) if width.size else 0.0
    size, elements = victim.hi - victim.lo, float(math.prod(shape[1:]))
    return size * {"linf": 1.0, "l2": elements**0.5, "l1": elements}[norm]


def require_finite_box(victim: Victim, what: str) -> None:
    """Refuse a victim without bounds.

    Raises
    ------
    ValueError
        Where lo or hi is infinite.
    """
    if not math.isfinite(victim.width):
        each = varies(victim.lo, victim.hi)
        found = " for each feature" if each else f", not lo={victim.lo}, hi={victim.hi}"
        raise ValueError(f"{what} needs finite bounds{found}")
