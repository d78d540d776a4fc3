"""The builders of networks: shapes and sizes, seeds, and saving and loading."""

import numpy as np
import pytest

from tinyproto import networks, parameters, state
from tinyproto.attacks import Victim
from tinyproto.interop.torch_names import namings
from tinyproto.layers import Flatten, Linear, Sequential
from tinyproto.networks import Network
from tinyproto.prototypes.dpnp import PrototypeHead
from tinyproto.testing import randomize

SMALL = {
    "compact_cnn": lambda **options: networks.compact_cnn(5, feature_width=6, **options),
    "wide_resnet": lambda **options: networks.wide_resnet(10, 1, 5, feature_width=6, **options),
}
HEADS = [{"head": "linear"}, {"head": "prototypes"}, {"head": "prototypes", "radius": 2.0}]

each_small = pytest.mark.parametrize("name", SMALL)


def same_networks(one, other):
    one, other = parameters.flatten(one.params), parameters.flatten(other.params)
    assert list(one) == list(other)
    for path in one:
        assert one[path].dtype == other[path].dtype
        np.testing.assert_array_equal(one[path], other[path], strict=True)


@pytest.mark.parametrize(
    ("build", "millions"),
    [
        (networks.compact_cnn, 0.3),
        (networks.resnet18, 11.2),
        pytest.param(lambda: networks.wide_resnet(28, 10), 36.5, marks=pytest.mark.slow),
        (lambda: networks.wide_resnet(16, 4), 2.8),
    ],
    ids=["compact_cnn", "resnet18", "wide_resnet(28, 10)", "wide_resnet(16, 4)"],
)
def test_the_number_of_weights(build, millions):
    assert parameters.count(build().params) == pytest.approx(millions * 1e6, abs=0.05e6)


def test_the_exact_number_of_weights():
    """Of the papers' networks, which have no layer of features before the classes."""
    resnet, wide = networks.resnet18(feature_width=10), networks.wide_resnet(16, 2)
    assert parameters.count(resnet.features.params) == 11_173_962
    ours, theirs = 128 * 64 + 64, 128 * 10 + 10
    assert parameters.count(wide.features.params) - ours + theirs == 691_674


@pytest.mark.parametrize("size", [(32, 32), (13, 9), (4, 5)])
@pytest.mark.parametrize("head", ["linear", "prototypes"])
@each_small
def test_shapes(name, head, size):
    network = SMALL[name](head=head)
    x = np.random.default_rng(0).random((2, *size, 3), np.float32)
    for train in (False, True):
        h, _ = network.features(x, train)
        z, backward = network(x, train)
        assert (h.shape, z.shape, z.dtype) == ((2, 6), (2, 5), np.float32)
        np.testing.assert_array_equal(network.head(h, train)[0], z)
        dx = backward(np.ones_like(z), parameters.zeros(network.params))
        assert (dx.shape, dx.dtype) == (x.shape, np.float32)
        assert np.isfinite(dx).all()


def test_resnet18_computes():
    network = networks.resnet18(10, head="prototypes")
    x = np.random.default_rng(0).random((1, 9, 8, 3), np.float32)
    z, backward = network(x)
    assert z.shape == (1, 10)
    assert backward(z).shape == x.shape
    features = list(parameters.flatten(network.features.params))
    assert sum(path.endswith("weight") for path in features) == 17 + 3 + 1
    assert sum("shortcut" in path and path.endswith("weight") for path in features) == 3


def test_the_first_layer_normalizes():
    """Pixels of the mean colour are 0 after it."""
    mean, std = (0.1, 0.2, 0.3), (0.5, 0.6, 0.7)
    network = networks.compact_cnn(mean=mean, std=std)
    normalize = network.features.layers[0]
    x = np.broadcast_to(np.array(mean, np.float32), (1, 4, 4, 3))
    np.testing.assert_allclose(normalize(x)[0], 0, atol=1e-7)
    np.testing.assert_allclose(normalize(x + 1)[0][0, 0, 0], 1 / np.array(std), rtol=1e-6)
    usual = networks.compact_cnn().features.layers[0]
    assert usual.mean == networks.CIFAR10_MEAN
    assert usual.std == networks.CIFAR10_STD


@each_small
def test_padding_is_black_around_each_image(name, tmp_path):
    """The weights and their paths are those of a network without it."""
    plain, padded = (SMALL[name](padding=padding, seed=3) for padding in (0, (1, 0, 2, 3)))
    same_networks(plain, padded)
    random = np.random.default_rng(0)
    x = random.random((2, 8, 6, 3), np.float32)
    z, backward = padded(x)
    expected, expected_backward = plain(np.pad(x, ((0, 0), (1, 0), (2, 3), (0, 0))))
    np.testing.assert_array_equal(z, expected)
    dz = random.normal(size=z.shape).astype(np.float32)
    np.testing.assert_array_equal(backward(dz), expected_backward(dz)[:, 1:, 2:-3])
    check_saved(padded, x, tmp_path / "padded.npz")


@each_small
def test_a_network_may_average_over_flips(name, tmp_path):
    """The weights and their paths are those of a network that does not."""
    plain, network = (
        SMALL[name](flip_average=flip, padding=[1, 0, 1, 0], seed=3) for flip in (False, True)
    )
    same_networks(plain, network)
    assert namings(network) == namings(SMALL[name]())
    x = np.random.default_rng(0).random((2, 8, 6, 3), np.float32)
    flipped = np.ascontiguousarray(x[:, :, ::-1])
    z, expected = network(x)[0], (plain(x)[0] + plain(flipped)[0]) / 2
    np.testing.assert_allclose(z, expected, atol=1e-5 * abs(expected).max())
    np.testing.assert_array_equal(z, network(flipped)[0])
    check_saved(network, x, tmp_path / "network.npz")


def check_saved(network, x, path):
    networks.save(network, path)
    loaded = networks.load(path)
    assert loaded.settings == network.settings
    np.testing.assert_array_equal(loaded(x)[0], network(x)[0])


@pytest.mark.parametrize("head", ["linear", "prototypes"])
@each_small
def test_a_seed_fixes_the_weights(name, head):
    first, again, other = (SMALL[name](head=head, seed=seed) for seed in (3, 3, 4))
    same_networks(first, again)
    drawn = parameters.flatten(first.params)
    elsewhere = parameters.flatten(other.params)
    weights = [path for path in drawn if path.endswith(("weight", "prototypes"))]
    assert len(weights) > 5
    for path in weights:
        assert np.mean(drawn[path] == elsewhere[path]) < 0.01
    for one in weights:  # no two are the same draw
        for two in weights:
            if one < two and drawn[one].size == drawn[two].size:
                assert np.mean(drawn[one].ravel() == drawn[two].ravel()) < 0.01


def test_reprs_are_short():
    network = networks.compact_cnn(head="prototypes")
    assert repr(network) == "Network(compact_cnn, 10 classes, 296,352 parameters)"
    assert repr(networks.fold(network)) == "Network(295,904 parameters)"


@pytest.mark.parametrize("name", SMALL)
def test_the_summary_has_every_layer_and_adds_up(name):
    network = SMALL[name]()
    text = network.summary((13, 11, 3))
    assert repr(text) == str(text)
    lines = text.splitlines()
    assert lines[0] == repr(network)
    assert lines[-2] == lines[1] == lines[3] == "-" * max(map(len, lines))
    assert lines[4].split() == ["input", "(N,", "13,", "11,", "3)"]
    assert "(N, 5)" in lines[-3]
    numbers = [line.rpartition("  ")[2].strip().replace(",", "") for line in lines[5:]]
    numbers = [int(number) for number in numbers if number.isdigit()]
    assert sum(numbers[:-1]) == numbers[-1] == parameters.count(network.params)
    convolutions = [leaf for _, leaf in parameters.leaves(network.params) if leaf.ndim == 4]
    assert text.count("Conv2D") == len(convolutions)
    for shape in ((13, 11, 4), (13, 11)):
        with pytest.raises(ValueError, match="Normalize expects|Conv2D expects"):
            network.summary(shape)


def test_the_summary_of_a_network_in_float64():
    network = networks.compact_cnn().to(dtype=np.float64)
    assert network.summary().count("\n") == networks.compact_cnn().summary().count("\n")


def test_activations_keep_their_size():
    """Kaiming initialization: the features of an untrained network neither vanish nor explode."""
    network = networks.compact_cnn()
    x = np.random.default_rng(0).random((8, 32, 32, 3), np.float32)
    h, _ = network.features(x, train=True)
    assert 0.05 < h.std() < 5


@pytest.mark.parametrize(
    ("build", "error", "says"),
    [
        (lambda: networks.compact_cnn(0), ValueError, "cnn: classes must be an integer"),
        (lambda: networks.compact_cnn(head="mlp"), ValueError, "not 'mlp'"),
        (lambda: networks.compact_cnn(feature_width=0), ValueError, "1 or more, not 0"),
        (lambda: networks.compact_cnn(1, head="prototypes"), ValueError, "2 or more, not 1"),
        (lambda: networks.compact_cnn(seed=-1), ValueError, "not -1"),
        (lambda: networks.compact_cnn(padding=-1), ValueError, "padding must be 0 or more, not -1"),
        (lambda: networks.compact_cnn(padding=[1] * 3), ValueError, "not [1, 1, 1]"),
        (lambda: networks.compact_cnn(flip_average=1), ValueError, "True or False, not 1"),
        (lambda: networks.compact_cnn(hed="linear"), TypeError, "'hed'"),
        (lambda: networks.compact_cnn(radius=3.0), TypeError, "'radius'"),
        (lambda: networks.compact_cnn(std=(0, 1, 1)), ValueError, "not (0, 1, 1)"),
        (lambda: networks.wide_resnet(12), ValueError, "depth must be 6 n + 4 (10, 16, …), not 12"),
        (lambda: networks.wide_resnet(4), ValueError, "not 4"),
        (lambda: networks.wide_resnet(10, 0), ValueError, "1 or more, not 0"),
        (lambda: networks.resnet18(head="prototypes", init="x"), ValueError, "not 'x'"),
    ],
)
def test_a_wrong_option_is_named(build, error, says):
    with pytest.raises(error) as caught:
        build()
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("head", HEADS)
@each_small
def test_a_saved_network_is_loaded_to_the_bit(name, head, tmp_path):
    network = randomize(SMALL[name](seed=9, **head), np.random.default_rng(0), np.float32)
    path = tmp_path / "model.npz"
    networks.save(network, path, accuracy=0.5)
    loaded = networks.load(path)
    same_networks(network, loaded)
    assert loaded.settings == network.settings
    x = np.random.default_rng(1).random((3, 9, 8, 3), np.float32)
    np.testing.assert_array_equal(loaded(x)[0], network(x)[0])
    assert state.load_arrays(path)[1]["accuracy"] == 0.5
    assert [p.name for p in tmp_path.iterdir()] == ["model.npz"]
    if head["head"] == "prototypes":  # its option was saved too
        assert loaded.head.radius == head.get("radius", 3.0)


def test_other_colours_are_saved(tmp_path):
    network = networks.compact_cnn(mean=(0.1, 0.2, 0.3), std=(0.5, 0.6, 0.7))
    networks.save(network, tmp_path / "model.npz")
    loaded = networks.load(tmp_path / "model.npz").features.layers[0]
    assert loaded.mean == (0.1, 0.2, 0.3)
    assert loaded.std == (0.5, 0.6, 0.7)


def says(path):
    with pytest.raises(ValueError) as caught:  # noqa: PT011 (the text is what is tested)
        networks.load(path)
    text = str(caught.value)
    assert "\n" not in text
    assert str(path) in text
    return text


@pytest.fixture
def saved(tmp_path):
    """A saved network: its path, its arrays and its metadata."""
    path = tmp_path / "model.npz"
    networks.save(SMALL["compact_cnn"](), path)
    return path, *state.load_arrays(path)


def test_wrong_entries_are_named(saved):
    path, arrays, metadata = saved
    state.save_arrays({**arrays, "features/99/weight": np.zeros(2)}, path, metadata)
    assert "has unknown entries: features/99/weight" in says(path)
    state.save_arrays({k: v for k, v in arrays.items() if k != "head/bias"}, path, metadata)
    assert "misses entries: head/bias" in says(path)
    state.save_arrays({**arrays, "head/weight": np.zeros((2, 2))}, path, metadata)
    assert "head/weight has shape (2, 2), expected (6, 5)" in says(path)


def test_a_wrong_file_is_named(saved):
    path, arrays, metadata = saved
    state.save_arrays(arrays, path, {})
    assert "holds no network, but None" in says(path)
    state.save_arrays(arrays, path, {"network": {"kind": "resnet50"}})
    assert "holds no network, but 'resnet50'" in says(path)
    state.save_arrays(arrays, path, {"network": "compact_cnn"})
    assert "holds no network" in says(path)
    state.save_arrays(arrays, path, {"network": {**metadata["network"], "colour": 3}})
    assert "holds unknown settings" in says(path)
    np.savez(path, **{name.replace("/", "-"): array for name, array in arrays.items()})
    assert "is not a file that tinyproto saved" in says(path)
    path.write_text("no archive at all")
    assert "is not a file that tinyproto saved" in says(path)
    path.write_bytes(b"")
    assert "is not a file that tinyproto saved" in says(path)
    with pytest.raises(FileNotFoundError):
        networks.load(path.with_name("missing.npz"))


@pytest.mark.parametrize("head", ["linear", "prototypes"])
def test_a_network_is_a_victim(head):
    random = np.random.default_rng(0)
    network = randomize(SMALL["compact_cnn"](head=head), random, np.float32)
    victim = Victim(network)
    x = random.random((4, 8, 9, 3), np.float32)
    z, backward = victim(x)
    np.testing.assert_array_equal(z, network(x)[0])
    first, second = backward(z), backward(-z)
    assert (victim.forward_passes, victim.backward_passes) == (4, 8)
    np.testing.assert_array_equal(first, -second)
    np.testing.assert_array_equal(first, network(x)[1](z))


def test_project():
    network = SMALL["compact_cnn"](head="prototypes", radius=2.0)
    network.head.params["prototypes"] *= 5
    network.project()
    lengths = np.linalg.norm(network.head.params["prototypes"], axis=1)
    np.testing.assert_allclose(lengths, 2, rtol=1e-6)
    linear = SMALL["compact_cnn"]()
    before = linear.params["head"]["weight"].copy()
    linear.project()
    np.testing.assert_array_equal(linear.params["head"]["weight"], before)


def test_to_changes_a_network_in_place():
    network = SMALL["wide_resnet"](head="prototypes")
    assert network.to(dtype=np.float64) is network
    assert all(leaf.dtype == np.float64 for _, leaf in parameters.leaves(network.params))
    z, backward = network(np.random.default_rng(0).random((2, 5, 6, 3)))
    grads = parameters.zeros(network.params)
    assert backward(z, grads).dtype == z.dtype == np.float64
    assert grads["head"]["prototypes"].dtype == np.float64


def test_a_network_without_a_builder():
    """Any features and head."""
    network = Network(Sequential(Flatten(), Linear(12, 3)), PrototypeHead(3, 2))
    assert network.settings == {}
    assert network(np.zeros((1, 2, 2, 3), np.float32))[0].shape == (1, 2)
    paths = ["features/1/weight", "features/1/bias", "head/prototypes"]
    assert list(parameters.flatten(network.params)) == paths


def test_sizes_may_be_integers_of_numpy(tmp_path):
    """Such as a number of classes computed from labels, y.max() + 1."""
    network = networks.compact_cnn(np.int64(5), feature_width=np.int32(6), seed=np.int64(2))
    networks.save(network, tmp_path / "model.npz")
    same_networks(networks.load(tmp_path / "model.npz"), network)


def test_float64_is_saved_and_loaded_to_the_bit(tmp_path):
    network = randomize(SMALL["compact_cnn"](), np.random.default_rng(0), np.float64)
    network.params["head"]["bias"][...] = 1 / 3
    networks.save(network, tmp_path / "model.npz")
    same_networks(networks.load(tmp_path / "model.npz"), network)
