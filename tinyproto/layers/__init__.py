"""Layers: functions that return their own backward pass.

    y, backward = layer(x, train=False)
    dx = backward(dy)            # the gradient at the input and nothing else: what an attack needs
    dx = backward(dy, grads)     # also adds the gradients of the parameters into grads

There is no tape, and a call stores nothing on the layer: a layer can be called twice, and each
`backward` keeps its own memory and can be called several times. It keeps x, y and the parameters
themselves, not copies: do not change them before the backward pass is done. `grads` is a tree like
`layer.params` (`parameters.zeros` makes one); the gradient of a parameter without a slot in it is
not computed, which freezes that parameter. Images are NHWC: (N, height, width, channels). A layer
computes in float32 or float64; an array or a parameter of another dtype, or of a shape that it was
not built for, is refused before anything is computed (see `checks`).
"""

from .base import Backward, Layer, initialize
from .batch_norm import BatchNorm
from .containers import Residual, Sequential
from .convolution import Conv2D
from .elementwise import Affine, Normalize, ReLU
from .flip_average import FlipAverage
from .fold import fold
from .graph import Graph, simplify
from .linear import Flatten, Linear
from .padding import Pad2D
from .pooling import AveragePool2D, GlobalAveragePool, MaxPool2D

__all__ = [
    "Affine",
    "AveragePool2D",
    "Backward",
    "BatchNorm",
    "Conv2D",
    "Flatten",
    "FlipAverage",
    "GlobalAveragePool",
    "Graph",
    "Layer",
    "Linear",
    "MaxPool2D",
    "Normalize",
    "Pad2D",
    "ReLU",
    "Residual",
    "Sequential",
    "fold",
    "initialize",
    "simplify",
]
