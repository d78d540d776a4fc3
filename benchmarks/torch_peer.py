"""The same networks and losses in PyTorch, and their state and gradients in the form of our tree.

    twin = module(network)                       # the same function, with the same weights
    z = twin(images(x))                          # x (N, H, W, C) or (N, d), as our layers take it
    gradients(twin, network.params)              # path → array, like our own gradients
    parameters.assign(network.params, state(twin, network.params))

A twin takes PyTorch's own (N, C, H, W): `images` and `array` convert between the layouts without a
copy (an NHWC array seen as NCHW is what PyTorch calls channels_last). Its parts have our names, so
our path features/3/scale is its features.3.weight; see `name` and `outward`. The losses are written
as their papers define them, and autograd differentiates them.
"""

from collections.abc import Mapping
from functools import partial
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
    FlipAverage,
    GlobalAveragePool,
    Layer,
    Linear,
    MaxPool2D,
    Normalize,
    Pad2D,
    ReLU,
    Residual,
    Sequential,
)
from tinyproto.networks import Network
from tinyproto.optimizers import RUNNING_MOMENTUM
from tinyproto.parameters import is_running, leaves
from tinyproto.prototypes.dpnp import PrototypeHead

F = torch.nn.functional

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
    """Parameters for an optimizer of PyTorch's: as in ours, weights decay and nothing else does."""
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
        case FlipAverage():  # our paths are those of the body
            twin = _twin(layer.body)
            twin.forward = partial(_flip_average, twin.forward)
            return twin
        case Conv2D():
            inside, out = params["weight"].shape[2:]
            return nn.Conv2d(
                inside, out, layer.kernel_size, layer.stride, layer.padding, bias="bias" in params
            )
        case Linear():
            inside, out = params["weight"].shape
            return nn.Linear(inside, out, bias="bias" in params)
        case PrototypeHead():
            out, inside = params["prototypes"].shape
            return nn.Linear(inside, out, bias=False)
        case BatchNorm():
            return _BatchNorm(len(params["scale"]), eps=layer.epsilon, momentum=RUNNING_MOMENTUM)
        case Pad2D():
            above, below, left, right = layer.padding
            return nn.ConstantPad2d((left, right, above, below), layer.value)
        case MaxPool2D():
            return nn.MaxPool2d(layer.kernel_size, layer.stride)
        case AveragePool2D():
            return nn.AvgPool2d(layer.kernel_size, layer.stride)
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
    """The parts of a Sequential. A ReLU behind one of these works in place, as PyTorch's
    own networks have it: nothing else needs what it overwrites."""
    twins = [_twin(part) for part in layer.layers]
    for before, twin in zip(layer.layers, twins[1:], strict=False):
        if isinstance(twin, torch.nn.ReLU) and isinstance(before, BatchNorm | Conv2D | Residual):
            twin.inplace = True
    return twins


def _flip_average(body: Any, x: Any) -> Any:
    """In one pass of both: in training, statistics are over all."""
    one, flipped = body(torch.cat([x, x.flip(3)])).chunk(2)
    return (one + flipped) / 2


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
    """BatchNorm of rows or of images."""

    def _check_input_dim(self, input: Any) -> None:
        pass


class _Normalize(torch.nn.Module):
    mean: Any
    gain: Any

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


# Losses, as their papers write them


def rival_of(z: Any, y: Any) -> Any:
    """argmax_{k≠y} z_k."""
    return z.detach().masked_fill(F.one_hot(y, z.shape[1]).bool(), -torch.inf).argmax(1)


def at(z: Any, y: Any) -> Any:
    """z_y of each example."""
    return z.gather(1, y[:, None])[:, 0]


def kl(z: Any, w: Any) -> Any:
    """KL(p ‖ q)."""
    return F.kl_div(w.log_softmax(1), z.log_softmax(1), reduction="none", log_target=True).sum(1)


def boosted(z: Any, y: Any) -> Any:
    """MART's boosted cross entropy, its 1 − p_r being the sum of the other shares."""
    others = z.masked_fill(F.one_hot(rival_of(z, y), z.shape[1]).bool(), -torch.inf)
    return -at(z.log_softmax(1), y) + z.logsumexp(1) - others.logsumexp(1)


def weighted_kl(z: Any, w: Any, y: Any) -> Any:
    """MART's second term."""
    return kl(z, w) * (1 - at(z.softmax(1), y))


def dlr(z: Any, y: Any) -> Any:
    """Difference of logits ratio."""
    ordered = z.sort(dim=1, descending=True)[0]
    return -(at(z, y) - at(z, rival_of(z, y))) / (ordered[:, 0] - ordered[:, 2])


def targeted_dlr(z: Any, y: Any, target: Any) -> Any:
    """The same towards a class."""
    ordered = z.sort(dim=1, descending=True)[0]
    spread = ordered[:, 0] - 0.5 * (ordered[:, 2] + ordered[:, 3])
    return -(at(z, y) - at(z, target)) / spread


def alignment(h: Any, C: Any, y: Any) -> Any:
    """‖h − c_y‖²."""
    return ((h - C[y]) ** 2).sum(1)


def repulsion(C: Any, y: Any) -> Any:
    """−‖c_y − c_n(y)‖²."""
    others = torch.cdist(C.detach(), C.detach()).fill_diagonal_(torch.inf)
    return -((C[y] - C[others.argmin(1)[y]]) ** 2).sum(1)


def total(
    method: str, twin: Any, x: Any, attacked: Any, y: Any, clean_statistics: bool = False, **c: Any
) -> tuple[Any, Any]:
    """Each example's loss under a defence, and the scores. What a branch must not move is detached.

    clean_statistics leaves the modules' running averages without momentum.
    """
    entropy = partial(F.cross_entropy, reduction="none")
    if method in ("standard", "pgd"):
        z = twin(x if method == "standard" else attacked)
        return entropy(z, y, label_smoothing=c.get("smoothing", 0.0)), z
    if method == "trades":
        z, z_attacked = twin(x), twin(attacked)
        return entropy(z, y) + c["beta"] * kl(z, z_attacked), z
    if method == "mart":
        z, z_attacked = twin(x), twin(attacked)
        return boosted(z_attacked, y) + c["kl_weight"] * weighted_kl(z, z_attacked, y), z
    C = twin.head.weight
    h = twin.features(x)
    z = h @ C.T
    clean = (
        entropy(z, y)
        + c["alignment_weight"] * alignment(h, C, y)
        + c["repulsion_weight"] * repulsion(C, y)
    )
    if method == "dpnp":
        return clean, z
    if clean_statistics:
        for part in twin.modules():
            if hasattr(part, "momentum"):
                part.momentum = 0.0
    held, h_attacked = C.detach(), twin.features(attacked)
    z_attacked = h_attacked @ held.T
    adversarial = entropy(z_attacked, y) + c["alignment_weight"] * alignment(h_attacked, held, y)
    if c["consistency"] == "kl":
        consistency = kl(h @ held.T, z_attacked)
    else:
        consistency = ((h - h_attacked) ** 2).sum(1)
    return clean + c["adversarial_weight"] * adversarial + c["consistency_weight"] * consistency, z
