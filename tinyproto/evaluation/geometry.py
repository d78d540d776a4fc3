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

__all__ = ["class_means", "compactness", "pairwise_angles", "project_to_plane", "simplex_angle"]


def project_to_plane(
    features: np.ndarray, prototypes: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray, float]:
    """Project a latent space orthogonally to a plane, for a picture; no distance grows.

    Parameters
    ----------
    features : array (N, d)
        Features, N ≥ 2 and d ≥ 2.
    prototypes : array (M, d), optional
        Prototypes, or other vectors of the classes.

    Returns
    -------
    features : array (N, 2)
        Projected features.
    prototypes : array (M, 2)
        Projected prototypes; M = 0 where none were given.
    explained_variance_ratio : float
        Fraction of the features' variance that the plane shows.

    Raises
    ------
    ValueError
        For arrays of other shapes, or that are not finite.

    Notes
    -----
    With three prototypes or more that do not lie on a line, the plane lies in their span: how
    features vary across the span changes no class score. Otherwise it is that of the features' two
    principal axes.

    Within the span, principal axes alone are not enough. A regular simplex, the optimum of DPNP's
    repulsion, has no preferred axes (all its singular values are equal), and an arbitrary plane
    draws some classes on top of others though all are equally far apart. So there are two
    candidates: the plane of the two largest singular values of the centred prototypes C, and, with
    P the corners of a regular polygon, the plane of the rows of

        A = P (Cᵀ)⁺   (least squares: A c_j is corner j, exactly so for a simplex).

    The one in which the two nearest prototypes are farther apart is taken; the first if they are
    equal.

    The sign of an axis is chosen so that its largest coordinate is positive; the first corner of
    the polygon is at the top, and the others follow clockwise.

    Examples
    --------
    >>> import numpy as np
    >>> from tinyproto.evaluation.geometry import project_to_plane
    >>> features = np.random.default_rng(0).normal(size=(50, 4)) * [3, 1, 0, 0]
    >>> flat, _, ratio = project_to_plane(features)
    >>> flat.shape, round(ratio, 6)
    ((50, 2), 1.0)
    """
    h = _rows("features", features, at_least=2)
    if h.shape[1] < 2:
        raise ValueError(f"features must have two coordinates or more, not the shape {h.shape}")
    c = np.empty((0, h.shape[1])) if prototypes is None else _rows("prototypes", prototypes)
    if c.shape[1] != h.shape[1]:
        raise ValueError(f"prototypes must be (M, {h.shape[1]}) as the features, not {c.shape}")
    axes, origin = _prototype_axes(c), c.mean(axis=0) if len(c) else None
    if axes is None or origin is None:
        origin = h.mean(axis=0)
        axes = _fix_signs(np.linalg.svd(h - origin, full_matrices=False)[2][:2])
    flat, variance = (h - origin) @ axes.T, ((h - h.mean(axis=0)) ** 2).sum()
    explained = ((flat - flat.mean(axis=0)) ** 2).sum()
    return flat, (c - origin) @ axes.T, float(explained / variance) if variance else 1.0


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
    v = _rows("vectors", vectors)
    length = np.linalg.norm(v, axis=1, keepdims=True)
    if not length.all():
        raise ValueError(f"vector {int(length.argmin())} has length 0: its angles are not defined")
    unit = v / length
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


def _prototype_axes(prototypes: np.ndarray) -> np.ndarray | None:
    """Two orthonormal axes (2, d) in the span of the prototypes, if it has two."""
    if len(prototypes) < 3:
        return None
    centred = prototypes - prototypes.mean(axis=0)
    _, s, principal = np.linalg.svd(centred, full_matrices=False)
    if s[1] <= 1e-6 * s[0]:
        return None
    angle = 2 * np.pi * np.arange(len(centred)) / len(centred)
    corners = np.stack([np.sin(angle), np.cos(angle)])
    polygon = _orthonormal(corners @ np.linalg.pinv(centred.T, rcond=1e-6))
    gaps = s[:2] - np.append(s, 0.0)[1:3]
    if gaps.min() <= 1e-4 * s[0]:  # equal singular values: rounding alone would choose the axes
        return polygon
    axes = _fix_signs(principal[:2])
    nearest = [_smallest_distance(centred @ candidate.T) for candidate in (axes, polygon)]
    return axes if nearest[0] >= (1 - 1e-6) * nearest[1] else polygon


def _orthonormal(rows: np.ndarray) -> np.ndarray:
    """The axes of two rows by Gram-Schmidt: the first axis has the direction of the first row."""
    q, r = np.linalg.qr(rows.T)
    axes: np.ndarray = (q * np.where(np.diag(r) < 0, -1, 1)).T
    return axes


def _fix_signs(axes: np.ndarray) -> np.ndarray:
    """The axes with signs for which the largest coordinate of each is positive."""
    largest = np.take_along_axis(axes, np.abs(axes).argmax(axis=1)[:, None], axis=1)
    return axes * np.where(largest < 0, -1, 1)


def _smallest_distance(points: np.ndarray) -> float:
    """The distance between the two nearest points."""
    distance = np.linalg.norm(points[:, None] - points, axis=2)
    return float(distance[np.triu_indices(len(points), 1)].min())


def _rows(name: str, array: np.ndarray, at_least: int = 1) -> np.ndarray:
    """The array in float64. Raises ValueError unless it has enough rows and is finite."""
    return check_rows(array, name, at_least)


def class_indices(labels: np.ndarray, count: int, classes: int, name: str = "labels") -> np.ndarray:
    """The labels as an array. Raises ValueError unless they are `count` indices of classes."""
    return to_host(check_labels(labels, count, classes, name))
