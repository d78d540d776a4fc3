"""The region an attack may search: a ball of radius eps around x, inside [lo, hi].

Every bound is computed in float64 and rounded inward, so that not even one unit in the last place
of a float32 lies outside.
"""

import math

import numpy as np

from ..backend.device import Array, array_module

Radius = float | Array
"""Of a ball: one for all examples, or one for each (N,)."""


def spread(values: Radius, x: Array) -> Array:
    """One value for each example of x (N, …), float64, of one for all or of as many."""
    xp = array_module(x)
    return xp.broadcast_to(xp.asarray(values, dtype=xp.float64), (len(x),))


def inside(moved: Array, x: Array, lo: float, hi: float) -> Array:
    """`moved` in the box, in the dtype of x, in which lo and hi may not be numbers."""
    xp, kind = array_module(x), x.dtype.type
    least, most = kind(lo), kind(hi)
    least = np.nextafter(least, kind(hi)) if float(least) < lo else least
    most = np.nextafter(most, kind(lo)) if float(most) > hi else most
    return xp.clip(moved.astype(x.dtype), least, most)


def limits(x: Array, eps: Radius, lo: float, hi: float) -> tuple[Array, Array]:
    """The least and the greatest value of each element in the L∞ ball and the box, like x."""
    xp = array_module(x)
    eps = column(spread(eps, x), x)
    exact = x.astype(xp.float64)
    low = xp.clip(exact - eps, lo, hi).astype(x.dtype)
    high = xp.clip(exact + eps, lo, hi).astype(x.dtype)
    below = (low.astype(xp.float64) < lo) | (exact - low > eps)
    above = (high.astype(xp.float64) > hi) | (high - exact > eps)
    return xp.where(below, xp.nextafter(low, x), low), xp.where(above, xp.nextafter(high, x), high)


def project_l2(x: Array, moved: Array, eps: Radius, lo: float, hi: float) -> Array:
    """`moved`, clipped to the box and pulled back along the straight line to within eps of x.

    The box is convex and holds x, so the pull stays inside it. What is pulled lands a few units in
    the last place short of eps, so that rounding to the dtype of x seldom goes beyond; where it
    does, each element that was rounded away from x takes the next number towards it.
    """
    xp = array_module(x)
    delta = xp.subtract(xp.clip(moved, lo, hi), x, dtype=xp.float64)
    length = lengths(delta)
    short = eps * (1 - 8 * float(np.finfo(x.dtype).eps))
    short = short / xp.maximum(length, np.finfo(np.float64).tiny)
    delta = delta * column(xp.where(length > eps, short, 1.0), x)
    landed = inside(x + delta, x, lo, hi)
    beyond = xp.flatnonzero(lengths(xp.subtract(landed, x, dtype=xp.float64)) > eps)
    if len(beyond):
        there, origin = landed[beyond], x[beyond]
        away = xp.abs(there.astype(xp.float64) - origin) > xp.abs(delta[beyond])
        landed[beyond] = xp.where(away, xp.nextafter(there, origin), there)
    return landed


def lengths(delta: Array, norm: str = "l2") -> Array:
    """The norm, "l2", "linf" or "l1", of each example of delta (N, …), in float64: (N,)."""
    xp = array_module(delta)
    rows = flat(delta).astype(xp.float64, copy=False)
    if norm == "linf":
        return xp.abs(rows).max(axis=1)
    return xp.sqrt((rows**2).sum(axis=1)) if norm == "l2" else xp.abs(rows).sum(axis=1)


def flat(x: Array) -> Array:
    """(N, …) as (N, d)."""
    return x.reshape(len(x), math.prod(x.shape[1:]))


def column(values: Array, like: Array) -> Array:
    """One value for each example (N,), in the shape that multiplies `like` (N, …)."""
    return values.reshape(-1, *[1] * (like.ndim - 1))


def unit(gradient: Array) -> Array:
    """The gradient of each example scaled to Euclidean norm 1, in float64; 0 where it vanishes."""
    xp, length = array_module(gradient), lengths(gradient)
    faint = length < 1e-100  # the squares of its elements may have been too small for a number
    if bool(faint.any()):
        gradient = gradient.astype(xp.float64) * column(xp.where(faint, 1e200, 1.0), gradient)
        length = lengths(gradient)
    return gradient / column(xp.where(length > 0, length, 1.0), gradient)
