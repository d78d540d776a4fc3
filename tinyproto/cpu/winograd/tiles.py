"""Images taken apart into transformed tiles, and put together again.

A *strip* is what one row of tiles sees: six rows of pixels (four of dy), from `top` down. Each of
its columns is transformed once, though neighbouring tiles share two; then each tile's rows. What
lies outside the image is 0, so tiles may jut out, and a channel count need be no multiple of
anything: the last vector is filled up with zeros.

Frequency f = 6 i + j of tile q lies at tiles + f · plane + q · row, in bytes, `channels` numbers.
"""

import numpy as np

from ..simd import (
    BYTES,
    WIDTH,
    address,
    at_least,
    compiled,
    inline,
    load,
    load_masked,
    load_some,
    padded,
    splat,
    store,
    store_some,
)
from .transforms import (
    gather_outputs,
    load_four,
    load_six,
    spread_gradient,
    store_six,
    transform_image,
)


@inline
def pixel(x, relu_mask, n, r, s, c):
    """x[n, r, s, c …], 0 outside. With a relu_mask (like x, or empty), 0 where the mask is not
    above 0."""
    _, height, width, channels = x.shape
    if r < 0 or r >= height or s < 0 or s >= width:
        return splat(np.float32(0))
    offset = (((n * height + r) * width + s) * channels + c) * 4
    return load_masked(x, relu_mask, offset, channels - c)


@compiled
def read_image(x, relu_mask, n, top, left, tiles_across, first, last, strip, tiles, plane, row):
    """Bᵀ d B of a strip of x (channels first … last − 1); six planes of `strip` hold Bᵀ d."""
    columns = 4 * tiles_across + 2
    pixels = padded(last - first) * 4
    strip_plane = columns * pixels
    for s in range(columns):
        for c in range(first, last, WIDTH):
            column = (
                pixel(x, relu_mask, n, top, left + s, c),
                pixel(x, relu_mask, n, top + 1, left + s, c),
                pixel(x, relu_mask, n, top + 2, left + s, c),
                pixel(x, relu_mask, n, top + 3, left + s, c),
                pixel(x, relu_mask, n, top + 4, left + s, c),
                pixel(x, relu_mask, n, top + 5, left + s, c),
            )
            store_six(transform_image(column), strip + s * pixels + (c - first) * 4, strip_plane)
    for t in range(tiles_across):
        for i in range(6):
            at, place = strip + i * strip_plane + 4 * t * pixels, tiles + 6 * i * plane + t * row
            for c in range(0, pixels, BYTES):
                store_six(transform_image(load_six(at + c, pixels)), place + c, plane)


@compiled
def read_gradient(dy, relu_mask, n, top, tiles_across, strip, tiles, plane, row, total):
    """A dy Aᵀ of a strip of dy; six planes of `strip` hold A dy. At the address `total` are sums
    over pixels, to which those of this strip are added."""
    columns, channels = 4 * tiles_across, dy.shape[3]
    pixels = padded(channels) * 4
    strip_plane = columns * pixels
    for s in range(columns):
        for c in range(0, channels, WIDTH):
            column = (
                pixel(dy, relu_mask, n, top, s, c),
                pixel(dy, relu_mask, n, top + 1, s, c),
                pixel(dy, relu_mask, n, top + 2, s, c),
                pixel(dy, relu_mask, n, top + 3, s, c),
            )
            store_six(spread_gradient(column), strip + s * pixels + c * 4, strip_plane)
            sums = (column[0] + column[1]) + (column[2] + column[3])
            store(load(total + c * 4) + sums, total + c * 4)
    for t in range(tiles_across):
        for i in range(6):
            at, place = strip + i * strip_plane + 4 * t * pixels, tiles + 6 * i * plane + t * row
            for c in range(0, pixels, BYTES):
                store_six(spread_gradient(load_four(at + c, pixels)), place + c, plane)


@inline
def put(value, place, channels, minimum):
    store_some(at_least(value, minimum), place, channels)


@inline
def write_row(row, bias, minimum, place, pixel, columns, channels):
    """One row of a tile's outputs, of which `columns` lie in the image."""
    put(row[0] + bias, place, channels, minimum)
    if columns > 1:
        put(row[1] + bias, place + pixel, channels, minimum)
    if columns > 2:
        put(row[2] + bias, place + 2 * pixel, channels, minimum)
    if columns > 3:
        put(row[3] + bias, place + 3 * pixel, channels, minimum)


@compiled
def write_tile(tile, plane, bias, minimum, n, top, left, first, last, y):
    """Channels first … last − 1 of a tile's y = max(Aᵀ M A + bias, minimum), where the tile lies in
    the image."""
    _, height, width, channels = y.shape
    pixel = channels * 4
    rows, columns = height - top, width - left
    minimum = splat(minimum)
    for c in range(first, last, WIDTH):
        at, left_over = tile + (c - first) * 4, channels - c
        m0 = gather_outputs(load_six(at, 6 * plane))
        m1 = gather_outputs(load_six(at + plane, 6 * plane))
        m2 = gather_outputs(load_six(at + 2 * plane, 6 * plane))
        m3 = gather_outputs(load_six(at + 3 * plane, 6 * plane))
        m4 = gather_outputs(load_six(at + 4 * plane, 6 * plane))
        m5 = gather_outputs(load_six(at + 5 * plane, 6 * plane))
        offset = load_some(address(bias) + c * 4, left_over)
        place = address(y) + (((n * height + top) * width + left) * channels + c) * 4
        row = gather_outputs((m0[0], m1[0], m2[0], m3[0], m4[0], m5[0]))
        write_row(row, offset, minimum, place, pixel, columns, left_over)
        if rows > 1:
            row = gather_outputs((m0[1], m1[1], m2[1], m3[1], m4[1], m5[1]))
            write_row(row, offset, minimum, place + width * pixel, pixel, columns, left_over)
        if rows > 2:
            row = gather_outputs((m0[2], m1[2], m2[2], m3[2], m4[2], m5[2]))
            write_row(row, offset, minimum, place + 2 * width * pixel, pixel, columns, left_over)
        if rows > 3:
            row = gather_outputs((m0[3], m1[3], m2[3], m3[3], m4[3], m5[3]))
            write_row(row, offset, minimum, place + 3 * width * pixel, pixel, columns, left_over)
