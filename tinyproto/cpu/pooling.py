"""Max-pooling in vector code: float32, on the CPU, channels in whole vectors; see
`vector_channels`."""

import numpy as np

from .simd import (
    WIDTH,
    address,
    clear,
    compiled,
    load,
    load_bytes,
    splat,
    store,
    store_bytes,
    where_equal,
    where_greater,
)


@compiled
def max_pool(i, x, stride, size, y, winner):
    _, height, width, channels = x.shape
    if channels % WIDTH or winner.itemsize > 1:
        return False
    n, h = divmod(i, y.shape[1])
    for w in range(y.shape[2]):
        corner = ((n * height + h * stride) * width + w * stride) * channels
        to = (i * y.shape[2] + w) * channels
        for c in range(0, channels, WIDTH):
            best, place = load(address(x) + (corner + c) * 4), splat(np.float32(0))
            for a in range(size):
                for b in range(size):
                    value = load(address(x) + (corner + (a * width + b) * channels + c) * 4)
                    here = splat(np.float32(a * size + b))
                    place = where_greater(value, best, here, place)
                    best = where_greater(value, best, value, best)
            store(best, address(y) + (to + c) * 4)
            store_bytes(place, address(winner) + to + c)
    return True


@compiled
def max_pool_backward(i, dy, winner, stride, size, dx):
    _, height, width, channels = dx.shape
    if channels % WIDTH or winner.itemsize > 1:
        return False
    n, r = divmod(i, height)
    row = address(dx) + i * width * channels * 4
    clear(row, width * channels * 4)
    for a in range(size):
        h = (r - a) // stride
        if r < a or h * stride != r - a or h >= dy.shape[1]:
            continue
        for w in range(dy.shape[2]):
            window = ((n * dy.shape[1] + h) * dy.shape[2] + w) * channels
            for c in range(0, channels, WIDTH):
                place = load_bytes(address(winner) + window + c)
                gradient = load(address(dy) + (window + c) * 4)
                for b in range(size):
                    at = row + ((w * stride + b) * channels + c) * 4
                    won = where_equal(place, splat(np.float32(a * size + b)), gradient)
                    store(load(at) + won, at)
    return True
