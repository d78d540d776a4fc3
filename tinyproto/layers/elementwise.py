"""Layers that act on each number by itself."""

import math
from collections.abc import Sequence

import numpy as np

from ..backend import memory
from ..backend.device import Array, array_module
from ..kernels.channels import channel_affine, relu, relu_backward
from ..parameters import Tree
from .base import Backward, Layer, check_input


class ReLU(Layer):
    """y = max(x, 0); dx = dy where y > 0 and 0 elsewhere (at x = 0 too)."""

    def __call__(self, x: Array, train: bool = False) -> tuple[Array, Backward]:
        xp = array_module(x)
        flat = xp.ascontiguousarray(x).reshape(len(x), math.prod(x.shape[1:]))
        y = memory.empty_like(flat)
        relu(len(flat), flat, y)

        def backward(dy: Array, grads: Tree | None = None) -> Array:
            dx = memory.empty_like(y)
            relu_backward(len(y), y, xp.ascontiguousarray(dy).reshape(y.shape), dx)
            return dx.reshape(x.shape)

        return y.reshape(x.shape), backward


class Normalize(Layer):
    """y = (x − mean)/std, channel by channel: as a layer, so that an attack works in pixels."""

    def __init__(self, mean: Sequence[float], std: Sequence[float]):
        super().__init__()
        if len(mean) != len(std) or not all(s > 0 for s in std):
            raise ValueError(f"Normalize: std must hold {len(mean)} numbers above 0, not {std!r}")
        self.mean, self.std = tuple(map(float, mean)), tuple(map(float, std))

    def __call__(self, x: Array, train: bool = False) -> tuple[Array, Backward]:
        xp = array_module(x)
        check_input("Normalize", x, x.ndim, None)
        if x.shape[-1] != len(self.mean):
            raise ValueError(f"Normalize expects {len(self.mean)} channels, not {x.shape[-1]}")
        gain = xp.asarray(1 / np.asarray(self.std), dtype=x.dtype)
        mean = xp.asarray(self.mean, dtype=x.dtype)

        def affine(x: Array, centre: Array) -> Array:
            flat = xp.ascontiguousarray(x).reshape(len(x), math.prod(x.shape[1:-1]), x.shape[-1])
            y = memory.empty_like(flat)
            channel_affine(len(x), flat, centre, gain, 0 * gain, x.dtype.type(-np.inf), y)
            return y.reshape(x.shape)

        def backward(dy: Array, grads: Tree | None = None) -> Array:
            return affine(dy, 0 * mean)

        return affine(x, mean), backward
