"""What the weights of our networks are called in PyTorch: path ↦ name."""

from collections.abc import Iterator

from ..layers import BatchNorm, Conv2D, FlipAverage, Layer, Linear, Residual, Sequential
from ..networks import Network
from ..parameters import flatten

WORDS = {
    "scale": "weight",
    "shift": "bias",
    "running_variance": "running_var",
    "prototypes": "weight",
}
"""Leaves that PyTorch calls otherwise."""

Named = Iterator[tuple[Layer, str]]
"""Layers and what they are called."""


def namings(network: Network) -> dict[str, dict[str, str]]:
    """The ways in which the weights of a network can be called, each path ↦ name."""
    found = {"layers": {path: _name(path) for path in flatten(network.params)}}
    kind = network.settings.get("kind")
    if kind == "resnet18":
        found["torchvision"] = _naming(network, _resnet18(network, "downsample", "fc"))
        found["robustbench"] = _naming(network, _resnet18(network, "shortcut", "linear"))
    if kind == "wide_resnet":
        found["robustbench"] = _naming(network, _wide_resnet(network))
    return found


def _name(path: str) -> str:
    """features/1/scale ↦ features.1.weight."""
    *parents, leaf = path.split("/")
    return ".".join([*parents, WORDS.get(leaf, leaf)])


def _naming(network: Network, named: Named) -> dict[str, str]:
    """The paths of the leaves of layers with the names that these layers have."""
    names = {id(layer.params): name for layer, name in named}
    found = {}

    def walk(tree: dict, path: str) -> None:
        for key, value in tree.items():
            if isinstance(value, dict):
                walk(value, f"{path}{key}/")
            else:
                found[f"{path}{key}"] = f"{names[id(tree)]}.{WORDS.get(key, key)}"

    walk(network.params, "")
    return found


def _resnet18(network: Network, shortcut: str, last: str) -> Named:
    """conv1, bn1, layer1.0.conv1, …: four stages of two blocks."""
    _, convolution, norm, _, *rest = _layers(network.features)
    yield convolution, "conv1"
    yield norm, "bn1"
    blocks = [layer for layer in rest if isinstance(layer, Residual)]
    for i, block in enumerate(blocks):
        name = f"layer{i // 2 + 1}.{i % 2}"
        yield from _numbered(_layers(block.body), name)
        for place, layer in enumerate(_layers(block.shortcut)):
            yield layer, f"{name}.{shortcut}.{place}"
    yield from _ends(network, last)


def _wide_resnet(network: Network) -> Named:
    """conv1, block1.layer.0.bn1, …: three stages of pre-activation blocks."""
    _, convolution, *rest = _layers(network.features)
    yield convolution, "conv1"
    per_stage = (network.settings["depth"] - 4) // 6
    before: list[Layer] = []  # the BatchNorm of a block whose shortcut takes its output, too
    number = 0
    for layer in rest:
        if isinstance(layer, Residual):
            name = f"block{number // per_stage + 1}.layer.{number % per_stage}"
            yield from _numbered([*before, *_layers(layer.body)], name)
            if layer.shortcut:
                yield layer.shortcut, f"{name}.convShortcut"
            before, number = [], number + 1
        elif isinstance(layer, BatchNorm):
            before = [layer]
    yield before[0], "bn1"
    yield from _ends(network, "fc")


def _numbered(layers: list[Layer], name: str) -> Named:
    """conv1, bn1, conv2, bn2: the parts of a block."""
    for kind, word in ((Conv2D, "conv"), (BatchNorm, "bn")):
        for place, layer in enumerate((x for x in layers if isinstance(x, kind)), 1):
            yield layer, f"{name}.{word}{place}"


def _ends(network: Network, last: str) -> Named:
    """The layer of features, if there is one, and the head."""
    if isinstance(features := _layers(network.features)[-1], Linear):
        yield features, "feature"
    yield network.head, last


def _layers(layer: Layer | None) -> list[Layer]:
    if isinstance(layer, FlipAverage):
        return _layers(layer.body)
    return list(layer.layers) if isinstance(layer, Sequential) else []
