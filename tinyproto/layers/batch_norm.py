"""Batch normalization (Ioffe and Szegedy, arXiv 1502.03167), with both of its backward passes.

For each channel, over the m = N · H · W pixels of a batch, in train mode,

    μ = mean(x)      σ² = mean((x − μ)²)      x̂ = (x − μ)/√(σ² + ε)      y = γ x̂ + β

and, since μ and σ² depend on every x (write s = √(σ² + ε); ∂σ²/∂x_i = 2(x_i − μ)/m, ∂μ/∂x_i = 1/m),

    dβ = Σ dy      dγ = Σ dy x̂      dx = γ/s (dy − dβ/m − x̂ dγ/m).

In eval mode μ and σ² are the running averages, constants: dx = γ/s dy, and dγ, dβ are as above.
"""

import math

import numpy as np

from ..device import Array, array_module
from ..kernels.channels import (
    channel_affine,
    channel_combine,
    channel_products,
    channel_squares,
    channel_sums,
)
from ..parameters import Tree
from .base import Backward, Layer, check_input, positive_integers


class BatchNorm(Layer):
    """y like x (N, H, W, C) or (N, C), each channel normalized and scaled.

    Parameters: scale γ, shift β, and the running averages running_mean, running_variance (C,). A
    backward pass in train mode appends its batch's mean and variance (n/(n − 1) times σ², as
    PyTorch has it) to the lists that are their slots in `grads`; an optimizer's step folds them in.
    """

    def __init__(self, channels: int, *, epsilon: float = 1e-5):
        positive_integers("BatchNorm", channels=channels)
        if not epsilon > 0:
            raise ValueError(f"BatchNorm: epsilon must be above 0, not {epsilon!r}")
        self.epsilon = epsilon
        self.params = {
            "scale": np.ones(channels, dtype=np.float32),
            "shift": np.zeros(channels, dtype=np.float32),
            "running_mean": np.zeros(channels, dtype=np.float32),
            "running_variance": np.ones(channels, dtype=np.float32),
        }

    def __call__(self, x: Array, train: bool = False) -> tuple[Array, Backward]:
        xp, scale = array_module(x), self.params["scale"]
        check_input("BatchNorm", x, 2 if x.ndim == 2 else 4, len(scale))
        images, channels = len(x), x.shape[-1]
        pixels = math.prod(x.shape[1:-1])
        m = images * pixels
        flat = xp.ascontiguousarray(x).reshape(images, pixels, channels)

        def per_image() -> Array:
            return xp.empty((images, channels), dtype=x.dtype)

        def over_images(total: Array) -> Array:
            return total.sum(axis=0, dtype=np.float64)

        if train:
            if m < 2:
                raise ValueError(
                    f"BatchNorm in train mode needs 2 values a channel or more, not {m}"
                )
            total = per_image()
            channel_sums(images, flat, total)
            mean = (over_images(total) / m).astype(x.dtype)
            channel_squares(images, flat, mean, total)
            variance = (over_images(total) / m).astype(x.dtype)
        else:
            mean, variance = self.params["running_mean"], self.params["running_variance"]
        inverse = 1 / xp.sqrt(variance + x.dtype.type(self.epsilon))
        gain = scale * inverse
        y = xp.empty_like(flat)
        channel_affine(images, flat, mean, gain, self.params["shift"], y)

        def backward(dy: Array, grads: Tree | None = None) -> Array:
            dy = xp.ascontiguousarray(dy).reshape(flat.shape)
            dx = xp.empty_like(flat)
            if train or grads:
                product, total = per_image(), per_image()
                channel_products(images, flat, mean, dy, product, total)
                d_scale = (over_images(product) * inverse).astype(x.dtype)
                d_shift = over_images(total).astype(x.dtype)
            if grads:
                for name, value in (("scale", d_scale), ("shift", d_shift)):
                    if name in grads:
                        grads[name] += value
            if not train:
                channel_affine(images, dy, mean * 0, gain, mean * 0, dx)
                return dx.reshape(x.shape)
            if grads and "running_mean" in grads:
                grads["running_mean"].append(mean)
            if grads and "running_variance" in grads:
                grads["running_variance"].append(variance * x.dtype.type(m / (m - 1)))
            slope, offset = -gain * inverse * d_scale / m, -gain * d_shift / m
            channel_combine(images, dy, gain, flat, mean, slope, offset, dx)
            return dx.reshape(x.shape)

        return y.reshape(x.shape), backward
