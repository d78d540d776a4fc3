"""Writers of small files in the formats of the data sets."""

import gzip
import io
import pickle
import struct
import tarfile
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

IDX_CODES = {"u1": 0x08, "i1": 0x09, "i2": 0x0B, "i4": 0x0C, "f4": 0x0D, "f8": 0x0E}


def idx_bytes(array):
    code = IDX_CODES[array.dtype.str[1:]]
    sizes = struct.pack(f">{array.ndim}I", *array.shape)
    return (
        bytes([0, 0, code, array.ndim])
        + sizes
        + array.astype(array.dtype.newbyteorder(">")).tobytes()
    )


class Python2Pickler(pickle._Pickler):
    """Writes text and bytes as Python 2's str, and the names that NumPy used then."""

    dispatch: ClassVar = dict(pickle._Pickler.dispatch)

    def save_bytes(self, value):
        short = len(value) < 256
        self.write(pickle.SHORT_BINSTRING if short else pickle.BINSTRING)
        self.write(struct.pack("<B" if short else "<i", len(value)) + value)
        self.memoize(value)

    def save_str(self, value):
        self.save_bytes(value.encode("latin1"))

    dispatch[bytes] = save_bytes
    dispatch[str] = save_str

    @classmethod
    def dumps(cls, value):
        file = io.BytesIO()
        cls(file, protocol=2).dump(value)
        return file.getvalue().replace(b"cnumpy._core.multiarray\n", b"cnumpy.core.multiarray\n")


def cifar_batch_bytes(images, labels, labels_key="labels"):
    rows = images.transpose(0, 3, 1, 2).reshape(len(images), 3072)
    return Python2Pickler.dumps(
        {
            "batch_label": "one of 5",
            labels_key: labels.tolist(),
            "data": rows,
            "filenames": ["a.png"],
        }
    )


def cifar_files(arrays, classes=10):
    """The files of the authors' Python version by their path in the archive."""
    x, y = arrays["x_test"], arrays["y_test"]
    if classes == 100:
        return {
            "cifar-100-python/train": cifar_batch_bytes(
                arrays["x_train"], arrays["y_train"], "fine_labels"
            ),
            "cifar-100-python/test": cifar_batch_bytes(x, y, "fine_labels"),
        }
    parts = zip(np.split(arrays["x_train"], 5), np.split(arrays["y_train"], 5), strict=True)
    files = {
        f"cifar-10-batches-py/data_batch_{i}": cifar_batch_bytes(*part)
        for i, part in enumerate(parts, start=1)
    }
    return {**files, "cifar-10-batches-py/test_batch": cifar_batch_bytes(x, y)}


def tar_gz_bytes(files):
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return file.getvalue()


class Writers:
    """The functions above, for tests that use the fixture `write`."""

    idx_bytes = staticmethod(idx_bytes)
    cifar_files = staticmethod(cifar_files)
    cifar_batch_bytes = staticmethod(cifar_batch_bytes)
    tar_gz_bytes = staticmethod(tar_gz_bytes)
    python2_pickle = staticmethod(Python2Pickler.dumps)

    @staticmethod
    def idx_folder(folder: Path, arrays, compressed=True):
        folder.mkdir(parents=True, exist_ok=True)
        for part, prefix in (("train", "train"), ("test", "t10k")):
            for kind, name in (("x", "images-idx3-ubyte"), ("y", "labels-idx1-ubyte")):
                content = idx_bytes(arrays[f"{kind}_{part}"].astype(np.uint8))
                path = folder / f"{prefix}-{name}"
                if compressed:
                    path.with_name(f"{path.name}.gz").write_bytes(gzip.compress(content))
                else:
                    path.write_bytes(content)


@pytest.fixture(scope="session")
def write():
    return Writers


@pytest.fixture(scope="session")
def make_arrays():
    """make_arrays(shape, classes): 20 random training and 10 test images with their labels."""

    def make(shape=(28, 28), classes=10, seed=0):
        random = np.random.default_rng(seed)
        return {
            "x_train": random.integers(0, 256, (20, *shape), dtype=np.uint8),
            "y_train": random.integers(0, classes, 20),
            "x_test": random.integers(0, 256, (10, *shape), dtype=np.uint8),
            "y_test": random.integers(0, classes, 10),
        }

    return make
