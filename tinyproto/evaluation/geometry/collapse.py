"""Neural collapse of a latent space, and how well the classes are separated in it.

At the end of training, deep classifiers tend to a state that Papyan, Han and Donoho (PNAS 2020,
arXiv 2008.08186) call neural collapse, and measure by four numbers, all 0 when it is complete. With
the class means μ_c of the features h, their mean μ̄, the centred means m_c = μ_c − μ̄ as the rows of
M (C, d), and the prototypes or last-layer weights W (C, d):

    NC1   tr(Σ_W Σ_B⁺) / C                         the features vary within their classes, Σ_W =
                                                   mean (h − μ_y)(h − μ_y)ᵀ, less than the means
                                                   vary, Σ_B = mean m_c m_cᵀ
    NC2   std ‖m_c‖ / mean ‖m_c‖                   the means have equal lengths,
          mean |cos(m_c, m_k) + 1 / (C − 1)|       and equal angles, those of a regular simplex
    NC3   ‖W/‖W‖ − M/‖M‖‖                          the prototypes are the means (Frobenius norms)
    NC4   fraction of arg max W·h ≠ nearest mean   the decision is that of the nearest class mean
"""

from typing import Any

import numpy as np

from ...prototypes.dpnp import simplex
from ...prototypes.validation import check_rows
from ...validation import check_count
from .checks import check_classed, class_indices, unit_rows
from .distances import class_means

CUTOFF = 1e-10  # of M's largest singular value: the last of C is 0, but for rounding
ROWS = 1024  # of the distances of all pairs, at once


def neural_collapse(
    features: np.ndarray, labels: np.ndarray, prototypes: np.ndarray, bias: Any = 0.0
) -> dict[str, float]:
    """The four measures of neural collapse.

    Parameters
    ----------
    features : array (N, d)
        Features, of every class some.
    labels : array (N,)
        Integers in 0 … C − 1.
    prototypes : array (C, d)
        Those of the classes, or the weights of the last layer; C ≥ 2.
    bias : float or array (C,)
        That of the last layer.

    Returns
    -------
    dict of str to float
        "NC1 within / between", "NC2 lengths", "NC2 angles", "NC3 prototypes", "NC4 decisions"; all
        0 or more, 0 for complete collapse. None depends on the scale of the features.

    Raises
    ------
    ValueError
        For wrong shapes, a class without features, and classes with the same mean.

    Examples
    --------
    >>> import numpy as np
    >>> from tinyproto.evaluation.geometry import neural_collapse
    >>> corners = np.array([[2.0, 0], [-1, 3**0.5], [-1, -(3**0.5)]])
    >>> collapsed = neural_collapse(np.repeat(corners, 5, axis=0), np.repeat(range(3), 5), corners)
    >>> [round(value, 6) for value in collapsed.values()]
    [0.0, 0.0, 0.0, 0.0, 0.0]
    """
    h, y, w = check_classed(features, labels, prototypes)
    classes = len(w)
    means = class_means(h, y, classes)
    centred = means - means.mean(axis=0)
    unit = unit_rows("class mean", centred)
    # Σ_B = MᵀM / C has rank C − 1 at most: the trace needs M's pseudoinverse alone.
    within = (h - means[y]) @ np.linalg.pinv(centred, rcond=CUTOFF)
    lengths = np.linalg.norm(centred, axis=1)
    pairs = np.triu_indices(classes, 1)
    distances = ((h**2).sum(axis=1)[:, None] - 2 * h @ means.T) + (means**2).sum(axis=1)
    decision = (h @ w.T + bias).argmax(axis=1)
    return {
        "NC1 within / between": float((within**2).sum(axis=1).mean()),
        "NC2 lengths": float(lengths.std() / lengths.mean()),
        "NC2 angles": float(np.abs((unit @ unit.T)[pairs] + 1 / (classes - 1)).mean()),
        "NC3 prototypes": float(
            np.linalg.norm(w / np.linalg.norm(w) - centred / np.linalg.norm(centred))
        ),
        "NC4 decisions": float((decision != distances.argmin(axis=1)).mean()),
    }


def simplex_distance(prototypes: np.ndarray) -> float:
    """How far the angles of prototypes are from those of a regular simplex.

    Parameters
    ----------
    prototypes : array (C, d)
        Of any length but 0; C ≥ 2.

    Returns
    -------
    float
        ‖G / ‖G‖ − S / ‖S‖‖ in the Frobenius norm, with the Gram matrix G of the prototypes divided
        by their lengths and that of a regular simplex, S. 0 for a regular simplex.

    Raises
    ------
    ValueError
        For one prototype, one of length 0, or values that are not finite.

    Examples
    --------
    >>> import numpy as np
    >>> from tinyproto.evaluation.geometry import simplex_distance
    >>> round(simplex_distance(np.array([[2.0, 0], [-1, 3**0.5], [-1, -(3**0.5)]])), 6)
    0.0
    >>> round(simplex_distance(np.eye(3)), 3)
    0.606
    """
    unit = unit_rows("prototype", check_rows(prototypes, "prototypes", at_least=2))
    corners = simplex(len(unit))
    found, wanted = unit @ unit.T, corners @ corners.T
    return float(np.linalg.norm(found / np.linalg.norm(found) - wanted / np.linalg.norm(wanted)))


def separation(features: np.ndarray, labels: np.ndarray, classes: int) -> dict[str, float]:
    """Fisher's ratio and the silhouette of the classes.

    Parameters
    ----------
    features : array (N, d)
        Features, of every class some.
    labels : array (N,)
        Integers in 0 … C − 1.
    classes : int
        C, 2 or more.

    Returns
    -------
    dict of str to float
        - "Fisher ratio": Σ_c n_c ‖μ_c − μ̄‖² / Σᵢ ‖hᵢ − μ_{yᵢ}‖², between over within the classes;
          ∞ where the classes are points;
        - "silhouette": the mean of `silhouette`.

        Larger is better separated, and neither depends on the scale of the features.

    Raises
    ------
    ValueError
        For wrong shapes, fewer than two classes, and a class without features.

    Examples
    --------
    >>> import numpy as np
    >>> from tinyproto.evaluation.geometry import separation
    >>> features = np.array([[0.0], [2.0], [10.0], [12.0]])
    >>> separation(features, np.array([0, 0, 1, 1]), 2)["Fisher ratio"]
    25.0
    """
    h, y, _ = _classes(features, labels, classes)
    means = class_means(h, y, classes)
    within = float(((h - means[y]) ** 2).sum())
    between = float(((means[y] - h.mean(axis=0)) ** 2).sum())
    return {
        "Fisher ratio": between / within if within else float("inf"),
        "silhouette": float(silhouette(h, y, classes).mean()),
    }


def silhouette(features: np.ndarray, labels: np.ndarray, classes: int) -> np.ndarray:
    """The silhouette of every feature (Rousseeuw, 1987).

    Parameters
    ----------
    features : array (N, d)
        Features, of every class some.
    labels : array (N,)
        Integers in 0 … C − 1.
    classes : int
        C, 2 or more.

    Returns
    -------
    array (N,)
        (b − a) / max(a, b), between −1 and 1: a is the mean distance to the other features of the
        class, b the least mean distance to those of another class. 0 for the only one of its class.

    Raises
    ------
    ValueError
        As `separation` does.

    Examples
    --------
    >>> import numpy as np
    >>> from tinyproto.evaluation.geometry import silhouette
    >>> silhouette(np.array([[0.0], [2.0], [10.0]]), np.array([0, 0, 1]), 2).tolist()
    [0.8, 0.75, 0.0]
    """
    h, y, counts = _classes(features, labels, classes)
    member = np.eye(classes)[y]
    square = (h**2).sum(axis=1)
    found = np.empty(len(h))
    for start in range(0, len(h), ROWS):
        part = slice(start, start + ROWS)
        own = y[part]
        at = np.arange(len(own))
        distance = np.maximum(square[part, None] - 2 * h[part] @ h.T + square, 0)
        distance[at, at + start] = 0
        total = np.sqrt(distance) @ member
        a = total[at, own] / np.maximum(counts[own] - 1, 1)
        means = total / counts
        means[at, own] = np.inf
        b = means.min(axis=1)
        largest = np.maximum(a, b)
        alone = (counts[own] == 1) | (largest == 0)
        found[part] = np.where(alone, 0, (b - a) / np.where(alone, 1, largest))
    return found


def _classes(
    features: np.ndarray, labels: np.ndarray, classes: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Features and labels of two classes or more, and how many each class has: 1 or more."""
    h = check_rows(features, "features")
    check_count("classes", classes, 2)
    y = class_indices(labels, len(h), classes)
    counts = np.bincount(y, minlength=classes)
    if not counts.all():
        raise ValueError(f"class {int(counts.argmin())} of {classes} has no features")
    return h, y, counts
