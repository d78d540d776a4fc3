"""A ResNet-18 for CIFAR as a user of PyTorch writes it, with the names of torchvision's.

module = resnet18(network)                   # the weights of ours, by `save_state`
export(module, "resnet18.onnx")              # images (N, 3, 32, 32), for any N
"""

import contextlib
import io
import tempfile
import warnings
from pathlib import Path
from typing import Any

import torch_peer as peer
from torch_peer import torch

from tinyproto.interop import save_state
from tinyproto.layers import Normalize, Sequential
from tinyproto.networks import Network

nn = torch.nn


class BasicBlock(torch.nn.Module):
    """Two 3 × 3 convolutions and a shortcut."""

    def __init__(self, channels: int, out: int, stride: int):
        super().__init__()
        self.conv1 = nn.Conv2d(channels, out, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(out)
        self.conv2 = nn.Conv2d(out, out, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(out)
        self.downsample = None
        if stride > 1 or channels != out:
            self.downsample = nn.Sequential(
                nn.Conv2d(channels, out, 1, stride, bias=False), nn.BatchNorm2d(out)
            )

    def forward(self, x: Any) -> Any:
        y = torch.relu(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        return torch.relu(y + (x if self.downsample is None else self.downsample(x)))


class ResNet18(torch.nn.Module):
    """Colours in [0, 1] are normalized first, so that eps has the units of the pixels."""

    def __init__(self, classes: int, mean: tuple[float, ...], std: tuple[float, ...]):
        super().__init__()
        self.register_buffer("mean", torch.tensor(mean).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(1, 3, 1, 1), persistent=False)
        self.conv1 = nn.Conv2d(3, 64, 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        channels = [64, 64, 128, 256, 512]
        for stage in range(1, 5):
            first = BasicBlock(channels[stage - 1], channels[stage], 1 if stage == 1 else 2)
            second = BasicBlock(channels[stage], channels[stage], 1)
            setattr(self, f"layer{stage}", nn.Sequential(first, second))
        self.fc = nn.Linear(512, classes)

    def forward(self, x: Any) -> Any:
        x = torch.relu(self.bn1(self.conv1((x - self.mean) / self.std)))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return self.fc(x.mean(dim=(2, 3)))


def resnet18(network: Network) -> ResNet18:
    """The module, in eval mode, with the weights of our `resnet18(feature_width=None)`."""
    assert isinstance(network.features, Sequential)
    colours = network.features.layers[0]
    assert isinstance(colours, Normalize)
    module = ResNet18(network.settings["classes"], colours.mean, colours.std)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "state.pt"
        save_state(network, path, names="torchvision")
        missing, unexpected = module.load_state_dict(torch.load(path), strict=False)
    if unexpected or any(not name.endswith("num_batches_tracked") for name in missing):
        raise ValueError(f"the state does not fit: it misses {missing}, and has {unexpected}")
    return module.eval()


def as_module(network: Network) -> Any:
    """A network of ours as a module in eval mode: the ResNet-18 above, or its twin."""
    if network.settings.get("kind") == "resnet18" and network.settings["feature_width"] is None:
        return resnet18(network)
    return peer.module(network).eval()


def export(module: Any, path: Path) -> None:
    """Write an ONNX file of a module for images of 32 × 32 pixels, of any number."""
    example = torch.zeros(2, 3, 32, 32)
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")  # that there is another exporter
        torch.onnx.export(
            module, (example,), str(path), dynamo=False, input_names=["x"], output_names=["z"],
            dynamic_axes={"x": {0: "n"}, "z": {0: "n"}},
        )  # fmt: skip
