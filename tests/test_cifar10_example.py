"""The CIFAR-10 example as its user runs it: files, keys, resuming, data sets, wrong input.

What a process of its own adds nothing to runs in this one, which has its kernels already.
"""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.test_examples import environment, set_environment, without_optional_packages
from tinyproto import networks, parameters, state
from tinyproto.data.datasets import SAMPLES
from tinyproto.training import DEFENSES

EXAMPLE = Path(__file__).parent.parent / "examples" / "cifar10_adv_dpnp.py"
NUMBERS = {"metrics.json", "model.npz", "checkpoint.npz"}
PICTURES = {"curves.png", "attacks.png", "latent.png"}
SHORT = ["--limit", "48", "--epochs", "2", "--batch", "16"]
SHORT += ["--evaluate", "16", "--checkpoint-every", "1"]


def run(folder, *arguments, program=(str(EXAMPLE),), **more):
    """The example in a process of its own: its exit status, standard output and error."""
    out = subprocess.run(
        [sys.executable, *program, "--out", str(folder / "out"), *SHORT, *arguments],
        env=environment(folder, **more), capture_output=True, text=True,
    )  # fmt: skip
    return out.returncode, out.stdout, out.stderr


@pytest.fixture(scope="session")
def example():
    spec = importlib.util.spec_from_file_location("cifar10_adv_dpnp", EXAMPLE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def run_here(example, tmp_path, monkeypatch):
    """Runs the example in this process, as its command line does; returns its error, if any."""
    set_environment(monkeypatch, tmp_path)

    def main(*arguments):
        out = ["--out", str(tmp_path / "out")]
        monkeypatch.setattr(sys, "argv", [str(EXAMPLE), *out, *SHORT, *arguments])
        try:
            example.main()
        except SystemExit as stop:
            return stop.code
        return None

    return main


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A run from beginning to end: its folder and what it printed."""
    folder = tmp_path_factory.mktemp("whole")
    code, out, errors = run(folder)
    assert code == 0, errors
    return folder / "out", out, errors


@pytest.mark.slow
def test_it_writes_what_it_says(whole):
    folder, out, errors = whole
    assert "package's sample" in errors
    assert "trained on 48 of 50,000 official images and tested on 200 of 10,000" in out
    assert {p.name for p in folder.iterdir()} == PICTURES | NUMBERS
    metrics = json.loads((folder / "metrics.json").read_text())
    assert set(metrics) >= {
        "clean_accuracy", "robust_accuracy", "seconds", "images_per_second", "seed", "device",
        "data", "settings", "version",
    }  # fmt: skip
    assert metrics["data"] == {"name": "cifar10", "train": 800, "test": 200, "complete": False}
    assert set(metrics["robust_accuracy"]) == {"fgsm 8/255", "pgd-20 8/255"}
    assert metrics["settings"]["consistency_weight"] == 1.0
    assert [row["epoch"] for row in metrics["history"]] == [1, 2]
    network = networks.load(folder / "model.npz")
    lengths = np.linalg.norm(network.head.params["prototypes"], axis=1)
    np.testing.assert_allclose(lengths, 3.0, rtol=1e-5)
    from PIL import Image

    for name in PICTURES:
        with Image.open(folder / name) as picture:
            assert min(picture.size) > 200
            assert np.asarray(picture.convert("L")).std() > 10


@pytest.mark.slow
@pytest.mark.parametrize("method", ["standard", "pgd", "trades", "mart", "dpnp"])
def test_the_other_methods(run_here, tmp_path, method):
    drawn = {"curves.pdf", "attacks.pdf", "latent.pdf"}
    options = ["--method", method, "--epochs", "1", "--format", "pdf"]
    assert run_here(*options) is None
    assert run_here(*options).startswith("error: ")
    assert run_here(*options, "--overwrite", "--limit", "0").startswith("error: --limit")
    settings = json.loads((tmp_path / "out" / "metrics.json").read_text())["settings"]
    assert settings["method"] == method
    assert {"consistency_weight", "consistency"}.isdisjoint(settings)
    assert ("beta" in settings) == (method == "trades")
    assert {p.name for p in (tmp_path / "out").iterdir()} == drawn | NUMBERS


@pytest.mark.parametrize("method", list(DEFENSES))
def test_each_coefficient_of_a_defence_is_an_option(example, method):
    defaults = DEFENSES[method].defaults()
    assert example.coefficients(example.parse(["--method", method])) == defaults
    for name, default in defaults.items():
        option = f"--{name.replace('_', '-')}"
        words = DEFENSES[method].choices(name)
        choices = {bool: ([option], True), str: ([option, *words[-1:]], words and words[-1])}
        arguments, expected = choices.get(type(default), ([option, "0.25"], 0.25))
        options = example.parse(["--method", method, *arguments])
        assert example.coefficients(options) == {**defaults, name: expected}


STOPPED = """
import os, runpy, signal, sys
from tinyproto.training import checkpoint
save = checkpoint.save_checkpoint
def save_and_ask_to_stop(*arguments):
    checkpoint.save_checkpoint = save
    save(*arguments)
    os.kill(os.getpid(), signal.SIGTERM)
checkpoint.save_checkpoint = save_and_ask_to_stop
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


@pytest.mark.slow
def test_stopped_and_resumed_it_ends_with_the_same_bits(whole, tmp_path):
    """Asked to stop in the middle of an epoch, it says how to continue; the end is that of a run
    that was not stopped."""
    code, _, errors = run(tmp_path, program=("-c", STOPPED, str(EXAMPLE)))
    assert code == 143
    assert "Traceback" not in errors
    expected = "stopped after epoch 1, step 2; continue with --resume"
    assert errors.strip().endswith(expected), errors
    assert "epoch 1, step 2, loss " in errors  # the bar says the same
    assert {p.name for p in (tmp_path / "out").iterdir()} == {"checkpoint.npz"}
    code, _, errors = run(tmp_path)
    assert code == 1
    advice = "choose another --out, replace them with --overwrite or continue with --resume"
    assert errors.strip().endswith(f"out has the results of a run (checkpoint.npz): {advice}")
    code, _, errors = run(tmp_path, "--resume")
    assert code == 0, errors
    assert "nothing to resume" not in errors
    with (
        np.load(tmp_path / "out" / "model.npz") as resumed,
        np.load(whole[0] / "model.npz") as unbroken,
    ):
        assert set(resumed.files) == set(unbroken.files)
        for name in unbroken.files:
            np.testing.assert_array_equal(resumed[name], unbroken[name])


@pytest.mark.parametrize("name", ["cifar100", "svhn"])
def test_the_other_data_sets_in_their_authors_formats(
    run_here, tmp_path, write, make_arrays, capsys, name
):
    folder = tmp_path / "data"
    folder.mkdir()
    classes = 100 if name == "cifar100" else 10
    arrays = make_arrays((32, 32, 3), classes)
    if name == "cifar100":
        content = write.tar_gz_bytes(write.cifar_files(arrays, 100))
        (folder / "cifar-100-python.tar.gz").write_bytes(content)
    else:
        scipy_io = pytest.importorskip("scipy.io", reason="needs SciPy to write SVHN's files")
        for part in ("train", "test"):
            images = arrays[f"x_{part}"].transpose(1, 2, 3, 0)
            labels = np.where(arrays[f"y_{part}"] == 0, 10, arrays[f"y_{part}"])
            scipy_io.savemat(folder / f"{part}_32x32.mat", {"X": images, "y": labels[:, None]})
    options = ["--dataset", name, "--data", str(folder), "--limit", "16", "--epochs", "1"]
    assert run_here(*options) is None
    printed = capsys.readouterr()
    assert f"{name}: 20 training and 10 test images" in printed.out
    metrics = json.loads((tmp_path / "out" / "metrics.json").read_text())
    none_is_right = "left out: attacks.png: no test image is classified correctly" in printed.err
    assert none_is_right == (metrics["clean_accuracy"] == 0)
    assert metrics["data"]["name"] == name
    network = networks.load(tmp_path / "out" / "model.npz")
    assert network.head.params["prototypes"].shape == (classes, 64)
    drawn = {"curves.png", "latent.png"} | ({"attacks.png"} if not none_is_right else set())
    assert {p.name for p in (tmp_path / "out").iterdir()} == drawn | NUMBERS


@pytest.mark.slow
def test_without_matplotlib_and_tqdm_it_trains_and_says_what_is_left_out(tmp_path):
    code, _, errors = run(tmp_path, "--epochs", "1", PYTHONPATH=without_optional_packages(tmp_path))
    assert code == 0, errors
    assert "to draw them: pip install matplotlib" in errors
    assert "training: 48/48 images, " in errors  # the lines instead of a bar
    assert "validating: 32/32 images, " in errors  # as many as --evaluate, twice
    assert "testing: 232/232 images, " in errors
    assert {p.name for p in (tmp_path / "out").iterdir()} == NUMBERS


def test_a_run_starts_from_the_weights_of_another(run_here, example, tmp_path, monkeypatch):
    first, out = tmp_path / "first.npz", tmp_path / "out"
    assert run_here("--method", "pgd", "--epochs", "1") is None
    (out / "model.npz").rename(first)
    starts = []
    fit = example.fit

    def spy(network, *given, **more):
        starts.append({name: leaf.copy() for name, leaf in parameters.leaves(network.params)})
        return fit(network, *given, **more)

    monkeypatch.setattr(example, "fit", spy)
    again = ["--method", "trades", "--start-from", str(first), "--seed", "5", "--overwrite"]
    assert run_here(*again) is None
    before = dict(parameters.leaves(networks.load(first).params))
    assert starts[0].keys() == before.keys()
    for name, value in starts[0].items():
        np.testing.assert_array_equal(value, before[name])
    assert json.loads((out / "metrics.json").read_text())["epochs"] == 3
    other = run_here("--start-from", str(first), "--out", str(tmp_path / "b"))
    assert other.endswith("expected a network with head='prototypes', not 'linear'"), other
    random = run_here("--start-from", str(first), "--prototype-start", "random")
    assert random.endswith("--prototype-start has no effect with --start-from"), random
    shipped = ["--start-from", "cifar10-compact-adv-dpnp", "--out", str(tmp_path / "c")]
    assert run_here("--method", "pgd", *shipped).endswith("head='linear', not 'prototypes'")
    arrays, about = state.load_arrays(first)
    state.save_arrays(arrays, tmp_path / "unknown.npz", {"network": about["network"]})
    unknown = ["--start-from", str(tmp_path / "unknown.npz"), "--out", str(tmp_path / "d")]
    assert run_here("--method", "pgd", *unknown) is None
    assert json.loads((tmp_path / "d" / "metrics.json").read_text())["epochs"] is None
    networks.save(networks.load(out / "model.npz"), first)
    (out / "metrics.json").unlink()
    error = run_here(*again[:-1], "--resume")
    assert "start_from" in error


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--data", "/nowhere"], "/nowhere"),
        (["--limit", "0"], "--limit must be between 1 and 800 images, not 0"),
        (["--limit", "9000"], "--limit must be between 1 and 800 images, not 9000"),
        (["--epochs", "0"], "--epochs must be above 0, and finite, not 0"),
        (["--batch", "0"], "--batch must be above 0, and finite, not 0"),
        (["--features", "1"], "--features must be 2 or more: the latent space is drawn in a plane"),
        (["--radius", "-1"], "--radius must be above 0, and finite, not -1.0"),
        (["--learning-rate", "nan"], "--learning-rate must be above 0, and finite, not nan"),
        (["--radius", "inf"], "--radius must be above 0, and finite, not inf"),
        (
            ["--adversarial-weight", "nan"],
            "--adversarial-weight must be 0 or more, and finite, not nan",
        ),
        (["--method", "trades", "--beta", "-5"], "--beta must be 0 or more, and finite, not -5.0"),
        (["--method", "standard", "--attack-steps", "3"], "--attack-steps has no effect with --m"),
        (["--inner-attack", "n-fgsm", "--attack-steps", "3"], "--attack-steps has no effect with"),
        (["--method", "dpnp", "--inner-attack", "n-fgsm"], "--inner-attack has no effect with --m"),
        (["--method", "pgd", "--radius", "2"], "--radius has no effect with --method pgd"),
        (
            [
                "--method",
                "dpnp",
                "--head",
                "linear",
                "--alignment-weight",
                "0",
                "--repulsion-weight",
                "0",
                "--prototype-start",
                "random",
            ],
            "--prototype-start has no effect with --head linear",
        ),
        (["--method", "standard", "--smoothing", "1.5"], "--smoothing must be in [0, 1], not 1.5"),
        (["--attack-steps", "0"], "--attack-steps must be above 0, and finite, not 0"),
        (["--evaluate", "-5"], "--evaluate must be above 0, and finite, not -5"),
        (
            ["--out", __file__],
            "test_cifar10_example.py is a file: a folder for the results is needed",
        ),
        (["--resume", "--overwrite"], "--resume continues a run and --overwrite replaces it"),
        (["--method", "pgd", "--beta", "3"], "--beta is no option of --method pgd"),
        (["--start-from", "magic"], "magic: expected a saved network or the name of a shipped"),
        (["--average", "1.5"], "--average must be in [0, 1), not 1.5"),
        (["--head", "linear"], "--head linear has no prototypes: it needs --alignment-weight 0"),
        (
            ["--method", "pgd", "--head", "prototypes"],
            "--head prototypes is no option of --method pgd",
        ),
        (["--seed", "-1"], "seed must be in [0, 2**32), not -1"),
        (["--dataset", "mnist"], "invalid choice: 'mnist'"),
        (["--method", "magic"], "invalid choice: 'magic'"),
    ],
)
def test_wrong_options_get_one_line_and_write_nothing(
    run_here, tmp_path, capsys, arguments, message
):
    error = run_here(*arguments)
    if error == 2:  # from argparse, which prints how to use the options first
        error = capsys.readouterr().err.splitlines()[-1]
    assert message in error
    assert "error: " in error
    assert "\n" not in error
    assert not (tmp_path / "out").exists()


def test_as_many_held_out_images_are_validated_on_as_are_asked_for(example):
    data = example.load("cifar10", str(SAMPLES))
    every, _ = example.split(example.parse([]), data)
    for count, expected in ((5, 5), (80, 80), (81, 80), (1000, 80)):
        learned, held = example.split(example.parse(["--evaluate", str(count)]), data)
        assert len(held) == expected
        assert not set(held) & set(learned)
        np.testing.assert_array_equal(learned, every)


def test_nothing_to_resume_is_said(run_here, tmp_path, capsys):
    assert run_here("--resume", "--data", "/nowhere").startswith("error: /nowhere")
    out = tmp_path / "out"
    assert f"{out} has nothing to resume: this run starts anew" in capsys.readouterr().err
    out.mkdir()
    (out / "metrics.json").write_text("of another run")
    error = run_here("--resume")
    assert "out has no checkpoint.npz to resume, but the results of a run (metrics.json)" in error
    assert (out / "metrics.json").read_text() == "of another run"


def test_cuda_without_a_device_gets_one_line(run_here):
    from tinyproto.backend.device import cuda_unavailable_reason

    if cuda_unavailable_reason() is None:
        pytest.skip("this machine has a usable CUDA device")
    error = run_here("--device", "cuda")
    assert error.startswith("error: no CUDA device: CuPy is")
    assert "\n" not in error


def test_an_error_is_one_line_and_no_traceback(tmp_path):
    code, out, errors = run(tmp_path, "--data", "/nowhere")
    assert code == 1
    assert out == ""
    assert [line for line in errors.splitlines() if "nowhere" in line]
    assert "Traceback" not in errors
