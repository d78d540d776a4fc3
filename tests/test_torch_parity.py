"""Gradients beside PyTorch's, where it is installed; the package itself never imports it."""

import subprocess
import sys

import numpy as np
import pytest

from tests import ROOT
from tinyproto import networks, parameters
from tinyproto.layers import Layer

BENCHMARKS = ROOT / "benchmarks"


@pytest.fixture(scope="module")
def bench():
    pytest.importorskip("torch", reason="compares with PyTorch: pip install torch")
    import bench_gradients

    return bench_gradients


@pytest.mark.parametrize("name", ["networks", "losses", "defenses", "attack", "optimizers"])
def test_gradients_are_those_of_autograd(bench, name):
    rows = list(bench.COMPARISONS[name](True))
    assert rows
    for row in rows:
        assert row["largest relative error"] <= 1e-10, row


def test_every_comparison_is_run(bench):
    assert set(bench.COMPARISONS) == {"networks", "losses", "defenses", "attack", "optimizers"}


def test_a_wrong_gradient_is_seen(bench):
    right = {"a": np.array([1.0, -2.0]), "b": np.zeros(2)}
    assert bench.compare("", right, right)["largest relative error"] == 0
    for name, wrong in [
        ("a", np.array([1.0, -2.0 - 1e-9])),
        ("a", np.array([1.0, np.nan])),
        ("a", np.array([[1.0, -2.0]])),
        ("b", np.array([0.0, 1e-30])),
    ]:
        row = bench.compare("", {**right, name: wrong}, right)
        assert not row["largest relative error"] <= bench.REQUIRED
        assert row["at"] == name
    with pytest.raises(ValueError, match="one side only, \\['b'\\]"):
        bench.compare("", right, {"a": right["a"]})


def test_state_goes_there_and_back(bench):
    peer, random = bench.peer, np.random.default_rng(0)
    network = bench.randomized(networks.wide_resnet(10, 1, head="prototypes"), random)
    twin = peer.module(network)
    other = networks.wide_resnet(10, 1, head="prototypes").to(dtype=np.float64)
    parameters.assign(other.params, peer.state(twin, other.params))
    for path, leaf in parameters.leaves(network.params):
        np.testing.assert_array_equal(parameters.flatten(other.params)[path], leaf)
    grads = {
        path: random.normal(size=leaf.shape)
        for path, leaf in parameters.leaves(network.params)
        if not parameters.is_running(path)
    }
    peer.give_gradients(twin, grads)
    found = peer.gradients(twin, network.params)
    assert found.keys() == grads.keys()
    for path, gradient in grads.items():
        np.testing.assert_array_equal(found[path], gradient)
    x = random.random((2, 5, 4, 3))
    assert peer.images(x).shape == (2, 3, 5, 4)
    np.testing.assert_array_equal(peer.array(peer.images(x)), x)


def test_a_layer_without_a_twin_is_named(bench):
    class Odd(Layer):
        pass

    with pytest.raises(TypeError, match="no twin in PyTorch for Odd"):
        bench.peer.module(Odd())


@pytest.mark.parametrize("script", ["bench_gradients.py", "bench_network.py"])
def test_without_pytorch_one_line_says_what_to_install(script):
    program = f"""
import runpy, sys
sys.modules["torch"] = None
sys.path.insert(0, {str(BENCHMARKS)!r})
runpy.run_path({str(BENCHMARKS / script)!r}, run_name="__main__")
"""
    out = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert out.returncode == 1
    assert out.stdout == ""
    assert out.stderr.strip().splitlines() == [
        "this compares with PyTorch, which is not installed: pip install torch"
    ]
