"""The region an attack may search: a ball of radius eps around x, inside [lo, hi].

Every bound is computed in float64 and rounded inward, so that not even one unit in the last place
of a float32 lies outside.
"""

import math

import numpy as np

from ..device import Array, array_module

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

    The box is convex and holds x, so the pull stays inside it.
    """
    xp = array_module(x)
    delta = xp.clip(moved.astype(xp.float64), lo, hi) - x
    length = lengths(delta)
    scale = xp.where(length > eps, eps / xp.maximum(length, np.finfo(np.float64).tiny), 1.0)
    delta = delta * column(scale * (1 - 2.0**-50), x)
    landed = (x + delta).astype(x.dtype)
    outside = xp.abs(landed.astype(xp.float64) - x) > xp.abs(delta)
    return xp.where(outside, xp.nextafter(landed, x), landed)


def lengths(delta: Array, norm: str = "l2") -> Array:
    """The norm, "l2", "linf" or "l1", of each example of delta (N, …), in float64: (N,)."""
    xp = array_module(delta)
    rows = flat(delta).astype(xp.float64)
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
    """The gradient of each example scaled to Euclidean norm 1, in float64; 0 where it vanishes.

    The largest element is scaled to 1 first: squares of what is tiny would be 0.
    """
    xp = array_module(gradient)
    largest = column(lengths(gradient, "linf"), gradient)
    scaled = gradient.astype(xp.float64) / xp.where(largest > 0, largest, 1.0)
    return scaled / xp.where(largest > 0, column(lengths(scaled), gradient), 1.0)
