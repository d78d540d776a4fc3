"""Functions that all benchmarks use: options, data, interleaved timing, tables and JSON."""

import argparse
import json
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tinyproto.data import Dataset, load
from tinyproto.evaluation.report import align_columns, format_value
from tinyproto.state import atomic_write

Row = Mapping[str, Any]


def argument_parser(description: str | None, *, data: bool = True) -> argparse.ArgumentParser:
    """The options that all benchmarks have, and --data for those that read images."""
    parser = argparse.ArgumentParser(description=(description or "").splitlines()[0])
    parser.add_argument(
        "--quick", action="store_true", help="rough figures in a fraction of the time"
    )
    parser.add_argument(
        "--json", type=Path, metavar="FILE", help="also write the rows to this file"
    )
    if data:
        parser.add_argument("--data", metavar="DIR", help="folder with the data sets")
    return parser


def load_mnist(
    directory: str | None,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, Dataset]:
    """x (N, 784) in [0, 1], y, x_test, y_test, and the data set that they are from."""
    data = load("mnist", directory)
    x, x_test = (i.reshape(len(i), -1) / np.float32(255) for i in (data.x_train, data.x_test))
    return x, data.y_train, x_test, data.y_test, data


def own_class_fraction(
    centres: np.ndarray, labels: np.ndarray, x: np.ndarray, y: np.ndarray
) -> float:
    """The fraction of centres whose nearest among the first 10,000 images has their class."""
    x, y = x[:10_000], y[:10_000]
    squared = (x**2).sum(axis=1)[None, :] - 2 * centres[:, : x.shape[1]] @ x.T
    return float((y[squared.argmin(axis=1)] == labels).mean())


def median_seconds(programs: Mapping[str, Callable[[], Any]], rounds: int) -> dict[str, float]:
    """The median time of each program. Programs are run alternately, so that other load on the
    machine affects all of them; the first round, which compiles and fills caches, is not counted.
    """
    seconds: dict[str, list[float]] = {name: [] for name in programs}
    for round_number in range(rounds + 1):
        for name, run in programs.items():
            begun = time.perf_counter()
            run()
            if round_number:
                seconds[name].append(time.perf_counter() - begun)
    return {name: statistics.median(values) for name, values in seconds.items()}


def rows_of_others(path: Path | None, column: str, chosen: Sequence[str]) -> tuple[list[Row], str]:
    """The rows of a file of results that are not about these, by a column, and its note; no rows
    and "" where there are none."""
    if path is None or not path.exists():
        return [], ""
    written = json.loads(path.read_text())
    others = [row for row in written["rows"] if row[column] not in chosen]
    return others, written["note"] if others else ""


def known_rows(path: Path | None, about: Row) -> list[dict[str, Any]]:
    """The rows that a benchmark has written to the path before it was stopped, so that it goes on.
    Raises ValueError for rows about something else: other images, another model, or --quick."""
    if path is None or not path.exists():
        return []
    written = json.loads(path.read_text())
    if (known := written.get("about")) != about:
        raise ValueError(f"{path} is about {known}, not about {about}: choose another --json")
    rows: list[dict[str, Any]] = written["rows"]
    return rows


def report(
    rows: Sequence[Row], path: Path | None, note: str = "", about: Row | None = None
) -> None:
    """Print the rows, with a table for each set of columns, and write them as JSON to the path."""
    tables: list[list[Row]] = []
    for row in rows:
        if not tables or list(tables[-1][0]) != list(row):
            tables.append([])
        tables[-1].append(row)
    write_rows(rows, path, note, about)  # before they are printed: nobody may read
    print("\n\n".join(map(_table, tables)))
    if note:
        print(note)


def write_rows(
    rows: Sequence[Row], path: Path | None, note: str = "", about: Row | None = None
) -> None:
    """Write the rows as JSON to the path, if there is one, and what `known_rows` is to compare."""
    if path is not None:
        content = {"rows": rows, "note": note} | ({"about": about} if about else {})
        with atomic_write(path) as temporary:
            temporary.write_text(json.dumps(content, indent=2, allow_nan=False) + "\n")


def _table(rows: Sequence[Row]) -> str:
    return align_columns([list(rows[0]), *(list(map(format_value, row.values())) for row in rows)])
