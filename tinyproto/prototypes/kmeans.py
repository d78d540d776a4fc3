"""k-means: Lloyd's algorithm, initialized by k-means++ (Arthur and Vassilvitskii, SODA 2007)."""

import numpy as np

from ..backend.device import Array, array_module
from ..kernels.kmeans import assign_clusters, cluster_means
from ..random import uniform
from ..validation import check_count, check_number
from .validation import check_samples, warn


def kmeans(
    x: Array, clusters: int, *, seed: int = 0, iterations: int = 100, tolerance: float = 1e-4
) -> tuple[Array, Array, float]:
    """Group samples into clusters, so that each is near the mean of its cluster.

    Parameters
    ----------
    x : array (N, d)
        The samples: float32 or float64; other numbers become float64.
    clusters : int
        The number of clusters, at most N.
    seed : int, default 0
        The seed of the initial centres.
    iterations : int, default 100
        The largest number of Lloyd's iterations. They stop earlier when no label changes.
    tolerance : float, default 1e-4
        They also stop when the squared changes of all centres sum to at most this times the mean
        variance of a feature.

    Returns
    -------
    centres : array (clusters, d)
    label : array (N,)
        The cluster of each sample.
    inertia : float
        Σ‖x − c‖² over the samples, c being the centre of the sample's cluster.

    Raises
    ------
    ValueError
        For fewer samples than clusters, for samples of another shape or that are not finite or
        whose squared distances overflow, and for numbers out of their range.

    Warns
    -----
    ConvergenceWarning
        Where x has fewer distinct samples than clusters, so that centres are equal; scikit-learn's
        category where that has been imported, else UserWarning.

    Notes
    -----
    Lloyd's iteration assigns each sample to its nearest centre, then replaces each centre by the
    mean of its samples; neither step can increase the inertia. A cluster without samples keeps its
    centre.

    Examples
    --------
    >>> import numpy as np
    >>> from tinyproto.prototypes import kmeans
    >>> x = np.random.default_rng(0).normal(size=(40, 2)) + 9 * (np.arange(40) % 2)[:, None]
    >>> centres, label, inertia = kmeans(x, 2)
    >>> np.bincount(label).tolist()
    [20, 20]
    """
    centres, label, inertia = lloyd(x, clusters, seed, iterations, tolerance)
    warn_of_duplicates(label, clusters)
    return centres, label, inertia


def lloyd(
    x: Array, clusters: int, seed: int = 0, iterations: int = 100, tolerance: float = 1e-4
) -> tuple[Array, Array, float]:
    """`kmeans` without its warning."""
    check_count("iterations", iterations, 0)
    check_number("tolerance", tolerance)
    centres = kmeans_plus_plus(x, clusters, seed=seed)
    xp = array_module(x)
    x = xp.ascontiguousarray(x, dtype=centres.dtype)
    label = xp.zeros(len(x), dtype=xp.int64)
    distance = xp.empty(len(x), dtype=x.dtype)
    threshold = tolerance * float(x.var(axis=0).mean())
    for _ in range(iterations):
        old_label, old_centres = label.copy(), centres.copy()
        assign_clusters(len(x), x, centres, label, distance)
        cluster_means(clusters, x, label, centres)
        change = float(((centres - old_centres) ** 2).sum())
        if change <= threshold or bool((label == old_label).all()):
            break
    assign_clusters(len(x), x, centres, label, distance)
    return centres, label, _finite_sum(distance)


def warn_of_duplicates(label: Array, clusters: int, samples: str = "x") -> None:
    """Warn, as scikit-learn does, where some of the clusters are empty."""
    distinct = len(array_module(label).unique(label))
    if distinct < clusters:
        warn(
            f"Number of distinct clusters ({distinct}) found smaller than n_clusters ({clusters}). "
            f"Possibly due to duplicate points in {samples}.",
            "ConvergenceWarning",
        )


def kmeans_plus_plus(x: Array, clusters: int, *, seed: int = 0) -> Array:
    """Initial centres for k-means: samples, each drawn far from those drawn before.

    Parameters
    ----------
    x : array (N, d)
        The samples.
    clusters : int
        The number of centres, at most N.
    seed : int, default 0
        The seed of the draws.

    Returns
    -------
    array (clusters, d)
        The centres. They repeat where x has fewer distinct samples than clusters.

    Raises
    ------
    ValueError
        As `kmeans` does.

    Notes
    -----
    The first centre is drawn uniformly, each further one with a probability proportional to the
    squared distance of a sample to its nearest centre so far (k-means++, Arthur and Vassilvitskii,
    SODA 2007).

    Examples
    --------
    >>> import numpy as np
    >>> from tinyproto.prototypes import kmeans_plus_plus
    >>> x = np.arange(6.0).reshape(3, 2)
    >>> centres = kmeans_plus_plus(x, 3)
    >>> sorted(centres[:, 0].tolist())
    [0.0, 2.0, 4.0]
    """
    x = check_samples(x, name="x")
    if check_count("clusters", clusters) > len(x):
        raise ValueError(
            f"clusters must be at most the number of samples, {len(x)}, not {clusters}"
        )
    xp = array_module(x)
    draw = uniform(clusters, np.arange(1), seed=seed, stream="k-means++")[0]
    centres = xp.empty((clusters, x.shape[1]), dtype=x.dtype)
    closest = xp.full(len(x), np.inf, dtype=x.dtype)
    label = xp.empty(len(x), dtype=xp.int64)
    distance = xp.empty(len(x), dtype=x.dtype)
    for k in range(clusters):
        weight = xp.ones(len(x)) if k == 0 else closest.astype(xp.float64)
        cumulative = xp.cumsum(weight)
        chosen = xp.searchsorted(cumulative, float(draw[k]) * cumulative[-1:], side="right")
        centres[k] = x[min(int(chosen[0]), len(x) - 1)]
        assign_clusters(len(x), x, centres[k : k + 1], label, distance)
        closest = xp.minimum(closest, distance)
    _finite_sum(closest)
    return centres


def _finite_sum(distance: Array) -> float:
    """The sum of squared distances. Raises ValueError where they overflow."""
    total = float(distance.sum(dtype=np.float64))
    if not np.isfinite(total):
        raise ValueError(f"squared distances overflow {distance.dtype}; scale the samples")
    return total
