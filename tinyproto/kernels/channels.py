"""Arithmetic element by element, and sums of each channel over the pixels of an image.

x, y, dx, dy are (N, P, C): N images, or parts of images, of P pixels and C channels, one a row. An
array over the channels is (C,). Sums are stored row by row, (N, C): the caller adds them in order,
so that no bit depends on the number of threads.
"""

from ..backend import kernel
from .lanes import spread


@kernel(fast="tinyproto.cpu.channels", lanes=32)
def channel_sums(i, t, T, x, total):
    """total[i] = Σ_p x[i, p]."""
    for c in range(t, x.shape[2], T):
        value = x.dtype.type(0)
        for p in range(x.shape[1]):
            value += x[i, p, c]
        total[i, c] = value


@kernel(fast="tinyproto.cpu.channels", lanes=32)
def channel_moments(i, t, T, x, mean, rest, squares):
    """mean[i] = Σ_p x[i, p] / P, rest[i] = Σ_p (x[i, p] − mean[i]), the rounding error of P · mean,
    and squares[i] = Σ_p (x[i, p] − mean[i])².

    One row after the other, so the second pass over a row finds it in the cache.
    """
    zero = x.dtype.type(0)
    for c in range(t, x.shape[2], T):
        total = zero
        for p in range(x.shape[1]):
            total += x[i, p, c]
        centre = total / x.dtype.type(x.shape[1])
        difference, square = zero, zero
        for p in range(x.shape[1]):
            deviation = x[i, p, c] - centre
            difference += deviation
            square += deviation * deviation
        mean[i, c] = centre
        rest[i, c] = difference
        squares[i, c] = square


@kernel(fast="tinyproto.cpu.channels")
def channel_affine(i, t, T, x, centre, gain, offset, minimum, y):
    """y = max(gain (x − centre) + offset, minimum), channel by channel; NaN remains NaN.

    A minimum of 0 makes it a normalization with a ReLU, one of −∞ without.
    """
    first, step, channel = spread(t, T, x.shape[2])
    for p in range(first, x.shape[1], step):
        for c in range(channel, x.shape[2], T):
            value = gain[c] * (x[i, p, c] - centre[c]) + offset[c]
            y[i, p, c] = minimum if value < minimum else value


@kernel(fast="tinyproto.cpu.channels")
def channel_affine_backward(i, t, T, x, centre, gain, offset, minimum, dy, dx):
    """dx = gain dy, and 0 where `channel_affine` returned the minimum."""
    zero = x.dtype.type(0)
    first, step, channel = spread(t, T, x.shape[2])
    for p in range(first, x.shape[1], step):
        for c in range(channel, x.shape[2], T):
            value = gain[c] * (x[i, p, c] - centre[c]) + offset[c]
            dx[i, p, c] = zero if value <= minimum else gain[c] * dy[i, p, c]


@kernel(fast="tinyproto.cpu.channels", lanes=32)
def batch_norm_backward_reduce(i, t, T, x, centre, gain, offset, minimum, dy, product, total):
    """product[i] = Σ_p (x[i, p] − centre) dy[i, p] and total[i] = Σ_p dy[i, p], where dy counts as
    0 where `channel_affine` returned the minimum."""
    zero = x.dtype.type(0)
    for c in range(t, x.shape[2], T):
        products, sums = zero, zero
        for p in range(x.shape[1]):
            deviation = x[i, p, c] - centre[c]
            gradient = zero if gain[c] * deviation + offset[c] <= minimum else dy[i, p, c]
            products += deviation * gradient
            sums += gradient
        product[i, c] = products
        total[i, c] = sums


@kernel(fast="tinyproto.cpu.channels")
def batch_norm_backward(i, t, T, x, centre, gain, offset, minimum, dy, slope, shift, dx):
    """dx = gain dy + slope (x − centre) + shift, with dy as in `batch_norm_backward_reduce`."""
    zero = x.dtype.type(0)
    first, step, channel = spread(t, T, x.shape[2])
    for p in range(first, x.shape[1], step):
        for c in range(channel, x.shape[2], T):
            deviation = x[i, p, c] - centre[c]
            gradient = zero if gain[c] * deviation + offset[c] <= minimum else dy[i, p, c]
            dx[i, p, c] = gain[c] * gradient + slope[c] * deviation + shift[c]


@kernel
def add_bias(i, t, T, x, bias, minimum, y):
    """y = max(x + bias, minimum), channel by channel; NaN remains NaN. y may be x."""
    first, step, channel = spread(t, T, x.shape[2])
    for p in range(first, x.shape[1], step):
        for c in range(channel, x.shape[2], T):
            value = x[i, p, c] + bias[c]
            y[i, p, c] = minimum if value < minimum else value


@kernel
def add(i, t, T, a, b, minimum, y):
    """y = max(a + b, minimum), (N, n) each; NaN remains NaN."""
    for j in range(t, a.shape[1], T):
        value = a[i, j] + b[i, j]
        y[i, j] = minimum if value < minimum else value


@kernel
def global_average_pool_backward(i, t, T, dy, scale, dx):
    """dx[i, p] = scale · dy[i] for every pixel p, with scale = 1 / P. dy (N, C), dx (N, P, C)."""
    for p in range(dx.shape[1]):
        for c in range(t, dx.shape[2], T):
            dx[i, p, c] = scale * dy[i, c]


@kernel
def relu(i, t, T, x, y):
    """y = max(x, 0). x, y (N, n); NaN remains NaN."""
    zero = x.dtype.type(0)
    for j in range(t, x.shape[1], T):
        y[i, j] = zero if x[i, j] < zero else x[i, j]


@kernel
def relu_backward(i, t, T, y, dy, dx):
    """dx = dy where y > 0, else 0. (N, n) each."""
    zero = y.dtype.type(0)
    for j in range(t, y.shape[1], T):
        dx[i, j] = dy[i, j] if y[i, j] > zero else zero
