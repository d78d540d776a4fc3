"""The lower bound that multipliers prove, in float64 and minus all its rounding errors.

As in `exact_bound.py` the multipliers λ ≥ 0 replace the rows of the polyhedron by the half-space
a·δ ≥ c with a = Gᵀλ and c = λ·h. Here a and c carry errors: |aⱼ − exact aⱼ| ≤ eⱼ, with room for the
rounding of aⱼ ± eⱼ, and c is a number below the exact one. With wⱼ = |aⱼ| + eⱼ every δ of the
half-space satisfies w·|δ| ≥ c. So, without and with a box:

    L2   ‖δ‖ ≥ c/‖w‖               ½‖δ‖² ≥ c − Σⱼ max(φⱼ(aⱼ − eⱼ), φⱼ(aⱼ + eⱼ))
    L∞   the least r with Σⱼ wⱼ min(r, sⱼ) ≥ c, where sⱼ is the longer side of the box in the
         directions that aⱼ ± eⱼ may have

φⱼ(a) = max over lowⱼ ≤ δ ≤ highⱼ of aδ − ½δ² is convex, so its maximum over an interval is at an
end, and φⱼ(a) = δ(a − ½δ) at δ = clip(a, lowⱼ, highⱼ). The terms of each sum are not negative, so
adding d of them has a relative error of γ_d at most. The few roundings around it are counted in the
constants below, among them up to three of each side of the box, lo − x and hi − x. Whatever is not
a number (an overflow) proves nothing and becomes 0.
"""

from typing import Any, NamedTuple

import numpy as np

from .projection import least_radius
from .real_network import gamma

LARGEST = float(np.finfo(np.float64).max)
TINY = 2.0**-1000  # more than all that underflows in a sum
ROUNDINGS = 16  # of one term, besides those of the sum


class HalfSpace(NamedTuple):
    """a·δ ≥ c: a (…, d), its error e (…, d), and a lower bound of c (…)."""

    a: np.ndarray
    error: np.ndarray
    c: Any


def halfspace_lower_bound(
    row: HalfSpace, low: np.ndarray, high: np.ndarray, norm: str, has_box: bool
) -> float:
    """A number below the distance to the half-space in the box, ∞ where it has no point in it."""
    with np.errstate(all="ignore"):
        if not 0 < row.c < np.inf:
            return 0.0
        weight = np.abs(row.a) + row.error
        if norm == "linf":
            found = _linf(row, weight, low, high)
        else:
            found = float(l2_bound_in_box(row, low, high)) if has_box else _l2(row, weight)
        return min(found, LARGEST) if found > 0 else 0.0


def _l2(row: HalfSpace, weight: np.ndarray) -> float:
    top = float(weight.max())
    if top == 0:
        return LARGEST
    length = top * float(np.sqrt(((weight / top) ** 2).sum()))
    return row.c / length * (1 - gamma(len(weight) + ROUNDINGS))


def l2_bound_in_box(row: HalfSpace, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """The bound in L2 and a box, of one half-space or of several (…)."""
    conjugates = [_conjugate(row.a + e, low, high) for e in (row.error, -row.error)]
    total = np.maximum(*conjugates).sum(axis=-1) * (1 + gamma(len(low) + ROUNDINGS)) + TINY
    value = row.c - total - gamma(2) * (row.c + total)
    return np.sqrt(2 * np.maximum(value, 0.0)) * (1 - gamma(4))


def _conjugate(a: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """φ(a)."""
    delta = np.clip(a, low, high)
    return delta * (a - 0.5 * delta)


def _linf(row: HalfSpace, weight: np.ndarray, low: np.ndarray, high: np.ndarray) -> float:
    """A radius at which the sum, rounded up, is below c; the margin grows until it is."""
    side = np.where(row.a > row.error, high, np.where(row.a < -row.error, -low, 0.0))
    unsure = np.abs(row.a) <= row.error
    side = np.where(unsure, np.maximum(high, -low), side)
    upper = 1 + gamma(len(weight) + ROUNDINGS)
    for margin in (0.0, 1e-12, 1e-9, 1e-6, 1e-3, 0.5):
        r = float(least_radius(weight, row.c * (2 - upper) * (1 - margin), side))
        if float((weight * np.minimum(r, side)).sum()) * upper + TINY < row.c:
            return r
    return 0.0
