"""The exact distance from an input to the decision boundary of a winner-take-all network.

For prediction all three networks are linear: neuron k has the score oₖ = Aₖ·x + bₖ, up to a term
that all neurons share, and the score of a class is the largest of its neurons'. A rival neuron m,
one of another class, wins at x + δ where its score is at least that of every neuron k of the
predicted class. These points form a polyhedron, with one row for each k:

    G δ ≥ h     Gₖ = A_m − Aₖ     hₖ = −(Gₖ·x + b_m − bₖ)

The distance to it, inside the box l ≤ δ ≤ u with l = lo − x and u = hi − x, is the solution of a
convex problem. Its dual has one multiplier λₖ ≥ 0 for each row. Any λ replaces all rows by the
single row a·δ ≥ λ·h with a = Gᵀλ, which the polyhedron satisfies too; so the distance to this half-
space is a lower bound, and for the best λ it equals the distance to the polyhedron:

    L2   δ(λ) = clip(Gᵀλ, l, u),  ½‖δ‖² ≥ D(λ) = λ·(h − Gδ(λ)) + ½‖δ(λ)‖²,  ∇D = h − Gδ(λ)
         Without the box D is quadratic, h·λ − ½λᵀGGᵀλ, and its maximum a non-negative least-squares
         problem. With the box D is piecewise quadratic, and each piece is such a problem in the
         coordinates that are not clipped.
    L∞   r(λ) = the least r with Σⱼ |aⱼ| min(r, sⱼ) ≥ λ·h, where sⱼ = uⱼ if aⱼ > 0, else −lⱼ. The
         best λ is the solution of a linear program.

The exact radius is the smallest of these distances over all rivals. The rivals are sorted by a
cheap lower bound, and once this bound exceeds the smallest distance so far, the rest is skipped.
The radius returned is the lower bound ‖δ‖ = √2D or r at the λ found, so it is valid even where
rounding keeps λ from being optimal. The distance to an empty polyhedron is ∞.
"""

import math
from typing import NamedTuple

import numpy as np

from ..backend.device import Array, to_host
from .base import WinnerTakeAll
from .convex import linear_program, nonnegative_quadratic_program

Solution = tuple[float, np.ndarray]
"""A distance and the δ (d,) of that norm; (∞, 0) where there is none."""


def exact_radius(
    network: WinnerTakeAll,
    x: Array,
    y: Array | None = None,
    *,
    norm: str = "l2",
    lo: float | None = None,
    hi: float | None = None,
    overshoot: float = 0.0,
) -> tuple[np.ndarray, np.ndarray]:
    """The exact robustness radius: the distance to the nearest point of another class.

    No attack can change the prediction with a smaller perturbation.

    Parameters
    ----------
    network : IPWTA, EDWTA or PlusMinusEDWTA
        A fitted network.
    x : array (N, …)
        The inputs.
    y : array (N,), optional
        The true labels; an input that is classified wrongly then has radius 0.
    norm : {"l2", "linf"}
        "linf" needs SciPy, except where a single neuron decides.
    lo, hi : float, optional
        The range of valid inputs, both or neither: x + δ stays inside.
    overshoot : float, default 0.0
        By how much the score of the other class has to be larger at x + δ. 0 gives points on the
        boundary, a small positive number points beyond it.

    Returns
    -------
    radius : array (N,)
        In float64; ∞ where no other class can be reached.
    delta : array (N, d)
        The perturbations δ of that norm, in float64; 0 where the radius is 0 or ∞.

    Raises
    ------
    ValueError
        For an unknown norm, only one of lo and hi, or x outside [lo, hi].
    ImportError
        Where SciPy is needed and not installed.

    Notes
    -----
    The derivation is in the docstring of `tinyproto.prototypes.certificate`.

    Examples
    --------
    >>> import numpy as np
    >>> from tinyproto.prototypes import EDWTA, exact_radius
    >>> x, y = np.array([[0.0, 0.0], [0.0, 2.0], [4.0, 0.0], [4.0, 2.0]]), [0, 0, 1, 1]
    >>> network = EDWTA(prototypes_per_class=1, epochs=0, init="kmeans").fit(x, y)

    The prototypes are (0, 1) and (4, 1), so that the boundary is the line x₀ = 2:

    >>> radius, delta = exact_radius(network, np.array([[0.5, 0.0]]))
    >>> radius.round(3).tolist()
    [1.5]
    >>> network.predict(np.array([[0.5, 0.0]]) + 1.01 * delta)
    array([1])
    """
    if norm not in ("l2", "linf"):
        raise ValueError(f"norm must be 'l2' or 'linf', not {norm!r}")
    if (lo is None) != (hi is None):
        raise ValueError(f"the box needs both lo and hi, not lo={lo!r}, hi={hi!r}")
    A, b = network.linear()
    owner = np.arange(len(b)) // network.prototypes_per_class
    x = to_host(x).astype(np.float64)
    x = x.reshape(len(x), math.prod(x.shape[1:]))
    low = np.full_like(x, -np.inf if lo is None else lo) - x
    high = np.full_like(x, np.inf if hi is None else hi) - x
    if (low > 0).any() or (high < 0).any():
        raise ValueError(f"x must lie in [{lo}, {hi}], not [{x.min()}, {x.max()}]")
    score = x @ A.T + b
    predicted = owner[score.argmax(axis=1)]
    solver = _Solver(A, owner, norm, overshoot)
    radius, delta = np.empty(len(x)), np.zeros_like(x)
    for i in range(len(x)):
        if y is not None and network.classes_[predicted[i]] != y[i]:
            radius[i] = 0.0
            continue
        radius[i], delta[i] = solver.nearest(score[i], predicted[i], low[i], high[i])
    return radius, delta


class Problem(NamedTuple):
    """The least ‖δ‖ with G δ ≥ h and low ≤ δ ≤ high, for G (K, d), h (K,), low and high (d,)."""

    G: np.ndarray
    h: np.ndarray
    low: np.ndarray
    high: np.ndarray

    @property
    def has_box(self) -> bool:
        return bool(np.isfinite(self.high).any())


class _Solver:
    """The rows A of a network, the class `owner` of each, and the norm."""

    def __init__(self, A: np.ndarray, owner: np.ndarray, norm: str, overshoot: float):
        self.A, self.owner, self.norm, self.overshoot = A, owner, norm, overshoot
        self.dual_norms: dict[int, np.ndarray] = {}  # by predicted class

    def nearest(
        self, score: np.ndarray, predicted: int, low: np.ndarray, high: np.ndarray
    ) -> Solution:
        """The nearest of all rivals' polyhedra, for one input with these neuron scores."""
        own = np.flatnonzero(self.owner == predicted)
        rivals = np.flatnonzero(self.owner != predicted)
        if predicted not in self.dual_norms:
            self.dual_norms[predicted] = self._dual_norms(own, rivals)
        h = score[own] - score[rivals, None] + self.overshoot
        # The distance to a polyhedron is at least that to the half-space of each row, h / ‖G‖.
        bounds = (h / self.dual_norms[predicted]).max(axis=1)
        solve = solve_l2 if self.norm == "l2" else solve_linf
        best: Solution = (np.inf, np.zeros(self.A.shape[1]))
        for i in np.argsort(bounds, kind="stable"):
            if bounds[i] >= best[0]:
                break
            G = self.A[rivals[i]] - self.A[own]
            found = solve(Problem(G, h[i], low, high), best[0])
            best = min(best, found, key=lambda solution: solution[0])
        return best

    def _dual_norms(self, own: np.ndarray, rivals: np.ndarray) -> np.ndarray:
        """‖A_m − Aₖ‖ (rivals, K) in the dual norm: L2 for L2, L1 for L∞."""
        order = 2 if self.norm == "l2" else 1
        return np.array(
            [np.linalg.norm(self.A[m] - self.A[own], ord=order, axis=1) for m in rivals]
        ).clip(min=np.finfo(float).tiny)


def solve_l2(problem: Problem, upper_bound: float = np.inf) -> Solution:
    """The problem in L2; stops early once the distance is known to exceed `upper_bound`."""
    G, h, low, high = problem
    Q = G @ G.T
    multipliers = nonnegative_quadratic_program(Q, h)
    if problem.has_box:
        # A distance beyond the farthest corner of the box proves that there is no solution.
        farthest = float(np.sqrt((np.maximum(-low, high) ** 2).sum()) * (1 + 1e-9))
        scale = max(float(np.trace(Q)) / len(h), np.finfo(float).tiny)
        value, delta = _maximize_dual(problem, multipliers, scale, min(farthest, upper_bound))
        feasible = _distance(value) <= farthest
    else:
        value, delta = _dual(problem, multipliers)
        feasible = not _proves_infeasible(problem, multipliers)
    return (_distance(value), delta) if feasible else (np.inf, delta * 0)


def _maximize_dual(
    problem: Problem, multipliers: np.ndarray, scale: float, limit: float
) -> tuple[float, np.ndarray]:
    """The maximum of D, by Newton steps on its quadratic pieces, and its δ.

    A piece with fewer unclipped coordinates than rows is singular, so ½ρ‖λ − λ₀‖² is subtracted
    from it: ρ = damping × scale grows until D increases, and shrinks after each step that increases
    it. At the maximum ∇D = 0 where λ > 0, and ∇D ≤ 0 elsewhere. Stops beyond the distance `limit`.
    """
    G, h, low, high = problem
    value, delta = _dual(problem, multipliers)
    damping, tolerance = 1e-9, 1e-11 * float(np.abs(h).max())
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
    return value, delta


def _dual(problem: Problem, multipliers: np.ndarray) -> tuple[float, np.ndarray]:
    """D(λ) and δ(λ)."""
    G, h, low, high = problem
    delta = np.clip(multipliers @ G, low, high)
    return float(multipliers @ (h - G @ delta) + 0.5 * delta @ delta), delta


def _distance(value: float) -> float:
    """The distance r of a dual value ½r²."""
    return float(np.sqrt(2 * max(value, 0.0)))


def _proves_infeasible(problem: Problem, multipliers: np.ndarray) -> bool:
    """Farkas' lemma: Gδ ≥ h has no solution if Gᵀλ = 0 (up to rounding) and λ·h > 0 for a λ ≥ 0."""
    length = float(np.linalg.norm(multipliers))
    combined = float(np.linalg.norm(multipliers @ problem.G))
    is_zero = combined <= 1e-7 * length * np.linalg.norm(problem.G)
    return bool(problem.h @ multipliers > 0 and is_zero)


def solve_linf(problem: Problem, upper_bound: float = np.inf) -> Solution:
    """The problem in L∞; gives up where the distance is not below `upper_bound`.

    If the nearest point of one row's half-space satisfies the other rows too, it is the solution.
    Otherwise a linear program gives the multipliers λ, and r(λ) the radius.
    """
    G, h, low, high = problem
    rows = [halfspace_distance(g, bound, low, high) for g, bound in zip(G, h, strict=True)]
    radius, delta = rows[int(np.argmax([r for r, _ in rows]))]
    if radius >= upper_bound:
        return np.inf, delta * 0
    if (G @ delta >= h - 1e-12 * np.abs(h).max()).all():
        return radius, delta
    solution = linear_program(G, h, low, high)
    if solution is None:
        return np.inf, delta * 0
    multipliers, delta = solution
    return max(radius, halfspace_distance(multipliers @ G, multipliers @ h, low, high)[0]), delta


def halfspace_distance(
    g: np.ndarray, h: float, low: np.ndarray, high: np.ndarray
) -> tuple[float, np.ndarray]:
    """The least L∞ norm of a δ with g·δ ≥ h and low ≤ δ ≤ high, and that δ; ∞ if there is none.

    At norm r coordinate j contributes at most |gⱼ| min(r, sⱼ), where sⱼ is the distance from 0 to
    the bound in the direction of gⱼ. With the coordinates sorted by s, the sum of these is linear
    in r between one s and the next.
    """
    weight = np.abs(g)
    side = np.where(g > 0, high, -low)
    if h <= 0:
        return 0.0, np.zeros_like(g)
    order = np.argsort(side, kind="stable")
    side, weight = side[order], weight[order]
    slope = np.cumsum(weight[::-1])[::-1]  # of the piece that ends at this side
    finite = np.where(np.isfinite(side), side, 0.0)
    saturated = np.concatenate([[0.0], np.cumsum(weight * finite)[:-1]])  # shorter sides' sum
    with np.errstate(divide="ignore", invalid="ignore"):
        radius = (h - saturated) / slope
    pieces = np.flatnonzero((slope > 0) & (radius <= side))
    if len(pieces) == 0:
        return np.inf, np.zeros_like(g)
    r = float(max(radius[pieces[0]], 0.0))
    return r, np.clip(np.sign(g) * r, low, high)
