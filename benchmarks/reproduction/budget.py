"""How long an epoch of each row takes here, and how many epochs fit into the same time."""

import json
import statistics
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from common import write_rows

from tinyproto.networks import Network
from tinyproto.optimizers import SGD
from tinyproto.training import fit

from . import example
from .rows import AS_LONG_AS, COMPARE, defense_of

SECONDS = 3600.0
"""The budget of an adversarial row: an hour of two quiet cores."""
STEPS, BATCH = 5, 128
SECOND, ROW = "seconds an epoch", "row"


def measure(folder: str | None, rounds: int, threads: int) -> tuple[list[dict[str, Any]], str]:
    """The median seconds an epoch of each row, and what was measured. The rows are timed in turn,
    so that other load on the machine affects all of them; the first round does not count."""
    from numba import set_num_threads

    set_num_threads(threads)
    program = example.module()
    data = program.load("cifar10", folder)
    if not data.complete:
        raise ValueError(f"{data.source} has a sample: a budget is measured for all of CIFAR-10")
    runs: dict[str, tuple[Network, partial[Any]]] = {}
    images = 0
    for name, options in COMPARE.items():
        if options in [COMPARE[other] for other in runs]:
            continue  # the same training for other epochs
        chosen = example.parsed(options)
        defense, _ = program.objective(chosen)
        runs[name] = program.build(chosen, data), defense
        images = len(program.split(chosen, data)[0])
    count = min(STEPS * BATCH, images)
    found: dict[str, list[float]] = {name: [] for name in runs}
    for turn in range(rounds + 1):
        for name, (network, defense) in runs.items():
            history = fit(
                network, defense, data.x_train[:count], data.y_train[:count],
                epochs=1, batch_size=BATCH, optimizer=SGD(momentum=0.9, weight_decay=5e-4),
                augment=program.augmentation(data), verbose=False,
            )  # fmt: skip
            if turn:
                found[name].append(history[-1]["seconds"] * images / count)
    rows = [
        {ROW: name, SECOND: round(statistics.median(values), 1),
         "fastest": round(min(values), 1), "slowest": round(max(values), 1)}
        for name, values in found.items()
    ]  # fmt: skip
    note = (
        f"training steps only, {images:,} images, steps of {BATCH}, {threads} threads: the median "
        f"of {rounds} rounds of {-(-count // BATCH)} steps"
    )
    return rows, note


def write(path: Path, rows: list[dict[str, Any]], note: str) -> None:
    """Write what `measure` found, with the epochs that follow from it."""
    seconds = {row[ROW]: row[SECOND] for row in rows}
    epochs = [{**row, "epochs": epochs_in_budget(row[ROW], seconds)} for row in rows]
    write_rows(epochs, path, note)


def read(path: Path) -> dict[str, float]:
    """The seconds an epoch of each row. Raises ValueError where they have not been measured."""
    if not path.exists():
        raise ValueError(
            f"{path} does not exist: measure the seconds an epoch with `reproduce.py budget`, or "
            "choose the number with --epochs"
        )
    return {row[ROW]: row[SECOND] for row in json.loads(path.read_text())["rows"]}


def epochs_in_budget(row: str, seconds: Mapping[str, float]) -> int:
    """How many epochs fit into the budget of a row, or of another that it is trained as long as, or
    of one part of a long row. Raises ValueError where that has not been measured."""
    name = defense_of(row)
    name = AS_LONG_AS.get(name, name)
    if name not in seconds:
        raise ValueError(f"the budget has no row {name}: measure it with `reproduce.py budget`")
    return max(1, round(SECONDS / seconds[name]))
