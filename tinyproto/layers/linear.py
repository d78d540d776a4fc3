"""Linear layers, and flattening images into rows.

    y = x W + b       dx = dy Wᵀ       dW = xᵀ dy       db = Σ_n dy_n

y and dx are computed example by example, so that the bits of an example do not depend on the batch
that it is in.
"""

import math

import numpy as np

from ..backend.blas import one_blas_thread
from ..backend.device import Array, array_module
from ..parameters import Tree
from .base import Backward, Layer, initialize
from .checks import check_backward, check_input, check_parameters, positive_integers


def rowwise(x: Array, weight: Array) -> Array:
    """x (N, k) times weight (k, o), one row at a time."""
    with one_blas_thread():
        product: Array = array_module(x).matmul(x[:, None, :], weight)[:, 0, :]
    return product


class Linear(Layer):
    """Linear layer: y = x W + b, for x (N, in_features).

    Parameters
    ----------
    in_features, out_features : int
    bias : bool
        Whether to add a bias.

    Attributes
    ----------
    params : dict
        "weight" (in_features, out_features), drawn by `initialize` with seed 0, and "bias"
        (out_features,), zeros.

    Raises
    ------
    ValueError
        For a size below 1; when called, for x, a parameter or dy of another shape.

    Examples
    --------
    >>> import numpy as np
    >>> from tinyproto.layers import Linear
    >>> layer = Linear(2, 1)
    >>> layer.params["weight"][...] = [[3], [4]]
    >>> y, backward = layer(np.ones((1, 2), np.float32))
    >>> y
    array([[7.]], dtype=float32)
    >>> backward(np.ones((1, 1), np.float32))
    array([[3., 4.]], dtype=float32)
    """

    def __init__(self, in_features: int, out_features: int, *, bias: bool = True):
        positive_integers("Linear", in_features=in_features, out_features=out_features)
        self.in_features, self.out_features = in_features, out_features
        self.parameter_shapes = {"weight": (in_features, out_features), "bias": (out_features,)}
        self.params = {"weight": np.zeros((in_features, out_features), dtype=np.float32)}
        if bias:
            self.params["bias"] = np.zeros(out_features, dtype=np.float32)
        initialize(self, seed=0)

    def __repr__(self) -> str:
        bias = "" if "bias" in self.params else ", bias=False"
        return f"{type(self).__name__}({self.in_features}, {self.out_features}{bias})"

    def __call__(self, x: Array, train: bool = False) -> tuple[Array, Backward]:
        check_input("Linear", x, 2, self.in_features)
        check_parameters(self, x)
        xp, shape = array_module(x), (len(x), self.out_features)
        x, weight = xp.ascontiguousarray(x), xp.ascontiguousarray(self.params["weight"])
        y = rowwise(x, weight)
        if "bias" in self.params:
            y += self.params["bias"]

        def backward(dy: Array, grads: Tree | None = None) -> Array:
            check_backward(self, dy, shape, grads)
            dy = xp.ascontiguousarray(dy)
            if grads and "weight" in grads:
                with one_blas_thread():
                    grads["weight"] += x.T @ dy
            if grads and "bias" in grads:
                grads["bias"] += dy.sum(axis=0)
            return rowwise(dy, weight.T)

        return y, backward


class Flatten(Layer):
    """Flatten each example: (N, …) as (N, d).

    Examples
    --------
    >>> import numpy as np
    >>> from tinyproto.layers import Flatten
    >>> y, backward = Flatten()(np.zeros((5, 4, 4, 3)))
    >>> y.shape, backward(y).shape
    ((5, 48), (5, 4, 4, 3))
    """

    def __call__(self, x: Array, train: bool = False) -> tuple[Array, Backward]:
        if np.ndim(x) == 0:
            raise ValueError(f"Flatten expects an array of shape (N, …), not {x!r}")
        shape = (len(x), math.prod(x.shape[1:]))

        def backward(dy: Array, grads: Tree | None = None) -> Array:
            check_backward(self, dy, shape, grads)
            return dy.reshape(x.shape)

        return x.reshape(shape), backward
