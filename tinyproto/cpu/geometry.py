"""The sizes of a convolution, as the Conv2D layer gives them to whatever computes it."""

from typing import NamedTuple


class Geometry(NamedTuple):
    """Kernel size, stride and padding in pixels; the shapes of x (N, H, W, in) and y (N, height,
    width, out), height = (H + 2 padding − kernel_size) // stride + 1, the width likewise."""

    kernel_size: int
    stride: int
    padding: int
    input_shape: tuple[int, ...]
    output_shape: tuple[int, ...]
