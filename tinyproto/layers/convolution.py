"""Convolution. `convolution_backend` says which module computes it."""

import numpy as np

from ..backend.device import Array, array_module
from ..cpu.geometry import Geometry
from ..parameters import Tree
from ..validation import check_count
from .base import Backward, Layer, initialize
from .checks import check_backward, check_input, check_parameters, positive_integers
from .convolution_backend import WeightCache, forget_weights, prepared_weights, select_backend


class Conv2D(Layer):
    """Convolution of images (N, H, W, in_channels) with zero padding.

    y is (N, height, width, out_channels), height = (H + 2 padding − kernel_size) // stride + 1, the
    width likewise.

    Parameters
    ----------
    in_channels, out_channels : int
    kernel_size : int
        Side of the square kernel, in pixels.
    stride : int
        Pixels of x from one window to the next.
    padding : int
        Rows and columns of zeros around the image, on each side.
    bias : bool
        Whether to add a bias.

    Attributes
    ----------
    params : dict
        "weight" (kernel_size, kernel_size, in_channels, out_channels), drawn by `initialize` with
        seed 0, and "bias" (out_channels,), zeros.

    Raises
    ------
    ValueError
        For a size below 1 or a negative padding; when called, for images, a parameter or dy of
        another shape, or images smaller than the kernel.

    Notes
    -----
    With S = stride, P = padding, and x = 0 outside the image,

        y[h, w, o] = Σ_{a, b, c} x[h S − P + a, w S − P + b, c] weight[a, b, c, o] + bias[o].

    Float32 on the CPU is computed by Winograd's algorithm or by direct sums, everything else by
    im2col and a matrix product: see `tinyproto.cpu.winograd`, `tinyproto.cpu.direct` and
    `tinyproto.layers.im2col`, which derive the gradients.

    Examples
    --------
    >>> import numpy as np
    >>> from tinyproto.layers import Conv2D
    >>> y, backward = Conv2D(3, 16, 3, stride=2, padding=1)(np.ones((5, 32, 32, 3), np.float32))
    >>> y.shape, backward(y).shape
    ((5, 16, 16, 16), (5, 32, 32, 3))
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
        check_count("Conv2D: padding", padding, 0)
        self.in_channels, self.out_channels = in_channels, out_channels
        self.kernel_size, self.stride, self.padding = kernel_size, stride, padding
        shape = (kernel_size, kernel_size, in_channels, out_channels)
        self.parameter_shapes = {"weight": shape, "bias": (out_channels,)}
        self.weight_cache: WeightCache | None = None  # of a folded network, see `fold`
        self.params = {"weight": np.zeros(shape, dtype=np.float32)}
        if bias:
            self.params["bias"] = np.zeros(out_channels, dtype=np.float32)
        initialize(self, seed=0)

    def __repr__(self) -> str:
        options = f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}"
        for name, value, default in (
            ("stride", self.stride, 1),
            ("padding", self.padding, 0),
            ("bias", "bias" in self.params, True),
        ):
            options += "" if value == default else f", {name}={value}"
        return f"{type(self).__name__}({options})"

    def __getstate__(self) -> dict[str, object]:
        """A pickle is without the prepared weights: they are made again where it is used."""
        return {**self.__dict__, "weight_cache": None if self.weight_cache is None else {}}

    def __call__(self, x: Array, train: bool = False) -> tuple[Array, Backward]:
        return self._forward(x, train, relu=False)

    def forward_relu(self, x: Array, train: bool = False) -> tuple[Array, Backward]:
        """The layer and a ReLU after it in one pass over y."""
        return self._forward(x, train, relu=True)

    def _forward(self, x: Array, train: bool, relu: bool) -> tuple[Array, Backward]:
        channels, out_channels = self.in_channels, self.out_channels
        check_input("Conv2D", x, 4, channels)
        check_parameters(self, x)
        xp, bias = array_module(x), self.params.get("bias")
        weight = xp.ascontiguousarray(self.params["weight"])
        x = xp.ascontiguousarray(x)
        if bias is not None:
            bias = xp.ascontiguousarray(bias, dtype=weight.dtype)
        height, width = self.output_size(x.shape[1]), self.output_size(x.shape[2])
        shape = (len(x), height, width, out_channels)
        geometry = Geometry(self.kernel_size, self.stride, self.padding, x.shape, shape)
        if train and self.weight_cache:
            forget_weights(self.weight_cache)  # they are about to change
        cache = None if train else self.weight_cache
        backend = select_backend(x, weight, self.stride, self.padding, channels)
        weights = prepared_weights(backend, weight, geometry, False, cache)
        y = backend.forward(x, weights, bias, geometry, relu)
        relu_mask = y if relu else None

        def backward(dy: Array, grads: Tree | None = None) -> Array:
            check_backward(self, dy, shape, grads)
            dy = xp.ascontiguousarray(dy, dtype=x.dtype)
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
        """The height or width of y, for an image of this height or width. Raises ValueError for
        fewer pixels than the kernel needs."""
        last = pixels + 2 * self.padding - self.kernel_size  # where the last window can begin
        if last < 0:
            raise ValueError(
                f"Conv2D: windows of {self.kernel_size} pixels do not fit an image of {pixels} "
                f"with padding {self.padding}"
            )
        return last // self.stride + 1
