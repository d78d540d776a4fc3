"""What the benchmarks share: options, interleaved timing, a table and its JSON."""

import argparse
import json
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tinyproto.data import Dataset, load
from tinyproto.state import atomic_write

Row = Mapping[str, Any]


def options(description: str | None) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=(description or "").splitlines()[0])
    parser.add_argument(
        "--quick", action="store_true", help="a rough figure in a fraction of the time"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the rows there too")
    parser.add_argument("--data", metavar="DIR", help="folder with the data sets")
    return parser


def mnist(directory: str | None) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, Dataset]:
    """x, y, x_test, y_test as the networks take them, and the data set they come from."""
    data = load("mnist", directory)
    x, x_test = (i.reshape(len(i), -1) / np.float32(255) for i in (data.x_train, data.x_test))
    return x, data.y_train, x_test, data.y_test, data


def own_class(centres: np.ndarray, labels: np.ndarray, x: np.ndarray, y: np.ndarray) -> float:
    """The share of centres whose nearest of the first 10,000 images is of their own class."""
    x, y = x[:10_000], y[:10_000]
    squared = (x**2).sum(axis=1)[None, :] - 2 * centres[:, : x.shape[1]] @ x.T
    return float((y[squared.argmin(axis=1)] == labels).mean())


def medians(contenders: Mapping[str, Callable[[], Any]], rounds: int) -> dict[str, float]:
    """Median seconds of each contender. They take turns, so that a noisy machine troubles all
    alike; the first round, which compiles and warms caches, does not count."""
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    for turn in range(rounds + 1):
        for name, run in contenders.items():
            begun = time.perf_counter()
            run()
            if turn:
                seconds[name].append(time.perf_counter() - begun)
    return {name: statistics.median(values) for name, values in seconds.items()}


def report(rows: Sequence[Row], path: Path | None, note: str = "") -> None:
    """Print the rows, a table for each set of columns, and write them as JSON to a path given."""
    tables: list[list[Row]] = []
    for row in rows:
        if not tables or list(tables[-1][0]) != list(row):
            tables.append([])
        tables[-1].append(row)
    print("\n\n".join(_table(some) for some in tables))
    if note:
        print(note)
    if path is not None:
        with atomic_write(path) as temporary:
            temporary.write_text(json.dumps({"rows": rows, "note": note}, indent=2) + "\n")


def _table(rows: Sequence[Row]) -> str:
    lines = [list(rows[0]), *([_text(value) for value in row.values()] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join([f"{first:<{widths[0]}}", *map(str.rjust, rest, widths[1:])])
        for first, *rest in lines
    )


def _text(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
