"""The exact distance from an input to the decision boundary of a winner-take-all network.

In use all three networks are linear, oₖ = Aₖ·x + bₖ up to a shared term, and a class's score is
the largest of its neurons'. A rival neuron m wins at x + δ where it beats every neuron k of the own
class, a polyhedron with one row for each of these:

    G δ ≥ h     Gₖ = A_m − Aₖ     hₖ = −(Gₖ·x + b_m − bₖ)

The distance to it, inside the box l ≤ δ ≤ u with l = lo − x and u = hi − x, is a convex problem
with one multiplier λₖ ≥ 0 an own neuron. Relaxing the rows with λ leaves one row, a = Gᵀλ, and a
lower bound on the distance, whatever λ is; the best λ attains it:

    L2   δ(λ) = clip(Gᵀλ, l, u),  ½‖δ‖² ≥ D(λ) = λ·(h − Gδ(λ)) + ½‖δ(λ)‖²,  ∇D = h − Gδ(λ)
         Without the box D is quadratic, h·λ − ½λᵀGGᵀλ: one non-negative least-squares problem.
         With it D is piecewise quadratic, and each piece is such a problem on the free coordinates.
    L∞   r(λ) = the least r with Σⱼ |aⱼ| min(r, room of j) ≥ λ·h, a linear programme in λ.

The least distance over the rivals is the exact radius. Rivals are taken in the order of a lower
bound, and the rest is skipped once that bound passes the best distance found. The radius returned
is the lower bound D or r at the λ found, so that it holds even where λ is best only to rounding; an
empty polyhedron is at distance ∞.
"""

import importlib.util
import math

import numpy as np

from ..backend.device import Array, to_host
from .base import WinnerTakeAll

Solution = tuple[float, np.ndarray]


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
    """The distance of each x (N, d) to the nearest point that gets another class, in float64.

    y: the true labels (N,), of `network.classes_`, if given: an example that is already wrong has
        radius 0.
    norm: "l2", or "linf" (which asks for SciPy's `linprog` where a neuron alone does not decide).
    lo, hi: the box of the inputs, both or neither.
    overshoot: the score by which the rival must win; above 0 it gives points beyond the boundary.

    Returns the radius (N,) and the move δ (N, d), float64; x + δ is on the boundary. Where no
    other class can be reached the radius is ∞ and δ is 0.
    Raises ValueError for an unknown norm, half a box or x outside it; ImportError without SciPy.
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
    answer = owner[score.argmax(axis=1)]
    solver = _Linear(A, owner, score, overshoot)
    radius, delta = np.empty(len(x)), np.zeros_like(x)
    for i in range(len(x)):
        if y is not None and network.classes_[answer[i]] != y[i]:
            radius[i] = 0.0
            continue
        radius[i], delta[i] = solver.nearest(i, answer[i], low[i], high[i], norm)
    return radius, delta


class _Linear:
    """The linear pieces A, b of a network, with what every input's problem shares."""

    def __init__(self, A: np.ndarray, owner: np.ndarray, score: np.ndarray, overshoot: float):
        self.A, self.owner, self.score, self.overshoot = A, owner, score, overshoot
        self.reaches: dict[tuple[int, str], np.ndarray] = {}

    def nearest(
        self, i: int, answer: int, low: np.ndarray, high: np.ndarray, norm: str
    ) -> Solution:
        """The nearest polyhedron of input i, over all rivals of the class `answer`."""
        own = np.flatnonzero(self.owner == answer)
        rivals = np.flatnonzero(self.owner != answer)
        lead = self.score[i, own] - self.score[i, rivals, None] + self.overshoot
        # Each row alone is a plane at distance h / ‖G‖, which bounds the polyhedron from below.
        bounds = (lead / self._reach(answer, own, rivals, norm)).max(axis=1)
        solve = self._solve_l2 if norm == "l2" else self._solve_linf
        unbounded = not np.isfinite(high).any()
        best: Solution = (np.inf, np.zeros(self.A.shape[1]))
        for at in np.argsort(bounds, kind="stable"):
            if bounds[at] >= best[0]:
                break
            G = self.A[rivals[at]] - self.A[own]
            found = solve(G, lead[at], low, high, unbounded, best[0])
            best = min(best, found, key=lambda solution: solution[0])
        return best

    def _reach(self, answer: int, own: np.ndarray, rivals: np.ndarray, norm: str) -> np.ndarray:
        """‖A_m − Aₖ‖ of every rival m and own neuron k, in the norm dual to the distance's."""
        if (answer, norm) not in self.reaches:
            order = 2 if norm == "l2" else 1
            self.reaches[answer, norm] = np.array(
                [np.linalg.norm(self.A[m] - self.A[own], ord=order, axis=1) for m in rivals]
            ).clip(min=np.finfo(float).tiny)
        return self.reaches[answer, norm]

    @staticmethod
    def _solve_l2(
        G: np.ndarray,
        h: np.ndarray,
        low: np.ndarray,
        high: np.ndarray,
        unbounded: bool,
        enough: float,
    ) -> Solution:
        """Maximise D by Newton steps on its quadratic pieces; give up once D passes `enough`.

        A piece with fewer free coordinates than rows is singular, so a step is held back by
        ½ρ‖λ − λ₀‖²: ρ grows until D rises, and falls after each step that does. At the optimum
        ∇D = 0 where λ > 0 and ∇D ≤ 0 elsewhere.
        """
        farthest = np.inf if unbounded else np.sqrt((np.maximum(-low, high) ** 2).sum())

        def dual(at: np.ndarray) -> tuple[float, np.ndarray]:
            delta = np.clip(at @ G, low, high)
            return float(at @ (h - G @ delta) + 0.5 * delta @ delta), delta

        Q = G @ G.T
        multipliers = nonnegative_quadratic(Q, h)
        value, delta = dual(multipliers)
        if unbounded:
            empty = _is_farkas(G, h, multipliers)
            return (np.inf, delta * 0) if empty else (_root(value), delta)
        scale = max(float(np.trace(Q)) / len(h), np.finfo(float).tiny)
        damping, tolerance = 1e-9, 1e-11 * float(np.abs(h).max())
        for _ in range(1000):
            slope = h - G @ delta
            done = np.abs(np.where(multipliers > 0, slope, np.maximum(slope, 0))).max() <= tolerance
            if done or _root(value) > min(farthest * (1 + 1e-9), enough) or damping > 1e9:
                break
            raw = multipliers @ G
            free = (raw > low) & (raw < high)
            held = damping * scale
            target = nonnegative_quadratic(
                G[:, free] @ G[:, free].T + held * np.eye(len(h)),
                h - G @ np.where(free, 0.0, delta) + held * multipliers,
            )
            better, moved = dual(target)
            if better > value:
                multipliers, value, delta = target, better, moved
                damping = max(damping / 10, 1e-12)
            else:
                damping *= 10
        reachable = _root(value) <= farthest * (1 + 1e-9)
        return (_root(value), delta) if reachable else (np.inf, delta * 0)

    @staticmethod
    def _solve_linf(
        G: np.ndarray,
        h: np.ndarray,
        low: np.ndarray,
        high: np.ndarray,
        unbounded: bool,
        enough: float,
    ) -> Solution:
        """Try each own neuron's row alone: where its move satisfies the others too, it is the
        answer. Otherwise ask a linear programme for the multipliers, and evaluate r at them."""
        rows = [line_radius(g, need, low, high) for g, need in zip(G, h, strict=True)]
        single = int(np.argmax([r for r, _ in rows]))
        radius, delta = rows[single]
        if radius >= enough:
            return np.inf, delta * 0
        if (G @ delta >= h - 1e-12 * np.abs(h).max()).all():
            return radius, delta
        solution = _linear_programme(G, h, low, high)
        if solution is None:
            return np.inf, delta * 0
        multipliers, delta = solution
        return max(radius, line_radius(multipliers @ G, multipliers @ h, low, high)[0]), delta


def line_radius(
    g: np.ndarray, need: float, low: np.ndarray, high: np.ndarray
) -> tuple[float, np.ndarray]:
    """The least r with max {g·δ : |δⱼ| ≤ r, low ≤ δ ≤ high} ≥ need, and that δ; ∞ if there is none.

    Coordinate j gives |gⱼ| min(r, roomⱼ) with roomⱼ the way to the bound on the side of gⱼ. Sorted
    by room, the sum is linear in r between one room and the next.
    """
    weight = np.abs(g)
    room = np.where(g > 0, high, -low)
    if need <= 0:
        return 0.0, np.zeros_like(g)
    order = np.argsort(room, kind="stable")
    room_sorted, weight_sorted = room[order], weight[order]
    still = np.cumsum(weight_sorted[::-1])[::-1]  # slope of the piece that ends at this room
    finite = np.where(np.isfinite(room_sorted), room_sorted, 0.0)
    spent = np.concatenate([[0.0], np.cumsum(weight_sorted * finite)[:-1]])  # rooms used up before
    with np.errstate(divide="ignore", invalid="ignore"):
        radius = (need - spent) / still
    fits = np.flatnonzero((still > 0) & (radius <= room_sorted))
    if len(fits) == 0:
        return np.inf, np.zeros_like(g)
    r = float(max(radius[fits[0]], 0.0))
    return r, np.clip(np.sign(g) * r, low, high)


def _linear_programme(
    G: np.ndarray, h: np.ndarray, low: np.ndarray, high: np.ndarray
) -> tuple[np.ndarray, np.ndarray] | None:
    """min r with Gδ ≥ h, −r ≤ δ ≤ r, low ≤ δ ≤ high: its multipliers of G and δ; None if empty."""
    if importlib.util.find_spec("scipy") is None:
        raise ImportError("the exact L∞ radius needs SciPy; install it with: pip install scipy")
    from scipy.optimize import linprog
    from scipy.sparse import block_array, csr_array, eye_array

    rows, d = G.shape
    unit, ones = eye_array(d), csr_array(np.ones((d, 1)))
    upper = block_array([[csr_array(-G), None], [unit, -ones], [-unit, -ones]])
    result = linprog(
        np.concatenate([np.zeros(d), [1.0]]),
        A_ub=upper.tocsr(),
        b_ub=np.concatenate([-h, np.zeros(2 * d)]),
        bounds=np.concatenate([np.stack([low, high], axis=1), [[0.0, np.inf]]]),
        method="highs",
    )
    if result.status == 2:  # infeasible
        return None
    if not result.success:
        raise RuntimeError(f"the linear programme of an L∞ radius failed: {result.message}")
    multipliers = np.maximum(-result.ineqlin.marginals[:rows], 0.0)
    return multipliers, np.clip(result.x[:d], low, high)


def nonnegative_quadratic(Q: np.ndarray, h: np.ndarray) -> np.ndarray:
    """argmin over λ ≥ 0 of ½λᵀQλ − h·λ, for Q positive semidefinite (Lawson and Hanson 1974).

    The active set grows by the multiplier with the steepest descent, and the step towards its
    optimum stops at the first multiplier that would turn negative. A trace of ridge stands in for
    rank: where the minimum is unbounded λ comes out huge instead.
    """
    n = len(h)
    scale = float(np.trace(Q)) / n
    if scale <= 0:
        return np.where(h > 0, 1e12, 0.0)
    Q = Q + 1e-13 * scale * np.eye(n)
    solution = np.zeros(n)
    active = np.zeros(n, dtype=bool)
    tolerance = 1e-12 * max(float(np.abs(h).max()), np.finfo(float).tiny)
    for _ in range(10 * n):
        slope = np.where(active, -np.inf, h - Q @ solution)
        steepest = int(np.argmax(slope))
        if slope[steepest] <= tolerance:
            break
        active[steepest] = True
        while True:
            inside = np.flatnonzero(active)
            target = np.zeros(n)
            target[inside] = np.linalg.solve(Q[np.ix_(inside, inside)], h[inside])
            if (target[inside] > 0).all():
                solution = target
                break
            falling = inside[target[inside] <= 0]
            share = solution[falling] / (solution[falling] - target[falling])
            solution = solution + share.min() * (target - solution)
            active[falling[share <= share.min()]] = False
            solution[~active] = 0.0
            if not active.any():
                break
    return solution


def _is_farkas(G: np.ndarray, h: np.ndarray, multipliers: np.ndarray) -> bool:
    """Whether λ ≥ 0 proves Gδ ≥ h empty: Gᵀλ = 0 (to rounding) while h·λ > 0."""
    length = float(np.linalg.norm(multipliers))
    combined = float(np.linalg.norm(multipliers @ G))
    return bool(h @ multipliers > 0 and combined <= 1e-7 * length * np.linalg.norm(G))


def _root(value: float) -> float:
    """The distance of a dual value ½r²."""
    return float(np.sqrt(2 * max(value, 0.0)))
