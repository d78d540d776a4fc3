"""`load_state` and `save_state` without PyTorch."""

from copy import deepcopy

import numpy as np
import pytest

from tinyproto import networks, parameters
from tinyproto.interop import load_state, save_state
from tinyproto.layers import BatchNorm, Conv2D, Flatten, Linear, Sequential
from tinyproto.networks import Network
from tinyproto.optimizers import SGD
from tinyproto.testing import randomize


def small():
    return Network(Sequential(Flatten(), Linear(4, 3)), Linear(3, 2))


STATE = {
    "features.1.weight": np.arange(12.0).reshape(3, 4),
    "features.1.bias": np.arange(3.0),
    "head.weight": np.ones((2, 3)),
    "head.bias": np.zeros(2),
}


def test_weights_are_transposed():
    network = load_state(small(), STATE)
    np.testing.assert_array_equal(
        network.params["features"]["1"]["weight"], STATE["features.1.weight"].T
    )
    x = np.ones((1, 2, 2, 1), np.float32)
    h = STATE["features.1.weight"] @ np.ones(4) + STATE["features.1.bias"]
    np.testing.assert_allclose(network(x)[0][0], STATE["head.weight"] @ h)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"head.weight": np.ones((3, 2))},
            "the state: head/weight has shape .2, 3., expected .3, 2",
        ),
        ({"head.weight": None}, "the state: head.weight must be a tensor, not NoneType"),
        ({"other.weight": np.ones(2)}, "the state has unknown entries: other.weight"),
        ({"head.bias": np.array([0, np.nan])}, "head/bias holds values that are infinite or NaN"),
        ({"head.bias": np.array(["a", "b"])}, "head/bias holds no real numbers"),
        ({3: np.zeros(1)}, "expected a state dict"),
    ],
)
def test_what_does_not_fit_is_refused_and_changes_nothing(change, message):
    network = small()
    before = {path: leaf.copy() for path, leaf in parameters.leaves(network.params)}
    with pytest.raises(ValueError, match=message):
        load_state(network, {**STATE, **change})
    for path, leaf in parameters.leaves(network.params):
        np.testing.assert_array_equal(leaf, before[path])


def test_a_folded_network_that_has_run_does_not_keep_what_it_prepared_of_former_weights():
    features = Sequential(Conv2D(3, 4, 3), BatchNorm(4), Flatten())
    network = networks.fold(Network(features, Linear(4, 2)))
    state = {
        "features.0.weight": np.ones((4, 3, 3, 3)),
        "features.0.bias": np.ones(4),
        "head.weight": np.ones((2, 4)),
        "head.bias": np.ones(2),
    }
    x = np.ones((1, 3, 3, 3), np.float32)
    for factor in (1, 2):
        load_state(network, {name: factor * array for name, array in state.items()})
        np.testing.assert_allclose(network(x)[0], factor + 4 * factor**2 * (27 + 1))
    before = deepcopy(network.params)
    grads = parameters.zeros(network.params)
    with pytest.raises(ValueError, match="params: features/0/weight is read-only, as in a folded"):
        SGD().step(network.params, grads, 1.0)
    for path, leaf in parameters.leaves(network.params):
        np.testing.assert_array_equal(leaf, parameters.flatten(before)[path])
    network(x, train=True)
    SGD().step(network.params, grads, 1.0)


def test_what_is_missing_is_named():
    state = {name: array for name, array in STATE.items() if name != "head.bias"}
    with pytest.raises(ValueError, match="the state misses entries: head/bias"):
        load_state(small(), state)


def test_files(tmp_path):
    pytest.importorskip("safetensors", reason="a file of that kind: pip install safetensors")
    random = np.random.default_rng(0)
    network = randomize(networks.wide_resnet(10, 1, 3), random, np.float32)
    x = random.random((2, 8, 8, 3), dtype=np.float32)
    for names in ("layers", "robustbench"):
        save_state(network, tmp_path / "model.safetensors", names=names)
        loaded = load_state(networks.wide_resnet(10, 1, 3, seed=1), tmp_path / "model.safetensors")
        np.testing.assert_array_equal(loaded(x)[0], network(x)[0])
    (tmp_path / "model.safetensors").write_bytes(b"\x08" * 20)
    with pytest.raises(ValueError, match="model.safetensors is no file of weights: "):
        load_state(network, tmp_path / "model.safetensors")
    with pytest.raises(FileNotFoundError):
        load_state(network, tmp_path / "missing.safetensors")


def test_other_endings_and_names_are_refused(tmp_path):
    for path in ("model.npz", "model"):
        with pytest.raises(ValueError, match="must end in .safetensors, .pt, .pth, not 'model"):
            save_state(small(), tmp_path / path)
    with pytest.raises(ValueError, match="names must be 'layers', not 'torchvision'"):
        save_state(small(), tmp_path / "model.pt", names="torchvision")
    assert not list(tmp_path.iterdir())
