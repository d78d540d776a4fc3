"""Convolution. `convolution_backend` says which module computes it."""

import numpy as np

from ..backend.device import Array, array_module
from ..cpu.geometry import Geometry
from ..parameters import Tree
from .base import Backward, Layer, check_input, initialize, positive_integers
from .convolution_backend import WeightCache, prepared_weights, select_backend


class Conv2D(Layer):
    """y (N, height, width, out_channels) of x (N, H, W, in_channels), zeros beyond the edges.

    height = (H + 2 padding − kernel_size) // stride + 1, the width likewise. Parameters: weight
    (kernel_size, kernel_size, in, out), bias (out,).
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        *,
        stride: int = 1,
        padding: int = 0,
        bias: bool = True,
    ):
        positive_integers(
            "Conv2D",
            in_channels=in_channels,
            out_channels=out_channels,
            kernel_size=kernel_size,
            stride=stride,
        )
        if not isinstance(padding, int | np.integer) or padding < 0:
            raise ValueError(f"Conv2D: padding must be an integer of 0 or more, not {padding!r}")
        self.size, self.stride, self.padding = kernel_size, stride, padding
        self.weight_cache: WeightCache | None = None  # of a folded network, see `fold`
        shape = (kernel_size, kernel_size, in_channels, out_channels)
        self.params = {"weight": np.zeros(shape, dtype=np.float32)}
        if bias:
            self.params["bias"] = np.zeros(out_channels, dtype=np.float32)
        initialize(self, seed=0)

    def __call__(self, x: Array, train: bool = False) -> tuple[Array, Backward]:
        return self._forward(x, train, relu=False)

    def forward_relu(self, x: Array, train: bool = False) -> tuple[Array, Backward]:
        """max(y, 0): the layer and a ReLU after it, in one pass over y."""
        return self._forward(x, train, relu=True)

    def _forward(self, x: Array, train: bool, relu: bool) -> tuple[Array, Backward]:
        xp, bias = array_module(x), self.params.get("bias")
        weight = xp.ascontiguousarray(self.params["weight"])
        channels, out_channels = weight.shape[2:]
        check_input("Conv2D", x, 4, channels)
        x = xp.ascontiguousarray(x)
        if bias is not None:
            bias = xp.ascontiguousarray(bias, dtype=weight.dtype)
        height, width = self.output_size(x.shape[1]), self.output_size(x.shape[2])
        shape = (len(x), height, width, out_channels)
        geometry = Geometry(self.size, self.stride, self.padding, x.shape, shape)
        if train and self.weight_cache:
            self.weight_cache.clear()  # the weights are about to change
        cache = None if train else self.weight_cache
        backend = select_backend(x, weight, self.stride, self.padding, channels)
        weights = prepared_weights(backend, weight, geometry, False, cache)
        y = backend.forward(x, weights, bias, geometry, relu)
        relu_mask = y if relu else None

        def backward(dy: Array, grads: Tree | None = None) -> Array:
            dy = xp.ascontiguousarray(dy, dtype=x.dtype).reshape(shape)
            if grads and ("weight" in grads or "bias" in grads):
                fewer = min(channels, out_channels)
                backend = select_backend(x, weight, self.stride, self.padding, fewer)
                gradients = backend.weight_gradient(x, dy, geometry, relu_mask)
                for name, gradient in zip(("weight", "bias"), gradients, strict=True):
                    if name in grads:
                        grads[name] += gradient
            backend = select_backend(dy, weight, self.stride, self.padding, out_channels)
            weights = prepared_weights(backend, weight, geometry, True, cache)
            return backend.input_gradient(dy, weights, geometry, relu_mask)

        return y, backward

    def output_size(self, pixels: int) -> int:
        """How many windows, and so outputs, there are along `pixels` pixels of the image."""
        movable = pixels + 2 * self.padding - self.size
        if movable < 0:
            raise ValueError(
                f"Conv2D: windows of {self.size} pixels do not fit an image of {pixels} "
                f"with padding {self.padding}"
            )
        return movable // self.stride + 1
