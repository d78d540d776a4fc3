"""The nearest point of a polyhedron in a box, in float64: multipliers, and the point.

`radius.py` derives the dual problems. What is found here is only a proposal: `lower_bound.py`
and `exact_bound.py` prove what the multipliers are worth. Rows G and distances are to be scaled to
about 1 beforehand.
"""

from typing import NamedTuple

import numpy as np

from .convex import infeasibility_multipliers, linear_program, nonnegative_quadratic_program


class Problem(NamedTuple):
    """The least ‖δ‖ with G δ ≥ h and low ≤ δ ≤ high, for G (K, d), h (K,), low and high (d,)."""

    G: np.ndarray
    h: np.ndarray
    low: np.ndarray
    high: np.ndarray

    @property
    def has_box(self) -> bool:
        return bool((np.isfinite(self.high) | np.isfinite(self.low)).any())


class Solution(NamedTuple):
    """λ (K,), δ (d,) and the distance; the distance is ∞ where λ says that there is no δ."""

    multipliers: np.ndarray
    delta: np.ndarray
    distance: float


def solve_l2(problem: Problem, upper_bound: float = np.inf) -> Solution:
    """The problem in L2; stops early once the distance is known to exceed `upper_bound`."""
    G, h, low, high = problem
    Q = G @ G.T
    multipliers = nonnegative_quadratic_program(Q, h)
    if problem.has_box:
        # A distance beyond the farthest corner of the box proves that there is no solution.
        farthest = float(np.sqrt((np.maximum(-low, high) ** 2).sum()) * (1 + 1e-9))
        scale = max(float(np.trace(Q)) / len(h), np.finfo(float).tiny)
        found = _maximize_dual(problem, multipliers, scale, min(farthest, upper_bound))
        return found if found.distance <= farthest else found._replace(distance=np.inf)
    value, delta = _dual(problem, multipliers)
    infeasible = _suggests_infeasible(problem, multipliers)
    return Solution(multipliers, delta, np.inf if infeasible else _distance(value))


def _maximize_dual(
    problem: Problem, multipliers: np.ndarray, scale: float, limit: float
) -> Solution:
    """The maximum of D, by Newton steps on its quadratic pieces, and its δ.

    A piece with fewer unclipped coordinates than rows is singular, so ½ρ‖λ − λ₀‖² is subtracted
    from it: ρ = damping × scale grows until D increases, and shrinks after each step that increases
    it. At the maximum ∇D = 0 where λ > 0, and ∇D ≤ 0 elsewhere. Stops beyond the distance `limit`.
    """
    G, h, low, high = problem
    value, delta = _dual(problem, multipliers)
    damping, tolerance = 1e-9, 1e-11 * max(float(h.max()), 0.0)
    for _ in range(1000):
        gradient = h - G @ delta
        violation = np.where(multipliers > 0, gradient, np.maximum(gradient, 0))
        optimal = np.abs(violation).max() <= tolerance
        if optimal or _distance(value) > limit or damping > 1e9:
            break
        unclipped = multipliers @ G
        free = (unclipped > low) & (unclipped < high)
        regularizer = damping * scale
        new_multipliers = nonnegative_quadratic_program(
            G[:, free] @ G[:, free].T + regularizer * np.eye(len(h)),
            h - G @ np.where(free, 0.0, delta) + regularizer * multipliers,
        )
        new_value, new_delta = _dual(problem, new_multipliers)
        if new_value > value:
            multipliers, value, delta = new_multipliers, new_value, new_delta
            damping = max(damping / 10, 1e-12)
        else:
            damping *= 10
    return Solution(multipliers, delta, _distance(value))


def _dual(problem: Problem, multipliers: np.ndarray) -> tuple[float, np.ndarray]:
    """D(λ) and δ(λ)."""
    G, h, low, high = problem
    delta = np.clip(multipliers @ G, low, high)
    return float(multipliers @ (h - G @ delta) + 0.5 * delta @ delta), delta


def _distance(value: float) -> float:
    """The distance r of a dual value ½r²."""
    return float(np.sqrt(2 * max(value, 0.0)))


def _suggests_infeasible(problem: Problem, multipliers: np.ndarray) -> bool:
    """Farkas' lemma: Gδ ≥ h has no solution if Gᵀλ = 0 (up to rounding) and λ·h > 0 for a λ ≥ 0."""
    length = float(np.linalg.norm(multipliers))
    combined = float(np.linalg.norm(multipliers @ problem.G))
    is_zero = combined <= 1e-7 * length * np.linalg.norm(problem.G)
    return bool(problem.h @ multipliers > 0 and is_zero)


def solve_linf(problem: Problem, upper_bound: float = np.inf) -> Solution:
    """The problem in L∞; stops early once the distance is known to exceed `upper_bound`.

    If the nearest point of one row's half-space satisfies the other rows too, it is the solution.
    Otherwise a linear program gives the multipliers λ, and r(λ) the radius.
    """
    G, h, low, high = problem
    rows = [halfspace_distance(g, bound, low, high) for g, bound in zip(G, h, strict=True)]
    farthest = int(np.argmax([r for r, _ in rows]))
    radius, delta = rows[farthest]
    single = Solution(np.eye(len(h))[farthest], delta, radius)
    if radius >= upper_bound or (G @ delta >= h - 1e-12 * max(float(h.max()), 0.0)).all():
        return single
    solution = linear_program(G, h, low, high)
    if solution is None:
        return Solution(infeasibility_multipliers(G, h, low, high), delta * 0, np.inf)
    multipliers, delta = solution
    found = halfspace_distance(multipliers @ G, float(multipliers @ h), low, high)[0]
    if radius > found:
        found, multipliers = radius, single.multipliers
    return Solution(multipliers, np.clip(delta, -found, found), found)


def halfspace_distance(
    g: np.ndarray, h: float, low: np.ndarray, high: np.ndarray
) -> tuple[float, np.ndarray]:
    """The least L∞ norm of a δ with g·δ ≥ h and low ≤ δ ≤ high, and that δ; ∞ if there is none."""
    side = np.where(g > 0, high, -low)
    r = least_radius(np.abs(g), h, side)
    return r, np.zeros_like(g) if np.isinf(r) else np.clip(np.sign(g) * r, low, high)


def least_radius(weight: np.ndarray, h: float, side: np.ndarray) -> float:
    """The least r with Σⱼ weightⱼ min(r, sideⱼ) ≥ h; ∞ if there is none.

    With the coordinates sorted by their side, the sum is linear in r between one and the next.
    """
    if h <= 0:
        return 0.0
    order = np.argsort(side, kind="stable")
    side, weight = side[order], weight[order]
    slope = np.cumsum(weight[::-1])[::-1]  # of the piece that ends at this side
    finite = np.where(np.isfinite(side), side, 0.0)
    saturated = np.concatenate([[0.0], np.cumsum(weight * finite)[:-1]])  # shorter sides' sum
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        radius = (h - saturated) / slope
    pieces = np.flatnonzero((slope > 0) & (radius <= side))
    return float(max(radius[pieces[0]], 0.0)) if len(pieces) else np.inf
