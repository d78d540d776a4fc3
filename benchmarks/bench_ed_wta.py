"""The time of an epoch of ±ED-WTA and of NumPy loops, of k-means and of scikit-learn's.

    python benchmarks/bench_ed_wta.py [--quick] [--json FILE]

All train on the same samples from the same prototypes (those after one epoch). The NumPy loops are
timed on fewer samples, and their times scaled to one pass over the data set. The speedup is over
the loop of the same dtype that computes distance by distance.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from common import argument_parser, load_mnist, median_seconds, report

from tinyproto.evaluation.command import run_command
from tinyproto.prototypes import PlusMinusEDWTA, kmeans

ALPHA, BETA_RATE, K = 0.01, 1e-4, 6


def literal(x: np.ndarray, y: np.ndarray, P: np.ndarray, N: np.ndarray, beta: float) -> float:
    """The rule as its equations: two distances for each neuron, every update in full."""
    owner = np.arange(len(P)) // K
    for sample, label in zip(x, y, strict=True):
        d_plus = 0.5 * ((sample - P) ** 2).sum(axis=1)
        d_minus = 0.5 * ((sample - N) ** 2).sum(axis=1)
        o = beta * (d_minus - d_plus)
        q = np.exp(o - o.max())
        q /= q.sum()
        own = owner == label
        tau = np.where(own, q, 0) / q[own].sum()
        P[own] += ALPHA * beta * (tau - q)[own, None] * (sample - P[own])
        N[~own] += ALPHA * beta * q[~own, None] * (sample - N[~own])
        beta -= BETA_RATE * float(((q - tau) * (d_minus - d_plus)).sum())
    return beta


def optimized(x: np.ndarray, y: np.ndarray, P: np.ndarray, N: np.ndarray, beta: float) -> float:
    """The same, as fast as NumPy allows: products instead of distances, norms updated by
    ‖w + c(x − w)‖² = (1 − c)²‖w‖² + 2c(1 − c) w·x + c²‖x‖², and updates in place."""
    norm_P, norm_N = (P**2).sum(axis=1), (N**2).sum(axis=1)
    update, step = np.empty_like(N), np.empty(len(N), N.dtype)
    for sample, label in zip(x, y, strict=True):
        at_P, at_N, square = P @ sample, N @ sample, sample @ sample
        unscaled = 0.5 * (norm_N - norm_P) + (at_P - at_N)
        o = beta * unscaled
        q = np.exp(o - o.max())
        q /= q.sum()
        own = slice(label * K, (label + 1) * K)
        residual = -q
        residual[own] += q[own] / q[own].sum()

        c = ALPHA * beta * residual[own]
        norm_P[own] = (1 - c) ** 2 * norm_P[own] + 2 * c * (1 - c) * at_P[own] + c**2 * square
        P[own] += c[:, None] * (sample - P[own])

        np.multiply(q, ALPHA * beta, out=step)
        step[own] = 0
        norm_N *= (1 - step) ** 2
        norm_N += 2 * step * (1 - step) * at_N + step**2 * square
        np.subtract(sample, N, out=update)
        update *= step[:, None]
        N += update
        beta += BETA_RATE * float(residual @ unscaled)
    return beta


def epochs(x: np.ndarray, y: np.ndarray, rounds: int, few: int) -> list[dict[str, Any]]:
    """One epoch of each contender, from the same prototypes."""
    start = PlusMinusEDWTA(K, epochs=1).fit(x, y)
    P, N, beta = start.positive_prototypes_, start.negative_prototypes_, start.beta_

    def numpy_loop(rule: Callable[..., float], dtype: str) -> Callable[[], Any]:
        few_x, first_P, first_N = x[:few].astype(dtype), P.astype(dtype), N.astype(dtype)
        return lambda: rule(few_x, y[:few], first_P.copy(), first_N.copy(), beta)

    def ours(dtype: str, batch: int) -> Callable[[], Any]:
        samples = x.astype(dtype)
        network = PlusMinusEDWTA(K, epochs=0, dtype=dtype, batch_size=batch).fit(samples, y)

        def run() -> None:
            network.positive_prototypes_[:], network.negative_prototypes_[:] = P, N
            network._beta[:] = beta
            network.partial_fit(samples, y)

        return run

    contenders = {
        f"{name}, {dtype}": run
        for dtype in ("float32", "float64")
        for name, run in (
            ("NumPy, distance by distance", numpy_loop(literal, dtype)),
            ("NumPy, optimized", numpy_loop(optimized, dtype)),
            ("ours, online", ours(dtype, 1)),
        )
    }
    contenders["ours, mini-batches of 256, float32"] = ours("float32", 256)
    seconds = median_seconds(contenders, rounds)
    rows = []
    for name, value in seconds.items():
        scale = len(x) / few if name.startswith("NumPy") else 1.0
        baseline = seconds[f"NumPy, distance by distance, {name[-7:]}"] * len(x) / few
        rows.append(
            {"epoch": name, "seconds": value * scale, "speedup": baseline / (value * scale)}
        )
    return rows


def clustering(x: np.ndarray, y: np.ndarray, rounds: int) -> list[dict[str, Any]]:
    """K centres of each class, with the same limits of iterations and tolerance."""
    from sklearn.cluster import KMeans

    inertia = {}

    def ours() -> None:
        inertia["ours"] = sum(kmeans(x[y == c], K, seed=0)[2] for c in range(10))

    def theirs() -> None:
        found = (
            KMeans(K, n_init=1, max_iter=100, tol=1e-4, random_state=0).fit(x[y == c])
            for c in range(10)
        )
        inertia["scikit-learn"] = float(sum(f.inertia_ for f in found))

    seconds = median_seconds({"ours": ours, "scikit-learn": theirs}, rounds)
    return [
        {
            "k-means": name,
            "seconds": value,
            "speedup": seconds["scikit-learn"] / value,
            "Σ‖x − c‖²": inertia[name],
        }
        for name, value in seconds.items()
    ]


def main() -> None:
    chosen = argument_parser(__doc__).parse_args()
    x, y, _, _, data = load_mnist(chosen.data)
    rounds, few = (3, 500) if chosen.quick else (9, 2000)
    rows = epochs(x, y, rounds, min(few, len(x))) + clustering(x, y, max(3, rounds // 2))
    note = f"{len(x):,} images from {data.name}; medians of {rounds} rounds, contenders in turn"
    report(rows, chosen.json, note)


if __name__ == "__main__":
    run_command(main)
