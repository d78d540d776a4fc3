"""The sizes of a convolution, as the Conv2D layer gives them to whatever computes it."""

from typing import NamedTuple

import numpy as np

FLOAT32 = np.dtype(np.float32)


class Geometry(NamedTuple):
    """Kernel size, stride and padding in pixels; the shapes of x (N, H, W, in) and y (N, height,
    width, out), height = (H + 2 padding − kernel_size) // stride + 1, the width likewise."""

    kernel_size: int
    stride: int
    padding: int
    input_shape: tuple[int, ...]
    output_shape: tuple[int, ...]


def check_array(name: str, array: np.ndarray | None, shape: tuple[int, ...]) -> None:
    """Raise ValueError for an array of another shape or dtype: compiled code trusts both."""
    if array is not None and (array.shape != shape or array.dtype != FLOAT32):
        raise ValueError(
            f"convolution: {name} must be float32 of shape {shape}, not {array.dtype} of shape "
            f"{array.shape}"
        )
