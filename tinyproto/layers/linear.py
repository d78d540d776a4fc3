"""Linear layers, and images as rows of numbers.

    y = x W + b       dx = dy Wᵀ       dW = xᵀ dy       db = Σ_n dy_n

The products that an attack needs are taken example by example, so that an example's bits do not
depend on the batch it came in.
"""

import math

import numpy as np

from ..backend.blas import one_blas_thread
from ..backend.device import Array, array_module
from ..parameters import Tree
from .base import Backward, Layer, check_input, initialize, positive_integers


def rowwise(x: Array, weight: Array) -> Array:
    """x (N, k) times weight (k, o), each row by itself."""
    with one_blas_thread():
        product: Array = array_module(x).matmul(x[:, None, :], weight)[:, 0, :]
    return product


class Linear(Layer):
    """y (N, out_features) of x (N, in_features). Parameters: weight (in, out), bias (out,)."""

    def __init__(self, in_features: int, out_features: int, *, bias: bool = True):
        positive_integers("Linear", in_features=in_features, out_features=out_features)
        self.params = {"weight": np.zeros((in_features, out_features), dtype=np.float32)}
        if bias:
            self.params["bias"] = np.zeros(out_features, dtype=np.float32)
        initialize(self, seed=0)

    def __call__(self, x: Array, train: bool = False) -> tuple[Array, Backward]:
        weight = self.params["weight"]
        check_input("Linear", x, 2, len(weight))
        y = rowwise(x, weight)
        if "bias" in self.params:
            y += self.params["bias"]

        def backward(dy: Array, grads: Tree | None = None) -> Array:
            if grads and "weight" in grads:
                with one_blas_thread():
                    grads["weight"] += x.T @ dy
            if grads and "bias" in grads:
                grads["bias"] += dy.sum(axis=0)
            return rowwise(dy, weight.T)

        return y, backward


class Flatten(Layer):
    """(N, …) as (N, d)."""

    def __call__(self, x: Array, train: bool = False) -> tuple[Array, Backward]:
        def backward(dy: Array, grads: Tree | None = None) -> Array:
            return dy.reshape(x.shape)

        return x.reshape(len(x), math.prod(x.shape[1:])), backward
