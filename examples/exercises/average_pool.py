"""Exercise 1: the backward pass of average pooling."""

import numpy as np

from tinyproto.layers import Backward, Layer
from tinyproto.parameters import Tree


class AveragePool(Layer):
    """Average pooling with windows that touch: for x (N, H, W, C) and windows of k × k pixels,

        y[n, h, w, c] = 1/k² Σ_{a, b < k} x[n, k h + a, k w + b, c]        (N, ⌊H/k⌋, ⌊W/k⌋, C)

    Rows and columns that are left over at the lower and the right edge are in no window.

    To do: the backward pass, dx (N, H, W, C) from dy (N, ⌊H/k⌋, ⌊W/k⌋, C). A pixel x is in one
    window, or in none: which dy depends on it, and by how much?

    Hint: `np.repeat(dy, k, axis=1)` repeats each row k times.
    """

    def __init__(self, size: int):
        super().__init__()
        self.size = size

    def __call__(self, x: np.ndarray, train: bool = False) -> tuple[np.ndarray, Backward]:
        k, (N, H, W, C) = self.size, x.shape
        inside = x[:, : H // k * k, : W // k * k]
        y = inside.reshape(N, H // k, k, W // k, k, C).mean(axis=(2, 4))

        def backward(dy: np.ndarray, grads: Tree | None = None) -> np.ndarray:
            raise NotImplementedError("the backward pass of AveragePool, in average_pool.py")

        return y, backward
