"""Convolution, and which of three modules computes it.

`im2col` is plain and works for all; `kernels.direct` and `kernels.winograd` are made for float32
on the CPU. Each has `forward`, `input_gradient` and `weight_gradient`.
"""

from types import ModuleType
from typing import Any

import numpy as np

from ..backend.device import Array, array_module
from ..parameters import Tree
from . import im2col
from .base import Backward, Layer, check_input, initialize, positive_integers

LEAST_CHANNELS = 16
"""Where fewer channels go in, Winograd's transforms cost more than its products save."""


def way(x: Array, weight: Array, stride: int, padding: int, channels: int) -> ModuleType:
    """The module that computes a pass over so many channels (for dW, the fewer of in and out).

    Depends on no batch size: the same image gives the same bits in any batch.
    """
    if array_module(x) is not np or x.dtype != np.float32 or weight.dtype != np.float32:
        return im2col
    from ..cpu import direct, winograd  # these import Numba

    if len(weight) == 3 and stride == 1 and padding <= 2 and channels >= LEAST_CHANNELS:
        return winograd
    return direct


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
        self.weight_cache: dict[bool, Any] | None = None  # a folded network's transformed weights
        shape = (kernel_size, kernel_size, in_channels, out_channels)
        self.params = {"weight": np.zeros(shape, dtype=np.float32)}
        if bias:
            self.params["bias"] = np.zeros(out_channels, dtype=np.float32)
        initialize(self, seed=0)

    def __call__(self, x: Array, train: bool = False) -> tuple[Array, Backward]:
        return self._pass(x, train, relu=False)

    def forward_relu(self, x: Array, train: bool = False) -> tuple[Array, Backward]:
        """max(y, 0): the layer and a ReLU after it, in one pass over y."""
        return self._pass(x, train, relu=True)

    def _pass(self, x: Array, train: bool, relu: bool) -> tuple[Array, Backward]:
        xp, bias = array_module(x), self.params.get("bias")
        weight = xp.ascontiguousarray(self.params["weight"])
        check_input("Conv2D", x, 4, weight.shape[2])
        x = xp.ascontiguousarray(x)
        if bias is not None:
            bias = xp.ascontiguousarray(bias, dtype=weight.dtype)
        shape = (len(x), *(self._reach(pixels) for pixels in x.shape[1:3]), weight.shape[3])
        form = (self.stride, self.padding)
        weight_cache = self.weight_cache
        if train and weight_cache:
            weight_cache.clear()  # the weights are about to change
        weight_cache = None if train else weight_cache
        forward = way(x, weight, *form, channels=weight.shape[2]).forward
        y = forward(x, weight, bias, *form, shape, relu, weight_cache)
        relu_mask = y if relu else None

        def backward(dy: Array, grads: Tree | None = None) -> Array:
            dy = xp.ascontiguousarray(dy, dtype=x.dtype).reshape(shape)
            if grads and ("weight" in grads or "bias" in grads):
                channels = min(weight.shape[2:])
                weight_gradient = way(x, weight, *form, channels=channels).weight_gradient
                gradients = weight_gradient(x, dy, weight, *form, relu_mask)
                for name, gradient in zip(("weight", "bias"), gradients, strict=True):
                    if name in grads:
                        grads[name] += gradient
            input_gradient = way(dy, weight, *form, channels=weight.shape[3]).input_gradient
            dx: Array = input_gradient(dy, weight, *form, x.shape, relu_mask, weight_cache)
            return dx

        return y, backward

    def _reach(self, pixels: int) -> int:
        """How many windows stand along `pixels`."""
        room = pixels + 2 * self.padding - self.size
        if room < 0:
            raise ValueError(
                f"Conv2D: windows of {self.size} pixels do not fit an image of {pixels} "
                f"with padding {self.padding}"
            )
        return room // self.stride + 1
