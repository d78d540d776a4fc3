"""The nearest point of a hyperplane inside a box.

For each example: δ of least norm with w·(x + δ) = b and lo ≤ x + δ ≤ hi. Turn w, if need be, so
that c = |b − w·x| has to be gained. Coordinate i gains |w_i| in a unit of its way, which is
u_i = hi − x_i or x_i − lo long, by the sign of w_i. Then

    L∞: |δ_i| = min(τ, u_i)             gain f(τ) = Σ |w_i| min(τ, u_i)
    L2: |δ_i| = min(τ |w_i|, u_i)       gain f(τ) = Σ |w_i| min(τ |w_i|, u_i)
    L1: the coordinates of the largest |w_i| go all their way, one goes part of it, until it is c.

L2: the condition of a minimum is δ_i ∝ w_i where the box does not hold it. Both gains are
increasing, concave and in straight pieces, and f(τ) = c is solved exactly by Newton's method
(`kernels.hyperplane`). Where the box is too small for c, every coordinate goes all its way: that is
the point of the box which comes closest to the hyperplane.
"""

from ..backend.device import Array, array_module
from ..kernels.hyperplane import project_onto_hyperplane


def step_to_hyperplane(
    x: Array, w: Array, b: Array, *, norm: str, lo: float = 0.0, hi: float = 1.0
) -> Array:
    """δ (N, d) for points x (N, d) in the box, normals w (N, d) and offsets b (N,), in float64.

    A normal of 0 has no hyperplane, and δ is 0. Raises ValueError for an unknown norm.
    """
    xp = array_module(x)
    x, w, b = (xp.ascontiguousarray(a, dtype=xp.float64) for a in (x, w, b))
    if norm == "l1":
        return _greedy(x, w, b, lo, hi)
    if norm not in ("linf", "l2"):
        raise ValueError(f"norm must be 'linf', 'l2' or 'l1', not {norm!r}")
    step = xp.empty_like(x)
    project_onto_hyperplane(len(x), x, w, b, float(lo), float(hi), norm == "l2", step)
    return step


def _greedy(x: Array, w: Array, b: Array, lo: float, hi: float) -> Array:
    """The shortest step in L1: the coordinates of the largest |w_i| first."""
    xp = array_module(x)
    gap = b - (w * x).sum(axis=1)
    upward = xp.sign(w) * xp.sign(gap)[:, None]
    room = xp.where(upward > 0, hi - x, xp.where(upward < 0, x - lo, 0.0))
    order = xp.argsort(-xp.abs(w), axis=1, kind="stable")
    gain = xp.take_along_axis(xp.abs(w), order, axis=1)
    room = xp.take_along_axis(room, order, axis=1)
    full = gain * room
    missing = xp.abs(gap)[:, None] - (xp.cumsum(full, axis=1) - full)
    way = xp.minimum(xp.maximum(missing, 0.0) / xp.where(gain > 0, gain, 1.0), room)
    back = xp.argsort(order, axis=1)
    return upward * xp.take_along_axis(way, back, axis=1)
