"""Images taken apart into transformed tiles, and put together again.

A *strip* is what one row of tiles sees: six rows of pixels (four of dy), from `top` down. Each of
its columns is transformed once, though neighbouring tiles share two; then each tile's rows. What
lies outside the image is 0, so tiles may jut out, and a channel count need be no multiple of
anything: the last vector is filled up with zeros.

Frequency f = 6 i + j of tile q lies at tiles + f · plane + q · row, in bytes, `channels` numbers.
"""

import numba
import numpy as np

from ..vector import (
    BYTES,
    WIDTH,
    address,
    at_least,
    load,
    load_first,
    splat,
    store,
    store_first,
    where_positive,
)
from .transforms import gather_outputs, inline, spread_gradient, transform_image

compiled = numba.njit(nogil=True, error_model="numpy")


@inline
def some(place, channels):
    """The vector there, of which `channels` numbers or all are the image's."""
    return load(place) if channels >= WIDTH else load_first(place, channels)


@inline
def pixel(x, gate, n, r, s, c):
    """x[n, r, s, c …], 0 outside; with a gate (like x, or empty) only where the gate is above 0."""
    _, height, width, channels = x.shape
    if r < 0 or r >= height or s < 0 or s >= width:
        return splat(np.float32(0))
    offset = (((n * height + r) * width + s) * channels + c) * 4
    value = some(address(x) + offset, channels - c)
    if gate.size:
        return where_positive(some(address(gate) + offset, channels - c), value)
    return value


@compiled
def read_image(x, gate, n, top, left, tiles_across, first, last, strip, tiles, plane, row):
    """Bᵀ d B of a strip of x (channels first … last − 1); six planes of `strip` hold Bᵀ d."""
    columns = 4 * tiles_across + 2
    pixels = (last - first + WIDTH - 1) // WIDTH * BYTES
    strip_plane = columns * pixels
    for s in range(columns):
        for c in range(first, last, WIDTH):
            column = transform_image(
                pixel(x, gate, n, top, left + s, c),
                pixel(x, gate, n, top + 1, left + s, c),
                pixel(x, gate, n, top + 2, left + s, c),
                pixel(x, gate, n, top + 3, left + s, c),
                pixel(x, gate, n, top + 4, left + s, c),
                pixel(x, gate, n, top + 5, left + s, c),
            )
            place = strip + s * pixels + (c - first) * 4
            store(column[0], place)
            store(column[1], place + strip_plane)
            store(column[2], place + 2 * strip_plane)
            store(column[3], place + 3 * strip_plane)
            store(column[4], place + 4 * strip_plane)
            store(column[5], place + 5 * strip_plane)
    for t in range(tiles_across):
        for i in range(6):
            for c in range(0, pixels, BYTES):
                at = strip + i * strip_plane + 4 * t * pixels + c
                values = transform_image(
                    load(at),
                    load(at + pixels),
                    load(at + 2 * pixels),
                    load(at + 3 * pixels),
                    load(at + 4 * pixels),
                    load(at + 5 * pixels),
                )
                place = tiles + 6 * i * plane + t * row + c
                store(values[0], place)
                store(values[1], place + plane)
                store(values[2], place + 2 * plane)
                store(values[3], place + 3 * plane)
                store(values[4], place + 4 * plane)
                store(values[5], place + 5 * plane)


@compiled
def read_gradient(dy, gate, n, top, tiles_across, strip, tiles, plane, row):
    """A dy Aᵀ of a strip of dy; six planes of `strip` hold A dy."""
    columns, channels = 4 * tiles_across, dy.shape[3]
    pixels = (channels + WIDTH - 1) // WIDTH * BYTES
    strip_plane = columns * pixels
    for s in range(columns):
        for c in range(0, channels, WIDTH):
            column = spread_gradient(
                pixel(dy, gate, n, top, s, c),
                pixel(dy, gate, n, top + 1, s, c),
                pixel(dy, gate, n, top + 2, s, c),
                pixel(dy, gate, n, top + 3, s, c),
            )
            place = strip + s * pixels + c * 4
            store(column[0], place)
            store(column[1], place + strip_plane)
            store(column[2], place + 2 * strip_plane)
            store(column[3], place + 3 * strip_plane)
            store(column[4], place + 4 * strip_plane)
            store(column[5], place + 5 * strip_plane)
    for t in range(tiles_across):
        for i in range(6):
            for c in range(0, pixels, BYTES):
                at = strip + i * strip_plane + 4 * t * pixels + c
                values = spread_gradient(
                    load(at), load(at + pixels), load(at + 2 * pixels), load(at + 3 * pixels)
                )
                place = tiles + 6 * i * plane + t * row + c
                store(values[0], place)
                store(values[1], place + plane)
                store(values[2], place + 2 * plane)
                store(values[3], place + 3 * plane)
                store(values[4], place + 4 * plane)
                store(values[5], place + 5 * plane)


@inline
def transformed_column(at, plane):
    """Aᵀ of one column of a tile; `at` is the frequency at its top."""
    return gather_outputs(
        load(at),
        load(at + 6 * plane),
        load(at + 12 * plane),
        load(at + 18 * plane),
        load(at + 24 * plane),
        load(at + 30 * plane),
    )


@inline
def put(value, place, channels, floor):
    value = at_least(value, floor)
    if channels >= WIDTH:
        store(value, place)
    else:
        store_first(value, place, channels)


@inline
def write_row(row, bias, floor, place, pixel, columns, channels):
    """One row of a tile's outputs, of which `columns` lie in the image."""
    put(row[0] + bias, place, channels, floor)
    if columns > 1:
        put(row[1] + bias, place + pixel, channels, floor)
    if columns > 2:
        put(row[2] + bias, place + 2 * pixel, channels, floor)
    if columns > 3:
        put(row[3] + bias, place + 3 * pixel, channels, floor)


@compiled
def write_tile(tile, plane, bias, floor, n, top, left, y):
    """y of a tile = max(Aᵀ M A + bias, floor), where it lies in the image."""
    _, height, width, channels = y.shape
    pixel = channels * 4
    rows, columns = height - top, width - left
    floor = splat(floor)
    for c in range(0, channels, WIDTH):
        at, left_over = tile + c * 4, channels - c
        m0 = transformed_column(at, plane)
        m1 = transformed_column(at + plane, plane)
        m2 = transformed_column(at + 2 * plane, plane)
        m3 = transformed_column(at + 3 * plane, plane)
        m4 = transformed_column(at + 4 * plane, plane)
        m5 = transformed_column(at + 5 * plane, plane)
        offset = some(address(bias) + c * 4, left_over)
        place = address(y) + (((n * height + top) * width + left) * channels + c) * 4
        row = gather_outputs(m0[0], m1[0], m2[0], m3[0], m4[0], m5[0])
        write_row(row, offset, floor, place, pixel, columns, left_over)
        if rows > 1:
            row = gather_outputs(m0[1], m1[1], m2[1], m3[1], m4[1], m5[1])
            write_row(row, offset, floor, place + width * pixel, pixel, columns, left_over)
        if rows > 2:
            row = gather_outputs(m0[2], m1[2], m2[2], m3[2], m4[2], m5[2])
            write_row(row, offset, floor, place + 2 * width * pixel, pixel, columns, left_over)
        if rows > 3:
            row = gather_outputs(m0[3], m1[3], m2[3], m3[3], m4[3], m5[3])
            write_row(row, offset, floor, place + 3 * width * pixel, pixel, columns, left_over)
