"""Angles of features and prototypes, in degrees."""

import numpy as np

from ...prototypes.validation import check_rows
from ...validation import check_count
from .checks import check_classed, unit_rows


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
    h, y, c = check_classed(features, labels, prototypes)
    cosine = unit_rows("feature", h) @ unit_rows("prototype", c).T
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
    unit = unit_rows("vector", check_rows(vectors, "vectors"))
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
