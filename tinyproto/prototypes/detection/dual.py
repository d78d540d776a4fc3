"""The distance to the accepted points of one neuron, bounded from below by a Lagrangian dual.

The points x + δ of the box at which a rival neuron m beats the neurons k of other classes by t or
more, and at which ‖x + δ − w⁺ₘ‖ ≤ R, form a convex set: a polyhedron, a ball and a box,

    Gδ ≥ h     ½‖δ − v‖² ≤ ½R²     l ≤ δ ≤ u
    Gₖ = A_m − Aₖ     hₖ = oₖ − o_m + t     v = w⁺ₘ − x     l = lo − x     u = hi − x

(R = ∞ where the score has no distance.) With multipliers λ ≥ 0 for the rows and μ ≥ 0 for the ball,

    ½‖δ‖² ≥ ½‖δ‖² + λ·(h − Gδ) + ½μ(‖δ − v‖² − R²)      for every δ of the set.

The right-hand side is separable: its least value over the box, not over the set, is at

    δⱼ = clip((aⱼ + μvⱼ)/(1 + μ), lⱼ, uⱼ)     a = Gᵀλ

and is the dual value D(λ, μ). So *any* λ, μ ≥ 0 prove ‖δ‖ ≥ √(2D). The set is convex, and for the
best multipliers that is the distance itself. D is concave. With the row v − δ below those of G, as
the matrix J, and F the coordinates that are not clipped,

    ∇D = (h − Gδ, ½‖δ − v‖² − ½R²)      −∇²D = J_F J_Fᵀ/(1 + μ)

since ∂δ_F/∂λ = G_Fᵀ/(1 + μ) and ∂δ_F/∂μ = (v − δ)_F/(1 + μ): the ball counts as one more row, its
normal. D is maximized by projected Newton steps (Bertsekas 1982) with a damping that adapts.

**L∞.** Whether the set has a point with ‖δ‖∞ ≤ r is asked of the box with the sides max(l, −r) and
min(u, r). It has none, if for some λ, μ ≥ 0

    0 < min over that box of λ·(h − Gδ) + ½μ(‖δ − v‖² − R²)      at δⱼ = clip(vⱼ + aⱼ/μ, …)

(Farkas). While D is maximized for that box, its multipliers approach such a proof if there is one.
The largest r is found by bisection, and only radii with a proof count.

**Rounding.** Everything is evaluated in float64. From D, and from the value above, `SLACK` times
the sum of the absolute values of all terms is subtracted. A sum of n terms has a relative error of
1.1e-16 n, and what enters it has gone through less than n roundings more: 1e-10 is larger for
n < 400,000.
"""

from typing import NamedTuple

import numpy as np

SLACK = 1e-10
STEPS = 60
HALVINGS = 12  # of the interval of an L∞ radius
LARGEST = 1e12  # without a box, a radius beyond which nobody asks


class AcceptedSet(NamedTuple):
    """The set for one input and one rival; rows are scaled to norm 1, the ball's by 1/R."""

    G: np.ndarray  # (K, d)
    h: np.ndarray  # (K,)
    size: np.ndarray  # (K,), the sum of the absolute values of the terms of h
    v: np.ndarray  # (d,)
    R: float  # ∞ without a ball
    low: np.ndarray  # (d,)
    high: np.ndarray  # (d,)


class Point(NamedTuple):
    """D at some multipliers (K + 1,), its gradient, and δ."""

    multipliers: np.ndarray
    value: float
    gradient: np.ndarray
    delta: np.ndarray


def l2_lower_bound(accepted: AcceptedSet, limit: float = np.inf) -> float:
    """A number below the distance in L2, ∞ if the set is proved to be empty. It need not be the
    best one once it exceeds `limit`."""
    farthest = float(np.linalg.norm(np.maximum(-accepted.low, accepted.high)))
    enough = 0.5 * min(limit, farthest) ** 2
    point = _evaluate(accepted, np.zeros(len(accepted.h) + 1))
    damping, best = 1e-6, 0.0
    for _ in range(STEPS):
        best = max(best, point.value - SLACK * _terms(accepted, point, curvature=1.0))
        if best > enough * (1 + 1e-9):
            break
        stepped = _ascend(accepted, point, damping)
        if stepped is None:
            break
        point, damping = stepped
    radius = float(np.sqrt(2 * best))
    return np.inf if radius * (1 - 1e-9) > farthest else radius


def linf_lower_bound(accepted: AcceptedSet, least: float, limit: float) -> float:
    """A number below the distance in L∞ that is at least `least`, a bound that is known, and need
    not be the best one beyond `limit`; ∞ if the set is proved to be empty."""
    farthest = float(np.maximum(-accepted.low, accepted.high).max(initial=0.0))
    top = min(limit, farthest)
    if least >= top:
        return least
    multipliers = np.zeros(len(accepted.h) + 1)
    if np.isinf(top):  # no box, and no rival yet: double the radius until a point is not excluded
        low, high = least, 2 * max(least, float(accepted.h.max(initial=0.0)), 1e-9)
        while high < LARGEST and _exclude(accepted, high, multipliers)[0]:
            low, high = high, 2 * high
    else:
        excluded, multipliers = _exclude(accepted, top, multipliers)
        if excluded:
            return top if top < farthest else np.inf
        low, high = least, top
    for _ in range(HALVINGS):
        middle = 0.5 * (low + high)
        excluded, multipliers = _exclude(accepted, middle, multipliers)
        low, high = (middle, high) if excluded else (low, middle)
    return low


def _exclude(
    accepted: AcceptedSet, r: float, multipliers: np.ndarray
) -> tuple[bool, np.ndarray]:  # fmt: skip
    """Whether the set was proved to have no point with ‖δ‖∞ ≤ r, and the last multipliers."""
    low, high = np.maximum(accepted.low, -r), np.minimum(accepted.high, r)
    inside = accepted._replace(low=low, high=high)
    point, damping = _evaluate(inside, multipliers), 1e-6
    for _ in range(STEPS):
        if _has_no_point(inside, point.multipliers):
            return True, point.multipliers
        if (point.gradient <= 1e-9).all():  # this δ is a point of the set
            break
        stepped = _ascend(inside, point, damping)
        if stepped is None:
            break
        point, damping = stepped
    return False, multipliers


def _has_no_point(accepted: AcceptedSet, multipliers: np.ndarray) -> bool:
    """Whether these multipliers prove that the set is empty (Farkas)."""
    point = _evaluate(accepted, multipliers, curvature=0.0)
    return point.value > SLACK * _terms(accepted, point, curvature=0.0)


def _evaluate(accepted: AcceptedSet, multipliers: np.ndarray, curvature: float = 1.0) -> Point:
    """D and its gradient; with the curvature 0, the same without the term ½‖δ‖²."""
    G, h, _, v, R, low, high = accepted
    weights, mu = multipliers[:-1], multipliers[-1] / _unit(R)
    a, s = weights @ G, curvature + mu
    a = a + mu * v
    delta = np.clip(a / s, low, high) if s > 0 else np.where(a > 0, high, low)
    value = float(weights @ h + (0.5 * s * delta - a) @ delta)
    ball = 0.0
    if np.isfinite(R):
        value += 0.5 * mu * float(v @ v - R * R)
        ball = 0.5 * float((delta - v) @ (delta - v) - R * R) / R
    return Point(multipliers, value, np.append(h - G @ delta, ball), delta)


def _terms(accepted: AcceptedSet, point: Point, curvature: float) -> float:
    """The sum of the absolute values of the terms of D."""
    G, h, size, v, R, _, _ = accepted
    weights, mu = point.multipliers[:-1], point.multipliers[-1] / _unit(R)
    absolute = np.abs(point.delta)
    total = weights @ (size + np.abs(h) + np.abs(G) @ absolute)
    total += (curvature + mu) * absolute @ absolute + mu * np.abs(v) @ absolute
    return float(total + (mu * (v @ v + R * R) if mu > 0 else 0.0))


def _ascend(
    accepted: AcceptedSet, point: Point, damping: float
) -> tuple[Point, float] | None:  # fmt: skip
    """A projected Newton step that increases D, and the next damping; None at the maximum."""
    multipliers, value, gradient, delta = point
    moving = (multipliers > 0) | (gradient > 0)
    if not np.isfinite(accepted.R):
        moving[-1] = False
    residual = np.where(multipliers > 0, np.abs(gradient), np.maximum(gradient, 0.0))
    if not (residual[moving] > 1e-10).any():
        return None
    free = (delta > accepted.low) & (delta < accepted.high)
    unit = _unit(accepted.R)
    rows = np.vstack([accepted.G, (accepted.v - delta) / unit])[moving][:, free]
    curvature = rows @ rows.T / (1.0 + multipliers[-1] / unit)
    while damping < 1e12:
        step = np.linalg.solve(curvature + damping * np.eye(len(rows)), gradient[moving])
        proposed = multipliers.copy()
        proposed[moving] = np.maximum(multipliers[moving] + step, 0.0)
        found = _evaluate(accepted, proposed)
        if found.value > value:
            return found, max(damping / 10, 1e-12)
        damping *= 10
    return None


def _unit(R: float) -> float:
    """What the ball is divided by."""
    return R if np.isfinite(R) else 1.0
