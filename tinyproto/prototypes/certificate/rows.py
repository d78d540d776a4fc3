"""The rows A_m − Aₖ of the polyhedra in which rivals win: their norms, and what they prove alone.

A row of norm ‖G‖ (the dual one) and right-hand side h is at distance h/‖G‖, without a box. Inside a
box it is farther, by how much one dimension tells: for the multiplier λ = τ of this row alone the
bound of `lower_bound.py` is a function of τ. In L2 its best τ is the root of the increasing,
piecewise linear Σⱼ Gⱼ clip(τGⱼ, lowⱼ, highⱼ) − h, concave in τ ≥ 0, so that Newton's steps from the
τ without the box approach it from below. In L∞ no τ is needed to see whether the row is farther
than r: it is if the largest G·δ inside the box and |δⱼ| ≤ r is below h.
"""

import numpy as np

from ...kernels.polyhedra import difference_sums
from .lower_bound import ROUNDINGS, TINY, HalfSpace, l2_bound_in_box
from .real_network import RealNetwork, gamma

NEWTON_STEPS = 4  # from the τ without the box; any τ is a bound


class Rows:
    """The neurons of one class and their rivals, with bounds of ‖A_m − Aₖ‖ in the dual norm."""

    def __init__(self, real: RealNetwork, own: np.ndarray, rivals: np.ndarray, norm: str):
        self.own, self.rivals = own, rivals
        d, euclidean = real.A.shape[1], norm == "l2"
        length = np.linalg.norm(real.A, ord=2 if euclidean else 1, axis=1)
        self.norms = np.empty((len(rivals), len(own)))
        transposed = np.ascontiguousarray(real.A[own].T)
        difference_sums(len(rivals), real.A[rivals], transposed, euclidean, self.norms)
        if euclidean:
            np.sqrt(self.norms, out=self.norms)
        # Rounded upwards (rivals, K): the sum over d, the difference, A itself, and squares that
        # underflow.
        self.norms *= 1 + gamma(d + 16)
        self.norms += gamma(8) * (length[rivals, None] + length[own])
        self.norms += d * real.underflow + 2.0**-500

    def lower_bounds(
        self, score: np.ndarray, error: np.ndarray, overshoot: float,
        rivals: np.ndarray | slice = slice(None), own: np.ndarray | slice = slice(None),
    ) -> np.ndarray:  # fmt: skip
        """Lower bounds of the distance to each rival (rivals,): to the half-space of each row it is
        h / ‖G‖. Rounded downwards. Of some rivals or some rows only, where these are given."""
        least = (score - error)[self.own[own]] - (score + error)[self.rivals[rivals], None]
        with np.errstate(over="ignore"):
            bounds = (least + overshoot) / self.norms[rivals][:, own]
        return np.clip(bounds.max(axis=1) * (1 - gamma(4)), 0.0, np.finfo(np.float64).max)


def is_farther(
    rows: HalfSpace, low: np.ndarray, high: np.ndarray, limit: float, norm: str
) -> np.ndarray:
    """Whether each row (R,) alone proves that no δ of the box with ‖δ‖ ≤ limit satisfies it.

    `rows` holds a and its error (R, d), and c (R,).
    """
    with np.errstate(all="ignore"):
        if norm == "l2":
            return np.asarray(l2_bound_in_box(_best_multiples(rows, low, high), low, high) > limit)
        low, high = np.maximum(low, -limit), np.minimum(high, limit)
        most = np.maximum(rows.a * low, rows.a * high).sum(axis=-1)
        most += (rows.error * np.maximum(-low, high)).sum(axis=-1)
        most = most * (1 + gamma(len(low) + ROUNDINGS)) + TINY
        return np.asarray((most < rows.c) & np.isfinite(rows.c))


def _best_multiples(rows: HalfSpace, low: np.ndarray, high: np.ndarray) -> HalfSpace:
    """τ times the rows, each with nearly the τ of its best bound in L2."""
    a, error, c = rows
    squares = a * a
    tau = np.maximum(c, 0.0) / squares.sum(axis=1)  # the root without the box
    for _ in range(NEWTON_STEPS):
        scaled = tau[:, None] * a
        delta = np.clip(scaled, low, high)
        slope = np.einsum("rd,rd->r", squares, delta == scaled)
        step = (c - np.einsum("rd,rd->r", a, delta)) / slope
        tau = np.where((slope > 0) & (step > 0), tau + step, tau)
    multiples = tau[:, None] * a
    rounding = gamma(2) * np.abs(multiples) + TINY
    return HalfSpace(multiples, tau[:, None] * error * (1 + gamma(2)) + rounding,
                     tau * c * (1 - gamma(2)) - TINY)  # fmt: skip
