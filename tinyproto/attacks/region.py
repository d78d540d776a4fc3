"""The region that an attack may search: the ball of radius eps around x, inside the box [lo, hi].

`Region` gives an attack its random starting point, its step and its projection; a step is

    x′ ← P(x′ + s sign g)  in L∞        x′ ← P(x′ + s g/‖g‖₂)  in L2

for a gradient g, a step size s and the projection P back into the ball and the box. In L1, whose
steps are those of `apgd_l1`, P is the exact one of `l1`. Every bound is
computed in float64 and rounded inward: a float32 point is never outside, not even by one unit in
the last place.

Where x lies outside the box by rounding, the box is widened to hold it (`box`), and |x′ − x| ≤ eps
holds as ever.

All functions work for arrays of NumPy and of CuPy.
"""

import math
from copy import copy
from typing import Any

import numpy as np

from ..backend.device import Array, array_module
from ..random import normal, uniform
from ..validation import resolve_norm
from .box import clip_to_box, widened
from .l1 import shrink_to_l1_ball
from .victim import Bound, Victim, varies

Radius = float | Array
"""The radius of a ball: one for all examples, or one for each of them (N,)."""

NORMS = ("linf", "l2", "l1")


class Region:
    """The ball of radius eps around each example, inside the victim's box.

    Parameters
    ----------
    x : array (N, …)
        The centres of the balls, in the victim's box.
    eps : float or array (N,)
        The radius, in the units of x.
    norm : {"linf", "l2", "l1"}
        The norm of the ball.
    victim : Victim
        Whose bounds lo and hi are the box.

    Examples
    --------
    >>> import numpy as np
    >>> from tinyproto.attacks import Victim
    >>> from tinyproto.attacks.region import Region
    >>> victim = Victim(lambda x: (x, lambda dz: dz))
    >>> region = Region(np.array([[0.5, 0.95]]), 0.1, "linf", victim)
    >>> region.project(slice(None), np.array([[0.0, 2.0]]))
    array([[0.4, 1. ]])
    """

    def __init__(self, x: Array, eps: Radius, norm: str | float, victim: Victim):
        self.x, self.norm, self.eps = x, resolve_norm(norm, NORMS), per_example(eps, x)
        self.victim, self.lo, self.hi = victim, victim.lo, victim.hi
        if self.norm == "linf":
            self.low, self.high = linf_bounds(x, self.eps, self.lo, self.hi)

    def take(self, examples: Array) -> "Region":
        """The region of some of the examples: n indices into x."""
        return Region(self.x[examples], self.eps[examples], self.norm, self.victim)

    def reshape(self, shape: tuple[int, ...]) -> "Region":
        """The same region of examples in another shape (N, *shape)."""
        other, example = copy(self), self.x.shape[1:]
        if varies(self.lo, self.hi):
            other.lo, other.hi = (
                np.broadcast_to(bound, example).reshape(shape) for bound in (self.lo, self.hi)
            )
        for name in ("x", "low", "high") if self.norm == "linf" else ("x",):
            setattr(other, name, getattr(self, name).reshape(-1, *shape))
        return other

    def random_point(self, index: Array, *, stream: str = "pgd", **key: Any) -> Array:
        """A point drawn uniformly from each ball, then clipped to the box: an array like x.

        The random numbers depend on the examples' positions in the data set, `index` (N,), on the
        name of their stream, and on the seed, the restart and the epoch in `key`, on nothing else.
        In L2, d being the number of elements, a random direction is multiplied by eps u^(1/d). In
        L1 it is not uniform: normal noise as wide as the box is projected onto the ball.
        """
        x, xp = self.x, array_module(self.x)
        size = int(np.prod(x.shape[1:]))
        key = {"xp": xp, **key}
        if self.norm == "linf":
            drawn = uniform(size, index, stream=f"{stream} start", **key).reshape(x.shape)
            moved = (x + expand_like(self.eps, x) * (2 * drawn - 1)).astype(x.dtype)
            return xp.clip(moved, self.low, self.high)
        noise = normal(size, index, stream=f"{stream} start", **key)
        if self.norm == "l1":
            width = self.victim.width
            wide = expand_like(self.eps if width == math.inf else per_example(width, x), x)
            return self.project(slice(None), x + wide * noise.reshape(x.shape))
        direction = normalize_l2(noise)
        radius = uniform(1, index, stream=f"{stream} radius", **key) ** (1 / size)
        moved = x + (self.eps[:, None] * radius * direction).reshape(x.shape)
        return project_l2(x, moved, self.eps, self.lo, self.hi)

    def step(self, examples: Any, points: Array, gradient: Array, step_size: Array) -> Array:
        """`points` moved along the gradient by a step size (n,) for each, and projected.

        `examples` says whose points these are: n indices into x, or a slice.
        """
        xp, size = array_module(points), expand_like(step_size, points)
        if self.norm == "linf":
            direction = xp.sign(gradient).astype(points.dtype)
            moved = points + direction * xp.asarray(size, dtype=points.dtype)
        else:
            moved = points + size * normalize_l2(gradient)
        return self.project(examples, moved)

    def project(self, examples: Any, moved: Array) -> Array:
        """Points of these examples, n indices into x or a slice, back in their balls and the box.

        In L∞ and L1 it is the nearest point of the region; in L2 see `project_l2`.
        """
        if self.norm == "linf":
            xp = array_module(moved)
            projected: Array = xp.clip(moved, self.low[examples], self.high[examples])
            return projected
        project = project_l2 if self.norm == "l2" else project_l1
        return project(self.x[examples], moved, self.eps[examples], self.lo, self.hi)


def linf_bounds(x: Array, eps: Radius, lo: Bound, hi: Bound) -> tuple[Array, Array]:
    """The smallest and the largest value of each element in the L∞ ball and the box.

    Parameters
    ----------
    x : array (N, …)
        The centres of the balls.
    eps : float, array (N,), or array (1, …) or (N, …)
        The radius: of all, of each example, or of each element.
    lo, hi : float or array
        The box.

    Returns
    -------
    low, high : arrays (N, …)
        In the dtype of x, rounded towards x.
    """
    xp = array_module(x)
    if getattr(eps, "ndim", 0) < max(x.ndim, 2):
        eps = expand_like(per_example(eps, x), x)
    exact = x.astype(xp.float64)
    least, greatest = widened(exact, lo, hi)
    low = xp.clip(exact - eps, least, greatest).astype(x.dtype)
    high = xp.clip(exact + eps, least, greatest).astype(x.dtype)
    below = (low.astype(xp.float64) < least) | (exact - low > eps)
    above = (high.astype(xp.float64) > greatest) | (high - exact > eps)
    return xp.where(below, xp.nextafter(low, x), low), xp.where(above, xp.nextafter(high, x), high)


def project_l2(x: Array, moved: Array, eps: Radius, lo: Bound, hi: Bound) -> Array:
    """Points clipped to the box, then scaled towards x until they are within eps of it in L2.

    Parameters
    ----------
    x : array (N, …)
        The centres of the balls.
    moved : array (N, …)
        The points to project.
    eps : float or array (N,)
        The radius.
    lo, hi : float or array
        The box.

    Returns
    -------
    array (N, …)
        In the dtype of x.

    Notes
    -----
    The box is convex and holds x, so scaling towards x does not leave it. What is scaled ends a few
    units in the last place short of eps, so that rounding to the dtype of x seldom exceeds it;
    where it does, each element that was rounded away from x takes the next number towards x.
    """
    xp, wide = array_module(x), moved.dtype.type
    box = (lo, hi) if varies(lo, hi) else (wide(lo), wide(hi))  # `clip_to_box` has the last word
    delta = xp.subtract(xp.clip(moved, *widened(x, *box)), x, dtype=xp.float64)
    length = norms(delta)
    target = eps * (1 - 8 * float(np.finfo(x.dtype).eps))
    scale = target / xp.maximum(length, np.finfo(np.float64).tiny)
    delta = delta * expand_like(xp.where(length > eps, scale, 1.0), x)
    return _rounded_inside(x, delta, eps, lo, hi, "l2")


def project_l1(x: Array, moved: Array, eps: Radius, lo: Bound, hi: Bound) -> Array:
    """The nearest points within eps of x in L1 and in the box.

    Parameters
    ----------
    x, moved, eps, lo, hi
        As in `project_l2`.

    Returns
    -------
    array (N, …)
        In the dtype of x, rounded towards x where it would exceed eps.
    """
    xp, eps = array_module(x), per_example(eps, x)
    least, greatest = widened(x.astype(xp.float64), lo, hi)
    delta = xp.subtract(moved, x, dtype=xp.float64)
    room = xp.where(delta > 0, greatest - x, x - least)
    target = eps * (1 - 8 * float(np.finfo(x.dtype).eps))
    length = shrink_to_l1_ball(flatten(xp.abs(delta)), flatten(room), target)
    return _rounded_inside(x, xp.sign(delta) * length.reshape(x.shape), eps, lo, hi, "l1")


def _rounded_inside(x: Array, delta: Array, eps: Radius, lo: Bound, hi: Bound, norm: str) -> Array:
    """x + δ in the dtype of x; where that exceeds eps, each element that was rounded away from x
    takes the next number towards x."""
    xp, eps = array_module(x), per_example(eps, x)
    projected = clip_to_box(x + delta, x, lo, hi)
    outside = xp.flatnonzero(norms(xp.subtract(projected, x, dtype=xp.float64), norm) > eps)
    if len(outside):
        points, centres = projected[outside], x[outside]
        rounded_away = xp.abs(points.astype(xp.float64) - centres) > xp.abs(delta[outside])
        projected[outside] = xp.where(rounded_away, xp.nextafter(points, centres), points)
    return projected


def norms(delta: Array, norm: str | float = "l2") -> Array:
    """The norm of each example of a perturbation, in float64.

    Parameters
    ----------
    delta : array (N, …)
        The perturbations.
    norm : {"l2", "linf", "l1"}
        Which norm.

    Returns
    -------
    array (N,)
        The norms.

    Raises
    ------
    ValueError
        For an unknown norm.

    Examples
    --------
    >>> import numpy as np
    >>> from tinyproto.attacks.region import norms
    >>> delta = np.array([[3.0, -4.0]])
    >>> [float(norms(delta, norm)[0]) for norm in ("l2", "linf", "l1")]
    [5.0, 4.0, 7.0]
    """
    xp = array_module(delta)
    rows, norm = flatten(delta).astype(xp.float64, copy=False), resolve_norm(norm, NORMS)
    if norm == "linf":
        return xp.abs(rows).max(axis=1)
    return xp.sqrt((rows**2).sum(axis=1)) if norm == "l2" else xp.abs(rows).sum(axis=1)


def normalize_l2(gradient: Array) -> Array:
    """The gradient of each example (N, …) scaled to Euclidean norm 1, in float64; 0 stays 0."""
    xp, length = array_module(gradient), norms(gradient)
    tiny = length < 1e-100  # the squares of its elements may have underflowed
    if bool(tiny.any()):
        gradient = gradient.astype(xp.float64) * expand_like(xp.where(tiny, 1e200, 1.0), gradient)
        length = norms(gradient)
    return gradient / expand_like(xp.where(length > 0, length, 1.0), gradient)


def per_example(values: Radius, x: Array) -> Array:
    """A value for each example of x, float64 (N,), from one for all or one for each."""
    xp = array_module(x)
    return xp.broadcast_to(xp.asarray(values, dtype=xp.float64), (len(x),))


def expand_like(values: Array, like: Array) -> Array:
    """Values (N,) in the shape (N, 1, …) that broadcasts with `like` (N, …)."""
    return values.reshape(-1, *[1] * (like.ndim - 1))


def flatten(x: Array) -> Array:
    """(N, …) as (N, d)."""
    return x.reshape(len(x), math.prod(x.shape[1:]))
