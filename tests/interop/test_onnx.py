"""`load_onnx` and `save_onnx` beside ONNX Runtime, where onnx and onnxruntime are installed."""

import logging
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests import ROOT
from tests.test_network_storage import every_layer
from tinyproto import networks
from tinyproto.attacks import Victim, apgd, pgd
from tinyproto.interop import load_onnx, save_onnx
from tinyproto.layers import (
    BatchNorm,
    Conv2D,
    Flatten,
    FlipAverage,
    GlobalAveragePool,
    Graph,
    Layer,
    Linear,
    Normalize,
    Sequential,
)
from tinyproto.networks import Network
from tinyproto.prototypes import EDWTA, IPWTA, PlusMinusEDWTA, PrototypeHead
from tinyproto.testing import randomize
from tinyproto.testing.layers import PARTS, cases

onnx = pytest.importorskip("onnx", reason="reads ONNX files: pip install onnx")
pytest.importorskip("onnxruntime", reason="compares with ONNX Runtime: pip install onnxruntime")

from onnx import TensorProto, helper  # noqa: E402

from tests.interop.onnx_graphs import Builder, gemm, models, rows, run, save  # noqa: E402


def assert_close(found, expected, factor=1e-5):
    """Within the rounding of float32."""
    np.testing.assert_allclose(found, expected, atol=factor * (1 + abs(expected).max()))


quick = settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])


@quick
@given(models())
def test_a_random_network_gives_the_scores_of_onnx_runtime(tmp_path, made):
    model, x = made
    path = save(model, tmp_path / "model.onnx")
    network, expected = load_onnx(path), run(path, x)
    scale = max(1.0, *(abs(v).max() for v in values(network.features, x)))
    assert_close(network(x)[0] / scale, expected / scale)
    assert_close(networks.fold(network)(x)[0] / scale, expected / scale)


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(models())
def test_a_random_network_is_written_and_read_again(tmp_path, made):
    model, x = made
    network = load_onnx(save(model, tmp_path / "model.onnx"))
    save_onnx(network, tmp_path / "again.onnx", input_shape=x.shape[1:])
    z, scale = network(x)[0], max(1.0, *(abs(v).max() for v in values(network.features, x)))
    assert_close(run(tmp_path / "again.onnx", x) / scale, z / scale)
    assert_close(load_onnx(tmp_path / "again.onnx")(x)[0] / scale, z / scale)
    networks.save(network, tmp_path / "model.npz")
    np.testing.assert_array_equal(networks.load(tmp_path / "model.npz")(x)[0], z)


def values(layer, x):
    """What the layers of a chain give, and x: sums that cancel are as exact as their terms."""
    yield x
    for part in getattr(layer, "layers", [layer]):
        x = part(x)[0]
        yield x


@pytest.mark.parametrize("name", [name for name in PARTS if "rows" not in name])
@settings(max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_each_layer_is_written(tmp_path, name, data):
    case = data.draw(cases(name)).astype(np.float32)
    layer, x = case.layer, case.x
    if x.ndim == 2 and x.shape[1:] == (0,):
        return
    y = layer(x)[0]
    if y.ndim == 4:  # scores are rows
        layer = Sequential(layer, Flatten())
        y = layer(x)[0]
    save_onnx(layer, tmp_path / "layer.onnx", input_shape=x.shape[1:])
    onnx.checker.check_model(onnx.load(str(tmp_path / "layer.onnx")), full_check=True)
    assert_close(run(tmp_path / "layer.onnx", x), y)


def test_an_average_of_an_average_is_written_once(tmp_path):
    layer = FlipAverage(FlipAverage(Sequential(Conv2D(2, 3, 2), GlobalAveragePool())))
    layer = randomize(layer, np.random.default_rng(0), np.float32)
    x = np.random.default_rng(1).random((3, 4, 5, 2), dtype=np.float32)
    save_onnx(layer, tmp_path / "layer.onnx", input_shape=(4, 5, 2))
    onnx.checker.check_model(onnx.load(str(tmp_path / "layer.onnx")), full_check=True)
    assert_close(run(tmp_path / "layer.onnx", x), layer(x)[0])
    with pytest.raises(ValueError, match=r"Slice.*not supported"):
        load_onnx(tmp_path / "layer.onnx")


NETWORKS = {
    "compact_cnn": lambda: networks.compact_cnn(4),
    "compact_cnn, prototypes": lambda: networks.compact_cnn(4, head="prototypes"),
    "WRN-10-1": lambda: networks.wide_resnet(10, 1, 3, feature_width=None),
    "all layers": every_layer,
    "all layers, prototypes": lambda: every_layer("p"),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_networks_both_ways(tmp_path, name):
    random = np.random.default_rng(0)
    network = randomize(NETWORKS[name](), random, np.float32)
    x = random.random((3, 10, 10, 3), dtype=np.float32)
    save_onnx(network, tmp_path / "model.onnx", input_shape=(10, 10, 3))
    loaded, z = load_onnx(tmp_path / "model.onnx"), network(x)[0]
    for batch in (x, x[:1]):
        assert_close(run(tmp_path / "model.onnx", batch), z[: len(batch)])
    assert_close(loaded(x)[0], z, 1e-6)
    assert_close(networks.fold(loaded)(x)[0], z)
    save_onnx(networks.fold(network), tmp_path / "folded.onnx", input_shape=(10, 10, 3))
    assert_close(run(tmp_path / "folded.onnx", x), z)
    direction = random.normal(size=z.shape).astype(np.float32)
    assert_close(loaded(x)[1](direction), network(x)[1](direction))


def test_a_loaded_network_is_made_as_a_builder_makes_it(tmp_path):
    network = networks.wide_resnet(10, 2, 3)
    save_onnx(network, tmp_path / "model.onnx")
    loaded = load_onnx(tmp_path / "model.onnx")
    assert repr(loaded.features) == repr(network.features)
    assert repr(loaded.head) == repr(network.head)


def test_a_network_in_float64(tmp_path):
    network = randomize(networks.compact_cnn(4), np.random.default_rng(0), np.float64)
    x = np.random.default_rng(0).random((2, 8, 8, 3))
    save_onnx(network, tmp_path / "model.onnx", input_shape=(8, 8, 3))
    np.testing.assert_allclose(load_onnx(tmp_path / "model.onnx")(x)[0], network(x)[0], rtol=1e-12)


@pytest.mark.parametrize("kind", [IPWTA, EDWTA, PlusMinusEDWTA])
def test_winner_take_all_networks_are_written(tmp_path, kind):
    random = np.random.default_rng(0)
    x, y = random.random((60, 5), dtype=np.float32), np.arange(60) % 3
    model = kind(prototypes_per_class=2, epochs=2, learning_rate=0.1).fit(x, y)
    save_onnx(model, tmp_path / "model.onnx")
    z, found = model(x)[0], run(tmp_path / "model.onnx", x)
    shift = (z - found).mean(axis=1, keepdims=True) if kind is EDWTA else 0
    assert_close(found + shift, z)


def test_attacks_run_on_a_loaded_network(tmp_path):
    random = np.random.default_rng(0)
    network = randomize(networks.compact_cnn(4), random, np.float32)
    x = random.random((8, 16, 16, 3), dtype=np.float32)
    y = network(x)[0].argmax(axis=1)
    save_onnx(network, tmp_path / "model.onnx", input_shape=(16, 16, 3))
    for attack in (pgd, apgd):
        own = attack(Victim(network), x, y, eps=4 / 255, steps=5)
        found = attack(Victim(load_onnx(tmp_path / "model.onnx")), x, y, eps=4 / 255, steps=5)
        np.testing.assert_array_equal(found, own)  # nothing was rounded on the way


def test_the_last_softmax_is_left_out_with_a_line(tmp_path, caplog):
    b = Builder(st.data, (4,), np.random.default_rng(0))
    b.draw = lambda strategy: True
    gemm(b, 3)
    scores = b.value
    b.add("Softmax", scores, axis=-1)
    path = save(b.model(), tmp_path / "model.onnx")
    x = np.random.default_rng(0).random((2, 4), dtype=np.float32)
    with caplog.at_level(logging.INFO, logger="tinyproto"):
        network = load_onnx(path)
    assert [r.message for r in caplog.records] == [
        "load_onnx leaves out the last Softmax: the network gives scores"
    ]
    z = network(x)[0]
    probabilities = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
    assert_close(probabilities, run(path, x))


def graph_of(*steps, shape=(3, 6, 6), opset=17):
    """A model of nodes (kind, inputs, attributes), each with the output of the one before it as
    its first input where that is None; arrays become constants."""
    b = Builder(None, shape, np.random.default_rng(0))
    b.draw = lambda strategy: True
    for kind, inputs, attributes in steps:
        names = [
            b.value if i is None else i if isinstance(i, str) else b.constant(i) for i in inputs
        ]
        b.add(kind, *names, **attributes)
    return b


W = np.ones((4, 3, 3, 3), np.float32)
W1 = np.ones((4, 3, 1, 1), np.float32)
REFUSED = {
    "an operator": ([("Sigmoid", [None], {})], "node 'v0' (Sigmoid): this operator is not support"),
    "another one": ([("Relu", [None], {}), ("Erf", [None], {})], "node 'v1' (Erf): this operator"),
    "groups": (
        [("Conv", [None, np.ones((3, 1, 3, 3), np.float32)], {"group": 3})],
        "(Conv): group must be 1, not 3",
    ),
    "a rectangular kernel": (
        [("Conv", [None, np.ones((4, 3, 1, 3), np.float32)], {})],
        "(Conv): kernel_shape must be two equal numbers, not [1, 3]",
    ),
    "strides": (
        [("Conv", [None, W], {"strides": [1, 2]})],
        "(Conv): strides must be two equal numbers, not [1, 2]",
    ),
    "dilations": (
        [("Conv", [None, W], {"dilations": [2, 2]})],
        "(Conv): dilations must be 1, not [2, 2]",
    ),
    "auto_pad": (
        [("Conv", [None, W], {"auto_pad": "SAME_UPPER"})],
        "(Conv): pads must be numbers, not auto_pad SAME_UPPER",
    ),
    "ceil_mode": (
        [("MaxPool", [None], {"kernel_shape": [2, 2], "ceil_mode": 1})],
        "(MaxPool): ceil_mode must be 0, not 1",
    ),
    "count_include_pad": (
        [("AveragePool", [None], {"kernel_shape": [2, 2], "pads": [1, 1, 1, 1]})],
        "(AveragePool): with pads, count_include_pad must be 1, not 0",
    ),
    "a constant of every pixel": (
        [("Add", [None, np.ones((3, 6, 6), np.float32)], {})],
        "(Add): its constant of shape (3, 6, 6) must be one number, or one for each channel",
    ),
    "a product of branches": (
        [("Relu", [None], {}), ("Mul", [None, "x"], {})],
        "node 'v1' (Mul): one of the two must be constant",
    ),
    "1/x": ([("Div", [np.float32(1), None], {})], "(Div): cannot divide by what is computed"),
    "x/0": ([("Div", [None, np.float32(0)], {})], "(Div): its divisor must not be 0"),
    "branches of two shapes": (
        [
            ("Conv", [None, W1], {}),
            ("Conv", ["x", W1], {"strides": [2, 2]}),
            ("Add", ["v0", "v1"], {}),
        ],
        "(Add): cannot add image (4, 6, 6) and image (4, 3, 3)",
    ),
    "a flattened image and what is computed of it": (
        [
            ("Flatten", [None], {}),
            ("MatMul", [None, np.eye(108, dtype=np.float32)], {}),
            ("Add", [None, "v0"], {}),
        ],
        "(Add): cannot add row (108,) and row (108,) in another order",
    ),
    "a reshape of examples": (
        [("Reshape", [None, np.array([-1, 54])], {})],
        "(Reshape): shape must be (N, 108), all of an example in a row, not (-1, 54)",
    ),
    "a softmax inside": (
        [("Flatten", [None], {}), ("Softmax", [None], {}), ("Relu", [None], {})],
        "(Softmax): only the last one",
    ),
    "images as scores": ([("Relu", [None], {})], "the output must be scores (N, classes), not ima"),
    "another order": ([("Flatten", [None], {})], "the output must be scores (N, classes)"),
    "a pooled axis": (
        [("ReduceMean", [None], {"axes": [1]})],
        "(ReduceMean): axes must be those of height and width, not [1] of image",
    ),
    "another perm": (
        [("Transpose", [None], {"perm": [0, 1, 3, 2]})],
        "(Transpose): perm must be [0, 2, 3, 1], not [0, 1, 3, 2], for image",
    ),
    "weights that are computed": (
        [("Flatten", [None], {}), ("MatMul", [None, "v0"], {})],
        "(MatMul): its matrix must be constant",
    ),
    "no channels": (
        [("Conv", [None, np.ones((4, 2, 3, 3), np.float32)], {})],
        "(Conv): its weights are for 2 channels, its input 3",
    ),
    "NaN": (
        [("Conv", [None, np.full((4, 3, 1, 1), np.nan, np.float32)], {})],
        "(Conv): its weight must hold finite floating-point numbers",
    ),
    "a negative variance": (
        [("BatchNormalization", [None, *[-np.ones(3, np.float32)] * 4], {})],
        "(BatchNormalization): its running_variance must be 0 or more, not -1.0",
    ),
    "a layer that cannot be": (
        [("Conv", [None, W], {"strides": [0, 0]})],
        "(Conv): cannot be read: Conv2D: stride must be an integer of 1 or more, not 0",
    ),
    "training": (
        [("BatchNormalization", [None, *[np.ones(3, np.float32)] * 4], {"training_mode": 1})],
        "(BatchNormalization): training_mode must be 0, not 1",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_read_is_named_with_its_node(tmp_path, name):
    steps, message = REFUSED[name]
    path = tmp_path / "model.onnx"
    onnx.save(graph_of(*steps).model(), str(path))
    with pytest.raises(ValueError) as error:  # noqa: PT011
        load_onnx(path)
    assert str(error.value).startswith(f"{path}: ")
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_nodes_that_the_output_does_not_need_are_left_out(tmp_path):
    b = graph_of(
        ("Relu", [None], {}), ("Conv", ["x", W1], {}), ("GlobalAveragePool", ["v0"], {}),
        ("Flatten", [None], {}),
    )  # fmt: skip
    b.shape = (3,)
    network = load_onnx(save(b.model(), tmp_path / "model.onnx"))
    assert [type(layer).__name__ for layer in network.features.layers] == [
        "ReLU", "GlobalAveragePool"
    ]  # fmt: skip
    x = np.random.default_rng(0).random((2, 6, 6, 3), dtype=np.float32)
    assert_close(network(x)[0], x.mean(axis=(1, 2)))


def test_images_may_come_in_our_own_layout(tmp_path):
    """As files from TensorFlow have them: channels last, and a Transpose first."""
    b = graph_of(("Transpose", [None], {"perm": [0, 3, 1, 2]}), shape=(6, 5, 3))
    b.shape = (3, 6, 5)
    b.add("Conv", b.value, b.constant(b.normal(4, 3, 3, 3)), shape=(4, 4, 3))
    rows(b)
    b.draw = lambda strategy: False
    gemm(b, 2)
    path = save(b.model(), tmp_path / "model.onnx")
    x = np.random.default_rng(0).random((2, 6, 5, 3), dtype=np.float32)
    assert_close(load_onnx(path)(x)[0], run(path, x.transpose(0, 2, 3, 1)))


def test_a_normalization_of_colours_is_one_layer(tmp_path):
    network = Network(Sequential(Normalize((0.5, 0.4), (0.25, 0.1)), Flatten()), Linear(18, 2))
    save_onnx(network, tmp_path / "model.onnx", input_shape=(3, 3, 2))
    loaded = load_onnx(tmp_path / "model.onnx")
    assert repr(loaded.features.layers[0]) == repr(network.features.layers[0])


@pytest.mark.parametrize("content", [b"", b"ONNX", b"\x08\x08" + bytes(range(256))])
def test_a_file_that_is_no_onnx_file(tmp_path, content):
    (tmp_path / "model.onnx").write_bytes(content)
    with pytest.raises(ValueError, match="model.onnx is no valid ONNX file: "):
        load_onnx(tmp_path / "model.onnx")
    with pytest.raises(FileNotFoundError):
        load_onnx(tmp_path / "missing.onnx")


def test_a_damaged_file_is_refused_or_read(tmp_path):
    save_onnx(networks.wide_resnet(10, 1, 2), tmp_path / "model.onnx")
    whole = (tmp_path / "model.onnx").read_bytes()
    random = np.random.default_rng(0)
    refused = 0
    for _ in range(60):
        damaged = bytearray(whole[-4000:] if random.random() < 0.2 else whole)
        for place in random.integers(max(0, len(damaged) - 9000), len(damaged), 3):
            damaged[place] = random.integers(256)
        (tmp_path / "model.onnx").write_bytes(damaged)
        try:
            load_onnx(tmp_path / "model.onnx")
        except ValueError as error:
            refused += "\n" not in str(error)
    assert refused > 10


def test_two_inputs_and_two_outputs_are_refused(tmp_path):
    b = graph_of(("Flatten", [None], {}))
    b.inputs.append(helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 3]))
    onnx.save(b.model(), str(tmp_path / "model.onnx"))
    with pytest.raises(ValueError, match="expected one input and one output, not 2 and 1"):
        load_onnx(tmp_path / "model.onnx")


def test_what_cannot_be_written_is_refused(tmp_path):
    class Own(Layer):
        pass

    for model, shape, message in [
        (Own(), (2,), "cannot write a layer of the class Own to ONNX"),
        (BatchNorm(3), (4, 4, 3), "must give scores .N, classes., not"),
        (networks.compact_cnn(), (8, 8, 1), "expects 3 channels, not 1"),
        (PrototypeHead(3, 2), (4,), "expects x of shape"),
    ]:
        with pytest.raises(ValueError, match=message):
            save_onnx(model, tmp_path / "model.onnx", input_shape=shape)
    assert not list(tmp_path.iterdir())


def test_graphs_that_are_not_series_parallel(tmp_path):
    b = graph_of(
        ("Conv", [None, W1], {}), ("Relu", [None], {}), ("Add", ["v0", "v1"], {}),
        ("Relu", [None], {}), ("Add", ["v1", "v3"], {}), ("Add", ["v0", "v4"], {}),
        ("GlobalAveragePool", [None], {}), ("Flatten", [None], {}),
    )  # fmt: skip
    b.shape = (4,)
    path = save(b.model(), tmp_path / "model.onnx")
    network = load_onnx(path)
    assert isinstance(network.features, Graph)
    x = np.random.default_rng(0).random((2, 6, 6, 3), dtype=np.float32)
    assert_close(network(x)[0], run(path, x))


def test_the_package_is_named_where_it_is_absent():
    program = """
import importlib.util, sys
find = importlib.util.find_spec
importlib.util.find_spec = lambda name, *rest: None if name == "onnx" else find(name, *rest)
from tinyproto.interop import load_onnx
assert "onnx" not in sys.modules
try:
    load_onnx("model.onnx")
except ImportError as error:
    print(error)
"""
    out = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT)
    assert out.stdout.strip() == (
        "reading an ONNX file needs ONNX; install it with: pip install onnx, or in the checkout: "
        "pip install -e '.[onnx]'"
    ), out.stderr
