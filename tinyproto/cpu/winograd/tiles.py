"""The input transform of images, V = Bᵀ d B, and the output transform, y = Aᵀ M A, tile by tile.

A tile row reads six rows of pixels (of dy: four), from `top` on. Each column of these pixels is
transformed once, although neighbouring tiles share two; then the rows of each tile. Pixels outside
the image are 0, so the tiles at its edges need no other code. Any number of channels will do: the
last vector is filled up with zeros. `layout` says where the planes are.
"""

import numpy as np

from ..simd import (
    BYTES,
    WIDTH,
    address,
    compiled,
    inline,
    load,
    load_up_to,
    load_with_relu_mask,
    maximum,
    padded,
    splat,
    store,
    store_up_to,
)
from .transforms import (
    input_transform,
    load_four,
    load_six,
    output_transform,
    output_transform_transposed,
    store_six,
)


@inline
def load_pixel(x, relu_mask, n, r, s, c):
    """The vector x[n, r, s, c …], 0 outside the image. With a relu_mask (like x, or NO_MASK), 0
    where the mask is not above 0."""
    _, height, width, channels = x.shape
    if r < 0 or r >= height or s < 0 or s >= width:
        return splat(np.float32(0))
    offset = (((n * height + r) * width + s) * channels + c) * 4
    return load_with_relu_mask(x, relu_mask, offset, channels - c)


@compiled
def transform_input(x, relu_mask, n, top, left, tiles_across, first, last, half, v, plane, row):
    """V = Bᵀ d B of one tile row of x, channels first … last − 1; Bᵀ d is stored at `half`."""
    columns = 4 * tiles_across + 2
    pixel = padded(last - first) * 4
    half_plane = columns * pixel
    for s in range(columns):
        for c in range(first, last, WIDTH):
            d = (
                load_pixel(x, relu_mask, n, top, left + s, c),
                load_pixel(x, relu_mask, n, top + 1, left + s, c),
                load_pixel(x, relu_mask, n, top + 2, left + s, c),
                load_pixel(x, relu_mask, n, top + 3, left + s, c),
                load_pixel(x, relu_mask, n, top + 4, left + s, c),
                load_pixel(x, relu_mask, n, top + 5, left + s, c),
            )
            store_six(input_transform(d), half + s * pixel + (c - first) * 4, half_plane)
    for t in range(tiles_across):
        for i in range(6):
            source, target = half + i * half_plane + 4 * t * pixel, v + 6 * i * plane + t * row
            for c in range(0, pixel, BYTES):
                store_six(input_transform(load_six(source + c, pixel)), target + c, plane)


@compiled
def transform_gradient(dy, relu_mask, n, top, tiles_across, half, m, plane, row, bias_gradient):
    """dM = A dy Aᵀ of one tile row of dy; A dy is stored at `half`. The sums of dy over the pixels
    are added to the numbers at the address `bias_gradient`."""
    columns, channels = 4 * tiles_across, dy.shape[3]
    pixel = padded(channels) * 4
    half_plane = columns * pixel
    for s in range(columns):
        for c in range(0, channels, WIDTH):
            e = (
                load_pixel(dy, relu_mask, n, top, s, c),
                load_pixel(dy, relu_mask, n, top + 1, s, c),
                load_pixel(dy, relu_mask, n, top + 2, s, c),
                load_pixel(dy, relu_mask, n, top + 3, s, c),
            )
            store_six(output_transform_transposed(e), half + s * pixel + c * 4, half_plane)
            total = (e[0] + e[1]) + (e[2] + e[3])
            store(load(bias_gradient + c * 4) + total, bias_gradient + c * 4)
    for t in range(tiles_across):
        for i in range(6):
            source, target = half + i * half_plane + 4 * t * pixel, m + 6 * i * plane + t * row
            for c in range(0, pixel, BYTES):
                e = load_four(source + c, pixel)
                store_six(output_transform_transposed(e), target + c, plane)


@inline
def store_row(y, bias, minimum, target, pixel, columns, channels):
    """One row of a tile's outputs, of which `columns` are in the image."""
    store_up_to(maximum(y[0] + bias, minimum), target, channels)
    if columns > 1:
        store_up_to(maximum(y[1] + bias, minimum), target + pixel, channels)
    if columns > 2:
        store_up_to(maximum(y[2] + bias, minimum), target + 2 * pixel, channels)
    if columns > 3:
        store_up_to(maximum(y[3] + bias, minimum), target + 3 * pixel, channels)


@compiled
def transform_output(m, plane, bias, minimum, n, top, left, first, last, y):
    """One tile of y = max(Aᵀ M A + bias, minimum), channels first … last − 1, as far as the tile is
    in the image. m is the address of the tile in the plane of the first frequency."""
    _, height, width, channels = y.shape
    pixel = channels * 4
    rows, columns = height - top, width - left
    minimum = splat(minimum)
    for c in range(first, last, WIDTH):
        source, remaining = m + (c - first) * 4, channels - c
        m0 = output_transform(load_six(source, 6 * plane))
        m1 = output_transform(load_six(source + plane, 6 * plane))
        m2 = output_transform(load_six(source + 2 * plane, 6 * plane))
        m3 = output_transform(load_six(source + 3 * plane, 6 * plane))
        m4 = output_transform(load_six(source + 4 * plane, 6 * plane))
        m5 = output_transform(load_six(source + 5 * plane, 6 * plane))
        b = load_up_to(address(bias) + c * 4, remaining)
        target = address(y) + (((n * height + top) * width + left) * channels + c) * 4
        row = output_transform((m0[0], m1[0], m2[0], m3[0], m4[0], m5[0]))
        store_row(row, b, minimum, target, pixel, columns, remaining)
        if rows > 1:
            row = output_transform((m0[1], m1[1], m2[1], m3[1], m4[1], m5[1]))
            store_row(row, b, minimum, target + width * pixel, pixel, columns, remaining)
        if rows > 2:
            row = output_transform((m0[2], m1[2], m2[2], m3[2], m4[2], m5[2]))
            store_row(row, b, minimum, target + 2 * width * pixel, pixel, columns, remaining)
        if rows > 3:
            row = output_transform((m0[3], m1[3], m2[3], m3[3], m4[3], m5[3]))
            store_row(row, b, minimum, target + 3 * width * pixel, pixel, columns, remaining)
