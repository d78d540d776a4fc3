"""Convolution, as a product with the windows of the image.

With rows of windows X (see `kernels.convolution`) and the weights as a matrix, for each image

    y = X W + b        dX = dy Wᵀ        dW = Xᵀ dy        db = Σ dy

and dx adds dX up where the windows were. The windows of a group of images are made, used and
forgotten: they hold size² times what the images hold. dW is summed over fixed groups in order, so
its bits do not depend on the number of threads.
"""

from collections.abc import Callable

import numpy as np

from ..device import Array, array_module
from ..kernels.convolution import add_windows, gather_windows
from ..parameters import Tree
from ..threads import share
from .base import Backward, Layer, check_input, initialize, positive_integers

GROUP_BYTES = 1_200_000  # of windows: about a core's second-level cache
GROUP_ROWS = 1024  # windows in a product that makes a part of dW, at least


class Conv2D(Layer):
    """y (N, height, width, out_channels) of x (N, H, W, in_channels), zeros beyond the edges.

    height = (H + 2 padding − kernel_size) // stride + 1, the width likewise. Parameters: weight
    (kernel_size, kernel_size, in, out), bias (out,).
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        *,
        stride: int = 1,
        padding: int = 0,
        bias: bool = True,
    ):
        positive_integers(
            "Conv2D",
            in_channels=in_channels,
            out_channels=out_channels,
            kernel_size=kernel_size,
            stride=stride,
        )
        if not isinstance(padding, int | np.integer) or padding < 0:
            raise ValueError(f"Conv2D: padding must be an integer of 0 or more, not {padding!r}")
        self.size, self.stride, self.padding = kernel_size, stride, padding
        shape = (kernel_size, kernel_size, in_channels, out_channels)
        self.params = {"weight": np.zeros(shape, dtype=np.float32)}
        if bias:
            self.params["bias"] = np.zeros(out_channels, dtype=np.float32)
        initialize(self, seed=0)

    def __call__(self, x: Array, train: bool = False) -> tuple[Array, Backward]:
        xp, weight, bias = array_module(x), self.params["weight"], self.params.get("bias")
        check_input("Conv2D", x, 4, weight.shape[2])
        x = xp.ascontiguousarray(x)
        height, width = (self._reach(pixels) for pixels in x.shape[1:3])
        matrix = weight.reshape(-1, weight.shape[3])
        windows = self._windows(x.dtype, height, width)
        group = max(1, GROUP_BYTES // (height * width * len(matrix) * x.dtype.itemsize))
        y = xp.empty((len(x), height * width, weight.shape[3]), dtype=x.dtype)

        def forward(part: slice) -> None:
            xp.matmul(windows(x[part]), matrix, out=y[part])
            if bias is not None:
                y[part] += bias

        _share(forward, x, group)

        def backward(dy: Array, grads: Tree | None = None) -> Array:
            dy = dy.reshape(y.shape)
            if grads and "weight" in grads:
                grads["weight"] += self._weight_gradient(x, dy, windows, group)
            if grads and "bias" in grads:
                grads["bias"] += dy.sum(axis=1).sum(axis=0)
            dx = xp.empty(x.shape, dtype=x.dtype)

            def at_the_input(part: slice) -> None:
                products = xp.matmul(dy[part], matrix.T).reshape(-1, height, width, len(matrix))
                rows = len(products) * x.shape[1]
                add_windows.alone(rows, products, self.stride, self.padding, self.size, dx[part])

            _share(at_the_input, x, group)
            return dx

        return y.reshape(len(x), height, width, y.shape[2]), backward

    def _reach(self, pixels: int) -> int:
        """How many windows stand along `pixels`."""
        room = pixels + 2 * self.padding - self.size
        if room < 0:
            raise ValueError(
                f"Conv2D: windows of {self.size} pixels do not fit an image of {pixels} "
                f"with padding {self.padding}"
            )
        return room // self.stride + 1

    def _windows(self, dtype: np.dtype, height: int, width: int) -> Callable[[Array], Array]:
        """A function: images (n, H, W, C) ↦ their windows (n, height · width, size² C)."""
        alone = self.size == 1 and self.stride == 1 and self.padding == 0

        def windows(x: Array) -> Array:
            if alone:
                return x.reshape(len(x), height * width, -1)
            shape = (len(x), height, width, self.size**2 * x.shape[3])
            columns = array_module(x).empty(shape, dtype=dtype)
            gather_windows.alone(len(x) * height, x, self.stride, self.padding, self.size, columns)
            return columns.reshape(len(x), height * width, -1)

        return windows

    def _weight_gradient(
        self, x: Array, dy: Array, windows: Callable[[Array], Array], group: int
    ) -> Array:
        """Σ over the images of Xᵀ dy, like the weights."""
        xp, shape = array_module(x), self.params["weight"].shape
        group = max(group, -(-GROUP_ROWS // dy.shape[1])) if xp is np else max(1, len(x))
        groups = -(-len(x) // group)
        parts = xp.empty((groups, shape[0] * shape[1] * shape[2], shape[3]), dtype=x.dtype)

        def work(part: slice) -> None:
            columns = windows(x[part])
            columns = columns.reshape(-1, columns.shape[2])
            product = columns.T @ dy[part].reshape(len(columns), -1)
            parts[part.start // group] = product

        _share(work, x, group)
        return parts.sum(axis=0).reshape(shape)


def _share(work: Callable[[slice], None], x: Array, group: int) -> None:
    """On the CPU in groups of images, on a device all at once."""
    if array_module(x) is np:
        share(work, len(x), group)
    elif len(x):
        work(slice(0, len(x)))
