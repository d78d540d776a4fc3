"""The CIFAR-10 example as its user runs it: files, keys, resuming, data sets, wrong input."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from tests.test_examples import environment, without_optional_packages
from tinyproto import networks

EXAMPLE = Path(__file__).parent.parent / "examples" / "cifar10_adv_dpnp.py"
NUMBERS = {"metrics.json", "model.npz", "checkpoint.npz"}
PICTURES = {"curves.png", "attacks.png", "latent.png"}
SHORT = ["--limit", "48", "--epochs", "2", "--batch", "16", "--attack-steps", "1"]
SHORT += ["--evaluate", "16", "--checkpoint-every", "1"]


def start(tmp_path, *arguments, out="out", **more):
    return subprocess.Popen(
        [sys.executable, str(EXAMPLE), "--out", str(tmp_path / out), *SHORT, *arguments],
        env=environment(tmp_path, **more), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        text=True,
    )  # fmt: skip


def run(tmp_path, *arguments, **keywords):
    process = start(tmp_path, *arguments, **keywords)
    out, errors = process.communicate()
    return process.returncode, out, errors


def test_it_writes_what_it_says(tmp_path):
    code, out, errors = run(tmp_path)
    assert code == 0, errors
    assert "package's sample" in errors
    assert "figures mean little" in out
    folder = tmp_path / "out"
    assert {p.name for p in folder.iterdir()} == PICTURES | NUMBERS
    metrics = json.loads((folder / "metrics.json").read_text())
    assert set(metrics) >= {
        "clean_accuracy", "robust_accuracy", "seconds", "images_per_second", "seed", "device",
        "data", "settings", "version",
    }  # fmt: skip
    assert metrics["data"] == {"name": "cifar10", "train": 800, "test": 200, "complete": False}
    assert set(metrics["robust_accuracy"]) == {"fgsm 8/255", "pgd-20 8/255"}
    assert metrics["settings"]["consistency_weight"] == 6.0
    assert [row["epoch"] for row in metrics["history"]] == [1, 2]
    network = networks.load(folder / "model.npz")
    lengths = np.linalg.norm(network.head.params["prototypes"], axis=1)
    np.testing.assert_allclose(lengths, 3.0, rtol=1e-5)
    from PIL import Image

    for name in PICTURES:
        with Image.open(folder / name) as picture:
            assert min(picture.size) > 200
            assert np.asarray(picture.convert("L")).std() > 10


@pytest.mark.parametrize("method", ["standard", "pgd", "trades", "mart", "dpnp"])
def test_the_other_methods(tmp_path, method):
    code, _, errors = run(tmp_path, "--method", method, "--epochs", "1")
    assert code == 0, errors
    settings = json.loads((tmp_path / "out" / "metrics.json").read_text())["settings"]
    assert settings["method"] == method
    assert ("consistency_weight" in settings) is False
    assert ("beta" in settings) == (method == "trades")


def test_stopped_and_resumed_it_ends_with_the_same_bits(tmp_path):
    """Asked to stop in the middle, it says how to go on; the end is that of an unbroken run."""
    more = ["--epochs", "4", "--checkpoint-every", "100"]
    process = start(tmp_path, *more)
    while not (tmp_path / "out" / "checkpoint.npz").exists():  # the first epoch is over
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.02)
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate()
    assert process.returncode != 0
    assert "Traceback" not in errors
    assert errors.strip().endswith("go on with --resume"), errors
    assert {p.name for p in (tmp_path / "out").iterdir()} == {"checkpoint.npz"}
    code, _, errors = run(tmp_path, *more, "--resume")
    assert code == 0, errors
    code, _, errors = run(tmp_path, *more, out="whole")
    assert code == 0, errors
    with (
        np.load(tmp_path / "out" / "model.npz") as resumed,
        np.load(tmp_path / "whole" / "model.npz") as whole,
    ):
        assert set(resumed.files) == set(whole.files)
        for name in whole.files:
            np.testing.assert_array_equal(resumed[name], whole[name])


@pytest.mark.parametrize("name", ["cifar100", "svhn"])
def test_the_other_data_sets_in_their_authors_formats(tmp_path, write, make_arrays, name):
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
    code, out, errors = run(
        tmp_path, "--dataset", name, "--data", str(folder), "--limit", "16", "--epochs", "1"
    )
    assert code == 0, errors
    assert f"{name}: 20 training and 10 test images" in out
    metrics = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert metrics["data"]["name"] == name
    network = networks.load(tmp_path / "out" / "model.npz")
    assert network.head.params["prototypes"].shape == (classes, 64)
    assert {p.name for p in (tmp_path / "out").iterdir()} == PICTURES | NUMBERS


def test_without_matplotlib_and_tqdm_it_trains_and_says_what_is_left_out(tmp_path):
    code, _, errors = run(tmp_path, "--epochs", "1", PYTHONPATH=without_optional_packages(tmp_path))
    assert code == 0, errors
    assert "to draw them: pip install matplotlib" in errors
    assert "image, " in errors  # the lines instead of a bar
    assert {p.name for p in (tmp_path / "out").iterdir()} == NUMBERS


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--data", "/nowhere"], "/nowhere"),
        (["--limit", "0"], "--limit must be between 1 and 800 images, not 0"),
        (["--limit", "9000"], "--limit must be between 1 and 800 images, not 9000"),
        (["--epochs", "0"], "epochs, batch_size, checkpoint_every must be 1 or more, not 0, 16, 1"),
        (["--radius", "-1"], "--features and --radius must be above 0, not 64, -1.0"),
        (["--attack-steps", "0"], "must be above 0, not 16, 0, 0.1"),
        (["--method", "pgd", "--beta", "3"], "--beta is no option of --method pgd"),
        (["--average", "1.5"], "decay must be in [0, 1), not 1.5"),
        (["--seed", "-1"], "seed must be in [0, 2**32), not -1"),
        (["--dataset", "mnist"], "invalid choice: 'mnist'"),
        (["--method", "magic"], "invalid choice: 'magic'"),
    ],
)
def test_wrong_options_get_one_line_and_write_nothing(tmp_path, arguments, message):
    code, _, errors = run(tmp_path, *arguments)
    assert code != 0
    assert message in errors
    assert "Traceback" not in errors
    lines = errors.splitlines()
    assert len([line for line in lines if line.startswith("error") or ": error:" in line]) == 1
    assert not list((tmp_path / "out").glob("*")) if (tmp_path / "out").exists() else True


def test_cuda_without_a_device_gets_one_line(tmp_path):
    from tinyproto.backend.device import cuda_unavailable_reason

    if cuda_unavailable_reason() is None:
        pytest.skip("this machine has a usable CUDA device")
    code, _, errors = run(tmp_path, "--device", "cuda")
    assert code != 0
    assert errors.strip().startswith("error: no CUDA device: CuPy is")
    assert "Traceback" not in errors
