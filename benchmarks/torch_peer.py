"""The same network in PyTorch, and its state and gradients brought back to our tree.

    twin = module(network)                       # the same function, with the same weights
    z = twin(images(x))                          # x (N, H, W, C) or (N, d), as our layers take it
    gradients(twin, network.params)              # path → array, like our own gradients
    parameters.assign(network.params, state(twin, network.params))

A twin takes PyTorch's own (N, C, H, W): `images` and `array` go there and back, and neither copies
(an NHWC array seen as NCHW is what PyTorch calls channels_last). Its parts have our names, so our
path features/3/scale is its features.3.weight; see `name` and `outward`.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

try:
    import torch
except ImportError:
    raise SystemExit(
        "this compares with PyTorch, which is not installed: pip install torch"
    ) from None

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
from tinyproto.optimizers import RUNNING_MOMENTUM
from tinyproto.parameters import is_running, leaves
from tinyproto.prototypes.deep import PrototypeHead

NAMES = {
    "scale": "weight",
    "shift": "bias",
    "running_variance": "running_var",
    "prototypes": "weight",
}
"""Leaves that PyTorch calls otherwise."""


def module(layer: Layer) -> Any:
    """A torch module that computes what `layer` does, with copies of its weights, of their dtype.

    layer: a Network, or any of our layers. Raises TypeError for a layer that has no twin.
    """
    twin = _twin(layer)
    weights = {path: outward(path, leaf) for path, leaf in leaves(layer.params)}
    with torch.no_grad():
        for path, weight in weights.items():
            _leaf(twin.to(weight.dtype), path).copy_(weight)
    return twin


def images(x: np.ndarray) -> Any:
    """(N, H, W, C) as a tensor (N, C, H, W), other shapes as they are; the same memory."""
    tensor = torch.from_numpy(x)
    return tensor.permute(0, 3, 1, 2) if x.ndim == 4 else tensor


def array(tensor: Any) -> np.ndarray:
    """The way back: (N, C, H, W) as (N, H, W, C), other shapes as they are; the same memory."""
    tensor = tensor.detach()
    found: np.ndarray = (tensor.permute(0, 2, 3, 1) if tensor.ndim == 4 else tensor).numpy()
    return found


def name(path: str) -> str:
    """PyTorch's name of the leaf at our path."""
    parent, _, leaf = path.rpartition("/")
    return ".".join([*(parent.split("/") if parent else []), NAMES.get(leaf, leaf)])


def outward(path: str, leaf: np.ndarray) -> Any:
    """One of our leaves, or its gradient, with its axes as PyTorch has them:

    a convolution's weight (k, k, in, out) → (out, in, k, k), a linear layer's (in, out) →
    (out, in). Prototypes (classes, d) are a linear layer's weight already.
    """
    if path.rpartition("/")[2] == "weight":
        leaf = leaf.transpose(3, 2, 0, 1) if leaf.ndim == 4 else leaf.T
    return torch.from_numpy(leaf)


def inward(path: str, tensor: Any) -> np.ndarray:
    """The way back: a tensor of PyTorch's as our leaf at `path` has it, a copy."""
    found: np.ndarray = tensor.detach().numpy()
    if path.rpartition("/")[2] == "weight":
        found = found.transpose(2, 3, 1, 0) if found.ndim == 4 else found.T
    return found.copy(order="C")


def state(twin: Any, params: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """All leaves of a twin, running averages too, by our paths: what `parameters.assign` takes."""
    return {path: inward(path, _leaf(twin, path)) for path, _ in leaves(params)}


def gradients(twin: Any, params: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """What `backward` left at the parameters of a twin, by our paths; 0 where it left nothing."""
    found = {}
    for path, leaf in leaves(params):
        if not is_running(path):
            gradient = _leaf(twin, path).grad
            found[path] = np.zeros_like(leaf) if gradient is None else inward(path, gradient)
    return found


def give_gradients(twin: Any, gradients: Mapping[str, np.ndarray]) -> None:
    """Put gradients, by our paths, where an optimizer of PyTorch's looks for them."""
    for path, gradient in gradients.items():
        _leaf(twin, path).grad = outward(path, gradient).clone()


def groups(twin: Any, params: Mapping[str, Any], weight_decay: float) -> list[dict[str, Any]]:
    """Parameters for an optimizer of PyTorch's: weights decay, as in ours, and nothing else does."""
    paths = [path for path, _ in leaves(params) if not is_running(path)]
    decayed = [path for path in paths if path.rpartition("/")[2] == "weight"]
    rest = [path for path in paths if path not in decayed]
    return [
        {"params": [_leaf(twin, path) for path in some], "weight_decay": decay}
        for some, decay in ((decayed, weight_decay), (rest, 0.0))
        if some
    ]


def _leaf(twin: Any, path: str) -> Any:
    parent, _, leaf = name(path).rpartition(".")
    return getattr(twin.get_submodule(parent), leaf)


def _twin(layer: Layer) -> Any:
    """The module for a layer, its weights as they come."""
    nn, params = torch.nn, layer.params
    match layer:
        case Network():
            return _Network(_twin(layer.features), _twin(layer.head))
        case Sequential():
            return nn.Sequential(*_chain(layer))
        case Residual():
            return _Residual(_twin(layer.body), layer.shortcut and _twin(layer.shortcut))
        case Conv2D():
            return nn.Conv2d(
                *params["weight"].shape[2:], layer.size, stride=layer.stride,
                padding=layer.padding, bias="bias" in params,
            )  # fmt: skip
        case Linear():
            return nn.Linear(*params["weight"].shape, bias="bias" in params)
        case PrototypeHead():
            return nn.Linear(*params["prototypes"].T.shape, bias=False)
        case BatchNorm():
            return _BatchNorm(len(params["scale"]), eps=layer.epsilon, momentum=RUNNING_MOMENTUM)
        case MaxPool2D():
            return nn.MaxPool2d(layer.size, layer.stride)
        case AveragePool2D():
            return nn.AvgPool2d(layer.size, layer.stride)
        case ReLU():
            return nn.ReLU()
        case Normalize():
            return _Normalize(layer.mean, layer.std)
        case GlobalAveragePool():
            return _GlobalAveragePool()
        case Flatten():
            return _Flatten()
    raise TypeError(f"no twin in PyTorch for {type(layer).__name__}")


def _chain(layer: Sequential) -> list[Any]:
    """The parts of a Sequential. A ReLU behind a BatchNorm or a sum works in place, as PyTorch's
    own networks have it: nobody else needs what it overwrites."""
    twins = [_twin(part) for part in layer.layers]
    for before, twin in zip(layer.layers, twins[1:], strict=False):
        if isinstance(twin, torch.nn.ReLU) and isinstance(before, BatchNorm | Residual):
            twin.inplace = True
    return twins


class _Network(torch.nn.Module):
    def __init__(self, features: Any, head: Any):
        super().__init__()
        self.features, self.head = features, head

    def forward(self, x: Any) -> Any:
        return self.head(self.features(x))


class _Residual(torch.nn.Module):
    def __init__(self, body: Any, shortcut: Any):
        super().__init__()
        self.body, self.shortcut = body, shortcut

    def forward(self, x: Any) -> Any:
        return self.body(x) + (x if self.shortcut is None else self.shortcut(x))


class _BatchNorm(torch.nn.modules.batchnorm._BatchNorm):
    """Of rows or of images, whichever comes."""

    def _check_input_dim(self, input: Any) -> None:
        pass


class _Normalize(torch.nn.Module):
    def __init__(self, mean: tuple[float, ...], std: tuple[float, ...]):
        super().__init__()
        gain = 1 / torch.tensor(std, dtype=torch.float64)
        self.register_buffer("mean", torch.tensor(mean, dtype=torch.float64), persistent=False)
        self.register_buffer("gain", gain, persistent=False)

    def forward(self, x: Any) -> Any:
        shape = (1, -1, *[1] * (x.ndim - 2))
        return (x - self.mean.view(shape)) * self.gain.view(shape)


class _GlobalAveragePool(torch.nn.Module):
    def forward(self, x: Any) -> Any:
        return x.mean(dim=(2, 3))


class _Flatten(torch.nn.Module):
    """In the order of our pixels: rows, columns, channels."""

    def forward(self, x: Any) -> Any:
        return (x.permute(0, 2, 3, 1) if x.ndim == 4 else x).flatten(1)
