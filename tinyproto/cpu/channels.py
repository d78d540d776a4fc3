"""The kernels of `channels` in vector code: float32, on the CPU, channels in whole vectors.

Each does row i and returns whether it did: with a channel count that leaves a vector unfilled it
does not, and the plain body does. A channel's parameters and sums stay in registers while the
pixels go by.
"""

import numpy as np

from .simd import (
    BYTES,
    WIDTH,
    address,
    at_least,
    compiled,
    fma,
    inline,
    load,
    splat,
    store,
    where_above,
)

ZERO = np.float32(0)


@inline
def parameters(centre, gain, offset, c):
    """Of the channels from byte c on."""
    return load(address(centre) + c), load(address(gain) + c), load(address(offset) + c)


@inline
def passed(x, dy, at, m, g, o, least):
    """x − centre, and dy where `channel_affine` did not take the minimum, else 0; `at` a byte."""
    apart = load(address(x) + at) - m
    return apart, where_above(fma(g, apart, o), least, load(address(dy) + at))


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
    share, zero = np.float32(1 / pixels), splat(ZERO)
    for c in range(0, channels * 4, BYTES):
        at = address(x) + i * pixels * channels * 4 + c
        sums = zero
        for p in range(pixels):
            sums = sums + load(at + p * channels * 4)
        centre = fma(share, sums, zero)
        sums, sums_of_squares = zero, zero
        for p in range(pixels):
            apart = load(at + p * channels * 4) - centre
            sums, sums_of_squares = sums + apart, fma(apart, apart, sums_of_squares)
        store(centre, address(mean) + i * channels * 4 + c)
        store(sums, address(rest) + i * channels * 4 + c)
        store(sums_of_squares, address(squares) + i * channels * 4 + c)
    return True


@compiled
def channel_affine(i, x, centre, gain, offset, minimum, y):
    pixels, channels = x.shape[1:]
    if channels % WIDTH:
        return False
    least = splat(minimum)
    for c in range(0, channels * 4, BYTES):
        m, g, o = parameters(centre, gain, offset, c)
        first = i * pixels * channels * 4 + c
        for at in range(first, first + pixels * channels * 4, channels * 4):
            value = fma(g, load(address(x) + at) - m, o)
            store(at_least(value, least), address(y) + at)
    return True


@compiled
def channel_affine_backward(i, x, centre, gain, offset, minimum, dy, dx):
    pixels, channels = x.shape[1:]
    if channels % WIDTH:
        return False
    least, zero = splat(minimum), splat(ZERO)
    for c in range(0, channels * 4, BYTES):
        m, g, o = parameters(centre, gain, offset, c)
        first = i * pixels * channels * 4 + c
        for at in range(first, first + pixels * channels * 4, channels * 4):
            _, gradient = passed(x, dy, at, m, g, o, least)
            store(fma(g, gradient, zero), address(dx) + at)
    return True


@compiled
def batch_norm_backward_reduce(i, x, centre, gain, offset, minimum, dy, product, total):
    pixels, channels = x.shape[1:]
    if channels % WIDTH:
        return False
    least = splat(minimum)
    for c in range(0, channels * 4, BYTES):
        m, g, o = parameters(centre, gain, offset, c)
        products, sums = splat(ZERO), splat(ZERO)
        first = i * pixels * channels * 4 + c
        for at in range(first, first + pixels * channels * 4, channels * 4):
            apart, gradient = passed(x, dy, at, m, g, o, least)
            products, sums = fma(apart, gradient, products), sums + gradient
        store(products, address(product) + i * channels * 4 + c)
        store(sums, address(total) + i * channels * 4 + c)
    return True


@compiled
def batch_norm_backward(i, x, centre, gain, offset, minimum, dy, slope, shift, dx):
    pixels, channels = x.shape[1:]
    if channels % WIDTH:
        return False
    least = splat(minimum)
    for c in range(0, channels * 4, BYTES):
        m, g, o = parameters(centre, gain, offset, c)
        a, b = load(address(slope) + c), load(address(shift) + c)
        first = i * pixels * channels * 4 + c
        for at in range(first, first + pixels * channels * 4, channels * 4):
            apart, gradient = passed(x, dy, at, m, g, o, least)
            store(fma(g, gradient, fma(a, apart, b)), address(dx) + at)
    return True
