"""Networks of the package's layers, which no builder made, are saved by their description."""

import json
from functools import partial

import numpy as np
import pytest

from tinyproto import networks, parameters, state
from tinyproto.layers import (
    Affine,
    AveragePool2D,
    BatchNorm,
    Conv2D,
    Flatten,
    FlipAverage,
    GlobalAveragePool,
    Graph,
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
from tinyproto.prototypes import PrototypeHead
from tinyproto.testing import randomize


def every_layer(head="linear"):
    """A network with each layer of the package."""
    graph = Graph(
        {
            "a": (Conv2D(4, 4, 3, padding=1, bias=False), "input"),
            "b": (Sequential(BatchNorm(4, epsilon=1e-3), ReLU()), "a"),
            "c": (Residual(Conv2D(4, 4, 1), Conv2D(4, 4, 1)), "a", "b"),
            "d": (Residual(ReLU()), "b", "c"),
        }
    )
    features = Sequential(
        Normalize((0.5, 0.4, 0.3), (0.2, 0.3, 0.1)), Affine((-1, 1, 2), (1, 0, 0)),
        Pad2D((1, 0, 0, 1), -float("inf")), MaxPool2D(2, 1), Conv2D(3, 4, 3, stride=2), graph,
        AveragePool2D(2), Residual(Sequential(), Sequential()), Flatten(), Linear(16, 6),
    )  # fmt: skip
    return Network(features, PrototypeHead(6, 3, radius=2.0) if head == "p" else Linear(6, 3))


@pytest.mark.parametrize("head", ["linear", "p"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_network_of_any_layers_comes_back(tmp_path, head, dtype):
    random = np.random.default_rng(0)
    network = randomize(every_layer(head), random, dtype)
    x = random.random((3, 10, 10, 3)).astype(dtype)
    networks.save(network, tmp_path / "model.npz", about="test")
    loaded = networks.load(tmp_path / "model.npz")
    np.testing.assert_array_equal(loaded(x)[0], network(x)[0])
    assert repr(loaded.features) == repr(network.features)
    assert repr(loaded) == f"Network(layers, 3 classes, {repr(network).removeprefix('Network(')}"
    averaged = Network(FlipAverage(network.features), network.head)
    networks.save(averaged, tmp_path / "averaged.npz")
    again = networks.load(tmp_path / "averaged.npz")
    np.testing.assert_array_equal(again(x)[0], averaged(x)[0])
    assert repr(again.features) == repr(averaged.features)
    networks.save(loaded, tmp_path / "again.npz")
    assert (tmp_path / "again.npz").read_bytes() != b""
    np.testing.assert_array_equal(networks.load(tmp_path / "again.npz")(x)[0], network(x)[0])


def test_a_network_that_was_changed_is_saved_as_it_is(tmp_path):
    x = np.random.default_rng(0).random((3, 32, 32, 3), dtype=np.float32)
    network = networks.compact_cnn(5, mean=x.mean(axis=(0, 1, 2)), std=tuple(np.ones(3, "f4")))
    for change in ("none", "head", "layer"):
        if change == "head":
            network.head = PrototypeHead(64, 5)
            network.params["head"] = network.head.params
        elif change == "layer":
            normalize = Normalize([0.1, 0.2, 0.3], [1, 2, 3])
            network.features.layers = (normalize, *network.features.layers[1:])
        networks.save(network, tmp_path / "model.npz")
        loaded = networks.load(tmp_path / "model.npz")
        assert loaded.settings["kind"] == ("compact_cnn" if change == "none" else "layers")
        np.testing.assert_array_equal(loaded(x)[0], network(x)[0])


def test_a_network_with_a_pass_of_its_own_is_refused(tmp_path):
    class Own(Network):
        def __call__(self, x, train=False):
            return super().__call__(2 * x, train)

    with pytest.raises(ValueError, match="cannot save Own, a network with a pass of its own"):
        networks.save(Own(Flatten(), Linear(2, 2)), tmp_path / "model.npz")
    assert list(tmp_path.iterdir()) == []


def test_what_cannot_be_described_is_refused(tmp_path):
    class Own(Layer):
        pass

    class Linear2(Linear):
        pass

    for layer, message in [
        (Own(), "a layer of the class Own"),
        (Sequential(Linear2(2, 2)), "a layer of the class Linear2"),
        (networks.fold(networks.compact_cnn()).features, "cannot describe a folded network"),
    ]:
        with pytest.raises(ValueError, match=message):
            networks.save(Network(layer, Linear(2, 2)), tmp_path / "model.npz")
    assert not (tmp_path / "model.npz").exists()


def file_with(tmp_path, change):
    """A saved network whose description is changed."""
    network = Network(Sequential(Flatten(), Linear(4, 3)), Linear(3, 2))
    networks.save(network, tmp_path / "model.npz")
    arrays, metadata = state.load_arrays(tmp_path / "model.npz")
    settings = json.loads(json.dumps(metadata["network"]))
    change(settings)
    state.save_arrays(arrays, tmp_path / "model.npz", {"network": settings})
    return tmp_path / "model.npz"


HUGE = {"layer": "Linear", "in_features": 10**6, "out_features": 10**6, "bias": True}


def nested(depth):
    layer = {"layer": "Flatten"}
    for _ in range(depth):
        layer = {"layer": "Residual", "body": layer}
    return layer


@pytest.mark.parametrize(
    ("features", "message"),
    [
        (HUGE, "its layers have more parameters than it holds"),
        ({"layer": "Sequential", "layers": [HUGE]}, "more parameters than it holds"),
        ({"layer": "Residual", "body": {"layer": "Flatten"}, "shortcut": HUGE}, "more parameters"),
        ({"layer": "Graph", "nodes": [["a", HUGE, "input"]]}, "more parameters than it holds"),
        ({**HUGE, "in_features": -1}, "invalid sizes of a layer"),
        ({**HUGE, "in_features": True}, "invalid sizes of a layer"),
        ({"layer": "Linear"}, "invalid sizes of a layer"),
        (None, "a layer is described by a dict, not None"),
        ([], "a layer is described by a dict"),
        ({"layer": "Sequential", "layers": ["Flatten"]}, "a layer is described by a dict"),
        ({"layer": "Lambda"}, "holds invalid settings: unknown layer 'Lambda'"),
        ({"layer": "Network"}, "holds invalid settings: unknown layer 'Network'"),
        ({"layer": "Flatten", "axis": 2}, "holds unknown settings"),
        ({"layer": "Graph", "nodes": [["a", {"layer": "Flatten"}, "b"]]}, "takes 'b', which is"),
        ({"layer": "Pad2D", "padding": "a"}, "holds invalid settings"),
    ],
)
def test_a_description_that_is_wrong_is_refused(tmp_path, features, message):
    path = file_with(tmp_path, lambda settings: settings.update(features=features))
    with pytest.raises(ValueError, match=message):
        networks.load(path)


def test_a_description_that_is_nested_too_deep_is_refused(tmp_path):
    from tinyproto.networks.builders import check_settings

    settings = {"kind": "layers", "features": nested(10**5), "head": {"layer": "Flatten"}}
    with pytest.raises(ValueError, match="holds invalid settings: maximum recursion depth"):
        check_settings(settings, 1000, 4, "model.npz")


@pytest.mark.parametrize("build", [networks.compact_cnn, partial(networks.wide_resnet, 10, 1)])
def test_networks_without_a_layer_of_features(tmp_path, build):
    network = build(classes=4, feature_width=None, head="prototypes")
    assert isinstance(network.features.layers[-1], GlobalAveragePool)
    networks.save(network, tmp_path / "model.npz")
    x = np.random.default_rng(0).random((1, 8, 8, 3), dtype=np.float32)
    loaded = networks.load(tmp_path / "model.npz")
    np.testing.assert_array_equal(loaded(x)[0], network(x)[0])
    assert loaded.settings["feature_width"] is None


def settings_alone(path, other, network, arrays=None):
    """A file that has the settings of a network, and the weights of another file."""
    about = {"network": network.settings, networks.storage.WEIGHTS_FROM: other}
    state.save_arrays(arrays or {}, path, about)


def test_a_file_may_have_the_weights_of_the_one_beside_it(tmp_path, monkeypatch):
    x = np.random.default_rng(0).random((2, 32, 32, 3), dtype=np.float32)
    one, other = (networks.compact_cnn(4, flip_average=both) for both in (False, True))
    parameters.assign(other.params, parameters.flatten(one.params))
    networks.save(one, tmp_path / "one.npz")
    settings_alone(tmp_path / "other.npz", "one.npz", other)
    assert (tmp_path / "other.npz").stat().st_size < 2000
    loaded = networks.load(tmp_path / "other.npz")
    np.testing.assert_array_equal(loaded(x)[0], other(x)[0])
    assert (loaded(x)[0] != one(x)[0]).any()
    monkeypatch.chdir(tmp_path)
    assert networks.load("other.npz").settings["flip_average"] is True
    networks.save(loaded, "saved.npz")  # with weights of its own
    (tmp_path / "one.npz").unlink()
    np.testing.assert_array_equal(networks.load("saved.npz")(x)[0], other(x)[0])
    with pytest.raises(ValueError, match=r"has the weights of 'one\.npz', which is not beside it"):
        networks.load(tmp_path / "other.npz")


@pytest.mark.parametrize(
    "other", ["../one.npz", "folder/one.npz", "/etc/passwd", "", ".", None, 3, ["one.npz"], {}]
)
def test_weights_are_read_from_the_same_folder_alone(tmp_path, other):
    network = networks.compact_cnn(4)
    networks.save(network, tmp_path / "one.npz")
    (tmp_path / "folder").mkdir()
    networks.save(network, tmp_path / "folder" / "one.npz")
    settings_alone(tmp_path / "folder" / "other.npz", other, network)
    with pytest.raises(ValueError, match="is the name of one in the same folder; found 0 arrays"):
        networks.load(tmp_path / "folder" / "other.npz")


def test_wrong_files_of_weights_are_refused(tmp_path):
    network, path = networks.compact_cnn(4), tmp_path / "other.npz"
    networks.save(network, tmp_path / "one.npz")
    settings_alone(path, "one.npz", network, parameters.flatten(network.params))
    with pytest.raises(ValueError, match="a file has no arrays, .* found [0-9]+ arrays"):
        networks.load(path)
    for name in ("..", "absent.npz", "nul\0.npz"):
        settings_alone(path, name, network)
        with pytest.raises(ValueError, match="which is not beside it"):
            networks.load(path)
    settings_alone(path, "other.npz", network)  # itself
    with pytest.raises(ValueError, match="which has those of another file"):
        networks.load(path)
    networks.save(networks.compact_cnn(5), tmp_path / "one.npz")
    settings_alone(path, "one.npz", network)
    with pytest.raises(ValueError, match=r"other\.npz"):
        networks.load(path)
    (tmp_path / "one.npz").write_bytes(b"no file of arrays")
    with pytest.raises(ValueError, match=r"one\.npz is not a file that tinyproto saved"):
        networks.load(path)
    with pytest.raises(ValueError, match="weights_from is for files without weights"):
        networks.save(network, tmp_path / "saved.npz", weights_from="one.npz")
    assert not (tmp_path / "saved.npz").exists()
