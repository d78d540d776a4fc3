"""The two convex programs of the exact radius: a quadratic one for L2, a linear one for L∞."""

from typing import Any

import numpy as np

from ...optional import require_package


def nonnegative_quadratic_program(Q: np.ndarray, h: np.ndarray) -> np.ndarray:
    """argmin over λ ≥ 0 of ½λᵀQλ − h·λ, for Q positive semidefinite (Lawson and Hanson 1974).

    The multipliers that may be positive are added one by one, always that of the steepest descent.
    A step towards their optimum stops where the first of them would become negative. A tiny ridge
    keeps Q invertible; where the minimum is unbounded, λ becomes very large instead.
    """
    n = len(h)
    scale = float(np.trace(Q)) / n
    if scale <= 0:
        return np.where(h > 0, 1e12, 0.0)
    Q = Q + 1e-13 * scale * np.eye(n)
    solution = np.zeros(n)
    positive = np.zeros(n, dtype=bool)
    tolerance = 1e-12 * max(float(h.max()), np.finfo(float).tiny)
    for _ in range(10 * n):
        descent = np.where(positive, -np.inf, h - Q @ solution)
        steepest = int(np.argmax(descent))
        if descent[steepest] <= tolerance:
            break
        positive[steepest] = True
        while True:
            index = np.flatnonzero(positive)
            optimum = np.zeros(n)
            optimum[index] = np.linalg.solve(Q[np.ix_(index, index)], h[index])
            if (optimum[index] > 0).all():
                solution = optimum
                break
            blocking = index[optimum[index] <= 0]
            fraction = solution[blocking] / (solution[blocking] - optimum[blocking])
            solution = solution + fraction.min() * (optimum - solution)
            positive[blocking[fraction <= fraction.min()]] = False
            solution[~positive] = 0.0
            if not positive.any():
                break
    return solution


def linear_program(
    G: np.ndarray, h: np.ndarray, low: np.ndarray, high: np.ndarray
) -> tuple[np.ndarray, np.ndarray] | None:
    """min r with Gδ ≥ h, −r ≤ δ ≤ r, low ≤ δ ≤ high, for G (K, d): the multipliers (K,) of G and
    δ (d,), or None if no δ satisfies the constraints. Raises ImportError without SciPy."""
    require_package("scipy", "the exact L∞ radius")
    from scipy.sparse import block_array, csr_array, eye_array

    rows, d = G.shape
    identity, ones = eye_array(d), csr_array(np.ones((d, 1)))
    upper = block_array([[csr_array(-G), None], [identity, -ones], [-identity, -ones]])
    right = np.concatenate([-h, np.zeros(2 * d)])
    result = _minimize_last(upper.tocsr(), right, low, high)
    if result.status == 2:  # infeasible
        return None
    if not result.success:
        raise RuntimeError(f"the linear program of an L∞ radius failed: {result.message}")
    multipliers = np.maximum(-result.ineqlin.marginals[:rows], 0.0)
    return multipliers, np.clip(result.x[:d], low, high)


def infeasibility_multipliers(
    G: np.ndarray, h: np.ndarray, low: np.ndarray, high: np.ndarray
) -> np.ndarray:
    """λ ≥ 0 (K,) of the program min t with Gδ + t ≥ h, t ≥ 0, low ≤ δ ≤ high.

    If no δ satisfies Gδ ≥ h, its minimum t is positive, and equal to the least value of λ·(h − Gδ)
    over the box: that is Farkas' proof.
    """
    result = _minimize_last(np.hstack([-G, -np.ones((len(h), 1))]), -h, low, high)
    if not result.success:
        return np.zeros(len(h))
    return np.maximum(-result.ineqlin.marginals, 0.0)


def _minimize_last(upper: Any, right: np.ndarray, low: np.ndarray, high: np.ndarray) -> Any:
    """The least last variable, 0 or more, with upper @ (δ, last) ≤ right; δ in its box."""
    from scipy.optimize import linprog

    return linprog(
        np.concatenate([np.zeros(len(low)), [1.0]]),
        A_ub=upper,
        b_ub=right,
        bounds=np.concatenate([np.stack([low, high], axis=1), [[0.0, np.inf]]]),
        method="highs",
        options={"primal_feasibility_tolerance": 1e-10, "dual_feasibility_tolerance": 1e-10},
    )
