"""Planes of a latent space, to be drawn."""

import numpy as np

from ...prototypes.validation import check_rows
from .checks import class_indices
from .distances import class_means

RIDGE = 1e-9  # of the mean variance of a feature


def prototype_plane(features: np.ndarray, prototypes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The plane through three prototypes: the one in which their classes are decided.

    Parameters
    ----------
    features : array (N, d)
        Features, d ≥ 2. They matter only for an axis that the prototypes leave open.
    prototypes : array (2 or 3, d)
        Prototypes c_j, or other vectors of the classes.

    Returns
    -------
    origin : array (d,)
        The mean of the prototypes.
    axes : array (2, d)
        Orthonormal: (h − origin) @ axes.T are the coordinates of a feature h. The first prototype
        is at the top, the second to the right of it.

    Raises
    ------
    ValueError
        For arrays of other shapes, or that are not finite.

    Notes
    -----
    Scores z_j = h · c_j + b_j differ by z_j − z_k = h · (c_j − c_k) + b_j − b_k. The axes span all
    c_j − c_k, so which of the classes has the largest score can be read from the plane exactly:
    what a projection to it loses is the same for all of them.

    Two prototypes, or three on a line, leave one axis open: there it is the direction across them
    in which the features vary most.

    Examples
    --------
    >>> import numpy as np
    >>> from tinyproto.evaluation.geometry import prototype_plane
    >>> h, c = np.random.default_rng(0).normal(size=(9, 4)), np.eye(3, 4)
    >>> origin, axes = prototype_plane(h, c)
    >>> np.abs((c - origin) @ axes.T).round(3).tolist()  # a regular triangle
    [[0.0, 0.816], [0.707, 0.408], [0.707, 0.408]]
    """
    c = check_rows(prototypes, "prototypes", at_least=2)
    h = check_rows(features, "features")
    if len(c) > 3 or c.shape[1] < 2 or h.shape[1] != c.shape[1]:
        raise ValueError(
            "features (N, d) and prototypes (2 or 3, d) must have one d of 2 or more, not "
            f"{h.shape} and {c.shape}"
        )
    origin = c.mean(axis=0)
    axes = _two_axes(c - origin, least=1e-9 * float(np.abs(c).max()))
    if len(axes) < 2:
        rest = h - h.mean(axis=0)
        rest = rest - rest @ axes.T @ axes
        _, s, principal = np.linalg.svd(rest, full_matrices=False)
        axes = _two_axes(np.concatenate([axes, s[:, None] * principal, np.eye(h.shape[1])]))
    return origin, axes[::-1]


def discriminant_plane(
    features: np.ndarray, labels: np.ndarray, classes: int
) -> tuple[np.ndarray, np.ndarray]:
    """The plane of linear discriminant analysis: the one in which the class means are farthest
    apart, measured in standard deviations within the classes.

    Parameters
    ----------
    features : array (N, d)
        Features, of every class some; d ≥ 2.
    labels : array (N,)
        Integers in 0 … classes − 1.
    classes : int
        Number of classes, 2 or more.

    Returns
    -------
    origin : array (d,)
        The mean of the features.
    axes : array (2, d)
        (h − origin) @ axes.T are the coordinates of a feature h. Along each axis the features have
        the variance 1 within their classes, and their coordinates are not correlated there. The
        axes are not orthonormal. The first class's mean has no negative coordinate.

    Raises
    ------
    ValueError
        For wrong shapes, a class without features, and features that are all equal.

    Notes
    -----
    With the class means μ_c, the mean μ̄ of all features and n_c features in a class,

        Σ_W = 1/N Σᵢ (hᵢ − μ_{yᵢ})(hᵢ − μ_{yᵢ})ᵀ        Σ_B = 1/N Σ_c n_c (μ_c − μ̄)(μ_c − μ̄)ᵀ,

    an axis v maximizes vᵀ Σ_B v / vᵀ Σ_W v. Its gradient is 0 where Σ_B v = λ Σ_W v, and the
    quotient is λ there. With Σ_W = L Lᵀ and u = Lᵀ v this is L⁻¹ Σ_B L⁻ᵀ u = λ u, a symmetric
    problem, whose orthonormal u give vᵀ Σ_W v = 1. The axes are those of the two largest λ. Σ_B has
    rank C − 1 at most: with two classes the second λ is 0. A small ridge is added to Σ_W, which is
    singular where there are fewer features than dimensions.

    Source: Fisher, 1936; Rao, 1948, for more than two classes.

    Examples
    --------
    >>> import numpy as np
    >>> from tinyproto.evaluation.geometry import discriminant_plane
    >>> labels = np.arange(60) % 3
    >>> features = np.eye(3)[labels] + np.random.default_rng(0).normal(scale=0.1, size=(60, 3))
    >>> origin, axes = discriminant_plane(features, labels, 3)
    >>> flat = (features - origin) @ axes.T
    >>> within = flat - np.stack([flat[labels == c].mean(axis=0) for c in range(3)])[labels]
    >>> (abs(within.T @ within) / 60).round(3).tolist()
    [[1.0, 0.0], [0.0, 1.0]]
    """
    h = check_rows(features, "features")
    if h.shape[1] < 2:
        raise ValueError(f"features must have 2 or more dimensions, not {h.shape[1]}")
    y = class_indices(labels, len(h), classes)
    means, origin = class_means(h, y, classes), h.mean(axis=0)
    within, between = h - means[y], means[y] - origin
    variance = float(((h - origin) ** 2).mean())
    if not variance:
        raise ValueError("the features are all equal: no direction separates their classes")
    covariance = within.T @ within / len(h) + RIDGE * variance * np.eye(h.shape[1])
    inverse = np.linalg.inv(np.linalg.cholesky(covariance))
    whitened = between @ inverse.T
    _, vectors = np.linalg.eigh(whitened.T @ whitened / len(h))
    axes = vectors[:, :-3:-1].T @ inverse
    return origin, axes * np.where((means[0] - origin) @ axes.T < 0, -1.0, 1.0)[:, None]


def _two_axes(vectors: np.ndarray, least: float = 0.0) -> np.ndarray:
    """The first two independent directions (2, d), orthonormal; fewer if there are no two. A
    direction that is shorter than `least` does not count."""
    axes = np.empty((0, vectors.shape[1]))
    for vector in vectors:
        rest = vector - axes.T @ (axes @ vector)
        rest -= axes.T @ (axes @ rest)
        length = np.linalg.norm(rest)
        if len(axes) < 2 and length > max(least, 1e-6 * float(np.linalg.norm(vector))):
            axes = np.concatenate([axes, rest[None] / length])
    return axes
