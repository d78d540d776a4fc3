"""Batch normalization (Ioffe and Szegedy, arXiv 1502.03167): its forward and backward pass.

For each channel, over the m = N · H · W pixels of a batch, in train mode,

    μ = mean(x)      σ² = mean((x − μ)²)      x̂ = (x − μ)/√(σ² + ε)      y = γ x̂ + β

and, since μ and σ² depend on every x (write s = √(σ² + ε); ∂σ²/∂x_i = 2(x_i − μ)/m, ∂μ/∂x_i = 1/m),

    dβ = Σ dy      dγ = Σ dy x̂      dx = γ/s (dy − dβ/m − x̂ dγ/m).

In eval mode μ and σ² are the running averages, which are constants: dx = γ/s dy, and dγ and dβ are
as above.

A batch may be spread over ranks (see `communicator`). Rank r has m_r of the m pixels; with
w_r = m_r/m and the moments μ_r, σ_r² of its own,

    μ = Σ_r w_r μ_r      σ² = Σ_r w_r (σ_r² + (μ_r − μ)²).

Each rank takes the mean loss of its own images, L_r, whose weight in the loss of the batch is w_r:
L = Σ_r w_r L_r. What it gets is dy_r = ∂L_r/∂y = dy/w_r, and what it returns must be dx_r = dx/w_r.
With dy = w_r dy_r in the formula for dx, and m w_r = m_r,

    dβ = Σ_r w_r Σ_own dy_r      dγ = Σ_r w_r Σ_own dy_r x̂
    dx_r = γ/s (dy_r − dβ/m_r − x̂ dγ/m_r).

So the backward pass needs the two weighted sums over all ranks. The gradients of γ and β remain
this rank's own sums: like those of all other parameters they are weighted and summed by `fit`.
"""

import math

import numpy as np

from ..backend import memory
from ..backend.device import Array, array_module
from ..communicator import Communicator, spread_over, sum_in_order
from ..kernels.channels import (
    batch_norm_backward,
    batch_norm_backward_reduce,
    channel_affine,
    channel_affine_backward,
    channel_moments,
)
from ..kernels.merge import merge_gradients, merge_moments
from ..parameters import Tree
from .base import Backward, Layer
from .checks import TINY, check_backward, check_input, check_parameters, positive_integers
from .rows import pixel_rows

NAMES = "scale", "shift", "running_mean", "running_variance"


class BatchNorm(Layer):
    """Batch normalization of images (N, H, W, C) or rows (N, C), channel by channel.

    In train mode a channel is normalized with the mean and variance of the batch, in eval mode with
    their running averages.

    Parameters
    ----------
    channels : int
        C, the length of the last axis of x.
    epsilon : float
        Added to the variance, above 0.

    Attributes
    ----------
    params : dict
        "scale" γ, "shift" β, and the running averages "running_mean" and "running_variance", (C,)
        each.

    Raises
    ------
    ValueError
        For channels below 1, epsilon not above 0, x, a parameter or dy of another shape; and, in
        train mode, for a batch with only one value a channel.

    Notes
    -----
    The module's docstring derives the gradients. The layer does not change its running averages
    itself: a backward pass in train mode appends the mean and variance of its batch to the lists
    that are their slots in `grads`, and the next step of the optimizer averages them in. The
    variance there is m/(m − 1) σ², as in PyTorch.

    Examples
    --------
    >>> import numpy as np
    >>> from tinyproto.layers import BatchNorm
    >>> x = np.array([[1.0, 10.0], [3.0, 30.0]])
    >>> y, backward = BatchNorm(2)(x, train=True)
    >>> np.round(y, 3)
    array([[-1., -1.],
           [ 1.,  1.]])
    >>> grads = {"running_mean": []}
    >>> dx = backward(np.ones_like(y), grads)
    >>> grads["running_mean"]
    [array([ 2., 20.])]
    """

    def __init__(self, channels: int, *, epsilon: float = 1e-5):
        positive_integers("BatchNorm", channels=channels)
        if not TINY < epsilon < 1 / TINY:  # in float32 neither 0 nor infinite
            raise ValueError(
                f"BatchNorm: epsilon must be above 0 and finite in float32, not {epsilon!r}"
            )
        self.channels, self.epsilon = channels, epsilon
        self.parameter_shapes = dict.fromkeys(NAMES, (channels,))
        ones, zeros = np.ones(channels, np.float32), np.zeros(channels, np.float32)
        initial = ones, zeros, zeros.copy(), ones.copy()
        self.params = dict(zip(NAMES, initial, strict=True))

    def __repr__(self) -> str:
        epsilon = "" if self.epsilon == 1e-5 else f", epsilon={self.epsilon}"
        return f"{type(self).__name__}({self.channels}{epsilon})"

    def __call__(self, x: Array, train: bool = False) -> tuple[Array, Backward]:
        return self._forward(x, train, minimum=-math.inf)

    def forward_relu(self, x: Array, train: bool = False) -> tuple[Array, Backward]:
        """The layer and a ReLU after it in one pass. The backward pass computes y again to see
        where it is above 0: that is cheaper than reading it."""
        return self._forward(x, train, minimum=0.0)

    def _forward(self, x: Array, train: bool, minimum: float) -> tuple[Array, Backward]:
        xp, params = array_module(x), self.params
        check_input("BatchNorm", x, 2 if np.ndim(x) == 2 else 4, self.channels)
        check_parameters(self, x)
        shift = xp.ascontiguousarray(params["shift"])
        flat = pixel_rows(xp.ascontiguousarray(x))
        rows, m = len(flat), flat.shape[0] * flat.shape[1]
        ranks = spread_over()
        if train:
            mean, variance, m_all = _moments(flat, ranks)
        else:
            mean = xp.ascontiguousarray(params["running_mean"])
            variance = params["running_variance"]
        inverse = 1 / xp.sqrt(variance + x.dtype.type(self.epsilon))
        affine = (flat, mean, params["scale"] * inverse, shift, x.dtype.type(minimum))
        y = memory.empty_like(flat)
        channel_affine(rows, *affine, y)

        def backward(dy: Array, grads: Tree | None = None) -> Array:
            check_backward(self, dy, x.shape, grads)
            dy = xp.ascontiguousarray(dy).reshape(flat.shape)
            dx = memory.empty_like(flat)
            if train or grads:
                product, total = xp.empty((2, rows, self.channels), dtype=x.dtype)
                batch_norm_backward_reduce(rows, *affine, dy, product, total)
                sums = xp.empty((2, self.channels), dtype=np.float64)
                merge_gradients(self.channels, sums[0], sums[1], inverse, product, total)
                d_scale, d_shift = sums.astype(x.dtype, copy=False)
            if grads:
                for name, value in (("scale", d_scale), ("shift", d_shift)):
                    if name in grads:
                        grads[name] += value
            if not train:
                channel_affine_backward(rows, *affine, dy, dx)
                return dx.reshape(x.shape)
            if grads and "running_mean" in grads:
                grads["running_mean"].append(mean)
            if grads and "running_variance" in grads:
                grads["running_variance"].append(variance * x.dtype.type(m_all / (m_all - 1)))
            if ranks.size > 1:
                d_scale, d_shift = ranks.all_reduce(sums * (m / m_all)).astype(x.dtype, copy=False)
            share = affine[2] / -m
            batch_norm_backward(rows, *affine, dy, share * inverse * d_scale, share * d_shift, dx)
            return dx.reshape(x.shape)

        return y.reshape(x.shape), backward


def _moments(x: Array, ranks: Communicator) -> tuple[Array, Array, int]:
    """Mean and variance of each channel of x (rows, P, C) of all ranks, by way of those of each
    row; and the number of values of a channel."""
    xp, (rows, pixels, channels) = array_module(x), x.shape
    m = rows * pixels
    if m < (2 if ranks.size == 1 else 1):
        raise ValueError(f"BatchNorm in train mode needs 2 values a channel or more, not {m}")
    means, rests, squares = xp.empty((3, rows, channels), dtype=x.dtype)
    channel_moments(rows, x, means, rests, squares)
    both = xp.empty((2, channels), dtype=np.float64)
    merge_moments(channels, both[0], both[1], means, rests, squares, pixels)
    if ranks.size > 1:
        both, m = _merge(both, m, ranks)
    mean, variance = both.astype(x.dtype, copy=False)
    return mean, variance, m


def _merge(both: Array, m: int, ranks: Communicator) -> tuple[Array, int]:
    """The mean and variance (2, C) of all ranks' values from those of each, and their number."""
    xp = array_module(both)
    gathered = ranks.all_gather(xp.concatenate([both.reshape(-1), xp.full(1, float(m))]))
    counts, moments = gathered[:, -1], gathered[:, :-1].reshape(ranks.size, *both.shape)
    weights = (counts / counts.sum())[:, None]
    mean = sum_in_order(weights * moments[:, 0])
    variance = sum_in_order(weights * (moments[:, 1] + (moments[:, 0] - mean) ** 2))
    return xp.stack([mean, variance]), int(counts.sum())
