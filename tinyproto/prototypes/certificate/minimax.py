"""The least largest violation of a few rows in a box, by the dual simplex method.

    v = min over low ≤ δ ≤ high of maxₖ (hₖ − Gₖ·δ) = max over λ ≥ 0, Σλ = 1 of f(λ)
    f(λ) = λ·h − Σⱼ max over lowⱼ ≤ δⱼ ≤ highⱼ of aⱼδⱼ,  a = Gᵀλ

f is concave and piecewise linear. At a vertex the rows P have λ > 0, the coordinates J, one fewer,
have aⱼ = 0, and every other coordinate is at the bound that the sign of its aⱼ tells. The primal
point there solves Gₚδ + v = hₚ for δ_J and v. It is the minimum if it satisfies the other rows and
the bounds of δ_J; else f increases along the edge of what is violated, as far as the line search
takes it: past each coordinate whose a changes its sign (it moves to its other bound, and the slope
of f falls), to the one with which the slope ends, or to a λ that becomes 0. There is the next
vertex (Maros, Computational Techniques of the Simplex Method, chapter 10).

A basis is one for any bounds: in another box the search goes on from it.
"""

from typing import NamedTuple

import numpy as np

TOLERANCE = 1e-12


class Basis(NamedTuple):
    """The rows P and the coordinates J of a vertex, and which coordinates (d,) are at `high`."""

    rows: list[int]
    columns: list[int]
    at_high: np.ndarray


class Minimax(NamedTuple):
    """v, λ (K,), δ (d,), and the basis."""

    violation: float
    multipliers: np.ndarray
    delta: np.ndarray
    basis: Basis


def first_basis(G: np.ndarray, row: int) -> Basis:
    """λ = 1 for one row."""
    return Basis([row], [], G[row] > 0)


def least_violation(
    G: np.ndarray, h: np.ndarray, low: np.ndarray, high: np.ndarray, basis: Basis
) -> Minimax | None:
    """v of G (K, d) and h (K,) in a finite box, or None where rounding errors keep the search from
    its end. Rows and h are to be scaled to about 1."""
    rows, columns, at_high = list(basis.rows), list(basis.columns), basis.at_high.copy()
    sizes = np.abs(G).max(axis=0)
    for _ in range(50 + 10 * len(h)):
        system = np.ones((len(rows), len(rows)))
        system[:, :-1] = G[np.ix_(rows, columns)]
        delta = np.where(at_high, high, low)
        delta[columns] = 0.0
        try:
            inverse = np.linalg.inv(system)
        except np.linalg.LinAlgError:
            return None
        solution = inverse @ (h[rows] - G[rows] @ delta)
        delta[columns], violation = solution[:-1], float(solution[-1])
        missing = h - G @ delta - violation
        missing[rows] = 0.0
        beyond = np.maximum(delta[columns] - high[columns], low[columns] - delta[columns])
        beyond *= sizes[columns]
        row = int(np.argmax(missing))
        column = int(np.argmax(beyond)) if columns else -1
        multipliers = np.zeros(len(h))
        multipliers[rows] = inverse[-1]
        direction = np.zeros(len(h))
        if column >= 0 and beyond[column] > max(TOLERANCE, missing[row]):
            j = columns[column]
            sign = 1.0 if delta[j] > high[j] else -1.0
            direction[rows] = sign * inverse[column]
            slope = beyond[column] / sizes[j]
            at_high[j] = sign > 0
            del columns[column]
        elif missing[row] > TOLERANCE:
            direction[rows] = -np.append(G[row, columns], 1.0) @ inverse
            direction[row] = 1.0
            slope = missing[row]
            rows.append(row)
        else:
            delta = np.clip(delta, low, high)
            return Minimax(violation, multipliers, delta, Basis(rows, columns, at_high))
        leaving = _line_search(G, high - low, multipliers, direction, slope, rows, columns, at_high)
        if leaving is None:
            return None
        kind, index = leaving
        if kind == "row":
            rows.remove(index)
        else:
            columns.append(index)
    return None


def _line_search(
    G: np.ndarray, width: np.ndarray, multipliers: np.ndarray, direction: np.ndarray, slope: float,
    rows: list[int], columns: list[int], at_high: np.ndarray,
) -> tuple[str, int] | None:  # fmt: skip
    """What becomes 0 at the maximum of f along an edge: a λ ("row") or an a ("column"). Changes
    `at_high` of the coordinates passed."""
    a, change = multipliers @ G, direction @ G
    change[columns] = 0.0
    # A coordinate whose a is 0 by chance, or has the wrong sign by rounding, changes at once.
    towards = np.flatnonzero(np.where(at_high, change < 0, change > 0))
    steps = np.maximum(-a[towards] / change[towards], 0.0)
    falling = [k for k in rows if direction[k] < 0]
    limits = [max(-multipliers[k] / direction[k], 0.0) for k in falling]
    first = int(np.argmin(limits)) if limits else -1
    longest = limits[first] if limits else np.inf
    order = np.argsort(steps, kind="stable")
    order = order[steps[order] < longest]
    passed = towards[order]
    slopes = slope - np.cumsum(np.abs(change[passed]) * width[passed])
    ends = np.flatnonzero(slopes <= 0)
    if len(ends):
        end = int(ends[0])
        at_high[passed[:end]] = ~at_high[passed[:end]]
        return "column", int(passed[end])
    if first < 0:
        return None
    at_high[passed] = ~at_high[passed]
    return "row", falling[first]
