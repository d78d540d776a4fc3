"""The geometry of a latent space: how near features lie to their class, how far the classes apart.

NumPy on the host, in float64. Features h (N, d) and prototypes c (M, d) are in the same units,
those of the network's feature layer. DPNP (arXiv 2501.02477) and Adv-DPNP (arXiv 2504.03782) name
the two aims, compactness within classes and separation between them; the measures here are ours.
"""

import numpy as np


def plane(
    features: np.ndarray, prototypes: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray, float]:
    """A flat picture of the latent space, by one orthogonal projection: distances never grow.

    Returns the features (N, 2), the prototypes (M, 2) and the share of the features' variance that
    the plane shows. The plane is the first of these that there is:

    1. of three prototypes or more that lie on no line, a plane of their span: how features vary
       across the span changes no class score. Principal axes are no sure guide within it. A regular
       simplex, at which DPNP's repulsion aims, has none (all its singular values are equal), and a
       plane at random puts some classes on top of others though all are equally far apart. So there
       are two candidates, the plane of the two largest singular values of the centred prototypes
       and, with P the corners of a regular polygon, the plane of the rows of

           A = P (Cᵀ)⁺   (least squares: A c_j is corner j, exactly so for a simplex),

       and that one is taken in which the two nearest prototypes are the farther apart; the first
       where they are the same.
    2. the features' two principal axes.

    Axes have a sign: along each, its own largest coordinate is positive; the polygon has its first
    corner at the top and goes clockwise.

    Raises ValueError for arrays that are not (N, d) and (M, d) with N ≥ 2, d ≥ 2, or not finite.
    """
    h = _rows("features", features, at_least=2)
    if h.shape[1] < 2:
        raise ValueError(f"features must have two coordinates or more, not the shape {h.shape}")
    c = np.empty((0, h.shape[1])) if prototypes is None else _rows("prototypes", prototypes)
    if c.shape[1] != h.shape[1]:
        raise ValueError(f"prototypes must be (M, {h.shape[1]}) as the features, not {c.shape}")
    axes, origin = _of_prototypes(c), c.mean(axis=0) if len(c) else None
    if axes is None or origin is None:
        origin = h.mean(axis=0)
        axes = _signed(np.linalg.svd(h - origin, full_matrices=False)[2][:2])
    flat, variance = (h - origin) @ axes.T, ((h - h.mean(axis=0)) ** 2).sum()
    shown = ((flat - flat.mean(axis=0)) ** 2).sum()
    return flat, (c - origin) @ axes.T, float(shown / variance) if variance else 1.0


def angles(vectors: np.ndarray) -> np.ndarray:
    """The angle between every two vectors (M, d), in degrees (M, M).

    As 2 atan2(‖u − v‖, ‖u + v‖) of unit vectors, which is exact also near 0° and 180°, where the
    arc cosine is not. Raises ValueError for a vector of length 0.
    """
    v = _rows("vectors", vectors)
    length = np.linalg.norm(v, axis=1, keepdims=True)
    if not length.all():
        raise ValueError(f"vector {int(length.argmin())} has length 0, and an angle with none")
    unit = v / length
    difference = np.linalg.norm(unit[:, None] - unit, axis=2)
    total = np.linalg.norm(unit[:, None] + unit, axis=2)
    between: np.ndarray = np.degrees(2 * np.arctan2(difference, total))
    return between


def simplex_angle(vertices: int) -> float:
    """The angle between every two corners of a regular simplex about 0, arccos(−1/(M − 1)), in
    degrees: no M ≥ 2 vectors have a larger least angle."""
    if vertices < 2:
        raise ValueError(f"a simplex must have two vertices or more, not {vertices}")
    return float(np.degrees(np.arccos(-1 / (vertices - 1))))


def compactness(features: np.ndarray, labels: np.ndarray, centres: np.ndarray) -> dict[str, float]:
    """How compact the classes are, and how separate. Centres (M, d), M ≥ 2, are the prototypes or
    the `class_means`; labels (N,) are indices of them.

    - compactness: (1/N) Σᵢ ‖hᵢ − c_{yᵢ}‖, the mean distance of a feature to the centre of its own
      class. Smaller is more compact.
    - mean_separation: the mean of ‖c_j − c_k‖ over the pairs j < k. Larger is more separate.
    - least_separation: the least of them, the distance of the two nearest rivals.

    All are lengths, in the features' units: compare their ratios where networks differ in scale.

    Raises ValueError for wrong shapes, no features, one centre, or a label that has no centre.
    """
    h, c = _rows("features", features), _rows("centres", centres, at_least=2)
    if c.shape[1] != h.shape[1]:
        raise ValueError(f"centres must be (M, {h.shape[1]}) as the features, not {c.shape}")
    own = np.linalg.norm(h - c[_labels(labels, len(h), len(c))], axis=1)
    between = np.linalg.norm(c[:, None] - c, axis=2)[np.triu_indices(len(c), 1)]
    return {
        "compactness": float(own.mean()),
        "mean_separation": float(between.mean()),
        "least_separation": float(between.min()),
    }


def class_means(features: np.ndarray, labels: np.ndarray, classes: int) -> np.ndarray:
    """The mean feature of each class (classes, d); labels (N,) are in 0..classes − 1.

    Raises ValueError for wrong shapes, and for a class without a feature, by its number.
    """
    h = _rows("features", features)
    y = _labels(labels, len(h), classes)
    count = np.bincount(y, minlength=classes)
    if not count.all():
        raise ValueError(f"class {int(count.argmin())} of {classes} has no features to take a mean")
    total = np.zeros((classes, h.shape[1]))
    np.add.at(total, y, h)
    return total / count[:, None]


def _of_prototypes(prototypes: np.ndarray) -> np.ndarray | None:
    """Two orthonormal axes (2, d) of the prototypes' span, if it has two."""
    if len(prototypes) < 3:
        return None
    centred = prototypes - prototypes.mean(axis=0)
    _, s, principal = np.linalg.svd(centred, full_matrices=False)
    if s[1] <= 1e-6 * s[0]:
        return None
    turn = 2 * np.pi * np.arange(len(centred)) / len(centred)
    corners = np.stack([np.sin(turn), np.cos(turn)])
    polygon = _orthonormal(corners @ np.linalg.pinv(centred.T, rcond=1e-6))
    gaps = s[:2] - np.append(s, 0.0)[1:3]
    if gaps.min() <= 1e-4 * s[0]:  # equal singular values: rounding alone would choose the axes
        return polygon
    axes = _signed(principal[:2])
    least = [_nearest(centred @ candidate.T) for candidate in (axes, polygon)]
    return axes if least[0] >= (1 - 1e-6) * least[1] else polygon


def _orthonormal(rows: np.ndarray) -> np.ndarray:
    """Gram and Schmidt's axes of two rows, the first along the first."""
    q, r = np.linalg.qr(rows.T)
    axes: np.ndarray = (q * np.where(np.diag(r) < 0, -1, 1)).T
    return axes


def _signed(axes: np.ndarray) -> np.ndarray:
    largest = np.take_along_axis(axes, np.abs(axes).argmax(axis=1)[:, None], axis=1)
    return axes * np.where(largest < 0, -1, 1)


def _nearest(points: np.ndarray) -> float:
    """The distance of the two nearest points."""
    distance = np.linalg.norm(points[:, None] - points, axis=2)
    return float(distance[np.triu_indices(len(points), 1)].min())


def _rows(name: str, array: np.ndarray, at_least: int = 1) -> np.ndarray:
    """The array in float64, if it is one of finite row vectors, so many or more."""
    rows = np.asarray(array, dtype=np.float64)
    if rows.ndim != 2 or len(rows) < at_least or not rows.shape[1]:
        raise ValueError(f"{name} must be (rows ≥ {at_least}, d), not of shape {rows.shape}")
    if not np.isfinite(rows).all():
        at = int(np.argmin(np.isfinite(rows).all(axis=1)))
        raise ValueError(f"{name} must be finite; row {at} is not")
    return rows


def _labels(labels: np.ndarray, count: int, classes: int, name: str = "labels") -> np.ndarray:
    """The labels as an array, if they are so many, 1 or more, of so many classes."""
    y = np.asarray(labels)
    if y.shape != (count,) or y.dtype.kind not in "iu":
        raise ValueError(f"{name} must be integers ({count},), not {y.dtype} {y.shape}")
    if y.min() < 0 or y.max() >= classes:
        raise ValueError(f"{name} must be in 0..{classes - 1}, not {y.min()}..{y.max()}")
    return y
