"""Layers that act on each number by itself."""

import math
from collections.abc import Sequence

import numpy as np

from ..backend import memory
from ..backend.device import Array, array_module
from ..kernels.channels import channel_affine, relu, relu_backward
from ..parameters import Tree
from .base import Backward, Layer
from .checks import TINY, check_backward, check_floats
from .rows import pixel_rows


class ReLU(Layer):
    """y = max(x, 0), for x of any shape.

    dx is dy where y > 0, and 0 elsewhere, so also at x = 0. A NaN stays a NaN.

    Examples
    --------
    >>> import numpy as np
    >>> from tinyproto.layers import ReLU
    >>> y, backward = ReLU()(np.array([[-1.0, 0.0, 2.0]]))
    >>> y
    array([[0., 0., 2.]])
    >>> backward(np.ones((1, 3)))
    array([[0., 0., 1.]])
    """

    def __call__(self, x: Array, train: bool = False) -> tuple[Array, Backward]:
        check_floats("ReLU", "x", x)
        if x.ndim == 0:
            raise ValueError("ReLU expects x of shape (N, …), not ()")
        xp, shape = array_module(x), x.shape
        flat = xp.ascontiguousarray(x).reshape(len(x), math.prod(x.shape[1:]))
        y = memory.empty_like(flat)
        relu(len(flat), flat, y)

        def backward(dy: Array, grads: Tree | None = None) -> Array:
            check_backward(self, dy, shape, grads)
            dx = memory.empty_like(y)
            relu_backward(len(y), y, xp.ascontiguousarray(dy).reshape(y.shape), dx)
            return dx.reshape(shape)

        return y.reshape(shape), backward


class Normalize(Layer):
    """y = (x − mean)/std, channel by channel.

    As the first layer of a network, it lets attacks work on pixels in [0, 1].

    Parameters
    ----------
    mean, std : sequence of float
        One number a channel, of the last axis of x; std above 0.

    Raises
    ------
    ValueError
        If std is not above 0 or not as long as mean, or a number is not finite; when called, for
        another number of channels.

    Examples
    --------
    >>> import numpy as np
    >>> from tinyproto.layers import Normalize
    >>> y, backward = Normalize([0.5, 0.5], [0.25, 0.125])(np.array([[1.0, 0.5]]))
    >>> y
    array([[2., 0.]])
    >>> backward(np.ones((1, 2)))
    array([[4., 8.]])
    """

    def __init__(self, mean: Sequence[float], std: Sequence[float]):
        super().__init__()
        if len(mean) != len(std) or not all(TINY < s < 1 / TINY for s in std):
            raise ValueError(f"Normalize: std must hold {len(mean)} numbers above 0, not {std!r}")
        if not all(abs(m) < 1 / TINY for m in mean):
            raise ValueError(f"Normalize: mean must hold finite numbers, not {mean!r}")
        self.mean, self.std = tuple(map(float, mean)), tuple(map(float, std))

    def __repr__(self) -> str:
        return f"{type(self).__name__}(mean={self.mean}, std={self.std})"

    def __call__(self, x: Array, train: bool = False) -> tuple[Array, Backward]:
        xp = array_module(x)
        check_floats("Normalize", "x", x)
        if x.ndim < 2:
            raise ValueError(f"Normalize expects x of shape (N, …, C), not {x.shape}")
        if x.shape[-1] != len(self.mean):
            raise ValueError(f"Normalize expects {len(self.mean)} channels, not {x.shape[-1]}")
        gain = xp.asarray(1 / np.asarray(self.std), dtype=x.dtype)
        mean = xp.asarray(self.mean, dtype=x.dtype)

        def affine(x: Array, centre: Array) -> Array:
            flat = pixel_rows(xp.ascontiguousarray(x))
            y = memory.empty_like(flat)
            channel_affine(len(flat), flat, centre, gain, 0 * gain, x.dtype.type(-np.inf), y)
            return y.reshape(x.shape)

        def backward(dy: Array, grads: Tree | None = None) -> Array:
            check_backward(self, dy, x.shape, grads)
            return affine(dy, 0 * mean)

        return affine(x, mean), backward
