"""Finding, validating and downloading data sets, and the messages of each failure."""

import dataclasses
import functools
import hashlib
import http.server
import subprocess
import sys
import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinyproto.data import datasets
from tinyproto.data.datasets import SAMPLES, load, load_outliers
from tinyproto.data.download import download
from tinyproto.data.sources import SOURCES, File


@pytest.fixture(autouse=True)
def cache(monkeypatch, tmp_path):
    """An empty cache, no TINYPROTO_DATA and no network; the cache's path."""

    def no_network(url, path, md5):
        raise ConnectionError(f"{url}: the download failed: no network")

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("TINYPROTO_DATA", raising=False)
    monkeypatch.setattr(datasets, "fetch", no_network)
    return tmp_path / "home" / "tinyproto"


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "folder").mkdir()
    return tmp_path / "folder"


def save(path, arrays):
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(path, **arrays)


def assert_equal(dataset, arrays):
    for name, array in arrays.items():
        np.testing.assert_array_equal(getattr(dataset, name), array)
    assert dataset.x_train.dtype == dataset.x_test.dtype == np.uint8
    assert dataset.y_train.dtype == dataset.y_test.dtype == np.int64


def failure(kind, *arguments, **options):
    with pytest.raises(kind) as caught:
        load(*arguments, **options)
    message = str(caught.value)
    assert "\n" not in message
    return message


# The content of a folder


@pytest.mark.parametrize("name", SOURCES)
@pytest.mark.parametrize("place", ["", "sub-folder"])
def test_an_npz_of_any_data_set(make_arrays, folder, name, place):
    source = SOURCES[name]
    arrays = make_arrays(source.image_shape, len(source.class_names))
    arrays["y_train"] = arrays["y_train"].astype(np.uint8)
    npz = folder / (name if place else "") / source.npz
    save(npz, arrays)
    dataset = load(name, folder)
    assert_equal(dataset, arrays)
    assert dataset.name == name
    assert dataset.source == str(npz)
    assert dataset.class_names == source.class_names
    assert not dataset.complete


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("place", ["", "fashion"])
def test_idx_files(write, make_arrays, folder, packed, place):
    arrays = make_arrays()
    write.idx_folder(folder / place, arrays, packed)
    assert_equal(load("fashion", folder), arrays)


def test_data_sets_with_the_same_file_names_in_sub_folders(write, make_arrays, folder):
    mnist, fashion = make_arrays(seed=1), make_arrays(seed=2)
    write.idx_folder(folder / "mnist", mnist)
    write.idx_folder(folder / "fashion", fashion)
    assert_equal(load("mnist", str(folder)), mnist)
    assert_equal(load("fashion", folder), fashion)


@pytest.mark.parametrize(("name", "classes"), [("cifar10", 10), ("cifar100", 100)])
def test_cifar_files(write, make_arrays, folder, name, classes):
    arrays = make_arrays((32, 32, 3), classes)
    files = write.cifar_files(arrays, classes)
    archive = folder / SOURCES[name].files[0].name
    archive.write_bytes(write.tar_gz_bytes(files))
    assert_equal(load(name, folder), arrays)
    archive.unlink()
    for path, content in files.items():
        (folder / path).parent.mkdir(exist_ok=True)
        (folder / path).write_bytes(content)
    assert_equal(load(name, folder), arrays)


def test_svhn_files(make_arrays, folder):
    savemat = pytest.importorskip("scipy.io").savemat
    arrays = make_arrays((32, 32, 3))
    for part in ("train", "test"):
        images, labels = arrays[f"x_{part}"], arrays[f"y_{part}"]
        stored = np.where(labels == 0, 10, labels).astype(np.uint8)[:, None]
        content = {"X": images.transpose(1, 2, 3, 0), "y": stored}
        savemat(folder / f"{part}_32x32.mat", content)
    assert_equal(load("svhn", folder), arrays)


def test_complete_means_all_official_images(make_arrays, folder, monkeypatch):
    source = dataclasses.replace(SOURCES["mnist"], sizes=(20, 10))
    monkeypatch.setitem(SOURCES, "mnist", source)
    save(folder / "mnist.npz", make_arrays())
    assert load("mnist", folder).complete


# The order of the search


def test_the_directory_is_searched_first_and_only(
    make_arrays, folder, tmp_path, monkeypatch, cache
):
    in_variable, cached, given = (make_arrays(seed=seed) for seed in range(3))
    save(cache / "mnist.npz", cached)
    assert_equal(load("mnist"), cached)
    save(tmp_path / "variable" / "mnist.npz", in_variable)
    monkeypatch.setenv("TINYPROTO_DATA", str(tmp_path / "variable"))
    assert_equal(load("mnist"), in_variable)
    message = failure(FileNotFoundError, "mnist", folder)
    assert message.startswith(f"{folder}: expected mnist.npz or train-images-idx3-ubyte.gz, ")
    save(folder / "mnist.npz", given)
    assert_equal(load("mnist", folder), given)


@pytest.mark.parametrize("name", ["absent", "file", "empty"])
def test_the_search_continues_after_tinyproto_data(make_arrays, tmp_path, monkeypatch, cache, name):
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("TINYPROTO_DATA", str(tmp_path / name))
    arrays = make_arrays()
    save(cache / "mnist.npz", arrays)
    assert_equal(load("mnist"), arrays)


def test_a_directory_that_does_not_exist_or_is_a_file(tmp_path):
    (tmp_path / "file").write_text("")
    assert "found nothing" in failure(FileNotFoundError, "mnist", tmp_path / "absent")
    assert "found a file" in failure(FileNotFoundError, "mnist", tmp_path / "file")


def test_a_missing_file_means_the_data_set_is_not_found(write, make_arrays, folder):
    write.idx_folder(folder, make_arrays())
    (folder / "t10k-labels-idx1-ubyte.gz").unlink()
    assert "t10k-labels-idx1-ubyte.gz" in failure(FileNotFoundError, "mnist", folder)


def test_an_unknown_name():
    message = failure(ValueError, "imagenet")
    assert message == (
        "expected one of the data sets mnist, fashion, cifar10, cifar100, svhn, found 'imagenet'"
    )


# The download


@pytest.fixture
def site(write, make_arrays, tmp_path, monkeypatch):
    """A small local copy of MNIST's site; returns the arrays that it serves."""
    arrays = make_arrays(seed=7)
    write.idx_folder(tmp_path / "site", arrays)
    handler = functools.partial(QuietHandler, directory=str(tmp_path / "site"))
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setattr(datasets, "fetch", download)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        files = tuple(
            File(
                file.name, hashlib.md5((tmp_path / "site" / file.name).read_bytes()).hexdigest(), ""
            )
            for file in SOURCES["mnist"].files
        )
        url = f"http://127.0.0.1:{server.server_port}/"
        source = dataclasses.replace(SOURCES["mnist"], url=url, files=files)
        monkeypatch.setitem(SOURCES, "mnist", source)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield arrays
        server.shutdown()
        thread.join()


class QuietHandler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *arguments):
        pass


def test_a_download_is_kept_in_the_cache(site, cache, capsys):
    dataset = load("mnist")
    assert_equal(dataset, site)
    assert dataset.source == str(cache / "mnist")
    names = {path.name for path in (cache / "mnist").iterdir()} - {".lock"}
    assert names == {file.name for file in SOURCES["mnist"].files}
    assert capsys.readouterr().err == ""
    assert_equal(load("mnist", download=False), site)


def test_a_wrong_download_is_an_error_and_not_the_sample(site, cache, tmp_path):
    name = "train-labels-idx1-ubyte.gz"
    (tmp_path / "site" / name).write_bytes(b"wrong")
    assert "expected md5" in failure(ValueError, "mnist")
    assert not (cache / "mnist" / name).exists()


# The sample, if there is one


def test_the_sample(capsys):
    dataset = load("mnist")
    assert dataset.x_train.shape == (4000, 28, 28)
    assert dataset.x_test.shape == (1000, 28, 28)
    assert np.bincount(dataset.y_train).tolist() == [400] * 10
    assert np.bincount(dataset.y_test).tolist() == [100] * 10
    assert not dataset.complete
    message = capsys.readouterr().err
    assert message.count("\n") == 1
    assert message.startswith("mnist: the full data set was not found (http")
    assert "no network); using the package's sample of 4,000 + 1,000 images" in message


def test_downloading_can_be_turned_off(monkeypatch, capsys):
    monkeypatch.setattr(datasets, "fetch", None)
    assert not load("mnist", download=False).complete
    assert "downloading is turned off" in capsys.readouterr().err


def test_without_a_writable_cache_the_sample_is_loaded(monkeypatch, tmp_path, capsys):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    monkeypatch.setattr(datasets, "fetch", download)
    assert not load("mnist").complete
    assert "file/tinyproto" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["fashion", "cifar100", "svhn"])
def test_without_a_sample_the_error_names_the_places_searched(name, folder, monkeypatch, cache):
    monkeypatch.setenv("TINYPROTO_DATA", str(folder))
    message = failure(FileNotFoundError, name)
    assert f"{name}: not in {folder} or {cache}, and http" in message
    assert "no network" in message
    assert SOURCES[name].npz in message
    assert SOURCES[name].files[0].name in message


# Files with the wrong content


def changed(**replacements):
    return lambda arrays: {**arrays, **{name: f(arrays) for name, f in replacements.items()}}


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (
            changed(x_train=lambda a: np.zeros((20, 32, 32, 3), np.uint8)),
            "expected mnist's x_train as uint8 (N, 28, 28), found uint8 (20, 32, 32, 3)",
        ),
        (changed(x_test=lambda a: a["x_test"] / 255), "found float64 (10, 28, 28)"),
        (changed(x_test=lambda a: a["x_test"].reshape(10, 784)), "found uint8 (10, 784)"),
        (changed(x_train=lambda a: a["x_train"][:0]), "found uint8 (0, 28, 28)"),
        (changed(y_train=lambda a: a["y_train"] + 10), "expected mnist's y_train in 0..9, found 1"),
        (changed(y_test=lambda a: -1 - a["y_test"]), "expected mnist's y_test in 0..9, found -"),
        (changed(y_test=lambda a: a["y_test"][:9]), "y_test as integers (10,), found int64 (9,)"),
        (changed(y_test=lambda a: a["y_test"] * 1.0), "as integers (10,), found float64 (10,)"),
        (changed(y_test=lambda a: np.eye(10)), "as integers (10,), found float64 (10, 10)"),
        (
            changed(x_train=lambda a: a["x_train"].astype(int) + 1),
            "found int64 (20, 28, 28) in 1..256",
        ),
        (changed(x_test=lambda a: -a["x_test"].astype("i2")), "found int16 (10, 28, 28) in -"),
        (changed(y_train=lambda a: a["y_train"][:, None, None]), "found int64 (20, 1, 1)"),
        (changed(y_train=lambda a: a["y_train"][None]), "found int64 (1, 20)"),
        (lambda arrays: {"x": arrays["x_test"]}, "expected the arrays x_train, y_train"),
    ],
)
def test_an_npz_with_wrong_arrays(make_arrays, folder, change, expected):
    save(folder / "mnist.npz", change(make_arrays()))
    message = failure(ValueError, "mnist", folder)
    assert message.startswith(f"{folder / 'mnist.npz'}: expected ")
    assert expected in message


@given(
    st.sampled_from(["u1", ">i2", "i4", "i8", "u8", "f4"]),
    st.sampled_from(["u1", "i8", ">i4", "f8"]),
    st.sampled_from([(-1,), (-1, 1), (1, -1)]),
)
def test_images_of_any_integers_and_labels_of_keras(
    make_arrays, tmp_path_factory, pixels, labels, shape
):
    arrays, place = make_arrays(), tmp_path_factory.mktemp("data")
    arrays["x_train"][0, 0, :2] = 0, 255
    saved = {n: a.astype(pixels if n[0] == "x" else labels) for n, a in arrays.items()}
    saved["y_train"] = saved["y_train"].reshape(shape)
    save(place / "mnist.npz", saved)
    if pixels == "f4" or labels == "f8" or shape == (1, -1):
        assert "expected mnist's " in failure(ValueError, "mnist", place)
    else:
        assert_equal(load("mnist", place), arrays)


def test_files_of_another_data_set(write, make_arrays, folder, monkeypatch):
    arrays = make_arrays()
    labels = hashlib.md5(arrays["y_test"].astype(np.uint8).tobytes()).hexdigest()
    monkeypatch.setitem(datasets.TEST_LABELS_MD5, labels, "fashion")
    write.idx_folder(folder, arrays)
    message = failure(ValueError, "mnist", folder)
    assert message == f"{folder}: expected mnist, found fashion; move it to fashion/"
    assert_equal(load("fashion", folder), arrays)


def test_a_damaged_file_in_the_cache_is_an_error_and_not_the_sample(cache, monkeypatch):
    cache.mkdir(parents=True)
    (cache / "mnist.npz").write_bytes((SAMPLES / "mnist.npz").read_bytes()[:1000])
    assert "mnist.npz: expected a .npz file" in failure(ValueError, "mnist")


# Outliers


def test_outliers_are_loaded_from_all_folders(make_arrays, folder, tmp_path, monkeypatch, cache):
    assert load_outliers() == {}
    grey = [make_arrays(seed=seed) for seed in range(4)]
    save(folder / "notmnist_test10k.npz", {"x_test": grey[0]["x_test"]})
    save(cache / "notmnist_test10k.npz", {"x_test": grey[1]["x_test"]})
    save(cache / "emnist_letters_test.npz", {"x_test": grey[1]["x_test"]})
    save(tmp_path / "variable" / "fashion_mnist.npz", grey[2])
    monkeypatch.setenv("TINYPROTO_DATA", str(tmp_path / "variable"))
    outliers = load_outliers(folder)
    assert outliers.keys() == {"notmnist", "fashion", "emnist-letters"}
    np.testing.assert_array_equal(outliers["notmnist"], grey[0]["x_test"])
    np.testing.assert_array_equal(outliers["emnist-letters"], grey[1]["x_test"])
    np.testing.assert_array_equal(outliers["fashion"], grey[2]["x_test"])
    save(folder / "fashion_mnist_test.npz", {"x_test": grey[3]["x_test"]})
    np.testing.assert_array_equal(load_outliers(folder)["fashion"], grey[3]["x_test"])


def test_mnist_is_not_an_outlier(write, make_arrays, folder, monkeypatch):
    arrays = make_arrays()
    labels = hashlib.md5(arrays["y_test"].astype(np.uint8).tobytes()).hexdigest()
    monkeypatch.setitem(datasets.TEST_LABELS_MD5, labels, "mnist")
    write.idx_folder(folder, arrays)
    assert load_outliers(folder) == {}
    monkeypatch.delitem(datasets.TEST_LABELS_MD5, labels)  # a part of MNIST's images
    assert load_outliers(folder) == {}
    write.idx_folder(folder / "fashion", make_arrays(seed=1))
    assert load_outliers(folder).keys() == {"fashion"}


@pytest.mark.parametrize("place", ["~nobody-of-this-name/data", "~"])
def test_a_home_that_there_is_not(place, monkeypatch):
    monkeypatch.delenv("HOME", raising=False)
    monkeypatch.setattr("pwd.getpwuid", lambda number: {}[number])
    monkeypatch.setattr("pwd.getpwnam", lambda name: {}[name])
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    with pytest.raises(FileNotFoundError, match=f"{place}: expected a folder of data sets"):
        load("mnist", place)
    assert load("mnist", download=False).name == "mnist"


def test_invalid_outliers(folder, tmp_path):
    with pytest.raises(FileNotFoundError, match="found nothing"):
        load_outliers(tmp_path / "absent")
    save(folder / "notmnist_test10k.npz", {"x_test": np.zeros((5, 28, 28))})
    with pytest.raises(ValueError, match=r"as uint8 \(N, 28, 28\), found float64 \(5, 28, 28\)"):
        load_outliers(folder)


# The sources, and the imports


@pytest.mark.parametrize("name", SOURCES)
def test_the_sources_are_consistent(name):
    source = SOURCES[name]
    assert source.name == name
    assert source.url.startswith("http")
    assert source.url.endswith("/")
    assert all(len(file.md5) == 32 for file in source.files)
    assert len(set(source.class_names)) == (100 if name == "cifar100" else 10)
    if name.startswith("cifar"):
        assert list(source.class_names) == sorted(source.class_names)


def test_importing_loads_nothing_optional():
    code = "import sys, tinyproto.data; print({'scipy', 'tqdm', 'numba'} & set(sys.modules))"
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "set()"


def test_a_data_set_is_described_in_one_line():
    data = load("cifar10", download=False)
    text = "800 training and 200 test images of 32 × 32 × 3, 10 classes"
    assert repr(data).startswith(f"Dataset(cifar10, not complete: {text}, ")
    assert repr(data).endswith("cifar10.npz)")
    assert "\n" not in repr(data)
    whole = dataclasses.replace(data, complete=True)
    assert repr(whole).startswith(f"Dataset(cifar10: {text}")
