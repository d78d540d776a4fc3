"""Round trips through every format; truncated, damaged, inconsistent and hostile files."""

import gzip
import hashlib
import importlib
import io
import math
import os
import pickle
import struct
import zipfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tests.hostile_files import FILES, SVHN_FILE
from tinyproto.data import cifar as cifar_module
from tinyproto.data.cifar import read_pickled_cifar
from tinyproto.data.formats import SPLITS, FormatError, read_idx, read_npz, read_svhn
from tinyproto.data.pickles import read_pickle
from tinyproto.data.sources import SOURCES


def error_of(read, *arguments):
    """The message of the expected FormatError, which must be one line."""
    with pytest.raises(FormatError) as caught:
        read(*arguments)
    message = str(caught.value)
    assert "\n" not in message
    return message


def assert_same(found, expected):
    assert found.keys() == expected.keys()
    for name in expected:
        np.testing.assert_array_equal(found[name], expected[name])


def flip_bit(content, position, bit):
    damaged = bytearray(content)
    damaged[position % len(damaged)] ^= 1 << bit
    return bytes(damaged)


flips = st.tuples(st.integers(0, 1 << 20), st.integers(0, 7))
fractions = st.floats(0, 1, exclude_max=True)


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    return tmp_path_factory.mktemp("formats") / "file"


# idx

idx_arrays = hnp.arrays(
    st.sampled_from(["u1", "i1", "i2", "i4", "f4", "f8"]),
    hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=5),
)


@given(idx_arrays, st.booleans())
def test_idx_round_trip(write, file, array, compressed):
    content = write.idx_bytes(array)
    file.write_bytes(gzip.compress(content) if compressed else content)
    found = read_idx(file)
    assert found.dtype == array.dtype
    assert found.dtype.isnative
    assert found.flags.writeable
    np.testing.assert_array_equal(found, array)


@given(idx_arrays, st.booleans(), fractions)
def test_truncated_idx(write, file, array, compressed, fraction):
    content = write.idx_bytes(array)
    content = gzip.compress(content) if compressed else content
    file.write_bytes(content[: math.floor(len(content) * fraction)])
    assert str(file) in error_of(read_idx, file)


@given(idx_arrays, flips)
def test_a_flipped_bit_in_a_gzipped_idx_is_detected_or_harmless(write, file, array, flip):
    file.write_bytes(flip_bit(gzip.compress(write.idx_bytes(array)), *flip))
    try:
        found = read_idx(file)
    except FormatError:
        return
    assert found.dtype == array.dtype
    np.testing.assert_array_equal(found, array)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", "found no bytes"),
        (b"\x00\x00\x0f\x01\x00\x00\x00\x00", "found 00 00 0f 01"),
        (b"PK\x03\x04 a zip", "found 50 4b 03 04"),
        (b"\x00\x00\x08\x02\x00\x00\x00\x01", "expected the sizes of 2 axes, found only 4 bytes"),
        (
            b"\x00\x00\x08\x01\x00\x00\x00\x02ab!",
            "expected 2 bytes for shape (2,) of uint8, found more",
        ),
        (
            b"\x00\x00\x0d\x01\x00\x00\x00\x02ab",
            "expected 8 bytes for shape (2,) of float32, found 2",
        ),
        (b"\x00\x00\x08\x04" + b"\xff" * 16 + b"few", "expected at most 1,073,741,824 bytes"),
        (b"\x00\x00\x08\x02" + b"\0\1\0\0" * 2 + b"few", "found sizes (65536, 65536)"),
        (b"\x00\x00\x08\x01" + b"\0\1\0\0" + b"few", "found 3"),
    ],
)
def test_files_that_are_not_idx(file, content, expected):
    file.write_bytes(content)
    assert expected in error_of(read_idx, file)


def test_a_missing_file_is_an_os_error(tmp_path):
    for read in (read_idx, read_npz, read_pickled_cifar, read_svhn):
        if read is read_svhn:
            pytest.importorskip("scipy.io")
        with pytest.raises(FileNotFoundError, match="absent"):
            read(tmp_path / "absent")


# CIFAR


def write_cifar(path, form, files, archive):
    """The files in a folder, or their archive, gzipped or not."""
    if form == "folder":
        path.mkdir()
        for name, content in files.items():
            (path / name.split("/")[1]).write_bytes(content)
    else:
        path.write_bytes(archive if form == "tar.gz" else gzip.decompress(archive))


@pytest.mark.parametrize("classes", [10, 100])
@pytest.mark.parametrize("form", ["tar.gz", "tar", "folder"])
def test_cifar_round_trip(write, make_arrays, tmp_path, classes, form):
    arrays = make_arrays((32, 32, 3), classes)
    files = write.cifar_files(arrays, classes)
    archive = write.tar_gz_bytes({"cifar/batches.meta": b"not a pickle", **files})
    path = tmp_path / "cifar"
    write_cifar(path, form, files, archive)
    found = read_pickled_cifar(path, classes)
    assert_same(found, arrays)
    assert found["x_train"].dtype == np.uint8
    assert found["y_train"].dtype == np.int64


def test_a_cifar_array_in_fortran_order(write, make_arrays, tmp_path):
    arrays = make_arrays((32, 32, 3))
    files = write.cifar_files(arrays)
    rows = arrays["x_test"].transpose(0, 3, 1, 2).reshape(10, 3072)
    files["cifar-10-batches-py/test_batch"] = write.python2_pickle(
        {"data": np.asfortranarray(rows), "labels": arrays["y_test"].tolist()}
    )
    (tmp_path / "cifar").write_bytes(write.tar_gz_bytes(files))
    assert_same(read_pickled_cifar(tmp_path / "cifar"), arrays)


class Hostile:
    """An object that runs a command when the ordinary pickle module loads it."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize("protocol", range(6))
def test_a_hostile_pickle_runs_nothing(write, make_arrays, tmp_path, protocol):
    marker = tmp_path / "marker"
    content = pickle.dumps({"data": Hostile(os.system, f"touch {marker}")}, protocol)
    files = write.cifar_files(make_arrays((32, 32, 3)))
    path = tmp_path / "cifar-10-python.tar.gz"
    path.write_bytes(write.tar_gz_bytes({**files, "cifar-10-batches-py/data_batch_3": content}))
    message = error_of(read_pickled_cifar, path)
    assert "data_batch_3" in message
    assert "which is refused" in message
    assert not marker.exists()
    pickle.loads(content)  # proves that the bytes are dangerous elsewhere
    assert marker.exists()


@pytest.mark.parametrize(
    ("name", "pickled"),
    [
        ("builtins.eval", b"cbuiltins\neval\n(S'1'\ntR."),
        ("__builtin__.eval", b"c__builtin__\neval\n(S'1'\ntR."),
        ("numpy.load", b"cnumpy\nload\n(S'x'\ntR."),
        ("numpy.core.multiarray.fromfile", b"cnumpy.core.multiarray\nfromfile\n(S'x'\ntR."),
        ("posix.system", b"\x80\x02}U\x04datacposix\nsystem\n."),
    ],
)
def test_every_other_name_is_refused(write, make_arrays, tmp_path, name, pickled):
    files = write.cifar_files(make_arrays((32, 32, 3)))
    files["cifar-10-batches-py/test_batch"] = pickled
    (tmp_path / "cifar").write_bytes(write.tar_gz_bytes(files))
    assert f"names {name}, which is refused" in error_of(read_pickled_cifar, tmp_path / "cifar")


@pytest.mark.parametrize(
    ("batch", "expected"),
    [
        ([1, 2], "expected a dictionary, found list"),
        ({"labels": [0]}, "expected `data` as a uint8 array"),
        ({"data": b"\0" * 3072, "labels": [0]}, "expected `data` as a uint8 array"),
        ({"data": np.zeros((1, 3072), np.int8), "labels": [0]}, "expected `data` as a uint8 array"),
        ({"data": np.zeros((1, 784), np.uint8), "labels": [0]}, "expected `data` as a uint8 array"),
        ({"data": np.zeros((1, 3072), np.uint8)}, "a list of integers under b'labels'"),
        ({"data": np.zeros((1, 3072), np.uint8), "labels": [1.5]}, "opcode b'G', which is"),
        ({"data": np.zeros((1, 3072), np.uint8), "labels": [None]}, "a list of integers"),
        ({"data": np.zeros((2, 3072), np.uint8), "labels": [1]}, "expected 2 labels, found 1"),
        ({"data": np.zeros((1, 3072), np.uint8), "labels": [1 << 70]}, "integer of 9 bytes"),
        ({"data": np.zeros((1, 3072), np.uint8), (1,): [1]}, "a key that is no string"),
    ],
)
def test_pickles_that_are_not_cifar_batches(write, make_arrays, tmp_path, batch, expected):
    files = write.cifar_files(make_arrays((32, 32, 3)))
    files["cifar-10-batches-py/data_batch_2"] = write.python2_pickle(batch)
    (tmp_path / "cifar").write_bytes(write.tar_gz_bytes(files))
    message = error_of(read_pickled_cifar, tmp_path / "cifar")
    assert "data_batch_2" in message
    assert expected in message


def test_a_cifar_archive_of_the_other_data_set(write, make_arrays, tmp_path):
    (tmp_path / "cifar").write_bytes(
        write.tar_gz_bytes(write.cifar_files(make_arrays((32, 32, 3), 100), 100))
    )
    message = error_of(read_pickled_cifar, tmp_path / "cifar", 10)
    assert "expected the files of CIFAR-10, found none called data_batch_1, " in message


def test_an_invalid_number_of_cifar_classes(tmp_path):
    with pytest.raises(ValueError, match="expected 10 or 100, found 20"):
        read_pickled_cifar(tmp_path / "cifar", 20)


def test_a_member_that_is_too_large_is_not_read(write, make_arrays, tmp_path, monkeypatch):
    monkeypatch.setattr("tinyproto.data.cifar.MAX_MEMBER_SIZE", 1000)
    files = write.cifar_files(make_arrays((32, 32, 3)))
    (tmp_path / "cifar").write_bytes(write.tar_gz_bytes(files))
    assert "expected a reasonable size" in error_of(read_pickled_cifar, tmp_path / "cifar")


def test_an_archive_that_is_too_large_when_decompressed(write, make_arrays, tmp_path, monkeypatch):
    """Here all files are in the part that may be read."""
    archive = gzip.decompress(write.tar_gz_bytes(write.cifar_files(make_arrays((32, 32, 3)))))
    (tmp_path / "cifar").write_bytes(gzip.compress(archive + bytes(100)))
    monkeypatch.setattr("tinyproto.data.cifar.MAX_ARCHIVE_SIZE", len(archive) + 100)
    read_pickled_cifar(tmp_path / "cifar")
    monkeypatch.setattr("tinyproto.data.cifar.MAX_ARCHIVE_SIZE", len(archive))
    assert "bytes when decompressed, found more" in error_of(read_pickled_cifar, tmp_path / "cifar")


@pytest.fixture(scope="module")
def cifar(write, make_arrays):
    arrays = make_arrays((32, 32, 3))
    arrays["x_train"] = np.zeros_like(arrays["x_train"])  # small when compressed
    return arrays, write.tar_gz_bytes(write.cifar_files(arrays))


@given(fraction=fractions)
def test_truncated_cifar(cifar, file, fraction):
    file.write_bytes(cifar[1][: math.floor(len(cifar[1]) * fraction)])
    error_of(read_pickled_cifar, file)


@given(flip=flips)
def test_a_flipped_bit_in_a_cifar_archive_is_detected_or_harmless(cifar, file, flip):
    file.write_bytes(flip_bit(cifar[1], *flip))
    try:
        found = read_pickled_cifar(file)
    except FormatError:
        return
    assert_same(found, cifar[0])


@given(pickled=st.binary(max_size=60))
def test_random_bytes_as_a_pickle(write, tmp_path_factory, pickled):
    folder = tmp_path_factory.getbasetemp() / "random_pickles"
    folder.mkdir(exist_ok=True)
    for name in ("train", "test"):
        (folder / name).write_bytes(pickled)
    error_of(read_pickled_cifar, folder, 100)


OPCODES = [
    *(b"N", b"\x88", b"\x89", b"(", b"t", b")", b"]", b"}", b"a", b"e", b"s", b"u", b"R", b"b"),
    *(b"\x85", b"\x86", b"\x87", b"K\1", b"M\0\x0c", b"J\xff\xff\xff\xff", b"\x8a\1\5"),
    *(b"U\4data", b"U\x0bfine_labels", b"U\2u1", b"q\1", b"h\1", b"r\2\0\0\0", b"\x80\2"),
    *(b"cnumpy\nndarray\n", b"cnumpy\ndtype\n", b"cnumpy.core.multiarray\n_reconstruct\n"),
]


@pytest.mark.parametrize("size", [-1, -5, 4, 2**31 - 1])
def test_a_string_that_is_not_there(size):
    with pytest.raises(ValueError, match="it ends after 8 bytes"):
        read_pickle(b"T" + struct.pack("<i", size) + b"ab.")


@settings(max_examples=300)
@given(opcodes=st.lists(st.sampled_from(OPCODES), max_size=30))
def test_any_opcodes(write, tmp_path_factory, opcodes):
    folder = tmp_path_factory.getbasetemp() / "any_opcodes"
    folder.mkdir(exist_ok=True)
    for name in ("train", "test"):
        (folder / name).write_bytes(b"".join(opcodes) + b".")
    error_of(read_pickled_cifar, folder, 100)


@pytest.mark.parametrize("form", ["tar.gz", "tar", "folder"])
def test_published_files_without_a_checksum_are_compared_with_their_md5(
    write, make_arrays, tmp_path, monkeypatch, form
):
    files = write.cifar_files(make_arrays((32, 32, 3), 100), 100)
    archive, path = write.tar_gz_bytes(files), tmp_path / "cifar"
    md5s = {
        name: hashlib.md5(files[f"cifar-100-python/{name}"]).hexdigest()
        for name in ("train", "test")
    }
    monkeypatch.setattr(cifar_module, "OFFICIAL_SIZES", (20, 10))
    layouts = {100: cifar_module.Layout(md5s, b"fine_labels")}
    monkeypatch.setattr(cifar_module, "LAYOUTS", layouts)
    write_cifar(path, form, files, archive)
    read_pickled_cifar(path, 100)
    monkeypatch.setitem(md5s, "test", "0" * 32)
    if form == "tar.gz":  # gzip has a checksum of its own
        read_pickled_cifar(path, 100)
        return
    assert "test: expected the published file, md5 0000" in error_of(read_pickled_cifar, path, 100)


def test_extracted_mnist_is_compared_with_its_md5(write, tmp_path):
    """Of the official number of images, but others."""
    arrays = {
        f"{kind}_{split}": np.zeros((count, *shape), np.uint8)
        for kind, shape in (("x", (1, 1)), ("y", ()))
        for split, count in (("train", 60_000), ("test", 10_000))
    }
    write.idx_folder(tmp_path, arrays, compressed=False)
    files = [tmp_path / file.extracted for file in SOURCES["mnist"].files]
    assert "train-images-idx3-ubyte: expected the published file" in error_of(
        SOURCES["mnist"].read, files
    )


# SVHN


def test_svhn_round_trip(tmp_path):
    savemat = pytest.importorskip("scipy.io").savemat
    images = np.random.default_rng(0).integers(0, 256, (12, 32, 32, 3), dtype=np.uint8)
    labels = np.array([10, *range(1, 11), 3])
    path = tmp_path / "test_32x32.mat"
    savemat(path, {"X": images.transpose(1, 2, 3, 0), "y": labels.astype(np.uint8)[:, None]})
    found_images, found_labels = read_svhn(path)
    assert found_images.dtype == np.uint8
    assert found_labels.dtype == np.int64
    np.testing.assert_array_equal(found_images, images)
    np.testing.assert_array_equal(found_labels, labels % 10)

    content = path.read_bytes()
    for tenths in range(10):
        path.write_bytes(content[: len(content) * tenths // 10])
        assert "SVHN's .mat file" in error_of(read_svhn, path)


def test_no_bit_of_the_header_of_a_variable_can_end_the_process(file):
    pytest.importorskip("scipy.io")
    file.write_bytes(SVHN_FILE)
    images, labels = read_svhn(file)
    assert (images.shape, labels.shape) == ((1, 32, 32, 3), (1,))
    refused = 0
    for place in [*range(124, 200), *range(len(SVHN_FILE) - 64, len(SVHN_FILE))]:
        for bit in range(8):
            file.write_bytes(flip_bit(SVHN_FILE, place, bit))
            try:
                found = read_svhn(file)
            except FormatError:
                refused += 1
            else:  # in a pixel, a label, what is not used, or y's type, which may be any integer
                assert [array.shape for array in found] == [images.shape, labels.shape]
    assert refused > 600


@pytest.mark.parametrize("kind", ["cells", "struct", "records", "char", "complex", "sparse"])
def test_a_mat_file_with_a_variable_that_is_no_array_of_numbers(tmp_path, kind):
    savemat = pytest.importorskip("scipy.io").savemat
    images = np.zeros((32, 32, 3, 1), np.uint8)
    array = {
        "cells": lambda: images.astype(object),
        "struct": lambda: {"X": images},
        "records": lambda: images.view([("X", "u1")]),
        "char": lambda: "images",
        "complex": lambda: images * 1j,
        "sparse": lambda: importlib.import_module("scipy.sparse").csc_array(np.eye(3)),
    }[kind]()
    for compress in (False, True):
        content = {"X": array, "y": np.ones((1, 1), np.uint8)}
        savemat(tmp_path / "file.mat", content, do_compression=compress)
        assert "no array of real numbers" in error_of(read_svhn, tmp_path / "file.mat")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a large number of numbers", "4,294,967,295 bytes in a variable of 64"),
        ("a large size", "ends 2,147,483,584 bytes before the end of a variable"),
        ("version 4 under a header of 5", "no MATLAB file of level 5"),
        ("version 7.3", "no MATLAB file of level 5"),
        ("3 GB", "more than 268,435,456 bytes of variables"),
        ("the type 77", "numbers of the unknown type 77"),
    ],
)
def test_scipy_is_not_given_what_it_does_not_check(file, monkeypatch, name, expected):
    pytest.importorskip("scipy.io")
    for function in ("whosmat", "loadmat"):
        monkeypatch.setattr(f"scipy.io.{function}", None)
    file.write_bytes(FILES[f"svhn: mat of {name}"])
    assert expected in error_of(read_svhn, file)


def test_a_mat_file_of_version_4(tmp_path):
    savemat = pytest.importorskip("scipy.io").savemat
    savemat(tmp_path / "file.mat", {"X": np.zeros((3072, 1)), "y": np.ones((1, 1))}, format="4")
    assert "no MATLAB file of level 5" in error_of(read_svhn, tmp_path / "file.mat")


def test_svhn_names_scipy_where_it_is_missing(file, monkeypatch):
    file.write_bytes(SVHN_FILE)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ImportError, match="needs SciPy; install it with: pip install scipy"):
        read_svhn(file)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ({"y": np.ones((2, 1))}, "expected X, uint8 (32, 32, 3, N), found none"),
        ({"X": np.zeros((2, 32, 32, 3), np.uint8)}, "found uint8 (2, 32, 32, 3)"),
        ({"X": np.zeros((32, 32, 3, 2))}, "found float64 (32, 32, 3, 2)"),
        ({"X": np.zeros((32, 32, 3, 2), np.uint8)}, "expected y, integers (2, 1), found none"),
        (
            {"X": np.zeros((32, 32, 3, 2), np.uint8), "y": np.ones((3, 1), np.uint8)},
            "expected y, integers (2, 1), found uint8 (3, 1)",
        ),
    ],
)
def test_a_mat_file_with_other_arrays(tmp_path, content, expected):
    pytest.importorskip("scipy.io").savemat(tmp_path / "file.mat", content)
    assert expected in error_of(read_svhn, tmp_path / "file.mat")


# npz


@given(st.dictionaries(st.sampled_from(SPLITS), idx_arrays, min_size=1), st.booleans())
def test_npz_round_trip(file, arrays, compressed):
    with open(file, "wb") as out:
        (np.savez_compressed if compressed else np.savez)(out, **arrays)
    found = read_npz(file, list(arrays))
    assert_same(found, arrays)
    assert all(found[name].dtype == arrays[name].dtype for name in arrays)


def npz_bytes(compressed=True, **arrays):
    out = io.BytesIO()
    (np.savez_compressed if compressed else np.savez)(out, **arrays)
    return out.getvalue()


@given(st.booleans(), fractions)
def test_truncated_npz(file, compressed, fraction):
    content = npz_bytes(compressed, x=np.arange(1000))
    file.write_bytes(content[: math.floor(len(content) * fraction)])
    error_of(read_npz, file, ["x"])


@given(st.booleans(), flips)
def test_a_flipped_bit_in_an_npz_is_detected_or_harmless(file, compressed, flip):
    array = np.arange(300)
    file.write_bytes(flip_bit(npz_bytes(compressed, x=array), *flip))
    try:
        found = read_npz(file, ["x"])
    except FormatError:
        return
    np.testing.assert_array_equal(found["x"], array)


def test_an_npz_that_lacks_an_array(file):
    file.write_bytes(npz_bytes(x_train=np.zeros(3), other=np.zeros(3)))
    message = error_of(read_npz, file)
    assert "expected the arrays y_train, x_test, y_test, found only x_train, other" in message


def test_an_npz_of_python_objects_runs_nothing(file, tmp_path):
    marker = tmp_path / "marker"
    hostile = np.array([Hostile(os.system, f"touch {marker}")], dtype=object)
    file.write_bytes(npz_bytes(x=hostile))
    assert "holds Python objects" in error_of(read_npz, file, ["x"])
    assert not marker.exists()


def test_an_npz_with_a_wrong_size_in_its_header(file):
    header = b"{'descr': '|u1', 'fortran_order': False, 'shape': (1000000000000000,), }\n"
    member = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("x.npy", member)
    error_of(read_npz, file, ["x"])
