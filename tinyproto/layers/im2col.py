"""Convolution as a matrix product with the windows of the image: any size, dtype and device.

With the windows of an image as the rows of a matrix X (`kernels.im2col`) and the weights as a
matrix W, for each image

    y = X W + b        dX = dy Wᵀ        dW = Xᵀ dy        db = Σ dy

and dx is the sum of dX over the windows that contain a pixel (col2im). The windows take
kernel_size² times the memory of the images, so they are made for a group of images at a time. dW is
summed over fixed groups in order: its bits do not depend on the number of threads.
"""

import math
from collections.abc import Iterator

import numpy as np

from ..backend.blas import one_blas_thread
from ..backend.device import Array, array_module
from ..cpu.geometry import Geometry
from ..kernels.channels import add_bias, channel_sums, relu_backward
from ..kernels.im2col import col2im, col2im_table, im2col, im2col_table
from .rows import pixel_rows

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
        _multiply(_windows(x[part], geometry), weights, y[part])
    if bias is not None:
        rows = pixel_rows(y)
        add_bias(len(rows), rows, bias, y.dtype.type(0 if relu else -math.inf), rows)
    elif relu:
        xp.maximum(y, 0, out=y)
    return y.reshape(geometry.output_shape)


def input_gradient(dy: Array, weights: Array, geometry: Geometry, relu_mask: Array | None) -> Array:
    """dx. With a relu_mask (like dy), dy counts as 0 where the mask is not above 0."""
    xp = array_module(dy)
    size, stride, padding, shape, (images, height, width, out) = geometry
    dx = xp.empty(shape, dtype=dy.dtype)
    dy = _masked(dy, relu_mask).reshape(images, height * width, out)

    for part in _groups(dx, _group_size(geometry, dy.dtype)):
        products = xp.empty((*dy[part].shape[:2], weights.shape[1]), dtype=dy.dtype)
        _multiply(dy[part], weights, products)
        products = products.reshape(len(products) * height, width * weights.shape[1])
        rows = dx[part].reshape(len(dx[part]) * shape[1], shape[2] * shape[3])
        sources = col2im_table(shape[2], width, shape[3], size, stride, padding, xp)
        col2im(len(rows), products, height, sources, shape[1], stride, padding, rows)
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
        xp.matmul(columns.T, dy[part].reshape(len(columns), -1), out=parts[part.start // group])
    weight = parts[0] if groups == 1 else parts.sum(axis=0)
    rows = pixel_rows(dy)
    totals = xp.empty((len(rows), out), dtype=x.dtype)
    channel_sums(len(rows), rows, totals)
    return weight.reshape(size, size, channels, out), totals.sum(axis=0)


def _group_size(geometry: Geometry, dtype: np.dtype) -> int:
    """How many images' windows are in memory at once."""
    (_, height, width, _), window = geometry.output_shape, geometry.kernel_size**2
    window *= geometry.input_shape[3]
    return max(1, GROUP_BYTES // (height * width * window * dtype.itemsize))


def _masked(dy: Array, relu_mask: Array | None) -> Array:
    """dy, and 0 where the mask is not above 0."""
    if relu_mask is None:
        return dy
    masked = array_module(dy).empty_like(dy)
    rows = len(dy) * dy.shape[1]
    shape = rows, math.prod(dy.shape[2:])
    relu_backward(rows, *(array.reshape(shape) for array in (relu_mask, dy, masked)))
    return masked


def _multiply(x: Array, weights: Array, y: Array) -> None:
    """y (n, P, m) = x (n, P, k) · weights (k, m). On the CPU image by image, so that an image gives
    the same bits in any batch; on a GPU in one product, which is faster."""
    xp = array_module(x)
    if xp is not np:
        x, y = x.reshape(-1, x.shape[2]), y.reshape(-1, y.shape[2])
    xp.matmul(x, weights, out=y)


def _windows(x: Array, geometry: Geometry) -> Array:
    """The windows (n, height · width, kernel_size² · C) of some of the images, x (n, H, W, C)."""
    size, stride, padding, (*_, channels), (_, height, width, _) = geometry
    if size == 1 and stride == 1 and padding == 0:
        return x.reshape(len(x), height * width, channels)
    xp, image = array_module(x), x.shape[1] * x.shape[2] * channels
    columns = xp.empty((len(x) * height, width * size**2 * channels), dtype=x.dtype)
    sources = im2col_table(x.shape[2], width, channels, size, stride, padding, xp)
    row = x.shape[2] * channels
    images = x.reshape(len(x), image)
    im2col(len(columns), images, height, sources, stride * row, -padding * row, columns)
    return columns.reshape(len(x), height * width, size**2 * channels)


def _groups(x: Array, size: int) -> Iterator[slice]:
    """On the CPU, the images in groups of this size, with BLAS in one thread meanwhile: no bit
    depends on the number of threads. On a GPU, all images at once."""
    if array_module(x) is np:
        with one_blas_thread():
            for start in range(0, len(x), size):
                yield slice(start, min(start + size, len(x)))
    elif len(x):
        yield slice(0, len(x))
