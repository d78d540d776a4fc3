"""Max pooling in vector code: float32, on the CPU.

As in `channels`, each function does row i and returns whether it did: where the number of channels
is not a multiple of WIDTH, the body in `kernels.pooling` does the row.
"""

import numpy as np

from .simd import (
    WIDTH,
    address,
    compiled,
    load,
    load_bytes,
    select_equal,
    select_greater,
    splat,
    store,
    store_bytes,
    zero_fill,
)


@compiled
def max_pool(i, x, stride, size, y, argmax):
    """Row i of y, and which pixel of its window each value is (a number below size²)."""
    _, height, width, channels = x.shape
    if channels % WIDTH or argmax.itemsize > 1:
        return False
    n, h = divmod(i, y.shape[1])
    for w in range(y.shape[2]):
        window = ((n * height + h * stride) * width + w * stride) * channels
        output = (i * y.shape[2] + w) * channels
        for c in range(0, channels, WIDTH):
            largest, index = load(address(x) + (window + c) * 4), splat(np.float32(0))
            for a in range(size):
                for b in range(size):
                    value = load(address(x) + (window + (a * width + b) * channels + c) * 4)
                    pixel = splat(np.float32(a * size + b))
                    index = select_greater(value, largest, pixel, index)
                    largest = select_greater(value, largest, value, largest)
            store(largest, address(y) + (output + c) * 4)
            store_bytes(index, address(argmax) + output + c)
    return True


@compiled
def max_pool_backward(i, dy, argmax, stride, size, dx):
    """Row i of dx: each dy goes to the pixel that was its window's largest."""
    _, height, width, channels = dx.shape
    if channels % WIDTH or argmax.itemsize > 1:
        return False
    n, r = divmod(i, height)
    row = address(dx) + i * width * channels * 4
    zero_fill(row, width * channels * 4)
    for a in range(size):
        h = (r - a) // stride
        if r < a or h * stride != r - a or h >= dy.shape[1]:
            continue
        for w in range(dy.shape[2]):
            output = ((n * dy.shape[1] + h) * dy.shape[2] + w) * channels
            for c in range(0, channels, WIDTH):
                index = load_bytes(address(argmax) + output + c)
                gradient = load(address(dy) + (output + c) * 4)
                for b in range(size):
                    target = row + ((w * stride + b) * channels + c) * 4
                    received = select_equal(index, splat(np.float32(a * size + b)), gradient)
                    store(load(target) + received, target)
    return True
