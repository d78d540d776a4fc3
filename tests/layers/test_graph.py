"""`Graph`: closed forms, what `simplify` and `fold` make of it, what is refused."""

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tinyproto import parameters
from tinyproto.layers import (
    BatchNorm,
    Conv2D,
    Graph,
    Linear,
    ReLU,
    Residual,
    Sequential,
    fold,
    simplify,
)
from tinyproto.networks import Network
from tinyproto.testing import randomize
from tinyproto.testing.layers import PARTS, cases, graph

assert graph in PARTS.values()  # so the gradients are those of finite differences


def linear_graph(draw, random):
    """Linear layers without bias, and the matrix that the whole graph is: Σ over all paths from
    the input to the output of the product of their weights."""
    matrices, sources_of = {}, {}
    names = [f"n{i}" for i in range(draw(st.integers(1, 6)))]
    for i, name in enumerate(names):
        known = ["input", *names[:i]]
        sources_of[name] = draw(st.lists(st.sampled_from(known), min_size=1, max_size=4))
        matrices[name] = random.normal(size=(3, 3))
    taken = {source for sources in sources_of.values() for source in sources}
    sources_of["end"] = [name for name in names if name not in taken]
    matrices["end"] = random.normal(size=(3, 3))

    def paths(name):
        if name == "input":
            return np.eye(3)
        return sum(paths(source) for source in sources_of[name]) @ matrices[name]

    nodes = {}
    for name, sources in sources_of.items():
        layer = Linear(3, 3, bias=False)
        layer.params["weight"] = matrices[name]
        nodes[name] = (layer, *sources)
    return Graph(nodes), paths("end")


@given(st.data())
def test_a_graph_of_linear_layers_is_the_sum_over_its_paths(data):
    random = np.random.default_rng(data.draw(st.integers(0, 1000)))
    graph, matrix = linear_graph(data.draw, random)
    x, dy = random.normal(size=(2, 3)), random.normal(size=(2, 3))
    for layer in (graph, simplify(graph)):
        y, backward = layer(x)
        np.testing.assert_allclose(y, x @ matrix, atol=1e-10 * abs(matrix).max())
        for _ in range(2):  # a backward pass can be called again
            np.testing.assert_allclose(backward(dy), dy @ matrix.T, atol=1e-10 * abs(matrix).max())


@pytest.mark.parametrize("train", [False, True])
@given(case=cases("Graph"))
def test_a_simplified_graph_is_the_same_function(train, case):
    simple = simplify(case.layer)
    (y, backward), (same, backward_simple) = case.layer(case.x, train), simple(case.x, train)
    np.testing.assert_allclose(same, y, atol=1e-10 * (1 + abs(y).max()))
    dy = case.like_output(y)
    ours, grads = parameters.zeros(case.layer.params), parameters.zeros(simple.params)
    dx = backward(dy, ours)
    np.testing.assert_allclose(backward_simple(dy, grads), dx, atol=1e-9 * (1 + abs(dx).max()))
    weights = {
        id(leaf): path
        for path, leaf in parameters.leaves(simple.params)
        if not parameters.is_running(path)
    }
    for path, leaf in parameters.leaves(case.layer.params):
        if not parameters.is_running(path):  # the same array, and the same gradient
            gradient = parameters.flatten(grads)[weights[id(leaf)]]
            expected = parameters.flatten(ours)[path]
            np.testing.assert_allclose(gradient, expected, atol=1e-9 * (1 + abs(expected).max()))


@settings(max_examples=30)
@given(cases("Graph"))
def test_a_folded_graph_is_the_same_function(case):
    y = case.layer(case.x)[0]
    np.testing.assert_allclose(fold(case.layer)(case.x)[0], y, atol=1e-9 * (1 + abs(y).max()))


def block(name, source):
    """The nodes of a basic block of ResNet, from one source."""
    return {
        f"{name}a": (Conv2D(4, 4, 3, padding=1), source),
        f"{name}b": (BatchNorm(4), f"{name}a"),
        f"{name}c": (ReLU(), f"{name}b"),
        f"{name}d": (Conv2D(4, 4, 3, padding=1), f"{name}c"),
        f"{name}e": (BatchNorm(4), f"{name}d"),
        f"{name}s": (Conv2D(4, 4, 1), source),
        f"{name}f": (ReLU(), f"{name}e", f"{name}s"),
    }


def kinds(layer):
    """The names of all layers in a layer, but of `Sequential`."""
    return re.findall(r"(\w+)\(", repr(layer).replace("Sequential(", ""))


def test_blocks_of_a_resnet_become_residuals():
    graph = Graph({**block("x", "input"), **block("y", "xf"), "z": (ReLU(), "yf", "xf")})
    simple = simplify(graph)
    assert type(simple) is Sequential
    body = ["Conv2D", "BatchNorm", "ReLU", "Conv2D", "BatchNorm"]
    inner = ["Residual", *body, "Conv2D", "ReLU"]
    assert kinds(simple) == [*inner, "Residual", *inner, "ReLU"]
    assert isinstance(simple.layers[2], Residual)
    assert simple.layers[2].shortcut is None


def test_fold_leaves_a_batch_norm_whose_convolution_has_another_use():
    conv, norm = Conv2D(2, 2, 3, padding=1), BatchNorm(2)
    shared = Graph(
        {"conv": (conv, "input"), "norm": (norm, "conv"), "sum": (ReLU(), "norm", "conv")}
    )
    alone = Graph({"conv": (conv, "input"), "norm": (norm, "conv"), "s": (ReLU(), "norm", "input")})
    assert kinds(fold(shared)).count("BatchNorm") == 1
    assert kinds(fold(alone)).count("BatchNorm") == 0


CROSSED = {
    "a": (Conv2D(3, 4, 3, padding=1), "input"),
    "b": (BatchNorm(4), "a"),
    "c": (Conv2D(4, 4, 3, padding=1), "b"),
    "d": (ReLU(), "a", "c"),
    "e": (Conv2D(4, 4, 3, padding=1), "b", "d"),
}


def test_what_is_not_series_parallel_stays_a_graph():
    simple = simplify(Graph(CROSSED))
    assert type(simple) is Graph
    assert kinds(simple) == ["Graph", "Conv2D", "BatchNorm", "Conv2D", "ReLU", "Conv2D"]


def test_its_parts_are_listed():
    graph = Graph({"a": (Linear(2, 2), "input"), "b": (ReLU(), "a", "input")})
    assert repr(graph) == ("Graph(\n  (a of input): Linear(2, 2)\n  (b of a + input): ReLU()\n)")
    assert list(parameters.flatten(graph.params)) == ["a/weight", "a/bias"]
    lines = Network(graph, Linear(2, 5)).summary((2,)).splitlines()
    assert [re.sub(r"\s+", " ", line.strip()) for line in lines[4:-2]] == [
        "input (N, 2)", "Graph (N, 2)", "a of input:", "Linear(2, 2) (N, 2) 6",
        "b of a + input:", "ReLU() (N, 2)", "Linear(2, 5) (N, 5) 15",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("nodes", "message"),
    [
        ({}, "one node or more"),
        ([ReLU()], "one node or more"),
        ({"a": (ReLU(),)}, "node 'a' must be (layer, source, …)"),
        ({"a": ReLU()}, "node 'a' must be (layer, source, …)"),
        ({"a": ("ReLU", "input")}, "node 'a' must be (layer, source, …)"),
        ({"input": (ReLU(), "input")}, "'input' is no name for a node"),
        ({"a/b": (ReLU(), "input")}, "'a/b' is no name for a node"),
        ({"a": (ReLU(), "b"), "b": (ReLU(), "input")}, "node 'a' takes 'b', which is no node bef"),
        ({"a": (ReLU(), "a")}, "node 'a' takes 'a'"),
        ({"a": (ReLU(), "input"), "b": (ReLU(), "input")}, "no node takes the output of 'a'"),
    ],
)
def test_nodes_that_are_no_graph_are_refused(nodes, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        Graph(nodes)


def test_sources_of_two_shapes_are_refused():
    graph = Graph({"a": (Linear(2, 3), "input"), "b": (ReLU(), "a", "input")})
    with pytest.raises(ValueError, match="node 'b' cannot add a of shape .1, 3. and input of shap"):
        graph(np.zeros((1, 2)))


def test_a_node_whose_parameters_are_replaced_is_refused():
    graph = Graph({"a": (Linear(2, 2), "input")})
    graph.params["a"] = {"weight": np.zeros((2, 2)), "bias": np.zeros(2)}
    with pytest.raises(ValueError, match="params.'a'. is not the tree"):
        graph(np.zeros((1, 2)))


def test_an_attack_on_a_graph():
    from tinyproto.attacks import Victim, pgd
    from tinyproto.layers import GlobalAveragePool

    random = np.random.default_rng(0)
    features = Sequential(Graph(CROSSED), GlobalAveragePool())
    network = randomize(Network(features, Linear(4, 3)), random, np.float32)
    x = random.random((4, 6, 6, 3), dtype=np.float32)
    victim = Victim(network)
    attacked = pgd(victim, x, victim(x)[0].argmax(axis=1), eps=0.3, steps=20)
    assert (victim(attacked)[0].argmax(axis=1) != victim(x)[0].argmax(axis=1)).any()
