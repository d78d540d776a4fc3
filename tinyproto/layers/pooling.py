"""Pooling. As in PyTorch, there are no outputs for windows that are partly outside the image."""

import numpy as np

from ..backend import memory
from ..backend.device import Array, array_module
from ..kernels.channels import channel_sums, global_average_pool_backward
from ..kernels.pooling import average_pool, average_pool_backward, max_pool, max_pool_backward
from ..parameters import Tree
from .base import Backward, Layer
from .checks import check_backward, check_input, positive_integers


class _Pool2D(Layer):
    """What the two kinds of pooling with windows have in common."""

    def __init__(self, kernel_size: int = 2, stride: int | None = None):
        super().__init__()
        self.kernel_size, self.stride = kernel_size, kernel_size if stride is None else stride
        positive_integers(type(self).__name__, kernel_size=kernel_size, stride=self.stride)

    def __repr__(self) -> str:
        stride = "" if self.stride == self.kernel_size else f", stride={self.stride}"
        return f"{type(self).__name__}({self.kernel_size}{stride})"

    def _output_shape(self, x: Array) -> tuple[int, int, int, int]:
        name = type(self).__name__
        check_input(name, x, 4)
        if min(x.shape[1:3]) < self.kernel_size:
            raise ValueError(
                f"{name}: windows of {self.kernel_size} pixels do not fit {x.shape[1:3]}"
            )
        height, width = ((side - self.kernel_size) // self.stride + 1 for side in x.shape[1:3])
        return len(x), height, width, x.shape[3]


class MaxPool2D(_Pool2D):
    """Max pooling: the largest value of each window, channel by channel, for x (N, H, W, C).

    The gradient goes to the pixel with the largest value; of several equal ones, to the first in
    reading order. A NaN in a window is its largest value.

    Parameters
    ----------
    kernel_size : int
        Side of the square window, in pixels.
    stride : int, optional
        Pixels from one window to the next; `kernel_size` if not given.

    Raises
    ------
    ValueError
        For a kernel_size or stride below 1; when called, for an image smaller than a window.

    Examples
    --------
    >>> import numpy as np
    >>> from tinyproto.layers import MaxPool2D
    >>> y, backward = MaxPool2D()(np.array([[1.0, 2.0], [4.0, 3.0]]).reshape(1, 2, 2, 1))
    >>> y.ravel()
    array([4.])
    >>> backward(np.ones((1, 1, 1, 1))).ravel()
    array([0., 0., 1., 0.])
    """

    def __call__(self, x: Array, train: bool = False) -> tuple[Array, Backward]:
        xp = array_module(x)
        shape = self._output_shape(x)
        x = xp.ascontiguousarray(x)
        y, argmax = memory.empty_like(x, shape), xp.empty(shape, dtype=np.uint8)
        if self.kernel_size > 15:
            argmax = argmax.astype(np.int32)
        max_pool(len(x) * shape[1], x, self.stride, self.kernel_size, y, argmax)

        def backward(dy: Array, grads: Tree | None = None) -> Array:
            check_backward(self, dy, shape, grads)
            dx, dy = memory.empty_like(x), xp.ascontiguousarray(dy)
            max_pool_backward(len(x) * x.shape[1], dy, argmax, self.stride, self.kernel_size, dx)
            return dx

        return y, backward


class AveragePool2D(_Pool2D):
    """Average pooling: the mean of each window, channel by channel, for x (N, H, W, C).

    The gradient of an output goes to all pixels of its window in equal parts.

    Parameters
    ----------
    kernel_size : int
        Side of the square window, in pixels.
    stride : int, optional
        Pixels from one window to the next; `kernel_size` if not given.

    Raises
    ------
    ValueError
        For a kernel_size or stride below 1; when called, for an image smaller than a window.

    Examples
    --------
    >>> import numpy as np
    >>> from tinyproto.layers import AveragePool2D
    >>> y, backward = AveragePool2D()(np.array([[1.0, 2.0], [4.0, 3.0]]).reshape(1, 2, 2, 1))
    >>> y.ravel()
    array([2.5])
    >>> backward(np.ones((1, 1, 1, 1))).ravel()
    array([0.25, 0.25, 0.25, 0.25])
    """

    def __call__(self, x: Array, train: bool = False) -> tuple[Array, Backward]:
        xp = array_module(x)
        shape = self._output_shape(x)
        y = memory.empty_like(x, shape)
        average_pool(len(x) * shape[1], xp.ascontiguousarray(x), self.stride, self.kernel_size, y)

        def backward(dy: Array, grads: Tree | None = None) -> Array:
            check_backward(self, dy, shape, grads)
            dx, dy = memory.empty_like(x), xp.ascontiguousarray(dy)
            average_pool_backward(len(x) * x.shape[1], dy, self.stride, self.kernel_size, dx)
            return dx

        return y, backward


class GlobalAveragePool(Layer):
    """Global average pooling: the mean over all pixels, (N, H, W, C) ↦ (N, C).

    dx is dy/(H W) at every pixel.

    Examples
    --------
    >>> import numpy as np
    >>> from tinyproto.layers import GlobalAveragePool
    >>> y, backward = GlobalAveragePool()(np.arange(8.0).reshape(1, 2, 2, 2))
    >>> y
    array([[3., 4.]])
    >>> backward(y).shape
    (1, 2, 2, 2)
    """

    def __call__(self, x: Array, train: bool = False) -> tuple[Array, Backward]:
        xp = array_module(x)
        check_input("GlobalAveragePool", x, 4)
        images, height, width, channels = x.shape
        if height * width == 0:
            raise ValueError(f"GlobalAveragePool expects images with pixels, not {x.shape}")
        inverse_count = x.dtype.type(1 / (height * width))
        y = xp.empty((images, channels), dtype=x.dtype)
        flat = xp.ascontiguousarray(x).reshape(images, height * width, channels)
        channel_sums(images, flat, y)

        def backward(dy: Array, grads: Tree | None = None) -> Array:
            check_backward(self, dy, (images, channels), grads)
            dx = memory.empty_like(x, (images, height * width, channels))
            global_average_pool_backward(images, xp.ascontiguousarray(dy), inverse_count, dx)
            return dx.reshape(x.shape)

        return y * inverse_count, backward
