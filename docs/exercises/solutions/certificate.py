"""‖x − w_j‖² − ‖x − w_y‖² = 2 (w_y − w_j)·x + ‖w_j‖² − ‖w_y‖² is linear in x: it is 0 on the
hyperplane halfway between the two prototypes, and grows by 2 ‖w_y − w_j‖ for each unit away. So

    radius = min_{j≠y} (‖x − w_j‖² − ‖x − w_y‖²) / (2 ‖w_y − w_j‖).

The nearest point of that hyperplane is as near to w_y as to w_j; should a third prototype be nearer
to it, then its own hyperplane has been crossed before, and its distance is the smaller one.
"""

import numpy as np


def certified_radius(prototypes: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    squared = ((x[:, None] - prototypes) ** 2).sum(axis=2)
    own = squared[np.arange(len(x)), y]
    between = np.linalg.norm(prototypes[y][:, None] - prototypes, axis=2)
    with np.errstate(invalid="ignore"):  # 0/0 at the label's own column
        distance = (squared - own[:, None]) / (2 * between)
    distance[np.arange(len(x)), y] = np.inf
    return np.maximum(distance.min(axis=1), 0)
