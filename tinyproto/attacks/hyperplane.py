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

from ..backend.device import Array, array_module
from ..kernels.hyperplane import project_onto_hyperplane
from ..validation import resolve_norm


def projection_step(
    x: Array, w: Array, b: Array, *, norm: str | float, lo: float = 0.0, hi: float = 1.0
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
    lo, hi : float
        The box.

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
    delta = xp.empty_like(x)
    project_onto_hyperplane(len(x), x, w, b, float(lo), float(hi), norm == "l2", delta)
    return delta


def _projection_step_l1(x: Array, w: Array, b: Array, lo: float, hi: float) -> Array:
    """The shortest δ in L1: the coordinates of the largest |w_i| first."""
    xp = array_module(x)
    residual = b - (w * x).sum(axis=1)  # its absolute value is c
    direction = xp.sign(w) * xp.sign(residual)[:, None]
    u = xp.where(direction > 0, hi - x, xp.where(direction < 0, x - lo, 0.0))
    order = xp.argsort(-xp.abs(w), axis=1, kind="stable")
    slope = xp.take_along_axis(xp.abs(w), order, axis=1)
    u = xp.take_along_axis(u, order, axis=1)
    contribution = slope * u
    missing = xp.abs(residual)[:, None] - (xp.cumsum(contribution, axis=1) - contribution)
    length = xp.minimum(xp.maximum(missing, 0.0) / xp.where(slope > 0, slope, 1.0), u)
    inverse = xp.argsort(order, axis=1)
    return direction * xp.take_along_axis(length, inverse, axis=1)
