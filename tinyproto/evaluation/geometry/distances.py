"""How compact the classes are, and how far apart: distances in the units of the features.

DPNP (arXiv 2501.02477) and Adv-DPNP (arXiv 2504.03782) name the two aims, compactness within
classes and separation between them; the measures here are ours.
"""

import numpy as np

from ...prototypes.validation import check_rows
from ...validation import check_count
from .checks import check_classed, class_indices


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
    h, y, c = check_classed(features, labels, centres, "centres")
    own = np.linalg.norm(h - c[y], axis=1)
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
    h = check_rows(features, "features")
    check_count("classes", classes)
    y = class_indices(labels, len(h), classes)
    count = np.bincount(y, minlength=classes)
    if not count.all():
        raise ValueError(f"class {int(count.argmin())} of {classes} has no features to take a mean")
    total = np.zeros((classes, h.shape[1]))
    np.add.at(total, y, h)
    return total / count[:, None]


def prototype_distances(
    features: np.ndarray, labels: np.ndarray, prototypes: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Compute the distance of each feature to its own prototype, and to the nearest other one.

    Parameters
    ----------
    features : array (N, d)
        Features.
    labels : array (N,)
        Integers, indices of prototypes.
    prototypes : array (M, d)
        A vector for each class; M ≥ 2.

    Returns
    -------
    own, rival : array (N,)
        Distances in the features' units. With prototypes of one length and no bias, a feature is
        classified correctly where own < rival: ‖h − c_j‖² = ‖h‖² − 2 h · c_j + ‖c_j‖².

    Raises
    ------
    ValueError
        For wrong shapes, values that are not finite, or a label that has no prototype.

    Examples
    --------
    >>> import numpy as np
    >>> from tinyproto.evaluation.geometry import prototype_distances
    >>> prototypes = np.array([[0.0, 0], [3, 4]])
    >>> own, rival = prototype_distances(np.array([[0.0, 0], [3, 0]]), np.array([0, 0]), prototypes)
    >>> own.tolist(), rival.tolist()
    ([0.0, 3.0], [5.0, 4.0])
    """
    h, y, c = check_classed(features, labels, prototypes)
    distances = np.stack([np.linalg.norm(h - prototype, axis=1) for prototype in c], axis=1)
    own = distances[np.arange(len(y)), y]
    distances[np.arange(len(y)), y] = np.inf
    return own, distances.min(axis=1)
