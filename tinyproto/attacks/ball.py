"""The region an attack may search: a ball of radius eps around x, inside [lo, hi].

Every bound is computed in float64 and rounded inward, so that not even one unit in the last place
of a float32 lies outside.
"""

import math

import numpy as np

from ..device import Array, array_module


def limits(x: Array, eps: float, lo: float, hi: float) -> tuple[Array, Array]:
    """The least and the greatest value of each element in the L∞ ball and the box, like x."""
    xp = array_module(x)
    exact = x.astype(xp.float64)
    low = xp.clip(exact - eps, lo, hi).astype(x.dtype)
    high = xp.clip(exact + eps, lo, hi).astype(x.dtype)
    below = (low.astype(xp.float64) < lo) | (exact - low > eps)
    above = (high.astype(xp.float64) > hi) | (high - exact > eps)
    return xp.where(below, xp.nextafter(low, x), low), xp.where(above, xp.nextafter(high, x), high)


def project_l2(x: Array, moved: Array, eps: float, lo: float, hi: float) -> Array:
    """`moved`, clipped to the box and pulled back along the straight line to within eps of x.

    The box is convex and holds x, so the pull stays inside it.
    """
    xp = array_module(x)
    delta = xp.clip(moved.astype(xp.float64), lo, hi) - x
    length = norms(delta)
    scale = xp.where(length > eps, eps / xp.maximum(length, np.finfo(np.float64).tiny), 1.0)
    delta = delta * (scale * (1 - 2.0**-50)).reshape(-1, *[1] * (x.ndim - 1))
    landed = (x + delta).astype(x.dtype)
    outside = xp.abs(landed.astype(xp.float64) - x) > xp.abs(delta)
    return xp.where(outside, xp.nextafter(landed, x), landed)


def norms(delta: Array) -> Array:
    """The Euclidean norm of each example of delta (N, …), in float64: (N,)."""
    xp = array_module(delta)
    flat = delta.reshape(len(delta), math.prod(delta.shape[1:])).astype(xp.float64)
    return xp.sqrt((flat**2).sum(axis=1))


def unit(gradient: Array) -> Array:
    """The gradient of each example scaled to Euclidean norm 1, in float64; 0 where it vanishes."""
    xp = array_module(gradient)
    length = norms(gradient).reshape(-1, *[1] * (gradient.ndim - 1))
    return gradient.astype(xp.float64) / xp.where(length > 0, length, 1.0)
