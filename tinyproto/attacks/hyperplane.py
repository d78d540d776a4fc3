"""Projection onto a hyperplane with box constraints.

For each example: δ of least norm with w·(x + δ) = b and lo ≤ x + δ ≤ hi. Flip the sign of w, if
need be, so that w·δ = c = |b − w·x| is required. Coordinate i may move by at most u_i, which is
hi − x_i or x_i − lo by the sign of w_i, and contributes |w_i| |δ_i| to c. Then

    L∞: |δ_i| = min(τ, u_i)             c = f(τ) = Σ |w_i| min(τ, u_i)
    L2: |δ_i| = min(τ |w_i|, u_i)       c = f(τ) = Σ |w_i| min(τ |w_i|, u_i)
    L1: the coordinates of the largest |w_i| move by u_i, one after the other, the last by a part
        of it, until the sum is c.

L2: the condition of a minimum is δ_i ∝ w_i where the box does not bind. Both f are increasing,
concave and piecewise linear, and f(τ) = c is solved exactly by Newton's method
(`kernels.hyperplane`). Where the box is too small for c, every coordinate moves by u_i: that is the
point of the box that is closest to the hyperplane.
"""

from ..backend.device import Array, array_module, to_device
from ..kernels.hyperplane import project_onto_hyperplane
from ..validation import resolve_norm
from .victim import Bound, varies


def projection_step(
    x: Array, w: Array, b: Array, *, norm: str | float, lo: Bound = 0.0, hi: Bound = 1.0
) -> Array:
    """The step δ from each point to its projection onto the hyperplane w·p = b inside the box.

    Parameters
    ----------
    x : array (N, d)
        Points in the box.
    w : array (N, d)
        Normals of the hyperplanes. For a normal of 0, which defines no hyperplane, δ is 0.
    b : array (N,)
        Offsets of the hyperplanes.
    norm : {"linf", "l2", "l1"}
        The norm of δ that is minimized.
    lo, hi : float or array (d,)
        The box. A feature whose interval is empty has to have w = 0, and does not move.

    Returns
    -------
    array (N, d)
        δ, float64.

    Raises
    ------
    ValueError
        For an unknown norm.

    Examples
    --------
    >>> import numpy as np
    >>> from tinyproto.attacks.hyperplane import projection_step
    >>> x, w, b = np.array([[0.5, 0.875]]), np.array([[1.0, 1.0]]), np.array([1.75])
    >>> projection_step(x, w, b, norm="linf")
    array([[0.25 , 0.125]])
    """
    xp, norm = array_module(x), resolve_norm(norm, ("linf", "l2", "l1"))
    x, w, b = (xp.ascontiguousarray(a, dtype=xp.float64) for a in (x, w, b))
    if norm == "l1":
        return _projection_step_l1(x, w, b, lo, hi)
    if varies(lo, hi):
        return _projection_step_in_any_box(x, w, b, lo, hi, norm)
    delta = xp.empty_like(x)
    project_onto_hyperplane(len(x), x, w, b, float(lo), float(hi), norm == "l2", delta)
    return delta


def _room(x: Array, w: Array, b: Array, lo: Bound, hi: Bound) -> tuple[Array, Array, Array]:
    """c (N,), the signs of δ (N, d), and u (N, d).

    No |δ_i| exceeds c/|w_i|, since each is |w_i| |δ_i| of c: u_i is cut there, so that a box
    without bounds does no harm.
    """
    xp = array_module(x)
    lo, hi = (to_device(bound, xp) if varies(bound) else bound for bound in (lo, hi))
    residual = b - (w * x).sum(axis=1)
    direction = xp.sign(w) * xp.sign(residual)[:, None]
    u = xp.where(direction > 0, hi - x, xp.where(direction < 0, x - lo, 0.0))
    c, slope = xp.abs(residual), xp.abs(w)
    return c, direction, xp.minimum(u, c[:, None] / xp.where(slope > 0, slope, 1.0))


def _projection_step_in_any_box(
    x: Array, w: Array, b: Array, lo: Bound, hi: Bound, norm: str
) -> Array:
    """The shortest δ in L∞ or L2, with bounds for each feature.

    Reflected and shifted, each coordinate lies at u_i and moves towards 0, a bound that all share:
    with ω = −|w|, ω·(u + δ′) = c + ω·u.
    """
    xp, slope = array_module(x), array_module(w).abs(w)
    c, direction, u = _room(x, w, b, lo, hi)
    delta = xp.empty_like(x)
    project_onto_hyperplane(
        len(x), u, -slope, c - (slope * u).sum(axis=1), 0.0, float("inf"), norm == "l2", delta
    )
    return direction * xp.abs(delta)


def _projection_step_l1(x: Array, w: Array, b: Array, lo: Bound, hi: Bound) -> Array:
    """The shortest δ in L1: the coordinates of the largest |w_i| first."""
    xp = array_module(x)
    c, direction, u = _room(x, w, b, lo, hi)
    order = xp.argsort(-xp.abs(w), axis=1, kind="stable")
    slope = xp.take_along_axis(xp.abs(w), order, axis=1)
    u = xp.take_along_axis(u, order, axis=1)
    contribution = slope * u
    missing = c[:, None] - (xp.cumsum(contribution, axis=1) - contribution)
    length = xp.minimum(xp.maximum(missing, 0.0) / xp.where(slope > 0, slope, 1.0), u)
    inverse = xp.argsort(order, axis=1)
    return direction * xp.take_along_axis(length, inverse, axis=1)
