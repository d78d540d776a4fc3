"""BatchNorm folded into the convolution before it, for eval mode.

There BatchNorm is y = γ (v − μ)/s + β with constants, s = √(σ² + ε), and v = x * W + b is linear in
W and b. So y = x * W′ + b′ with, channel by channel,

    W′ = W γ/s        b′ = (b − μ) γ/s + β.
"""

import copy

import numpy as np

from ..backend.device import array_module
from .base import Layer
from .batch_norm import BatchNorm
from .containers import Residual, Sequential
from .convolution import Conv2D


def fold(layer: Layer) -> Layer:
    """A copy that computes the same in eval mode, up to rounding, with fewer layers: each BatchNorm
    right behind a Conv2D of a Sequential is gone. Its convolutions keep what Winograd's algorithm
    makes of their weights, four times their size and again for the gradient: these must not be
    changed in place."""
    if type(layer) is Sequential:
        folded: list[Layer] = []
        for part in layer.layers:
            if type(part) is BatchNorm and folded and type(folded[-1]) is Conv2D:
                folded[-1] = _absorb(folded[-1], part)
            else:
                folded.append(fold(part))
        return Sequential(*folded)
    if type(layer) is Residual:
        return Residual(fold(layer.body), fold(layer.shortcut) if layer.shortcut else None)
    copied = copy.deepcopy(layer)
    if isinstance(copied, Conv2D):
        copied.weight_cache = {}
    return copied


def _absorb(convolution: Conv2D, norm: BatchNorm) -> Conv2D:
    """W′ and b′, computed in float64."""
    before, weight = convolution.params, convolution.params["weight"]
    xp = array_module(weight)
    values = {name: value.astype(np.float64) for name, value in norm.params.items()}
    gain = values["scale"] / xp.sqrt(values["running_variance"] + norm.epsilon)
    offset = before.get("bias", 0) - values["running_mean"]
    folded = copy.copy(convolution)
    folded.weight_cache = {}
    folded.params = {
        "weight": (weight * gain).astype(weight.dtype),
        "bias": (offset * gain + values["shift"]).astype(weight.dtype),
    }
    return folded
