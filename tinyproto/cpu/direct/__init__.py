"""Convolutions of any size and stride, computed directly: im2col without the columns.

In NHWC, a window of K × K pixels is K runs of K · C numbers, one in each of K rows of the image,
and neighbouring windows begin `stride` pixels apart. The micro-kernel reads the rows of its left
matrix at any stride, and sums over several runs, so it reads the windows in place. Only a
band of rows of the image, with the zeros of the padding around it, is copied into a core's cache.

`packing` lays out the weights for the micro-kernel; `bands` copies bands and says where they are in
memory; `convolve` is the forward pass and dx, `weights` is dW.
"""

from .convolve import forward, input_gradient
from .packing import prepare_weights
from .weights import weight_gradient

__all__ = ["forward", "input_gradient", "prepare_weights", "weight_gradient"]
