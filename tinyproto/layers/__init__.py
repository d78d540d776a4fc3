"""Layers: functions that return their own backward pass.

    y, backward = layer(x, train=False)
    dx = backward(dy)            # the gradient at the input and nothing else: what an attack needs
    dx = backward(dy, grads)     # also adds the parameters' gradients into grads

No tape, and nothing is left on the layer: it can be called twice, and each `backward` keeps its own
memory and can be called again. What went in and came out is kept, not copied: leave both as they
are until the backward pass is done. `grads` is a tree like `layer.params` (`parameters.zeros`); a
slot that is not in it is not computed, which freezes that parameter. Images are NHWC.
"""

from .base import Backward, Layer, initialize
from .batch_norm import BatchNorm
from .containers import Residual, Sequential
from .convolution import Conv2D
from .elementwise import Normalize, ReLU
from .fold import fold
from .linear import Flatten, Linear
from .pooling import AveragePool2D, GlobalAveragePool, MaxPool2D

__all__ = [
    "AveragePool2D",
    "Backward",
    "BatchNorm",
    "Conv2D",
    "Flatten",
    "GlobalAveragePool",
    "Layer",
    "Linear",
    "MaxPool2D",
    "Normalize",
    "ReLU",
    "Residual",
    "Sequential",
    "fold",
    "initialize",
]
