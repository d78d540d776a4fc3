"""Layers that act on each number by itself."""

import math
from collections.abc import Sequence
from typing import Any

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
        check_sequences("Normalize", mean=mean, std=std)
        if len(mean) != len(std) or not all(TINY < s < 1 / TINY for s in std):
            raise ValueError(f"Normalize: std must hold {len(mean)} numbers above 0, not {std!r}")
        if not all(abs(m) < 1 / TINY for m in mean):
            raise ValueError(f"Normalize: mean must hold finite numbers, not {mean!r}")
        self.mean, self.std = tuple(map(float, mean)), tuple(map(float, std))

    def __repr__(self) -> str:
        return f"{type(self).__name__}(mean={self.mean}, std={self.std})"

    def __call__(self, x: Array, train: bool = False) -> tuple[Array, Backward]:
        xp = array_module(x)
        check_channels("Normalize", x, len(self.mean))
        gain = xp.asarray(1 / np.asarray(self.std), dtype=x.dtype)
        mean = xp.asarray(self.mean, dtype=x.dtype)
        return _affine(self, x, mean, gain, 0 * gain)


class Affine(Layer):
    """y = scale · x + shift, channel by channel, with constants that are not learned.

    dx = scale · dy. `Normalize` is the same in other words, for a scale above 0.

    Parameters
    ----------
    scale, shift : sequence of float
        One number a channel, of the last axis of x.

    Raises
    ------
    ValueError
        If the two differ in length, or a number is not finite; when called, for another number of
        channels.

    Examples
    --------
    >>> import numpy as np
    >>> from tinyproto.layers import Affine
    >>> y, backward = Affine([-1.0, 2.0], [1.0, 0.0])(np.array([[0.25, 0.5]]))
    >>> y
    array([[0.75, 1.  ]])
    >>> backward(np.ones((1, 2)))
    array([[-1.,  2.]])
    """

    def __init__(self, scale: Sequence[float], shift: Sequence[float]):
        super().__init__()
        check_sequences("Affine", scale=scale, shift=shift)
        for name, values in (("scale", scale), ("shift", shift)):
            if len(values) != len(scale) or not all(abs(v) < 1 / TINY for v in values):
                raise ValueError(
                    f"Affine: {name} must hold {len(scale)} finite numbers, not {values!r}"
                )
        self.scale, self.shift = tuple(map(float, scale)), tuple(map(float, shift))

    def __repr__(self) -> str:
        return f"{type(self).__name__}(scale={self.scale}, shift={self.shift})"

    def __call__(self, x: Array, train: bool = False) -> tuple[Array, Backward]:
        xp = array_module(x)
        check_channels("Affine", x, len(self.scale))
        scale = xp.asarray(self.scale, dtype=x.dtype)
        return _affine(self, x, 0 * scale, scale, xp.asarray(self.shift, dtype=x.dtype))


def check_sequences(owner: str, **values: Any) -> None:
    """Raise ValueError for the first that is no sequence, or an empty one."""
    for name, numbers in values.items():
        if not hasattr(numbers, "__len__"):
            raise ValueError(f"{owner}: {name} must be a sequence of numbers, not {numbers!r}")
        if not len(numbers):
            raise ValueError(f"{owner}: {name} must hold one number or more")


def check_channels(owner: str, x: Array, channels: int) -> None:
    """Raise ValueError unless x has the shape (N, …, channels), in floating-point numbers."""
    check_floats(owner, "x", x)
    if x.ndim < 2:
        raise ValueError(f"{owner} expects x of shape (N, …, C), not {x.shape}")
    if x.shape[-1] != channels:
        raise ValueError(f"{owner} expects {channels} channels, not {x.shape[-1]}")


def _affine(
    layer: Layer, x: Array, mean: Array, gain: Array, shift: Array
) -> tuple[Array, Backward]:
    """y = (x − mean) gain + shift, and dx = dy gain."""
    xp = array_module(x)

    def affine(x: Array, mean: Array, shift: Array) -> Array:
        flat = pixel_rows(xp.ascontiguousarray(x))
        y = memory.empty_like(flat)
        channel_affine(len(flat), flat, mean, gain, shift, x.dtype.type(-np.inf), y)
        return y.reshape(x.shape)

    def backward(dy: Array, grads: Tree | None = None) -> Array:
        check_backward(layer, dy, x.shape, grads)
        return affine(dy, 0 * mean, 0 * shift)

    return affine(x, mean, shift), backward
