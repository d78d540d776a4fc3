"""Convolution as a matrix product with the windows of the image: any size, dtype and device.

With the windows of an image as the rows of a matrix X (`kernels.im2col`) and the weights as a
matrix W, for each image

    y = X W + b        dX = dy Wᵀ        dW = Xᵀ dy        db = Σ dy

and dx is the sum of dX over the windows that contain a pixel (col2im). The windows take
kernel_size² times the memory of the images, so they are made for a group of images at a time. dW is
summed over fixed groups in order: its bits do not depend on the number of threads.
"""

from collections.abc import Iterator

import numpy as np

from ..backend.blas import one_blas_thread
from ..backend.device import Array, array_module
from ..cpu.geometry import Geometry
from ..kernels.im2col import col2im, im2col

GROUP_BYTES = 1_200_000  # of the windows of a group: about a core's second-level cache
GROUP_ROWS = 1024  # windows in a product that gives a part of dW, at least


def prepare_weights(weight: Array, geometry: Geometry, transposed: bool) -> Array:
    """The weights as a matrix, (kernel_size² · in, out), or transposed."""
    matrix = weight.reshape(-1, geometry.output_shape[3])
    return matrix.T if transposed else matrix


def forward(x: Array, weights: Array, bias: Array | None, geometry: Geometry, relu: bool) -> Array:
    """y; with `relu`, max(y, 0)."""
    xp = array_module(x)
    images, height, width, out = geometry.output_shape
    y = xp.empty((images, height * width, out), dtype=x.dtype)

    for part in _groups(x, _group_size(geometry, x.dtype)):
        xp.matmul(_windows(x[part], geometry), weights, out=y[part])
        if bias is not None:
            y[part] += bias
        if relu:
            xp.maximum(y[part], 0, out=y[part])
    return y.reshape(geometry.output_shape)


def input_gradient(dy: Array, weights: Array, geometry: Geometry, relu_mask: Array | None) -> Array:
    """dx. With a relu_mask (like dy), dy counts as 0 where the mask is not above 0."""
    xp = array_module(dy)
    size, stride, padding, shape, (images, height, width, out) = geometry
    dx = xp.empty(shape, dtype=dy.dtype)
    dy = _masked(dy, relu_mask).reshape(images, height * width, out)

    for part in _groups(dx, _group_size(geometry, dy.dtype)):
        products = xp.matmul(dy[part], weights).reshape(-1, height, width, weights.shape[1])
        col2im(len(products) * shape[1], products, stride, padding, size, dx[part])
    return dx


def weight_gradient(
    x: Array, dy: Array, geometry: Geometry, relu_mask: Array | None
) -> tuple[Array, Array]:
    """dW = Σ over the images of Xᵀ dy, and db. With a relu_mask (like dy), dy counts as 0 where the
    mask is not above 0."""
    xp = array_module(x)
    size, _, _, (*_, channels), (images, height, width, out) = geometry
    dy = _masked(dy, relu_mask).reshape(images, height * width, out)
    group = _group_size(geometry, x.dtype)
    group = max(group, -(-GROUP_ROWS // dy.shape[1])) if xp is np else max(1, images)
    groups = -(-images // group)
    parts = xp.empty((groups, size * size * channels, out), dtype=x.dtype)

    for part in _groups(x, group):
        columns = _windows(x[part], geometry)
        columns = columns.reshape(-1, columns.shape[2])
        parts[part.start // group] = columns.T @ dy[part].reshape(len(columns), -1)
    return parts.sum(axis=0).reshape(size, size, channels, out), dy.sum(axis=1).sum(axis=0)


def _group_size(geometry: Geometry, dtype: np.dtype) -> int:
    """How many images' windows are in memory at once."""
    (_, height, width, _), window = geometry.output_shape, geometry.kernel_size**2
    window *= geometry.input_shape[3]
    return max(1, GROUP_BYTES // (height * width * window * dtype.itemsize))


def _masked(dy: Array, relu_mask: Array | None) -> Array:
    return dy if relu_mask is None else array_module(dy).where(relu_mask > 0, dy, dy.dtype.type(0))


def _windows(x: Array, geometry: Geometry) -> Array:
    """The windows (n, height · width, kernel_size² · C) of some of the images, x (n, H, W, C)."""
    size, stride, padding, (*_, channels), (_, height, width, _) = geometry
    if size == 1 and stride == 1 and padding == 0:
        return x.reshape(len(x), height * width, channels)
    columns = array_module(x).empty((len(x), height, width, size**2 * channels), dtype=x.dtype)
    im2col(len(x) * height, x, stride, padding, size, columns)
    return columns.reshape(len(x), height * width, columns.shape[3])


def _groups(x: Array, size: int) -> Iterator[slice]:
    """On the CPU, the images in groups of this size, with BLAS in one thread meanwhile: no bit
    depends on the number of threads. On a GPU, all images at once."""
    if array_module(x) is np:
        with one_blas_thread():
            for start in range(0, len(x), size):
                yield slice(start, min(start + size, len(x)))
    elif len(x):
        yield slice(0, len(x))
