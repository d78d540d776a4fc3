"""Each gradient is divided by the sum of its own absolute values before it is added."""

import numpy as np

from tinyproto.attacks import Victim
from tinyproto.losses import cross_entropy


def mi_fgsm(
    victim: Victim, x: np.ndarray, y: np.ndarray, *, eps: float, steps: int = 10, decay: float = 1.0
) -> np.ndarray:
    low, high = np.maximum(x - eps, victim.lo), np.minimum(x + eps, victim.hi)
    features = tuple(range(1, x.ndim))
    point, momentum = x, np.zeros_like(x)
    for _ in range(steps):
        z, backward = victim(point)
        gradient = backward(cross_entropy(z, y)[1])
        length = np.abs(gradient).sum(axis=features, keepdims=True)
        momentum = decay * momentum + gradient / np.where(length > 0, length, 1)
        point = np.clip(point + eps / steps * np.sign(momentum), low, high).astype(x.dtype)
    return point
