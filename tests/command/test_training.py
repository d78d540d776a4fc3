"""`tinyproto train`: networks of prototypes and of layers, their files, settings and errors."""

import importlib.util
import json

import numpy as np
import pytest

from tests import ROOT
from tests.command.test_program import status
from tinyproto import networks, prototypes
from tinyproto.training import DEFENSES

pytestmark = pytest.mark.usefixtures("samples_only")

SHORT = ["--limit", "48", "--epochs", "1", "--batch", "16", "--examples", "8"]
METRICS = {
    "clean_accuracy", "robust_accuracy", "seconds", "images_per_second", "seed", "device", "data",
    "settings", "version",
}  # fmt: skip


def test_a_network_of_prototypes(tmp_path, capsys):
    out = tmp_path / "run"
    arguments = ["train", "ed-wta", "--out", str(out), "--limit", "300", "--epochs", "2",
                 "--prototypes", "2", "--examples", "20",
                 "--set", "init=kmeans", "beta=2"]  # fmt: skip
    assert status(*arguments) == 0
    printed = capsys.readouterr().out
    assert "accuracy under pgd-20, L∞ radius 0.1" in printed
    assert "certified accuracy, L2 radius 0.5" in printed
    assert {path.name for path in out.iterdir()} == {"metrics.json", "model.npz"}
    metrics = json.loads((out / "metrics.json").read_text())
    assert set(metrics) >= METRICS
    chosen = {"init": "kmeans", "beta": 2.0, "prototypes_per_class": 2, "preset": "authors"}
    assert chosen.items() <= metrics["settings"].items()
    network = prototypes.load(out / "model.npz")
    assert (network.epochs, network.init) == (2, "kmeans")
    assert status("evaluate", str(out / "model.npz"), "--attack", "fgsm", "--examples", "5") == 0
    assert status(*arguments) == 2
    assert "run has the results of a run (metrics.json, model.npz)" in capsys.readouterr().err
    (out / "checkpoint.npz").write_text("of a network of layers")
    (out / "metrics.json").unlink()
    (out / "model.npz").unlink()
    assert status(*arguments) == 2
    assert "run has the results of a run (checkpoint.npz)" in capsys.readouterr().err
    assert status(*arguments, "--overwrite") == 0
    assert {path.name for path in out.iterdir()} == {"metrics.json", "model.npz"}


@pytest.mark.slow
@pytest.mark.parametrize("inner", ["pgd", "n-fgsm"])
def test_a_network_of_layers_is_that_of_the_example(tmp_path, inner):
    """The command and the example make the same weights of the same settings."""
    common = ["--limit", "48", "--epochs", "1", "--batch", "16", "--inner-attack", inner]
    common += ["--attack-steps", "1"] if inner == "pgd" else []
    path = ROOT / "examples" / "cifar10_adv_dpnp.py"
    specification = importlib.util.spec_from_file_location("cifar10_example", path)
    example = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(example)
    options = ["--evaluate", "8", "--out", str(tmp_path / "a"), *common]
    example.run(example.parse(options))
    out = tmp_path / "b"
    changed = ["--set", f"inner_attack={inner}", *(["attack_steps=1"] if inner == "pgd" else [])]
    assert status("train", "adv-dpnp", "--out", str(out), *SHORT, *changed) == 0
    assert {p.name for p in out.iterdir()} == {"metrics.json", "model.npz", "checkpoint.npz"}
    with np.load(tmp_path / "a" / "model.npz") as one, np.load(out / "model.npz") as other:
        for name in one.files:
            np.testing.assert_array_equal(one[name], other[name])
    one, other = (json.loads((f / "metrics.json").read_text()) for f in (tmp_path / "a", out))
    assert set(other) >= METRICS
    assert one["robust_accuracy"] == other["robust_accuracy"]
    assert one["settings"]["consistency_weight"] == other["settings"]["consistency_weight"]


@pytest.mark.slow
def test_a_run_that_was_stopped_continues(tmp_path, monkeypatch, capsys):
    from tinyproto.training import Stopped, checkpoint

    arguments = ["train", "standard", *SHORT, "--set", "checkpoint_every=1"]
    assert status(*arguments, "--out", str(tmp_path / "whole")) == 0
    save = checkpoint.save_checkpoint

    def save_and_stop(*given):
        save(*given)
        raise Stopped("stopped after epoch 1, step 1")

    monkeypatch.setattr(checkpoint, "save_checkpoint", save_and_stop)
    out = ["--out", str(tmp_path / "stopped")]
    assert status(*arguments, *out) == 130
    assert capsys.readouterr().err.endswith("step 1; continue with --resume\n")
    monkeypatch.setattr(checkpoint, "save_checkpoint", save)
    assert status(*arguments, *out) == 2
    assert status(*arguments, *out, "--resume") == 0
    whole, resumed = (networks.load(tmp_path / f / "model.npz") for f in ("whole", "stopped"))
    for name, array in whole.head.params.items():
        np.testing.assert_array_equal(array, resumed.head.params[name])


@pytest.mark.parametrize("method", [*DEFENSES, "pm-ed-wta", "ed-wta", "ip-wta"])
def test_the_settings_of_every_method_are_listed(method, capsys):
    assert status("train", method, "--set", "list") == 0
    names = {line.split()[0] for line in capsys.readouterr().out.splitlines()}
    expected = DEFENSES[method].defaults() if method in DEFENSES else {"beta": 0, "init": 0}
    assert set(expected) <= names


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["trades", "--set", "gamma=3"], "trades has no setting 'gamma'; it has "),
        (["trades", "--set", "beta"], "--set needs NAME=VALUE, not 'beta'"),
        (["trades", "--set", "beta=x"], "beta must be a number, 0 or more, not 'x'"),
        (["trades", "--set", "beta=-1"], "beta must be a number, 0 or more, not -1"),
        (["standard", "--set", "smoothing=1.5"], "smoothing must be in [0, 1], not 1.5"),
        (
            ["trades", "--set", "attack_steps=3", "inner_attack=n-fgsm"],
            "attack_steps has no effect with inner_attack=n-fgsm",
        ),
        (["trades", "--set", "attack_steps=0"], "attack_steps must be 1 or more, not 0"),
        (["adv-dpnp", "--set", "consistency=magic"], "consistency must be "),
        (["trades", "--prototypes", "3"], "trades has no --prototypes"),
        (["trades", "--dataset", "mnist"], "trades is for the data sets cifar10, cifar100, svhn"),
        (["trades", "--epochs", "0"], "--epochs must be 1 or more, not 0"),
        (["trades", "--learning-rate", "nan"], "learning_rate must be a number, 0 or more"),
        (["trades", "--limit", "100000"], "limit must be 1 … 800, not 100000"),
        (["trades", "--resume", "--overwrite"], "--resume continues a run and --overwrite"),
        (["ed-wta", "--resume"], "ed-wta has no --resume"),
        (["ed-wta", "--limit", "100000"], "limit must be 1 … 4000, not 100000"),
        (["ed-wta", "--set", "init=magic"], "init must be one of random, kmeans"),
        (["ed-wta", "--set", "lo=x"], "lo must be a number or None, not 'x'"),
        (["ed-wta", "--preset", "accurate"], "--preset accurate is for pm-ed-wta, not ed-wta"),
        (["ed-wta", "--seed", "-1"], "--seed must be in [0, 2**32), not -1"),
        (["ed-wta", "--data", "nowhere"], "nowhere: expected a folder"),
    ],
)
def test_wrong_settings_end_with_2_and_write_nothing(
    arguments, message, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    assert status("train", *arguments, "--out", "run") == 2
    line = capsys.readouterr().err.splitlines()[-1]
    assert line.startswith("error: ")
    assert message in line
    assert not list(tmp_path.iterdir())
