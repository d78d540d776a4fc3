"""Fold BatchNorm into the convolution before it, for eval mode.

There BatchNorm is y = γ (v − μ)/s + β with constants, s = √(σ² + ε), and v = x * W + b is linear in
W and b. So y = x * W′ + b′ with, channel by channel,

    W′ = W γ/s        b′ = (b − μ) γ/s + β.
"""

import copy

import numpy as np

from ..backend.device import array_module
from .base import Layer
from .batch_norm import BatchNorm
from .checks import check_parameters
from .containers import Residual, Sequential
from .convolution import Conv2D
from .flip_average import FlipAverage
from .graph import Graph, simplify


def fold(layer: Layer) -> Layer:
    """Copy a layer for eval mode, with each BatchNorm folded into the Conv2D before it.

    The copy computes the same up to rounding, faster. Only a BatchNorm directly after a Conv2D in
    a `Sequential` is folded, at any depth of nested `Sequential`, `Residual`, `FlipAverage` and
    `Graph` layers and networks, and one that alone takes the output of a Conv2D in a `Graph`, which
    is simplified first. A layer of another class is copied, or folds itself if it has a method
    `folded`.

    Parameters
    ----------
    layer : Layer

    Returns
    -------
    Layer
        A copy that does not follow further training of `layer`. Its convolutions keep their weights
        in the form that the forward and the backward pass need (for Winograd's algorithm, four
        times the size of the weights each). These weights become read-only when they are prepared:
        assign a new array, which is prepared again.

    Raises
    ------
    ValueError
        For parameters of a shape that the layers cannot have.

    Examples
    --------
    >>> import numpy as np
    >>> from tinyproto.layers import BatchNorm, Conv2D, ReLU, Sequential, fold
    >>> layer = Sequential(Conv2D(3, 4, 3), BatchNorm(4), ReLU())
    >>> folded = fold(layer)
    >>> [type(part).__name__ for part in folded.layers]
    ['Conv2D', 'ReLU']
    >>> x = np.random.default_rng(0).random((2, 8, 8, 3))
    >>> bool(np.allclose(folded(x)[0], layer(x)[0]))
    True
    """
    if type(layer) is Sequential:
        folded: list[Layer] = []
        for part in layer.layers:
            if type(part) is BatchNorm and folded and type(folded[-1]) is Conv2D:
                folded[-1] = _fold_pair(folded[-1], part)
            else:
                folded.append(fold(part))
        return Sequential(*folded)
    if type(layer) is Graph:
        simple = simplify(layer)
        if type(simple) is not Graph:
            return fold(simple)
        return Graph({name: (fold(part), *at) for name, (part, *at) in simple.nodes.items()})
    if type(layer) is Residual:
        return Residual(fold(layer.body), fold(layer.shortcut) if layer.shortcut else None)
    if type(layer) is FlipAverage:
        return FlipAverage(fold(layer.body))
    if own := getattr(type(layer), "folded", None):
        return own(layer)
    copied = copy.deepcopy(layer)
    if isinstance(copied, Conv2D):
        copied.weight_cache = {}
    return copied


def _fold_pair(convolution: Conv2D, norm: BatchNorm) -> Conv2D:
    """The convolution with W′ and b′, computed in float64."""
    weight = convolution.params["weight"]
    check_parameters(convolution, weight)
    check_parameters(norm, weight)
    if norm.channels != convolution.out_channels:
        raise ValueError(f"{norm!r} does not fit the output of {convolution!r}")
    xp = array_module(weight)
    values = {name: value.astype(np.float64) for name, value in norm.params.items()}
    gain = values["scale"] / xp.sqrt(values["running_variance"] + norm.epsilon)
    offset = convolution.params.get("bias", 0) - values["running_mean"]
    folded = copy.copy(convolution)
    folded.weight_cache = {}
    folded.params = {
        "weight": (weight * gain).astype(weight.dtype),
        "bias": (offset * gain + values["shift"]).astype(weight.dtype),
    }
    return folded
