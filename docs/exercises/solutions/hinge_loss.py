"""With r the largest rival: dz = 1_r − 1_y where the value is above 0, and 0 elsewhere."""

import numpy as np


def hinge_loss(z: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    rows, rivals = np.arange(len(z)), z.copy()
    rivals[rows, y] = -np.inf
    r = rivals.argmax(axis=1)
    value = np.maximum(0, 1 + z[rows, r] - z[rows, y])
    dz = np.zeros_like(z)
    dz[rows, r], dz[rows, y] = value > 0, -(value > 0).astype(z.dtype)
    return value, dz
