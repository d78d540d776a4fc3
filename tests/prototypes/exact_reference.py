"""The radius of small networks in rational numbers, by enumeration of all active sets."""

from fractions import Fraction
from itertools import combinations

import numpy as np


def fractions(array):
    """Floats as an array of fractions, exactly."""
    return np.vectorize(Fraction, otypes=[object])(np.asarray(array, dtype=np.float64))


def exact_linear(network):
    """A (M, d) and b (M,) by the definitions, from the parameters of the network."""
    if hasattr(network, "weights_"):
        return fractions(network.weights_), fractions(network.biases_)
    beta, positive = Fraction(network.beta_), fractions(network.positive_prototypes_)
    A, b = beta * positive, -beta / 2 * (positive**2).sum(axis=1)
    if hasattr(network, "negative_prototypes_"):
        negative = fractions(network.negative_prototypes_)
        return A - beta * negative, b + beta / 2 * (negative**2).sum(axis=1)
    return A, b


def solve(matrix, right):
    """The solution of a square system in fractions, or None if it is singular."""
    system = [[*row, value] for row, value in zip(matrix.tolist(), right, strict=True)]
    for k in range(len(system)):
        pivot = next((r for r in range(k, len(system)) if system[r][k]), None)
        if pivot is None:
            return None
        system[k], system[pivot] = system[pivot], system[k]
        system[k] = [value / system[k][k] for value in system[k]]
        for r, row in enumerate(system):
            if r != k and row[k]:
                system[r] = [a - row[k] * b for a, b in zip(row, system[k], strict=True)]
    return np.array([row[-1] for row in system], dtype=object)


def squared_distance(G, h):
    """The least ‖δ‖² with Gδ ≥ h, or None if there is no such δ.

    It is the least-norm solution of some linearly independent rows with multipliers λ ≥ 0, and
    any such solution that satisfies the other rows is the optimum."""
    d = G.shape[1]
    for count in range(d + 1):
        for rows in map(list, combinations(range(len(h)), count)):
            multipliers = solve(G[rows] @ G[rows].T, h[rows]) if rows else np.zeros(0, object)
            if multipliers is None or (multipliers < 0).any():
                continue
            delta = multipliers @ G[rows] if rows else np.full(d, Fraction(0))
            if (G @ delta >= h).all():
                return (delta * delta).sum()
    return None


def largest_coordinate(G, h):
    """The least ‖δ‖∞ with Gδ ≥ h, or None: the lowest vertex of {(δ, r): Gδ ≥ h, ±δ ≤ r}."""
    d = G.shape[1]
    eye, one, zero = fractions(np.eye(d)), fractions(np.ones((d, 1))), fractions(np.zeros((1, d)))
    rows = np.block([[G, 0 * h[:, None]], [eye, one], [-eye, one], [zero, one[:1]]])
    right = np.concatenate([h, np.full(2 * d + 1, Fraction(0))])
    best = None
    for chosen in map(list, combinations(range(len(right)), d + 1)):
        vertex = solve(rows[chosen], right[chosen])
        if vertex is None or (best is not None and vertex[-1] >= best):
            continue
        if (rows @ vertex >= right).all():
            best = vertex[-1]
    return best


def reference_radius(network, x, predicted, norm, box=None, overshoot=0.0, moved=0.0):
    """The exact radius of one x (d,) whose class index is `predicted`, squared for L2; None where
    no other class can be reached. Every plane may be `moved` away from its polyhedron."""
    A, b = exact_linear(network)
    x = fractions(x)
    owner = np.arange(len(b)) // network.prototypes_per_class
    own = owner == predicted
    best = None
    for m in np.flatnonzero(~own):
        G, h = A[m] - A[own], -((A[m] - A[own]) @ x + b[m] - b[own]) + Fraction(overshoot)
        if moved:
            lengths = [Fraction(float((row * row).sum()) ** 0.5) for row in G]
            h = h - Fraction(moved) * np.array(lengths, dtype=object)
        if box is not None:
            eye = fractions(np.eye(len(x)))
            G = np.concatenate([G, eye, -eye])
            low, high = Fraction(box[0]) - Fraction(moved), Fraction(box[1]) + Fraction(moved)
            h = np.concatenate([h, low - x, x - high])
        found = squared_distance(G, h) if norm == "l2" else largest_coordinate(G, h)
        if found is not None and (best is None or found < best):
            best = found
    return best
