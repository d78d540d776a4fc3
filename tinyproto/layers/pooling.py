"""Pooling. Windows that would jut out of the image are left out, as PyTorch does."""

import numpy as np

from ..backend import memory
from ..backend.device import Array, array_module
from ..kernels.channels import channel_sums, global_average_pool_backward
from ..kernels.pooling import average_pool, average_pool_backward, max_pool, max_pool_backward
from ..parameters import Tree
from .base import Backward, Layer, check_input, positive_integers


class _Pool2D(Layer):
    def __init__(self, size: int = 2, stride: int | None = None):
        super().__init__()
        self.size, self.stride = size, size if stride is None else stride
        positive_integers(type(self).__name__, size=size, stride=self.stride)

    def _pooled(self, x: Array) -> tuple[int, int, int, int]:
        """The shape of y."""
        name = type(self).__name__
        check_input(name, x, 4)
        if min(x.shape[1:3]) < self.size:
            raise ValueError(f"{name}: windows of {self.size} pixels do not fit {x.shape[1:3]}")
        height, width = ((side - self.size) // self.stride + 1 for side in x.shape[1:3])
        return len(x), height, width, x.shape[3]

    def _checked(self, dy: Array, shape: tuple[int, ...]) -> Array:
        """dy, contiguous. The kernels look at no bounds: another shape must not get to them."""
        if dy.shape != shape:
            raise ValueError(f"{type(self).__name__} expects dy of shape {shape}, not {dy.shape}")
        return array_module(dy).ascontiguousarray(dy)


class MaxPool2D(_Pool2D):
    """The largest of each window (of a tie, the first in reading order), channel by channel."""

    def __call__(self, x: Array, train: bool = False) -> tuple[Array, Backward]:
        xp = array_module(x)
        shape = self._pooled(x)
        x = xp.ascontiguousarray(x)
        y, winner = memory.empty_like(x, shape), xp.empty(shape, dtype=np.uint8)
        if self.size > 15:
            winner = winner.astype(np.int32)
        max_pool(len(x) * shape[1], x, self.stride, self.size, y, winner)

        def backward(dy: Array, grads: Tree | None = None) -> Array:
            dx = memory.empty_like(x)
            dy = self._checked(dy, shape)
            max_pool_backward(len(x) * x.shape[1], dy, winner, self.stride, self.size, dx)
            return dx

        return y, backward


class AveragePool2D(_Pool2D):
    """The mean of each window, channel by channel; a window's dy is shared out equally."""

    def __call__(self, x: Array, train: bool = False) -> tuple[Array, Backward]:
        xp = array_module(x)
        shape = self._pooled(x)
        y = memory.empty_like(x, shape)
        average_pool(len(x) * shape[1], xp.ascontiguousarray(x), self.stride, self.size, y)

        def backward(dy: Array, grads: Tree | None = None) -> Array:
            dx = memory.empty_like(x)
            dy = self._checked(dy, shape)
            average_pool_backward(len(x) * x.shape[1], dy, self.stride, self.size, dx)
            return dx

        return y, backward


class GlobalAveragePool(Layer):
    """The mean over all pixels, (N, H, W, C) ↦ (N, C); dx is dy/(H W) at every pixel."""

    def __call__(self, x: Array, train: bool = False) -> tuple[Array, Backward]:
        xp = array_module(x)
        check_input("GlobalAveragePool", x, 4)
        images, height, width, channels = x.shape
        share = x.dtype.type(1 / (height * width))
        y = xp.empty((images, channels), dtype=x.dtype)
        flat = xp.ascontiguousarray(x).reshape(images, height * width, channels)
        channel_sums(images, flat, y)

        def backward(dy: Array, grads: Tree | None = None) -> Array:
            dx = memory.empty_like(x, (images, height * width, channels))
            global_average_pool_backward(
                images, xp.ascontiguousarray(dy).reshape(images, channels), share, dx
            )
            return dx.reshape(x.shape)

        return y * share, backward
