"""Convolution as a product with the windows of the image: any size, dtype and device.

With rows of windows X (see `kernels.convolution`) and the weights as a matrix, for each image

    y = X W + b        dX = dy Wᵀ        dW = Xᵀ dy        db = Σ dy

and dx adds dX up where the windows were. The windows of a group of images are made, used and
forgotten: they hold size² times what the images hold. dW is summed over fixed groups in order, so
its bits do not depend on the number of threads.
"""

from collections.abc import Iterator

import numpy as np

from ..backend.blas import one_blas_thread
from ..backend.device import Array, array_module
from ..kernels.im2col import col2im, im2col

GROUP_BYTES = 1_200_000  # of windows: about a core's second-level cache
GROUP_ROWS = 1024  # windows in a product that makes a part of dW, at least


def forward(
    x: Array,
    weight: Array,
    bias: Array | None,
    stride: int,
    padding: int,
    shape: tuple[int, ...],
    relu: bool,
    weight_cache: object = None,
) -> Array:
    """y, of that shape."""
    xp, matrix = array_module(x), weight.reshape(-1, weight.shape[3])
    y = xp.empty((shape[0], shape[1] * shape[2], shape[3]), dtype=x.dtype)

    for part in _groups(x, _group(weight, shape, x.dtype)):
        xp.matmul(_windows(x[part], weight, stride, padding, shape), matrix, out=y[part])
        if bias is not None:
            y[part] += bias
        if relu:
            xp.maximum(y[part], 0, out=y[part])
    return y.reshape(shape)


def input_gradient(
    dy: Array,
    weight: Array,
    stride: int,
    padding: int,
    shape: tuple[int, ...],
    relu_mask: Array | None,
    weight_cache: object = None,
) -> Array:
    """dx, of that shape; with a relu_mask (like dy), dy counts only where it is above 0."""
    xp, matrix = array_module(dy), weight.reshape(-1, weight.shape[3])
    dx = xp.empty(shape, dtype=dy.dtype)
    height, width = dy.shape[1:3]
    dy = _masked(dy, relu_mask).reshape(len(dy), height * width, dy.shape[3])

    for part in _groups(dx, _group(weight, (0, height, width), dy.dtype)):
        products = xp.matmul(dy[part], matrix.T).reshape(-1, height, width, len(matrix))
        rows = len(products) * shape[1]
        col2im(rows, products, stride, padding, len(weight), dx[part])
    return dx


def weight_gradient(
    x: Array, dy: Array, weight: Array, stride: int, padding: int, relu_mask: Array | None
) -> tuple[Array, Array]:
    """dW = Σ over the images of Xᵀ dy, like the weights, and db."""
    xp = array_module(x)
    shape = dy.shape
    dy = _masked(dy, relu_mask).reshape(len(dy), shape[1] * shape[2], shape[3])
    group = _group(weight, shape, x.dtype)
    group = max(group, -(-GROUP_ROWS // dy.shape[1])) if xp is np else max(1, len(x))
    groups = -(-len(x) // group)
    parts = xp.empty((groups, weight.size // weight.shape[3], weight.shape[3]), dtype=x.dtype)

    for part in _groups(x, group):
        columns = _windows(x[part], weight, stride, padding, shape)
        columns = columns.reshape(-1, columns.shape[2])
        parts[part.start // group] = columns.T @ dy[part].reshape(len(columns), -1)
    return parts.sum(axis=0).reshape(weight.shape), dy.sum(axis=1).sum(axis=0)


def _group(weight: Array, shape: tuple[int, ...], dtype: np.dtype) -> int:
    """How many images' windows are held at once."""
    window = weight.size // weight.shape[3]
    return max(1, GROUP_BYTES // (shape[1] * shape[2] * window * dtype.itemsize))


def _masked(dy: Array, relu_mask: Array | None) -> Array:
    return dy if relu_mask is None else array_module(dy).where(relu_mask > 0, dy, dy.dtype.type(0))


def _windows(x: Array, weight: Array, stride: int, padding: int, shape: tuple[int, ...]) -> Array:
    """The windows (n, height · width, size² C) of images (n, H, W, C)."""
    size, (_, height, width, *_) = len(weight), shape
    if size == 1 and stride == 1 and padding == 0:
        return x.reshape(len(x), height * width, x.shape[3])
    columns = array_module(x).empty((len(x), height, width, size**2 * x.shape[3]), dtype=x.dtype)
    im2col(len(x) * height, x, stride, padding, size, columns)
    return columns.reshape(len(x), height * width, columns.shape[3])


def _groups(x: Array, size: int) -> Iterator[slice]:
    """On the CPU the images in groups of a size, whose products BLAS computes in one thread: no bit
    depends on the number of threads. On a device all at once."""
    if array_module(x) is np:
        with one_blas_thread():
            for start in range(0, len(x), size):
                yield slice(start, min(start + size, len(x)))
    elif len(x):
        yield slice(0, len(x))
