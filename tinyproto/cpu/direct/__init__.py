"""Convolutions of any size and stride as products with windows that are never written down.

In NHWC, a window of K × K pixels is K runs of K · C numbers, one in each row of the image, and the
windows of a row of outputs lie `stride` pixels apart. The micro-kernel takes its rows at any stride
and sums over runs of runs, so it reads the windows where they are: only a strip of the image is
copied, with its border of zeros, into a core's cache.

`convolve` is y = x * W, and dx for each of the stride² ways in which a pixel can lie under the
windows; `weights` is dW.
"""

from .convolve import forward, input_gradient
from .weights import weight_gradient

__all__ = ["forward", "input_gradient", "weight_gradient"]
