"""The nearest point of a polyhedron in a box, in float64: multipliers, and the point.

`radius.py` derives the dual problems. What is found here is only a proposal: `lower_bound.py`
and `exact_bound.py` prove what the multipliers are worth. Rows G and distances are to be scaled to
about 1 beforehand.
"""

from typing import Any, NamedTuple

import numpy as np

from .convex import infeasibility_multipliers, linear_program, nonnegative_quadratic_program
from .minimax import first_basis, least_violation

FAR = 1e4  # how many times the distance of a single row Newton's steps may go
NEWTON_STEPS = 50


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
    Else the distance is the root r of the least violation v of the rows in the box cut to |δⱼ| ≤ r
    (`minimax`). v is convex and decreases with r, and r(λ) of its multipliers is never beyond the
    root, so that Newton's steps r ← r(λ) reach it from whichever r they start: from `upper_bound`,
    where a single one shows that the distance exceeds it. Where v is not found, as for polyhedra
    that may be empty without a box, one large linear program gives the multipliers.
    """
    G, h, low, high = problem
    radii = halfspace_radii(G, h, low, high)
    farthest = int(np.argmax(radii))
    radius, multipliers = float(radii[farthest]), np.eye(len(h))[farthest]
    delta = halfspace_point(G[farthest], radius, low, high)
    if radius >= upper_bound or (G @ delta >= h - 1e-12 * max(float(h.max()), 0.0)).all():
        return Solution(multipliers, delta, radius)
    basis, r = first_basis(G, farthest), upper_bound if upper_bound <= FAR * radius else radius
    for _ in range(NEWTON_STEPS):
        found = least_violation(G, h, np.maximum(low, -r), np.minimum(high, r), basis)
        if found is None:
            break
        at_root = r <= radius and found.violation <= 1e-11
        basis, delta = found.basis, found.delta
        reached = _radius_of(problem, found.multipliers)
        if reached > radius:
            radius, multipliers = reached, found.multipliers
        if radius > upper_bound or np.isinf(radius):
            return Solution(multipliers, np.zeros_like(low), radius)
        if at_root or (r > radius > r * (1 - 1e-12)):
            return Solution(multipliers, np.clip(delta, -radius, radius), radius)
        if radius == r or radius > FAR * radii[farthest]:
            break
        r = radius
    return _solve_linear_program(problem, Solution(multipliers, delta, radius))


def _solve_linear_program(problem: Problem, best: Solution) -> Solution:
    """The solution by one linear program, unless its bound is below the best one so far."""
    solution = linear_program(*problem)
    if solution is None:
        multipliers = infeasibility_multipliers(*problem)
        return Solution(multipliers, np.zeros_like(problem.low), np.inf)
    multipliers, delta = solution
    found = _radius_of(problem, multipliers)
    if best.distance > found:
        found, multipliers = best.distance, best.multipliers
    return Solution(multipliers, np.clip(delta, -found, found), found)


def _radius_of(problem: Problem, multipliers: np.ndarray) -> float:
    """r(λ)."""
    return halfspace_distance(
        multipliers @ problem.G, float(multipliers @ problem.h), problem.low, problem.high
    )[0]


def halfspace_distance(
    g: np.ndarray, h: float, low: np.ndarray, high: np.ndarray
) -> tuple[float, np.ndarray]:
    """The least L∞ norm of a δ with g·δ ≥ h and low ≤ δ ≤ high, and that δ; ∞ if there is none."""
    r = float(halfspace_radii(g, h, low, high))
    return r, halfspace_point(g, r, low, high)


def halfspace_point(g: np.ndarray, r: float, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """The δ of norm r or less with the largest g·δ; 0 for r = ∞."""
    return np.zeros_like(g) if np.isinf(r) else np.clip(np.sign(g) * r, low, high)


def halfspace_radii(g: np.ndarray, h: Any, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """The distance (…) for one g (d,) and h, or for several, g (R, d) and h (R,)."""
    return least_radius(np.abs(g), h, np.where(g > 0, high, -low))


def least_radius(weight: np.ndarray, h: Any, side: np.ndarray) -> np.ndarray:
    """The least r (…) with Σⱼ weightⱼ min(r, sideⱼ) ≥ h, for weight and side (…, d) and h (…); ∞
    where there is none.

    With the coordinates sorted by their side, the sum is linear in r between one and the next.
    """
    order = np.argsort(side, axis=-1, kind="stable")
    side, weight = (np.take_along_axis(part, order, axis=-1) for part in (side, weight))
    slope = np.cumsum(weight[..., ::-1], axis=-1)[..., ::-1]  # of the piece that ends at this side
    finite = np.where(np.isfinite(side), side, 0.0)
    saturated = np.zeros_like(weight)  # the sum of the shorter sides
    np.cumsum((weight * finite)[..., :-1], axis=-1, out=saturated[..., 1:])
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        radius = (np.asarray(h)[..., None] - saturated) / slope
        reached = (slope > 0) & (radius <= side)
    first = np.argmax(reached, axis=-1)[..., None]
    radius = np.take_along_axis(radius, first, axis=-1)[..., 0]
    radius = np.where(reached.any(axis=-1), np.maximum(radius, 0.0), np.inf)
    return np.where(np.asarray(h) <= 0, 0.0, radius)
