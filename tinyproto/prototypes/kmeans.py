"""k-means: Lloyd's iteration from a k-means++ start (Arthur and Vassilvitskii, SODA 2007)."""

import numpy as np

from ..backend.device import Array, array_module
from ..kernels.kmeans import assign_clusters, cluster_means
from ..random import uniform


def kmeans(
    x: Array, clusters: int, *, seed: int = 0, iterations: int = 100, tolerance: float = 1e-4
) -> tuple[Array, Array, float]:
    """Centres (clusters, d), the label of each sample (N,), and Σ‖x − c‖².

    Stops when no label changes, or when the centres' squared moves sum to less than `tolerance`
    times the mean variance of a feature. A cluster that loses all its samples keeps its centre.
    Raises ValueError where there are fewer samples than clusters.
    """
    xp = array_module(x)
    if not 1 <= clusters <= len(x):
        raise ValueError(f"clusters must be between 1 and the {len(x)} samples, not {clusters}")
    x = xp.ascontiguousarray(x)
    centres = plus_plus(x, clusters, seed=seed)
    label = xp.zeros(len(x), dtype=xp.int64)
    distance = xp.empty(len(x), dtype=x.dtype)
    enough = tolerance * float(x.var(axis=0).mean())
    for _ in range(iterations):
        before_label, before = label.copy(), centres.copy()
        assign_clusters(len(x), x, centres, label, distance)
        cluster_means(clusters, x, label, centres)
        moved = float(((centres - before) ** 2).sum())
        if moved <= enough or bool((label == before_label).all()):
            break
    assign_clusters(len(x), x, centres, label, distance)
    return centres, label, float(distance.sum(dtype=np.float64))


def plus_plus(x: Array, clusters: int, *, seed: int = 0) -> Array:
    """Starting centres: each next sample is drawn with probability ∝ its squared distance to the
    centres that there are. A set with fewer distinct samples than clusters repeats some."""
    xp = array_module(x)
    draw = uniform(clusters, np.arange(1), seed=seed, stream="k-means++")[0]
    centres = xp.empty((clusters, x.shape[1]), dtype=x.dtype)
    closest = xp.full(len(x), np.inf, dtype=x.dtype)
    label = xp.empty(len(x), dtype=xp.int64)
    distance = xp.empty(len(x), dtype=x.dtype)
    for k in range(clusters):
        weight = xp.ones(len(x)) if k == 0 else closest.astype(xp.float64)
        reach = xp.cumsum(weight)
        chosen = int(xp.searchsorted(reach, float(draw[k]) * reach[-1:], side="right")[0])
        centres[k] = x[min(chosen, len(x) - 1)]
        assign_clusters(len(x), x, centres[k : k + 1], label, distance)
        closest = xp.minimum(closest, distance)
    return centres
