"""The kernels of `kernels.channels` in vector code: float32, on the CPU.

Each function does row i, one image, and returns whether it did: where the number of channels is
not a multiple of WIDTH it returns False, and the body in `kernels.channels` does the row. The
parameters and the sums of a vector of channels stay in registers during the loop over the pixels.
"""

import numpy as np

from .simd import (
    BYTES,
    WIDTH,
    address,
    compiled,
    fma,
    inline,
    load,
    maximum,
    select_above,
    splat,
    store,
)

ZERO = np.float32(0)


@inline
def load_parameters(centre, gain, offset, c):
    """Centre, gain and offset of the vector of channels at byte c."""
    return load(address(centre) + c), load(address(gain) + c), load(address(offset) + c)


@inline
def deviation_and_gradient(x, dy, at, m, g, o, lowest):
    """x − centre, and dy where `channel_affine` did not take the minimum, else 0, of the vector at
    byte `at`."""
    deviation = load(address(x) + at) - m
    return deviation, select_above(fma(g, deviation, o), lowest, load(address(dy) + at))


@compiled
def channel_sums(i, x, total):
    pixels, channels = x.shape[1:]
    if channels % WIDTH:
        return False
    for c in range(0, channels * 4, BYTES):
        sums = splat(ZERO)
        at = address(x) + i * pixels * channels * 4 + c
        for p in range(pixels):
            sums = sums + load(at + p * channels * 4)
        store(sums, address(total) + i * channels * 4 + c)
    return True


@compiled
def channel_moments(i, x, mean, rest, squares):
    pixels, channels = x.shape[1:]
    if channels % WIDTH:
        return False
    inverse_count, zero = np.float32(1 / pixels), splat(ZERO)
    for c in range(0, channels * 4, BYTES):
        at = address(x) + i * pixels * channels * 4 + c
        sums = zero
        for p in range(pixels):
            sums = sums + load(at + p * channels * 4)
        centre = fma(inverse_count, sums, zero)
        sums, sums_of_squares = zero, zero
        for p in range(pixels):
            deviation = load(at + p * channels * 4) - centre
            sums, sums_of_squares = sums + deviation, fma(deviation, deviation, sums_of_squares)
        store(centre, address(mean) + i * channels * 4 + c)
        store(sums, address(rest) + i * channels * 4 + c)
        store(sums_of_squares, address(squares) + i * channels * 4 + c)
    return True


@compiled
def channel_affine(i, x, centre, gain, offset, minimum, y):
    pixels, channels = x.shape[1:]
    if channels % WIDTH:
        return False
    lowest = splat(minimum)
    for c in range(0, channels * 4, BYTES):
        m, g, o = load_parameters(centre, gain, offset, c)
        first = i * pixels * channels * 4 + c
        for at in range(first, first + pixels * channels * 4, channels * 4):
            value = fma(g, load(address(x) + at) - m, o)
            store(maximum(value, lowest), address(y) + at)
    return True


@compiled
def channel_affine_backward(i, x, centre, gain, offset, minimum, dy, dx):
    pixels, channels = x.shape[1:]
    if channels % WIDTH:
        return False
    lowest, zero = splat(minimum), splat(ZERO)
    for c in range(0, channels * 4, BYTES):
        m, g, o = load_parameters(centre, gain, offset, c)
        first = i * pixels * channels * 4 + c
        for at in range(first, first + pixels * channels * 4, channels * 4):
            _, gradient = deviation_and_gradient(x, dy, at, m, g, o, lowest)
            store(fma(g, gradient, zero), address(dx) + at)
    return True


@compiled
def batch_norm_backward_reduce(i, x, centre, gain, offset, minimum, dy, product, total):
    pixels, channels = x.shape[1:]
    if channels % WIDTH:
        return False
    lowest = splat(minimum)
    for c in range(0, channels * 4, BYTES):
        m, g, o = load_parameters(centre, gain, offset, c)
        products, sums = splat(ZERO), splat(ZERO)
        first = i * pixels * channels * 4 + c
        for at in range(first, first + pixels * channels * 4, channels * 4):
            deviation, gradient = deviation_and_gradient(x, dy, at, m, g, o, lowest)
            products, sums = fma(deviation, gradient, products), sums + gradient
        store(products, address(product) + i * channels * 4 + c)
        store(sums, address(total) + i * channels * 4 + c)
    return True


@compiled
def batch_norm_backward(i, x, centre, gain, offset, minimum, dy, slope, shift, dx):
    pixels, channels = x.shape[1:]
    if channels % WIDTH:
        return False
    lowest = splat(minimum)
    for c in range(0, channels * 4, BYTES):
        m, g, o = load_parameters(centre, gain, offset, c)
        a, b = load(address(slope) + c), load(address(shift) + c)
        first = i * pixels * channels * 4 + c
        for at in range(first, first + pixels * channels * 4, channels * 4):
            deviation, gradient = deviation_and_gradient(x, dy, at, m, g, o, lowest)
            store(fma(g, gradient, fma(a, deviation, b)), address(dx) + at)
    return True
