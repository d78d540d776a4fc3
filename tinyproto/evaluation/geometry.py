"""Geometry of a latent space: compactness of the classes, separation between them, angles.

Everything is computed with NumPy on the CPU, in float64. Features h (N, d) and prototypes c (M, d)
are in the same units, those of the network's feature layer. DPNP (arXiv 2501.02477) and Adv-DPNP
(arXiv 2504.03782) name the two aims, compactness within classes and separation between them; the
measures here are ours.
"""

import numpy as np

from ..backend.device import to_host
from ..prototypes.validation import check_rows
from ..validation import check_count, check_labels

__all__ = [
    "class_means",
    "compactness",
    "pairwise_angles",
    "prototype_angles",
    "prototype_plane",
    "simplex_angle",
]


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
    c = _rows("prototypes", prototypes, at_least=2)
    h = _rows("features", features)
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


def prototype_angles(
    features: np.ndarray, labels: np.ndarray, prototypes: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Compute the angle of each feature to its own prototype, and to the nearest other one.

    Parameters
    ----------
    features : array (N, d)
        Features of any length but 0.
    labels : array (N,)
        Integers, indices of prototypes.
    prototypes : array (M, d)
        A vector for each class; M ≥ 2.

    Returns
    -------
    own, rival : array (N,)
        Angles in degrees. With prototypes of one length and no bias, a feature is classified
        correctly where own < rival.

    Raises
    ------
    ValueError
        For wrong shapes, a vector of length 0, values that are not finite, or a label that has no
        prototype.

    Examples
    --------
    >>> import numpy as np
    >>> from tinyproto.evaluation.geometry import prototype_angles
    >>> own, rival = prototype_angles(np.array([[1.0, 1], [0, 2]]), np.array([0, 0]), np.eye(2))
    >>> own.round(6).tolist(), rival.round(6).tolist()
    ([45.0, 90.0], [45.0, 0.0])
    """
    h, c = _rows("features", features), _rows("prototypes", prototypes, at_least=2)
    if c.shape[1] != h.shape[1]:
        raise ValueError(f"prototypes must be (M, {h.shape[1]}) as the features, not {c.shape}")
    y = class_indices(labels, len(h), len(c))
    cosine = _unit_rows("feature", h) @ _unit_rows("prototype", c).T
    angles = np.degrees(np.arccos(np.clip(cosine, -1, 1)))
    own = angles[np.arange(len(y)), y]
    angles[np.arange(len(y)), y] = np.inf
    return own, angles.min(axis=1)


def pairwise_angles(vectors: np.ndarray) -> np.ndarray:
    """Compute the angle between every two vectors.

    Parameters
    ----------
    vectors : array (M, d)
        Vectors of any length but 0.

    Returns
    -------
    array (M, M)
        Angles in degrees.

    Raises
    ------
    ValueError
        For a vector of length 0, another shape, or values that are not finite.

    Notes
    -----
    The angle of unit vectors is 2 atan2(‖u − v‖, ‖u + v‖), which is accurate also near 0° and 180°,
    where the arc cosine is not.

    Examples
    --------
    >>> import numpy as np
    >>> from tinyproto.evaluation.geometry import pairwise_angles
    >>> pairwise_angles(np.array([[2.0, 0], [0, 1], [-3, 0]])).round(6).tolist()
    [[0.0, 90.0, 180.0], [90.0, 0.0, 90.0], [180.0, 90.0, 0.0]]
    """
    unit = _unit_rows("vector", _rows("vectors", vectors))
    difference = np.linalg.norm(unit[:, None] - unit, axis=2)
    total = np.linalg.norm(unit[:, None] + unit, axis=2)
    between: np.ndarray = np.degrees(2 * np.arctan2(difference, total))
    return between


def simplex_angle(vertices: int) -> float:
    """Compute the angle between any two vertices of a regular simplex, seen from its centre.

    Parameters
    ----------
    vertices : int
        Number of vertices M ≥ 2.

    Returns
    -------
    float
        arccos(−1/(M − 1)) in degrees.

    Raises
    ------
    ValueError
        For fewer than two vertices.

    Notes
    -----
    No M vectors have a larger smallest angle.

    Examples
    --------
    >>> from tinyproto.evaluation.geometry import simplex_angle
    >>> round(simplex_angle(3), 6), round(simplex_angle(10), 2)
    (120.0, 96.38)
    """
    check_count("vertices", vertices, 2)
    return float(np.degrees(np.arccos(-1 / (vertices - 1))))


def compactness(features: np.ndarray, labels: np.ndarray, centres: np.ndarray) -> dict[str, float]:
    """Measure how compact the classes are, and how far apart.

    Parameters
    ----------
    features : array (N, d)
        Features.
    labels : array (N,)
        Integers, indices of centres.
    centres : array (M, d)
        Prototypes, or the `class_means`; M ≥ 2.

    Returns
    -------
    dict of str to float
        - compactness: (1/N) Σᵢ ‖hᵢ − c_{yᵢ}‖, the mean distance of a feature to the centre of its
          class; smaller is more compact;
        - mean_separation: the mean of ‖c_j − c_k‖ over the pairs j < k; larger is more separate;
        - least_separation: the smallest of these distances.

        All are lengths in the features' units: networks of different scale are compared by ratios.

    Raises
    ------
    ValueError
        For wrong shapes, no features, one centre, or a label that has no centre.

    Examples
    --------
    >>> import numpy as np
    >>> from tinyproto.evaluation.geometry import compactness
    >>> centres = np.array([[0.0, 0], [3, 4]])
    >>> compactness(np.array([[0.0, 1], [3, 4]]), np.array([0, 1]), centres)
    {'compactness': 0.5, 'mean_separation': 5.0, 'least_separation': 5.0}
    """
    h, c = _rows("features", features), _rows("centres", centres, at_least=2)
    if c.shape[1] != h.shape[1]:
        raise ValueError(f"centres must be (M, {h.shape[1]}) as the features, not {c.shape}")
    own = np.linalg.norm(h - c[class_indices(labels, len(h), len(c))], axis=1)
    between = np.linalg.norm(c[:, None] - c, axis=2)[np.triu_indices(len(c), 1)]
    return {
        "compactness": float(own.mean()),
        "mean_separation": float(between.mean()),
        "least_separation": float(between.min()),
    }


def class_means(features: np.ndarray, labels: np.ndarray, classes: int) -> np.ndarray:
    """Compute the mean feature of each class.

    Parameters
    ----------
    features : array (N, d)
        Features.
    labels : array (N,)
        Integers in 0 … classes − 1.
    classes : int
        Number of classes.

    Returns
    -------
    array (classes, d)
        Means, float64.

    Raises
    ------
    ValueError
        For wrong shapes, and for a class without a feature.

    Examples
    --------
    >>> import numpy as np
    >>> from tinyproto.evaluation.geometry import class_means
    >>> class_means(np.array([[1.0, 2], [3, 4], [10, 0]]), np.array([1, 1, 0]), 2).tolist()
    [[10.0, 0.0], [2.0, 3.0]]
    """
    h = _rows("features", features)
    check_count("classes", classes)
    y = class_indices(labels, len(h), classes)
    count = np.bincount(y, minlength=classes)
    if not count.all():
        raise ValueError(f"class {int(count.argmin())} of {classes} has no features to take a mean")
    total = np.zeros((classes, h.shape[1]))
    np.add.at(total, y, h)
    return total / count[:, None]


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


def _unit_rows(name: str, rows: np.ndarray) -> np.ndarray:
    """The rows divided by their lengths. Raises ValueError for a row of length 0."""
    length = np.linalg.norm(rows, axis=1, keepdims=True)
    if not length.all():
        raise ValueError(f"{name} {int(length.argmin())} has length 0: its angles are not defined")
    return rows / length


def _rows(name: str, array: np.ndarray, at_least: int = 1) -> np.ndarray:
    """The array in float64. Raises ValueError unless it has enough rows and is finite."""
    return check_rows(array, name, at_least)


def class_indices(labels: np.ndarray, count: int, classes: int, name: str = "labels") -> np.ndarray:
    """The labels as an array. Raises ValueError unless they are `count` indices of classes."""
    return to_host(check_labels(labels, count, classes, name))
