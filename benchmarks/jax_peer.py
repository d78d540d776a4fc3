"""A network of ours in JAX: the same weights, in the same layout, compiled by XLA.

forward = function(network)              # x (N, H, W, C) → scores, a function to be jitted
z = jax.jit(forward)(weights(network), x)
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from tinyproto.layers import (
    AveragePool2D,
    BatchNorm,
    Conv2D,
    Flatten,
    GlobalAveragePool,
    Layer,
    Linear,
    MaxPool2D,
    Normalize,
    ReLU,
    Residual,
    Sequential,
)
from tinyproto.networks import Network
from tinyproto.parameters import flatten
from tinyproto.prototypes.dpnp import PrototypeHead

Weights = dict[str, Any]


def weights(network: Layer) -> Weights:
    """The leaves by their paths, which jit takes as arguments."""
    import jax.numpy as jnp

    return {path: jnp.asarray(leaf) for path, leaf in flatten(network.params).items()}


def function(layer: Layer, path: str = "") -> Callable[[Weights, Any], Any]:
    """f(weights, x): what `layer` computes in eval mode; `path` is that of its weights.

    Raises TypeError for a layer that has no counterpart here.
    """
    import jax
    import jax.numpy as jnp
    from jax import lax

    def pool(size: int, stride: int, start: float, combine: Any) -> Callable[[Any], Any]:
        window, strides = (1, size, size, 1), (1, stride, stride, 1)
        return lambda x: lax.reduce_window(x, np.float32(start), combine, window, strides, "VALID")

    match layer:
        case Network():
            features, head = (function(getattr(layer, n), f"{n}/") for n in ("features", "head"))
            return lambda w, x: head(w, features(w, x))
        case Sequential():
            parts = [function(part, f"{path}{i}/") for i, part in enumerate(layer.layers)]
            return lambda w, x: _chain(parts, w, x)
        case Residual():
            body = function(layer.body, f"{path}body/")
            if layer.shortcut is None:
                return lambda w, x: body(w, x) + x
            shortcut = function(layer.shortcut, f"{path}shortcut/")
            return lambda w, x: body(w, x) + shortcut(w, x)
        case Conv2D():
            stride, pad = (layer.stride,) * 2, ((layer.padding,) * 2,) * 2
            form = ("NHWC", "HWIO", "NHWC")
            return lambda w, x: (
                lax.conv_general_dilated(x, w[f"{path}weight"], stride, pad, dimension_numbers=form)
                + w.get(f"{path}bias", 0)
            )
        case Linear():
            return lambda w, x: x @ w[f"{path}weight"] + w.get(f"{path}bias", 0)
        case PrototypeHead():
            return lambda w, x: x @ w[f"{path}prototypes"].T
        case BatchNorm():
            return lambda w, x: (
                (x - w[f"{path}running_mean"])
                * (w[f"{path}scale"] * lax.rsqrt(w[f"{path}running_variance"] + layer.epsilon))
                + w[f"{path}shift"]
            )
        case MaxPool2D():
            largest = pool(layer.kernel_size, layer.stride, -np.inf, lax.max)
            return lambda w, x: largest(x)
        case AveragePool2D():
            total, count = pool(layer.kernel_size, layer.stride, 0, lax.add), layer.kernel_size**2
            return lambda w, x: total(x) / count
        case ReLU():
            return lambda w, x: jax.nn.relu(x)
        case Normalize():
            mean, gain = (
                np.array(layer.mean, np.float32),
                np.array(1 / np.array(layer.std), np.float32),
            )
            return lambda w, x: (x - mean) * gain
        case GlobalAveragePool():
            return lambda w, x: x.mean(axis=(1, 2))
        case Flatten():
            return lambda w, x: jnp.reshape(x, (len(x), -1))
    raise TypeError(f"no counterpart in JAX for {type(layer).__name__}")


def _chain(parts: list[Callable[[Weights, Any], Any]], w: Weights, x: Any) -> Any:
    for part in parts:
        x = part(w, x)
    return x
