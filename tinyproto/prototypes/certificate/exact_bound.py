"""The lower bound that multipliers prove, without a rounding error before the last step.

For any λ ≥ 0 every δ of the polyhedron Gδ ≥ h satisfies a·δ ≥ c with a = Gᵀλ and c = λ·h, so the
distance to the part of this half-space that lies in the box is a lower bound. If that part is
empty, the polyhedron has no point in the box.
"""

from fractions import Fraction

import numpy as np

from .dyadic import Dyadic, root_down, round_down

Box = tuple[Dyadic, Dyadic] | None
"""low and high (d,), or None without a box."""


def halfspace_lower_bound(a: Dyadic, c: Dyadic, box: Box, norm: str) -> float:
    """A float below the distance to a·δ ≥ c in the box, or ∞. In L2 in a box, the dual value
    D = c − Σⱼ max over low ≤ δⱼ ≤ high of aⱼδⱼ − ½δⱼ² at the a given."""
    if c.n <= 0:
        return 0.0
    if box is None:
        if not a.n.any():
            return np.inf
        if norm == "l2":
            return root_down((c * c).fraction() / (a @ a).fraction())
        return round_down(c.fraction() / Dyadic(abs(a.n), a.exponent).sum().fraction())
    lowest = min(a.exponent, box[0].exponent, box[1].exponent)
    a_n, low, high = (part._at(lowest) for part in (a, *box))
    unit = Dyadic(1, 2 * lowest).fraction()
    right = c.fraction() / unit
    side, weight = np.where(a_n > 0, high, -low), abs(a_n)
    if right > (weight * side).sum():
        return np.inf
    if norm == "l2":
        delta = np.minimum(np.maximum(a_n, low), high)
        value = 2 * right - int((delta * (2 * a_n - delta)).sum())
        return root_down(value * unit) if value > 0 else 0.0
    return round_down(_least_radius(weight, right, side) * Dyadic(1, lowest).fraction())


def _least_radius(weight: np.ndarray, right: Fraction, side: np.ndarray) -> Fraction:
    """`projection.least_radius`, in integers."""
    order = np.argsort(side, kind="stable")
    slope, saturated = int(weight.sum()), 0
    for w, s in zip(weight[order].tolist(), side[order].tolist(), strict=True):
        if slope * s >= right - saturated:
            break
        slope, saturated = slope - w, saturated + w * s
    return (right - saturated) / slope


def proves_empty(G: Dyadic, h: Dyadic, order: np.ndarray) -> bool:
    """Whether rational ν ≥ 0 were found with νᵀG = 0 and ν·h > 0, for G (K, d) and h (K,): without
    a box that proves Gδ ≥ h to be empty, and float multipliers hardly ever give a sum of 0.

    Such ν need only rows of which the last depends on the others, which do not depend on one
    another (Carathéodory). They are looked for among the rows in the `order` given, the likeliest
    first, and once more without each one of them.
    """
    for left_out in (None, *order):
        rows = [k for k in order if k != left_out]
        null = null_vector(G.n[rows]) if len(rows) > 1 else None
        if null is None or min(null) < 0:
            continue
        if sum(v * int(right) for v, right in zip(null, h.n[rows], strict=True)) > 0:
            return True
    return False


def null_vector(G: np.ndarray) -> list[Fraction] | None:
    """The ν (K,) with νᵀG = 0, for integers G (K, d), of the first row that depends on those before
    it: 1 there, 0 in all later rows. None where the rows do not depend on one another.

    Gauss-Jordan elimination of one equation after the other, one for each column.
    """
    reduced: dict[int, np.ndarray] = {}  # equations by the first element that is not 0, a 1
    for column in G.T:
        equation = np.array([Fraction(int(v)) for v in column], dtype=object)
        for pivot, other in reduced.items():
            equation = equation - equation[pivot] * other
        nonzero = np.flatnonzero(equation)
        if len(nonzero) == 0:
            continue
        pivot = int(nonzero[0])
        equation = equation / equation[pivot]
        reduced = {p: other - other[pivot] * equation for p, other in reduced.items()}
        reduced[pivot] = equation
        if len(reduced) == len(G):
            return None
    free = next(k for k in range(len(G)) if k not in reduced)
    return [-reduced[k][free] if k in reduced else Fraction(int(k == free)) for k in range(len(G))]
