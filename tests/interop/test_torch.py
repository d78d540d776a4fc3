"""Weights and exports of PyTorch's modules, where torch is installed."""

import numpy as np
import pytest

from tinyproto import networks, parameters
from tinyproto.attacks import Victim, pgd
from tinyproto.interop import load_onnx, load_state, save_state
from tinyproto.interop.torch_names import namings
from tinyproto.layers.base import without_initialization
from tinyproto.testing import randomize

torch = pytest.importorskip("torch", reason="compares with PyTorch: pip install torch")

import torch_peer  # noqa: E402

nn = torch.nn

BUILDERS = {
    "compact_cnn": lambda seed=0: networks.compact_cnn(4, head="prototypes", seed=seed),
    "WRN-10-2": lambda seed=0: networks.wide_resnet(10, 2, 3, feature_width=None, seed=seed),
    "resnet18": lambda seed=0: networks.resnet18(3, feature_width=None, seed=seed),
}


def random_pair(name):
    """Two networks of the same architecture, with different random weights, and images."""
    random = np.random.default_rng(0)
    x = random.random((2, 16, 16, 3), dtype=np.float32)
    return *(randomize(BUILDERS[name](), random, np.float32) for _ in range(2)), x


def scores(module, x):
    with torch.no_grad():
        return module.eval()(torch_peer.images(x)).numpy()


def assert_close(found, expected):
    np.testing.assert_allclose(found, expected, atol=1e-5 * (1 + abs(expected).max()))


@pytest.mark.parametrize("name", ["compact_cnn", "WRN-10-2"])
@pytest.mark.parametrize("ending", ["pt", "pth", "safetensors"])
def test_the_state_of_a_twin_both_ways(tmp_path, name, ending):
    if ending == "safetensors":
        pytest.importorskip("safetensors", reason="a file of that kind: pip install safetensors")
    network, other, x = random_pair(name)
    path = tmp_path / f"model.{ending}"
    twin = torch_peer.module(network)
    if ending == "safetensors":
        from safetensors.torch import load_file, save_file

        save_file({k: t.contiguous() for k, t in twin.state_dict().items()}, path)
    else:
        torch.save(twin.state_dict(), path)
    np.testing.assert_array_equal(load_state(other, path)(x)[0], network(x)[0])
    randomize(other, np.random.default_rng(1), np.float32)
    save_state(other, path)
    state = load_file(path) if ending == "safetensors" else torch.load(path)
    twin.load_state_dict(state, strict=ending != "safetensors")
    assert_close(scores(twin, x), other(x)[0])


class Block(nn.Module):
    """The basic block of torchvision, and of RobustBench, which calls the shortcut otherwise."""

    def __init__(self, channels, out, stride, shortcut):
        super().__init__()
        self.conv1 = nn.Conv2d(channels, out, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(out)
        self.conv2 = nn.Conv2d(out, out, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(out)
        self.name = shortcut
        if stride > 1 or channels != out:
            layers = nn.Conv2d(channels, out, 1, stride, bias=False), nn.BatchNorm2d(out)
            setattr(self, shortcut, nn.Sequential(*layers))
        else:
            setattr(self, shortcut, nn.Sequential())

    def forward(self, x):
        y = self.bn2(self.conv2(self.bn1(self.conv1(x)).relu()))
        return (y + getattr(self, self.name)(x)).relu()


class ResNet18(nn.Module):
    """ResNet-18 for CIFAR, of modules with the names of torchvision's or RobustBench's."""

    def __init__(self, classes, shortcut="downsample", last="fc"):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 3, 1, 1, bias=False)
        self.bn1, self.last = nn.BatchNorm2d(64), last
        channels = 64
        for i, out in enumerate((64, 128, 256, 512)):
            first = Block(channels, out, 2 if i else 1, shortcut)
            setattr(self, f"layer{i + 1}", nn.Sequential(first, Block(out, out, 1, shortcut)))
            channels = out
        setattr(self, last, nn.Linear(512, classes))

    def forward(self, x):
        x = self.bn1(self.conv1(x)).relu()
        for i in range(4):
            x = getattr(self, f"layer{i + 1}")(x)
        return getattr(self, self.last)(nn.functional.adaptive_avg_pool2d(x, 1).flatten(1))


class WideBlock(nn.Module):
    """The block of RobustBench's wide residual networks."""

    def __init__(self, channels, out, stride):
        super().__init__()
        self.bn1, self.bn2 = nn.BatchNorm2d(channels), nn.BatchNorm2d(out)
        self.conv1 = nn.Conv2d(channels, out, 3, stride, 1, bias=False)
        self.conv2 = nn.Conv2d(out, out, 3, 1, 1, bias=False)
        self.same = channels == out
        self.convShortcut = None
        if not self.same:
            self.convShortcut = nn.Conv2d(channels, out, 1, stride, bias=False)

    def forward(self, x):
        before = self.bn1(x).relu()
        y = self.conv2(self.bn2(self.conv1(before)).relu())
        return y + (x if self.same else self.convShortcut(before))


class Stage(nn.Module):
    def __init__(self, *blocks):
        super().__init__()
        self.layer = nn.Sequential(*blocks)

    def forward(self, x):
        return self.layer(x)


class WideResNet(nn.Module):
    def __init__(self, depth, width, classes):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 16, 3, 1, 1, bias=False)
        channels, n = 16, (depth - 4) // 6
        for i in range(3):
            out = 16 * 2**i * width
            blocks = [WideBlock(channels, out, 2 if i else 1)]
            blocks += [WideBlock(out, out, 1) for _ in range(n - 1)]
            setattr(self, f"block{i + 1}", Stage(*blocks))
            channels = out
        self.sub_block1 = Stage(nn.Conv2d(1, 1, 1))  # as in checkpoints of TRADES; not used
        self.bn1, self.fc = nn.BatchNorm2d(channels), nn.Linear(channels, classes)

    def forward(self, x):
        x = self.block3(self.block2(self.block1(self.conv1(x))))
        return self.fc(self.bn1(x).relu().mean((2, 3)))


def initialized(module):
    """Random values for all that a state holds."""
    generator = torch.Generator().manual_seed(0)
    for name, tensor in module.state_dict().items():
        if tensor.dtype == torch.float32:
            size = tensor.shape
            drawn = torch.randn(size, generator=generator)
            if name.endswith("running_var"):
                drawn = drawn.abs() + 0.5
            elif tensor.ndim > 1:
                drawn = drawn / tensor[0].numel() ** 0.5
            tensor.copy_(drawn)
    return module.eval()


PLAIN = {"mean": (0, 0, 0), "std": (1, 1, 1)}
MODULES = {
    "torchvision": lambda: (
        ResNet18(5),
        networks.resnet18(5, feature_width=None, **PLAIN),
    ),
    "robustbench": lambda: (
        ResNet18(5, "shortcut", "linear"),
        networks.resnet18(5, feature_width=None, **PLAIN),
    ),
    "robustbench, wide": lambda: (
        WideResNet(16, 2, 5),
        networks.wide_resnet(16, 2, 5, feature_width=None, **PLAIN),
    ),
}


@pytest.mark.parametrize("name", MODULES)
def test_modules_with_names_of_their_own(tmp_path, name):
    with without_initialization():  # a ResNet-18 takes seconds to draw
        module, network = MODULES[name]()
    with torch.no_grad():
        initialized(module)
    x = np.random.default_rng(0).random((2, 16, 16, 3), dtype=np.float32)
    expected = scores(module, x)
    parallel = {f"module.{key}": tensor for key, tensor in module.state_dict().items()}
    torch.save({"epoch": 3, "state_dict": parallel}, tmp_path / "model.pt")
    for source in (module.state_dict(), tmp_path / "model.pt"):
        load_state(network, source)
        assert_close(network(x)[0], expected)
    save_state(network, tmp_path / "saved.pt", names=name.partition(",")[0])
    saved = torch.load(tmp_path / "saved.pt")
    for key, tensor in saved.items():
        torch.testing.assert_close(tensor, module.state_dict()[key], rtol=0, atol=0)
    ignored = {"num_batches_tracked", "sub_block1"}
    missing = module.state_dict().keys() - saved.keys()
    assert all(any(word in key for word in ignored) for key in missing)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_an_exported_resnet18_gives_the_same_scores_and_can_be_attacked(tmp_path):
    pytest.importorskip("onnx", reason="reads ONNX files: pip install onnx")
    with torch.no_grad():
        module = initialized(ResNet18(5))
    x = np.random.default_rng(0).random((3, 16, 16, 3), dtype=np.float32)
    path, dynamic = str(tmp_path / "model.onnx"), {"x": {0: "N"}}
    options = {"input_names": ["x"], "dynamic_axes": dynamic, "dynamo": False}
    torch.onnx.export(module, (torch_peer.images(x[:1]),), path, **options)
    network, expected = load_onnx(path), scores(module, x)
    assert repr(network.features).count("Residual") == 8
    assert_close(network(x)[0], expected)
    folded = networks.fold(network)
    assert_close(folded(x)[0], expected)
    y = expected.argmax(axis=1)
    attacked = pgd(Victim(folded), x, y, eps=8 / 255, steps=3)
    tensor = torch_peer.images(x).clone().requires_grad_()
    z = module(tensor)
    direction = np.random.default_rng(1).normal(size=z.shape).astype(np.float32)
    z.backward(torch.from_numpy(direction))
    gradient = tensor.grad.permute(0, 2, 3, 1).numpy()
    assert_close(folded(x)[1](direction), gradient)
    loss = nn.functional.cross_entropy
    before, after = torch.from_numpy(expected), torch.from_numpy(scores(module, attacked))
    assert (loss(after, torch.from_numpy(y)) > loss(before, torch.from_numpy(y))).all()


def test_half_precision_is_read(tmp_path):
    network, other, _ = random_pair("WRN-10-2")
    for dtype in (torch.float16, torch.bfloat16):
        state = {k: t.to(dtype) for k, t in torch_peer.module(network).state_dict().items()}
        load_state(other, state)
        for path, leaf in parameters.leaves(network.params):
            expected = torch.from_numpy(leaf).to(dtype).float().numpy()
            np.testing.assert_array_equal(parameters.flatten(other.params)[path], expected)
            assert parameters.flatten(other.params)[path].dtype == np.float32


def test_code_in_a_file_is_not_run(tmp_path):
    class Run:
        def __reduce__(self):
            return open, (str(tmp_path / "ran"), "w")

    torch.save({"head.weight": Run()}, tmp_path / "model.pt")
    with pytest.raises(ValueError, match="model.pt is no file of weights"):
        load_state(networks.compact_cnn(), tmp_path / "model.pt")
    assert not (tmp_path / "ran").exists()


def test_every_leaf_has_a_name_of_its_own():
    for name, build in BUILDERS.items():
        with without_initialization():
            network = build()
        paths = set(parameters.flatten(network.params))
        for naming in namings(network).values():
            assert set(naming) == paths, name
            assert len(set(naming.values())) == len(paths)
