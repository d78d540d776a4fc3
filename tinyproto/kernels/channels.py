"""Element by element, and sums of each channel over the pixels of an image.

x, y, dx, dy (N, P, C): N images of P pixels and C channels; an array over the channels is (C,).
Sums are kept image by image, (N, C): the caller adds them in the images' order, so that no bit
depends on the number of threads.
"""

import numpy as np

from ..kernel import kernel


@kernel
def channel_sums(i, t, T, x, total):
    """total[i] = Σ_p x[i, p]."""
    for c in range(t, x.shape[2], T):
        total[i, c] = 0
    for p in range(x.shape[1]):
        for c in range(t, x.shape[2], T):
            total[i, c] += x[i, p, c]


@kernel
def channel_products(i, t, T, x, centre, dy, product, total):
    """product[i] = Σ_p (x[i, p] − centre) dy[i, p] and total[i] = Σ_p dy[i, p]."""
    for c in range(t, x.shape[2], T):
        product[i, c] = 0
        total[i, c] = 0
    for p in range(x.shape[1]):
        for c in range(t, x.shape[2], T):
            product[i, c] += (x[i, p, c] - centre[c]) * dy[i, p, c]
            total[i, c] += dy[i, p, c]


@kernel
def channel_squares(i, t, T, x, centre, total):
    """total[i] = Σ_p (x[i, p] − centre)²."""
    for c in range(t, x.shape[2], T):
        total[i, c] = 0
    for p in range(x.shape[1]):
        for c in range(t, x.shape[2], T):
            total[i, c] += (x[i, p, c] - centre[c]) * (x[i, p, c] - centre[c])


@kernel
def channel_affine(i, t, T, x, centre, gain, offset, y):
    """y = gain (x − centre) + offset, channel by channel."""
    for p in range(x.shape[1]):
        for c in range(t, x.shape[2], T):
            y[i, p, c] = gain[c] * (x[i, p, c] - centre[c]) + offset[c]


@kernel
def channel_combine(i, t, T, dy, gain, x, centre, slope, offset, dx):
    """dx = gain dy + slope (x − centre) + offset, channel by channel."""
    for p in range(x.shape[1]):
        for c in range(t, x.shape[2], T):
            dx[i, p, c] = gain[c] * dy[i, p, c] + slope[c] * (x[i, p, c] - centre[c]) + offset[c]


@kernel
def rectify(i, t, T, x, y):
    """y = max(x, 0). x, y (N, n); a NaN stays one."""
    zero = x.dtype.type(0)
    for j in range(t, x.shape[1], T):
        y[i, j] = zero if x[i, j] < zero else x[i, j]


@kernel
def rectify_backward(i, t, T, y, dy, dx):
    """dx = dy where y > 0, else 0. (N, n) each."""
    zero = y.dtype.type(0)
    for j in range(t, y.shape[1], T):
        dx[i, j] = dy[i, j] if y[i, j] > zero else zero


def _draw(random, dtype, *shapes):
    return [random.normal(size=shape).astype(dtype) for shape in shapes]


@channel_sums.example
def _channel_sums(random, dtype):
    return 3, *_draw(random, dtype, (3, 5, 4)), np.zeros((3, 4), dtype)


@channel_products.example
def _channel_products(random, dtype):
    inputs = _draw(random, dtype, (3, 5, 4), 4, (3, 5, 4))
    return 3, *inputs, np.zeros((3, 4), dtype), np.zeros((3, 4), dtype)


@channel_squares.example
def _channel_squares(random, dtype):
    return 3, *_draw(random, dtype, (3, 5, 4), 4), np.zeros((3, 4), dtype)


@channel_affine.example
def _channel_affine(random, dtype):
    return 3, *_draw(random, dtype, (3, 5, 4), 4, 4, 4), np.zeros((3, 5, 4), dtype)


@channel_combine.example
def _channel_combine(random, dtype):
    inputs = _draw(random, dtype, (3, 5, 4), 4, (3, 5, 4), 4, 4, 4)
    return 3, *inputs, np.zeros((3, 5, 4), dtype)


@rectify.example
def _rectify(random, dtype):
    return 3, *_draw(random, dtype, (3, 7)), np.zeros((3, 7), dtype)


@rectify_backward.example
def _rectify_backward(random, dtype):
    return 3, *_draw(random, dtype, (3, 7), (3, 7)), np.zeros((3, 7), dtype)
