"""Images as the rows of a kernel."""

import math

import numpy as np

from ..backend.device import Array, array_module

GPU_PIXELS = 16
"""Pixels of a row on a GPU, which is idle unless it has thousands of rows at once."""


def pixel_rows(x: Array) -> Array:
    """x (N, …, C), contiguous, as (rows, pixels, C): a row is an image, on a GPU a part of one."""
    pixels = math.prod(x.shape[1:-1])
    parts = 1 if array_module(x) is np else pixels // math.gcd(pixels, GPU_PIXELS)
    return x.reshape(len(x) * parts, pixels // max(1, parts), x.shape[-1])
