"""Training the rows: each is one run of the example, in a folder of its own."""

import sys
from pathlib import Path

from . import budget, example, processes
from .rows import GROUPS, UNSEEN, Options, chosen_rows

QUICK = ["--limit", "256", "--evaluate", "20", "--batch", "32", "--attack-steps", "1"]
STOPPED = (130, 143)  # exit statuses after Ctrl-C and SIGTERM
LOG = "log.txt"


def plan(
    group: str,
    names: list[str] | None,
    *,
    quick: bool,
    epochs: int | None,
    budget_file: Path,
    more: Options,
) -> dict[str, Options]:
    """The options of the example for each row; `more` are for all rows and come last.

    Raises ValueError for options or rows that cannot be, and where the epochs follow from a budget
    that has not been measured.
    """
    rows, fixed = chosen_rows(group, names), GROUPS[group].epochs
    if quick and epochs is None:
        epochs = 1
    seconds = budget.read(budget_file) if fixed is None and epochs is None else {}
    common, planned = QUICK if quick else _limit(group, more), {}
    for name, own in rows.items():
        count = epochs or fixed or budget.epochs_in_budget(name, seconds)
        planned[name] = [*own, "--epochs", str(count), *common, *more]
        example.parsed(planned[name])
    return planned


def _limit(group: str, more: Options) -> Options:
    """Leave out images to be judged by where a group needs them."""
    if "unseen" not in GROUPS[group].figures:
        return []
    data = example.module().load("cifar10", example.module().parse(more).data)
    held = min(1000, len(data.x_train) // 10)
    return ["--limit", str(len(data.x_train) - held - min(UNSEEN, len(data.x_train) // 10))]


def train(planned: dict[str, Options], runs: Path, jobs: int) -> list[str]:
    """Train the rows that are not finished; returns the names of those that failed."""
    commands = {}
    for name, options in planned.items():
        if example.metrics(runs / name, options) is not None:
            print(f"{name}: finished before", flush=True)
            continue
        commands[name] = [
            sys.executable, str(example.EXAMPLE), *options, "--out", str(runs / name), "--resume"
        ]  # fmt: skip
    logs = {name: runs / name / LOG for name in commands}

    def ended(name: str, code: int) -> None:
        if code == 0:
            print(f"{name}: {_describe(runs / name, planned[name])}", flush=True)
        elif code in STOPPED:
            print(f"{name}: stopped", flush=True)
        else:
            where = f"; see {logs[name]}" if jobs > 1 else ""
            print(f"{name}: failed with exit status {code}{where}", flush=True)

    status = processes.run_all(commands, logs, jobs, ended)
    return [name for name, code in status.items() if code]


def _describe(folder: Path, options: Options) -> str:
    """A finished run in a line."""
    found = example.metrics(folder, options)
    assert found is not None
    robust = ", ".join(f"{name} {value:.1%}" for name, value in found["robust_accuracy"].items())
    return (
        f"{found['settings']['epochs']} epochs in {found['seconds']:,.0f} s; "
        f"clean {found['clean_accuracy']:.1%}, {robust}"
    )
