"""The distance from one input to the polyhedron in which one rival neuron wins, and its proof.

`radius.py` derives the problem and says why the distance is a lower bound in real arithmetic.
Here its rows are scaled and solved: first the few that bind most, then with those that the solution
violates. The multipliers are evaluated in float64 with error bounds, and in integers where these
are too wide.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from .dyadic import Dyadic
from .exact_bound import Box, proves_empty
from .exact_bound import halfspace_lower_bound as exact_halfspace_bound
from .lower_bound import TINY, HalfSpace, halfspace_lower_bound
from .projection import Problem, Solution, solve_l2, solve_linf
from .real_network import Polyhedron, RealNetwork, gamma
from .rows import Rows, is_farther

TIGHT = 1e-9  # the relative loss to rounding from which on the arithmetic is exact
ROWS = 8  # solved at first; as many more are added at a time
REACHED = 1e-6  # the relative length, or violation of a row, up to which δ need not be exact
SCREENING_ROWS = 2  # of each rival, tried alone before its distance is computed
LEAST = -1e100  # a scaled right-hand side that no solution comes near

Lack = tuple[np.ndarray, np.ndarray, int]
"""Rows (K, d), what each lacks (K,) in units of 2^scale, and the scale."""


class Found(NamedTuple):
    """A proven lower bound of the distance to a rival's polyhedron; δ (d,) and its norm, ∞ where no
    nearest δ was found; and whether it took exact arithmetic."""

    lower: float
    delta: np.ndarray
    length: float
    rival: int
    exact: bool = False


class Task(NamedTuple):
    """What is asked about a network: the norm, the box, and by how much the rival has to win."""

    real: RealNetwork
    norm: str
    box: tuple[float, float]
    overshoot: float

    @property
    def has_box(self) -> bool:
        return bool(np.isfinite(self.box).any())

    @property
    def overshoot_scaled(self) -> float:
        """In the units of `real.A`."""
        return float(np.ldexp(self.overshoot, self.real.exponent))


class Neighbourhood:
    """One input x (d,), its neurons' scores with bounds of their errors (M,), and its box."""

    def __init__(
        self, task: Task, rows: Rows, x: np.ndarray, score: np.ndarray, error: np.ndarray
    ):  # fmt: skip
        self.task, self.rows, self.x, self.score, self.error = task, rows, x, score, error
        self.solve = solve_l2 if task.norm == "l2" else solve_linf
        low, high = task.box[0] - x, task.box[1] - x
        # Such that x + δ, rounded, stays in the box.
        self.low = np.where(x + low < task.box[0], np.nextafter(low, np.inf), low)
        self.high = np.where(x + high > task.box[1], np.nextafter(high, -np.inf), high)
        side = np.maximum(-self.low, self.high)
        with np.errstate(over="ignore"):
            farthest = np.sqrt((side**2).sum()) if task.norm == "l2" else side.max(initial=0.0)
        self.farthest = float(farthest) * (1 + gamma(len(x) + 16))

    def not_farther(self, candidates: np.ndarray, limit: float) -> np.ndarray:
        """Those of the rivals that no single row proves to be farther than `limit` in the box."""
        if not self.task.has_box or not len(candidates) or np.isinf(limit):
            return candidates
        real, own, norms = self.task.real, self.rows.own, self.rows.norms[candidates]
        rivals = self.rows.rivals[candidates]
        h = self.score[own] - self.score[rivals, None] + self.task.overshoot_scaled
        ratio = h / norms
        few = min(SCREENING_ROWS, len(own))
        best = np.argpartition(-ratio, few - 1, axis=1)[:, :few]
        k, m = own[best].ravel(), rivals.repeat(few)
        h = np.take_along_axis(h, best, axis=1).ravel()
        c = h - (self.error[k] + self.error[m] + gamma(32) * np.abs(h) + TINY)
        loss = gamma(17) * (real.absolute[m] + real.absolute[k]) + (4 * real.underflow + TINY)
        rows = HalfSpace(real.A[m] - real.A[k], loss, c)
        farther = is_farther(rows, self.low, self.high, limit, self.task.norm)
        return candidates[~farther.reshape(-1, few).any(axis=1)]

    def distance(self, i: int, limit: float = np.inf) -> Found:
        """The distance to the i-th rival's polyhedron; only a lower bound where it exceeds `limit`.

        The limit saves time: the caller knows a rival that is no farther.
        """
        own, m = self.rows.own, self.rows.rivals[i]
        h = self.score[own] - self.score[m] + self.task.overshoot_scaled
        error = self.error[own] + self.error[m] + gamma(4) * np.abs(h)
        if (h + error <= 0).all():
            return Found(0.0, np.zeros_like(self.x), 0.0, i)
        ratio = h / self.rows.norms[i]
        if not 0 < ratio.max() < np.inf:
            return self._exact_distance(i, limit)
        scale = int(np.frexp(ratio.max())[1])
        solution, used = self._solve_rows(i, h, ratio, scale, limit)
        chosen = used[solution.multipliers > 0]
        weights = np.ldexp(
            solution.multipliers[solution.multipliers > 0],
            -np.frexp(self.rows.norms[i, chosen])[1],
        )
        lower = self._lower_bound(weights, own[chosen], m, h[chosen], error[chosen], scale)
        found = self._found(i, lower, solution, scale, limit)
        if lower >= min(limit, found.length * (1 - TIGHT)) and self._is_reached(found):
            return found
        exact = self._exact_distance(i, limit)
        return exact._replace(lower=max(exact.lower, lower))

    def _solve_rows(
        self, i: int, h: np.ndarray, ratio: np.ndarray, scale: int, limit: float
    ) -> tuple[Solution, np.ndarray]:
        """The solution, in units of 2^scale, and the rows that its multipliers belong to."""
        A, own, m = self.task.real.A, self.rows.own, self.rows.rivals[i]
        norms = self.rows.norms[i]
        exponents = np.frexp(norms)[1]
        low, high = in_units(self.low, scale), in_units(self.high, scale)
        limit = float(in_units(limit, scale)) * (1 + TIGHT)
        used = np.arange(len(own)) if len(own) <= ROWS else np.argpartition(-ratio, ROWS)[:ROWS]
        while True:
            G = (A[m] - A[own[used]]) * np.ldexp(1.0, -exponents[used])[:, None]
            right = np.maximum(np.ldexp(h[used], -exponents[used] - scale), LEAST)
            solution = self.solve(Problem(G, right, low, high), limit)
            if len(used) == len(own) or solution.distance > limit:
                return solution, used
            reached = A[m] @ solution.delta - A[own] @ solution.delta
            missing = (np.ldexp(h, -scale) - reached) / norms
            missing[used] = 0.0
            worst = np.argsort(-missing)[:ROWS]
            if missing[worst[0]] <= 1e-11:
                return solution, used
            used = np.concatenate([used, worst[missing[worst] > 0]])

    def _lower_bound(
        self, weights: np.ndarray, own: np.ndarray, m: int, h: np.ndarray, error: np.ndarray,
        scale: int,
    ) -> float:  # fmt: skip
        """What the multipliers `weights` of the rows `own` prove in float64."""
        real = self.task.real
        a = weights @ (real.A[m] - real.A[own])
        size = weights.sum() * real.absolute[m] + weights @ real.absolute[own]
        loss = gamma(len(own) + 16) * size + (4 * real.underflow * weights.sum() + TINY)
        gain = weights * (h - error)
        c = float(gain.sum() - gamma(len(own) + 16) * np.abs(gain).sum() - 2.0**-1040)
        row = HalfSpace(a, loss, float(in_units(c, scale)))
        low, high = in_units(self.low, scale), in_units(self.high, scale)
        bound = halfspace_lower_bound(row, low, high, self.task.norm, self.task.has_box)
        lower = float(np.nextafter(in_units(bound, -scale), 0.0))
        return np.inf if lower > self.farthest else lower

    def _found(
        self, i: int, lower: float, solution: Solution, scale: int, limit: float
    ) -> Found:  # fmt: skip
        distance = float(in_units(solution.distance, -scale))
        if np.isinf(distance) or distance > limit:
            return Found(lower, np.zeros_like(self.x), np.inf, i)
        delta = np.clip(np.ldexp(solution.delta, scale), self.low, self.high)
        return Found(lower, delta, distance, i)

    def _exact_distance(self, i: int, limit: float) -> Found:
        """The same with right-hand sides rounded only once, and the bound not at all."""
        real, nothing = self.task.real, np.zeros_like(self.x)
        rival, overshoot = self.rows.rivals[i], self.task.overshoot
        exact = real.polyhedron(rival, self.rows.own, self.x, overshoot)
        zero = ~exact.G.n.any(axis=1)
        if (exact.h.n[zero] > 0).any():
            return Found(np.inf, nothing, np.inf, i)  # 0 ≥ h has no solution
        G, h = exact.G[~zero], exact.h[~zero]
        if not (h.n > 0).any():
            return Found(0.0, nothing, 0.0, i)
        problem, powers, scale = scaled(Polyhedron(G, h), self.low, self.high)
        solution = self.solve(problem, float(in_units(limit, scale)) * (1 + TIGHT))
        if np.isinf(solution.distance) and not self.task.has_box:
            order = np.argsort(-solution.multipliers, kind="stable")
            if proves_empty(G, h, order[: 2 * ROWS]):
                return Found(np.inf, nothing, np.inf, i)
        used = np.flatnonzero(solution.multipliers)
        # The row k of the problem is 2^-powersₖ times that of G, and its δ 2^-scale times δ.
        weights, top = Dyadic.of(solution.multipliers[used]), int(powers.max())
        weights = Dyadic(weights.n << (top - powers[used]).astype(object), weights.exponent - top)
        weights = weights.times_power(scale)
        lower = exact_halfspace_bound(
            weights @ G[used], weights @ h[used], self._box(), self.task.norm
        )
        return self._found(i, lower, solution, scale, limit)._replace(exact=True)

    def _is_reached(self, found: Found) -> bool:
        """Whether no row is violated by much at δ, rounding errors included: then no multipliers
        prove much more than those found."""
        if np.isinf(found.length):
            return True
        return bool(self._lacks(found.rival, found.delta).max() <= REACHED * found.length)

    def reaching(self, found: Found) -> np.ndarray:
        """δ moved by what it lacks, about a rounding error, until the rival is proved to win, or to
        tie, at the float x + δ. The δ found, where that does not succeed: a polyhedron without
        interior may hold no float."""
        if not 0 < found.length < np.inf:
            return found.delta
        measures = (self._lacks_exactly,) if found.exact else (self._lacks_at, self._lacks_exactly)
        for measure in measures:
            delta = self._moved(found, measure)
            longest = found.length * (1 + REACHED) if measure == self._lacks_at else np.inf
            if delta is not None and norm_of(delta, self.task.norm) <= longest:
                return delta
        return found.delta

    def _moved(self, found: Found, measure: Callable[[int, np.ndarray], Lack]) -> np.ndarray | None:
        """By steps along the rows that were not satisfied, in the coordinates inside the box."""
        delta, moving = found.delta, np.zeros(len(self.rows.own), dtype=bool)
        for attempt in range(8):
            G, lacking, scale = measure(found.rival, self.x + delta)
            if (lacking <= 0).all():
                return delta
            moving |= lacking > 0
            single, together = self._directions(delta)
            rows, along = G[moving] * single, G[moving] @ together
            step = 1.5 * 2.0**attempt * np.maximum(lacking[moving], 0.0)
            weights = np.linalg.lstsq(rows @ rows.T + np.outer(along, along), step)[0]
            delta = delta + in_units(weights @ rows + (weights @ along) * together, -scale)
            delta = np.clip(delta, self.low, self.high)
        return None

    def _directions(self, delta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Which coordinates of δ may move alone, those inside the box (d,), and which do together
        (d,): in L∞ the largest ones, which change the norm, and so with a small weight."""
        inside = (delta > self.low) & (delta < self.high)
        if self.task.norm == "l2":
            return inside, np.zeros(len(delta))
        largest = inside & (np.abs(delta) >= (1 - 1e-6) * np.abs(delta).max())
        return inside & ~largest, 1e-3 * np.where(largest, np.sign(delta), 0.0)

    def _lacks(self, i: int, delta: np.ndarray) -> np.ndarray:
        """At most h − Gδ (K,), divided by ‖G‖: by how much δ may violate each row."""
        real, own, m = self.task.real, self.rows.own, self.rows.rivals[i]
        h = self.score[own] - self.score[m] + self.task.overshoot_scaled
        error = self.error[own] + self.error[m] + gamma(4) * np.abs(h)
        size = np.abs(delta)
        error += gamma(len(delta) + 16) * (real.absolute[m] @ size + real.absolute[own] @ size)
        error += 2 * real.underflow * (len(delta) + size.sum())
        return (h - real.A[m] @ delta + real.A[own] @ delta + error) / self.rows.norms[i]

    def _lacks_at(self, i: int, point: np.ndarray) -> Lack:
        """The rows G (K, d) divided by ‖G‖, and what they lack at a point x + δ."""
        m, norms = self.rows.rivals[i], self.rows.norms[i]
        G = (self.task.real.A[m] - self.task.real.A[self.rows.own]) / norms[:, None]
        return G, self._lacks(i, point - self.x), 0

    def _lacks_exactly(self, i: int, point: np.ndarray) -> Lack:
        """The same, divided by powers of two, without the error."""
        own, rival = self.rows.own, self.rows.rivals[i]
        exact = self.task.real.polyhedron(rival, own, point, self.task.overshoot)
        some = exact.G.n.any(axis=1)
        if not (exact.h.n[some] > 0).any():
            return np.zeros((len(some), len(point))), np.zeros(len(some)), 0
        problem, _, scale = scaled(exact, self.low, self.high)
        return problem.G, problem.h, scale

    def _box(self) -> Box:
        """low and high, exactly; an infinite bound is replaced by the largest float."""
        if not self.task.has_box:
            return None
        lo, hi = (Dyadic.of(np.nan_to_num(bound)) for bound in self.task.box)
        return lo - Dyadic.of(self.x), hi - Dyadic.of(self.x)


def scaled(
    polyhedron: Polyhedron, low: np.ndarray, high: np.ndarray
) -> tuple[Problem, np.ndarray, int]:
    """The problem in float64, row k of G and h divided by 2^powersₖ, and δ by 2^scale."""
    G, h = polyhedron
    lengths = np.array([int(max(abs(row))).bit_length() for row in G.n])
    rows = np.array([row / (1 << n) for row, n in zip(G.n, lengths.tolist(), strict=True)])
    powers = lengths + G.exponent
    sizes = np.array([int(n).bit_length() for n in h.n]) + h.exponent - powers
    scale = int(sizes[h.n > 0].max())
    exponents = (h.exponent - powers - scale).tolist()
    right = [
        LEAST if n < 0 and size - scale > 300 else float(Dyadic(n, e).fraction())
        for n, size, e in zip(h.n, sizes, exponents, strict=True)
    ]
    box = in_units(low, scale), in_units(high, scale)
    return Problem(rows.astype(np.float64), np.array(right), *box), powers, scale


def norm_of(delta: np.ndarray, norm: str) -> float:
    return float(np.linalg.norm(delta, ord=2 if norm == "l2" else np.inf))


def in_units(length: np.ndarray | float, scale: int) -> Any:
    """A length in units of 2^scale; ∞ where that overflows."""
    with np.errstate(over="ignore", under="ignore"):
        return np.ldexp(length, -scale)
