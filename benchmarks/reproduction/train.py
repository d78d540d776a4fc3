"""Training the rows: each is one run of the example, in a folder of its own."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tinyproto import state

from . import budget, example, processes, tables
from .rows import (
    GROUPS,
    LAST_PART,
    TWO_VIEWS,
    UNSEEN,
    VIEWS,
    Options,
    chosen_rows,
    long_row_of,
    runs_of,
)

QUICK = ["--limit", "256", "--evaluate", "20", "--batch", "32"]
LOG = "log.txt"


def plan(
    group: str,
    names: list[str] | None,
    runs: Path,
    *,
    quick: bool,
    epochs: int | None,
    budget_file: Path,
    more: Options,
) -> list[dict[str, Options]]:
    """The options of the example for each run, in stages: a run of the second starts from one of
    the first, and so on. `more` are for all rows and come last.

    Raises ValueError for options or rows that cannot be, and where the epochs follow from a budget
    that has not been measured.
    """
    rows = chosen_rows(group, names)
    if "--out" in more:
        raise ValueError("--out is the folder of a row in --runs: leave it out")
    fixed = [*rows.values(), *(LAST_PART.get(name, []) for name in rows)]
    for option in {word for own in fixed for word in own if word.startswith("--")}:
        if option in more:
            raise ValueError(f"{option} is what the rows of {group} differ by: leave it out")
    if epochs is None:
        epochs = 1 if quick else GROUPS[group].epochs
    seconds = budget.read(budget_file) if epochs is None else {}
    common = QUICK if quick else _limit(group, more)
    stages: list[dict[str, Options]] = []
    for name, own in rows.items():
        count = budget.epochs_in_budget(name, seconds) if epochs is None else epochs
        for number, (run, before) in enumerate(runs_of(name).items()):
            start = ["--start-from", str(runs / before / "model.npz")] if before else []
            last = LAST_PART.get(run, [])
            options = [*own, *last, "--epochs", str(count), *start, *common, *more]
            example.parsed(options)
            stages += [{}] * (number == len(stages))
            stages[number] = {**stages[number], run: options}
    return stages


def _limit(group: str, more: Options) -> Options:
    """Leave out images to be judged by where a group needs them."""
    if "unseen" not in GROUPS[group].figures:
        return []
    data = example.module().load("cifar10", example.module().parse(more).data)
    held = min(1000, len(data.x_train) // 10)
    return ["--limit", str(len(data.x_train) - held - min(UNSEEN, len(data.x_train) // 10))]


def train(stages: list[dict[str, Options]], runs: Path, jobs: int) -> list[str]:
    """Train what is not finished, up to the first stage where something fails; returns the names of
    the runs that failed."""
    for planned in stages:
        if failed := _train_stage(planned, runs, jobs):
            return failed
    return []


def _train_stage(planned: dict[str, Options], runs: Path, jobs: int) -> list[str]:
    commands = {}
    for name, options in planned.items():
        if example.metrics(runs / name, options) is not None:
            print(f"{name}: finished before", flush=True)
            continue
        commands[name] = [
            sys.executable, str(example.EXAMPLE), *options, "--out", str(runs / name), "--resume"
        ]  # fmt: skip
    logs = {name: runs / name / LOG for name in commands}
    return processes.run_all(
        commands, logs, jobs, lambda name: _describe(runs / name, planned[name])
    )


def _describe(folder: Path, options: Options) -> str:
    """A finished run in a line, by its images held out for validation: no choice is to follow from
    test images."""
    found = example.metrics(folder, options)
    assert found is not None
    best = tables.best_epoch(found)
    return (
        f"{found['settings']['epochs']} epochs in {found['seconds']:,.0f} s; validation in epoch "
        f"{best['epoch']}: clean {best['clean']:.1%}, PGD-5 {best['robust']:.1%}"
    )


def write_two_views(rows: Sequence[str], runs: Path) -> None:
    """The runs of those rows that are not trained: the model of the long row in a network of two
    views, and what the long row has written, less what it measured of its own network."""
    for row in rows:
        if not row.endswith(VIEWS):
            continue
        long, folder = runs / long_row_of(row), runs / row
        arrays, about = state.load_arrays(long / "model.npz")
        about["network"] |= TWO_VIEWS
        folder.mkdir(parents=True, exist_ok=True)
        state.save_arrays(arrays, folder / "model.npz", about)
        written = json.loads((long / "metrics.json").read_text())
        measured: dict[str, Any] = {"clean_accuracy": None, "robust_accuracy": {}, "latent": {}}
        written |= {**measured, "settings": {**written["settings"], **TWO_VIEWS}}
        with state.atomic_write(folder / "metrics.json") as temporary:
            temporary.write_text(json.dumps(written, indent=2) + "\n")
