"""The MNIST example as a user runs it: files, keys, options, missing packages, wrong input."""

import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import pytest

from tests import ONE_THREAD, ROOT
from tinyproto import prototypes
from tinyproto.data import load
from tinyproto.data.datasets import SAMPLES

EXAMPLE = ROOT / "examples" / "mnist_ed_wta.py"
NUMBERS = {"metrics.json", "model.npz"}
PICTURES = {"prototypes.png", "formation.gif", "detection.png"}


def environment(tmp_path, **more):
    """This checkout of the package, no data but its sample, and no internet."""
    inherited = {k: v for k, v in os.environ.items() if k != "TINYPROTO_DATA"}
    offline = {"XDG_CACHE_HOME": str(tmp_path / "cache"), "https_proxy": "http://127.0.0.1:9"}
    return {**inherited, **offline, "PYTHONPATH": str(ROOT), **ONE_THREAD, **more}


def set_environment(monkeypatch, tmp_path):
    """The same for this process; Numba compiles nothing more where the number of threads that it
    has started is to be another."""
    monkeypatch.delenv("TINYPROTO_DATA", raising=False)
    for name, value in environment(tmp_path).items():
        if name not in ONE_THREAD:
            monkeypatch.setenv(name, value)


def without_optional_packages(tmp_path):
    """A PYTHONPATH with which none of the optional packages can be found."""
    (tmp_path / "hide").mkdir()
    (tmp_path / "hide" / "sitecustomize.py").write_text(
        "import importlib.util, sys\n"
        "hidden = {'matplotlib', 'PIL', 'tqdm', 'scipy', 'sklearn'}\n"
        "real = importlib.util.find_spec\n"
        "importlib.util.find_spec = lambda n, p=None: None if n in hidden else real(n, p)\n"
        "sys.modules.update(dict.fromkeys(hidden))\n"
    )
    return os.pathsep.join([str(tmp_path / "hide"), str(ROOT)])


def run(tmp_path, *arguments, **more):
    return subprocess.run(
        [sys.executable, str(EXAMPLE), "--out", str(tmp_path / "out"), *arguments],
        env=environment(tmp_path, **more),
        capture_output=True,
        text=True,
    )


@pytest.fixture
def run_here(tmp_path, monkeypatch):
    """The example with these options in this process, which has loaded what it needs."""
    set_environment(monkeypatch, tmp_path)
    example = imported()
    return lambda *options: example.run(example.parse(["--out", str(tmp_path / "out"), *options]))


def imported():
    """The example as a module."""
    specification = importlib.util.spec_from_file_location("example", EXAMPLE)
    example = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(example)
    return example


@pytest.mark.slow
def test_it_writes_its_files_and_removes_those_of_the_run_before(tmp_path):
    (tmp_path / "out").mkdir()
    for name in ("metrics.json", "detection.pdf"):
        (tmp_path / "out" / name).write_text("of another run")
    out = run(tmp_path, "--epochs", "2", "--overwrite")
    assert out.returncode == 0, out.stderr
    assert "package's sample" in out.stderr
    assert "4,000 training and 1,000 test images are not all of mnist" in out.stdout
    assert {p.name for p in (tmp_path / "out").iterdir()} == PICTURES | NUMBERS
    metrics = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert set(metrics) >= {
        "clean_accuracy", "robust_accuracy", "seconds", "images_per_second", "seed", "device",
        "data", "settings", "version",
    }  # fmt: skip
    assert metrics["data"] == {"name": "mnist", "train": 4000, "test": 1000, "complete": False}
    assert metrics["clean_accuracy"] > 0.8
    robust = metrics["robust_accuracy"]
    assert robust["exact l2 0.5"] >= robust["exact l2 1.0"]
    assert robust["fgsm 0.1"] >= robust["pgd 0.1"]
    from PIL import Image

    for name in PICTURES:
        with Image.open(tmp_path / "out" / name) as picture:
            assert min(picture.size) > 200
            picture.seek(getattr(picture, "n_frames", 1) - 1)  # the last frame of the GIF
            assert np.asarray(picture.convert("L")).std() > 10


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:the gradient was exactly 0")
@pytest.mark.parametrize("model", ["ed-wta", "ip-wta"])
def test_the_other_models_with_kmeans_and_mini_batches(tmp_path, run_here, model):
    options = ("--init", "kmeans", "--batch", "16", "--format", "svg")
    run_here("--model", model, "--epochs", "1", *options)
    drawn = {"prototypes.svg", "detection.svg", "formation.gif"}
    assert {p.name for p in (tmp_path / "out").iterdir()} == NUMBERS | drawn
    settings = json.loads((tmp_path / "out" / "metrics.json").read_text())["settings"]
    assert (settings["model"], settings["init"], settings["batch_size"]) == (model, "kmeans", 16)


@pytest.mark.slow
def test_the_accurate_preset_on_a_part_of_the_data_in_a_folder(tmp_path, run_here, capsys):
    data = load("mnist", download=False)
    arrays = {
        part: getattr(data, part)[:900] for part in ("x_train", "y_train", "x_test", "y_test")
    }
    np.savez(tmp_path / "mnist.npz", **arrays)
    options = ("--preset", "accurate", "--epochs", "1", "--prototypes", "4")
    run_here("--data", str(tmp_path), *options)
    assert "900 training and 900 test images are not all of mnist" in capsys.readouterr().out


@pytest.mark.slow
def test_the_robust_preset_proves_more_than_the_authors(tmp_path, run_here):
    found = {}
    for preset in ("robust", "authors"):
        run_here("--preset", preset, "--prototypes", "6", "--epochs", "8", "--overwrite")
        metrics = json.loads((tmp_path / "out" / "metrics.json").read_text())
        found[preset] = metrics["robust_accuracy"]
    for radius in ("exact l2 1.58", "exact linf 0.1"):
        assert found["robust"][radius] > found["authors"][radius] + 0.05


def test_without_optional_packages_it_trains_and_names_the_missing(tmp_path):
    out = run(tmp_path, "--epochs", "1", PYTHONPATH=without_optional_packages(tmp_path))
    assert out.returncode == 0, out.stderr
    assert "to draw them: pip install matplotlib pillow" in out.stderr
    assert {p.name for p in (tmp_path / "out").iterdir()} == {"metrics.json", "model.npz"}
    metrics = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert "exact linf 0.1" in metrics["robust_accuracy"]  # SciPy is not needed here


@pytest.mark.parametrize("name", ["metrics.json", "model.npz", "prototypes.pdf"])
def test_results_of_another_run_are_kept_unless_they_are_to_be_replaced(run_here, tmp_path, name):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / name).write_text("mine")
    (tmp_path / "out" / "notes.txt").write_text("mine")
    message = (
        rf"out has the results of a run \({name}\): choose another --out or replace them with "
    )
    with pytest.raises(ValueError, match=message):
        run_here("--epochs", "0")
    with pytest.raises(FileNotFoundError, match="/nowhere"):
        run_here("--overwrite", "--data", "/nowhere")
    files = {p.name: p.read_text() for p in (tmp_path / "out").iterdir()}
    assert files == {name: "mine", "notes.txt": "mine"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--data", "/nowhere"], "/nowhere"),
        (["--prototypes", "-1"], "prototypes_per_class must be 1 or more, not -1"),
        (["--epochs", "-2"], "epochs must be 0 or more, not -2"),
        (["--seed", "-1"], "random_state must be 0 … 4294967295, not -1"),
        (["--dataset", "svhn"], "invalid choice: 'svhn'"),
        (["--init", "zeros"], "invalid choice: 'zeros'"),
        (["--format", "jpg"], "invalid choice: 'jpg'"),
        (["--epochs", "2.5"], "invalid int value: '2.5'"),
        (["--out", __file__], "test_examples.py is a file: a folder for the results is needed"),
        (["--out", f"{__file__}/out"], f"cannot write results to {__file__}/out: Not a directory"),
    ],
)
def test_wrong_options_get_one_line_and_write_nothing(tmp_path, arguments, message):
    out = run(tmp_path, *arguments)
    assert out.returncode != 0
    assert message in out.stderr
    assert "Traceback" not in out.stderr
    assert len([line for line in out.stderr.splitlines() if "error" in line]) == 1
    assert not (tmp_path / "out").exists()


def test_cuda_without_a_device_gets_one_line(tmp_path):
    from tinyproto.backend.device import cuda_unavailable_reason

    if cuda_unavailable_reason() is None:
        pytest.skip("this machine has a usable CUDA device")
    out = run(tmp_path, "--device", "cuda")
    assert out.returncode != 0
    assert out.stderr.strip().startswith("error: no CUDA device: CuPy is")
    assert "Traceback" not in out.stderr


@pytest.mark.parametrize(
    ("options", "shown"),
    [([], True), (["--preset", "accurate"], False), (["--batch", "10"], False)],
)
def test_the_animation_shows_the_training_that_took_place(options, shown):
    """Pictures within the first epoch are of a copy: only where it learns the very same."""
    example = imported()
    data = load("mnist", SAMPLES)
    few = replace(data, x_train=data.x_train[:60], y_train=data.y_train[:60])
    network = example.build(example.parse([*options, "--epochs", "1", "--prototypes", "2"]))
    x, x_test = (i.reshape(len(i), -1) / np.float32(255) for i in (few.x_train, few.x_test))
    preset = "accurate" if "accurate" in options else "authors"
    _, frames = example.train(network, few, x, x_test, preset)
    within = [picture for title, picture in frames if title.startswith("after ")]
    assert bool(within) == shown
    if shown:
        np.testing.assert_array_equal(within[-1], frames[-1][1])


@pytest.mark.slow
@pytest.mark.parametrize("last", ["model.npz", "prototypes.png", "formation.gif"])
def test_a_killed_run_leaves_no_half_written_file(tmp_path, last):
    """Killed as soon as a file appears: every file there is complete."""
    process = subprocess.Popen(
        [sys.executable, str(EXAMPLE), "--out", str(tmp_path / "out"), "--epochs", "1"],
        env=environment(tmp_path), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    while not (tmp_path / "out" / last).exists():
        assert process.poll() is None
        time.sleep(0.001)
    process.send_signal(signal.SIGKILL)
    process.wait()
    for path in (tmp_path / "out").glob("[!.]*"):
        if path.suffix == ".json":
            json.loads(path.read_text())
        elif path.suffix == ".npz":
            prototypes.load(path)
        else:
            from PIL import Image

            with Image.open(path) as picture:
                picture.load()


@pytest.mark.slow
def test_ctrl_c_is_no_traceback(tmp_path):
    process = subprocess.Popen(
        [sys.executable, str(EXAMPLE), "--out", str(tmp_path / "out"), "--epochs", "5000"],
        env=environment(tmp_path), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
    )  # fmt: skip
    errors = b""
    while b"loss" not in errors:  # until the first epoch is over
        errors += process.stderr.read1()
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    errors += process.communicate(timeout=60)[1]
    assert process.returncode == 130
    assert b"Traceback" not in errors
    assert errors.strip().endswith(b"stopped")
    assert not (tmp_path / "out").exists()
