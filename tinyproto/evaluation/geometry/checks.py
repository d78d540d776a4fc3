"""Checks of features, labels and the vectors of classes; rows of length 1."""

import numpy as np

from ...backend.device import to_host
from ...prototypes.validation import check_rows
from ...validation import check_labels


def check_classed(
    features: np.ndarray, labels: np.ndarray, vectors: np.ndarray, name: str = "prototypes"
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Features h (N, d), labels y (N,) and a vector c_j of each class (M, d), M ≥ 2, in float64.
    Raises ValueError for other shapes, labels without a vector, and what is not finite."""
    h, c = check_rows(features, "features"), check_rows(vectors, name, at_least=2)
    if c.shape[1] != h.shape[1]:
        raise ValueError(f"{name} must be (M, {h.shape[1]}) as the features, not {c.shape}")
    return h, class_indices(labels, len(h), len(c)), c


def class_indices(labels: np.ndarray, count: int, classes: int, name: str = "labels") -> np.ndarray:
    """The labels as an array. Raises ValueError unless they are `count` indices of classes."""
    return to_host(check_labels(labels, count, classes, name))


def unit_rows(name: str, rows: np.ndarray) -> np.ndarray:
    """The rows divided by their lengths. Raises ValueError for a row of length 0."""
    length = np.linalg.norm(rows, axis=1, keepdims=True)
    if not length.all():
        raise ValueError(f"{name} {int(length.argmin())} has length 0: its angles are not defined")
    return rows / length
