"""Every pixel of a window has the weight 1/k² in its mean: dx = dy/k², and 0 outside of windows."""

import numpy as np

from tinyproto.layers import Backward, Layer
from tinyproto.parameters import Tree


class AveragePool(Layer):
    def __init__(self, size: int):
        super().__init__()
        self.size = size

    def __call__(self, x: np.ndarray, train: bool = False) -> tuple[np.ndarray, Backward]:
        k, (N, H, W, C) = self.size, x.shape
        inside = x[:, : H // k * k, : W // k * k]
        y = inside.reshape(N, H // k, k, W // k, k, C).mean(axis=(2, 4))

        def backward(dy: np.ndarray, grads: Tree | None = None) -> np.ndarray:
            dx = np.zeros(x.shape, x.dtype)
            dx[:, : H // k * k, : W // k * k] = dy.repeat(k, axis=1).repeat(k, axis=2) / k**2
            return dx

        return y, backward
