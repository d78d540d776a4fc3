"""Defences under one protocol on CIFAR-10, the search for Adv-DPNP's settings, its ablation.

    python benchmarks/reproduce.py budget
    python benchmarks/reproduce.py train compare --runs runs/reproduce
    python benchmarks/reproduce.py judge compare --runs runs/reproduce
    python benchmarks/reproduce.py table compare --runs runs/reproduce

The groups of rows are `compare`, `long` (two of its rows with four times the budget and averaged
weights, in parts that start from the weights of the one before), `search` and `ablation`. Each row
is one run of examples/cifar10_adv_dpnp.py, in the folder RUNS/ROW; options that `train` does not
know are passed on to it, such as --device, --data, --limit, --average or --checkpoint-every. A row
of `long` may be asked for as NAME-two-views: the weights of NAME-long, in a network that averages
over an image and its flip. Everything can be stopped at any point: the same command goes on and
comes to the same table, and what is finished is only read. Rows may be trained on several machines:
`table --json FILE` keeps the rows of FILE that have no run here.

The budget is an hour of two quiet cores for every row with an attack in training: `budget` measures
the seconds an epoch, from which the numbers of epochs follow. Rows without an attack get as many
epochs as PGD training. The rows of `search` and `ablation` have a few epochs, and are
judged by training images that they have not seen.
"""

import argparse
import json
import sys
from pathlib import Path

import update_results
from reproduction import budget, judge, picture, processes, tables, train
from reproduction.rows import GROUPS, chosen_rows

from tinyproto.evaluation.command import can_draw, run_command
from tinyproto.state import atomic_write

RESULTS = Path(__file__).parent / "results"


def parse(arguments: list[str] | None = None) -> tuple[argparse.Namespace, list[str]]:
    """The options, and those that are passed on to the example."""
    parser = argparse.ArgumentParser(
        description=(__doc__ or "").splitlines()[0], allow_abbrev=False
    )
    commands = parser.add_subparsers(dest="command", required=True)
    add = commands.add_parser(
        "budget", help="measure the seconds an epoch of each row"
    ).add_argument
    add("--data", metavar="DIR", help="folder with the data set")
    add("--rounds", type=int, default=7, metavar="N", help="rounds of five steps (7)")
    add("--threads", type=int, default=2, metavar="N", help="threads to compute in (2)")
    add("--json", type=Path, default=RESULTS / "budget.json", metavar="FILE",
        help="where to write them (benchmarks/results/budget.json)")  # fmt: skip

    training = commands.add_parser("train", help="train the rows of a group", allow_abbrev=False)
    _add_common(training)
    add = training.add_argument
    add("--epochs", type=int, metavar="N", help="passes over the images (what the budget allows)")
    add("--budget", type=Path, default=RESULTS / "budget.json", metavar="FILE",
        help="what `budget` wrote (benchmarks/results/budget.json)")  # fmt: skip

    judging = commands.add_parser("judge", help="measure what trained rows are worth")
    _add_common(judging)
    add = judging.add_argument
    add("--full", nargs="+", default=[], metavar="ROW", help="AutoAttack on all 10,000 test images")
    add("--data", metavar="DIR", help="folder with the data set")
    add("--device", choices=["cpu", "cuda"], default="cpu", help="where to compute (cpu)")

    add = commands.add_parser("table", help="print the table of a group").add_argument
    add(
        "group", choices=list(GROUPS), help="the group of rows; `long` is in the table of `compare`"
    )
    add("--runs", type=Path, default=Path("runs/reproduce"), metavar="DIR",
        help="folder of the runs (runs/reproduce)")  # fmt: skip
    add("--json", type=Path, metavar="FILE",
        help="also write the figures to this file, whose rows without a run here stay")  # fmt: skip
    add("--picture", type=Path, metavar="FILE",
        help="also draw clean against AutoAttack accuracy (compare)")  # fmt: skip
    chosen, more = parser.parse_known_args(arguments)
    if more and chosen.command != "train":
        parser.error(f"unrecognized arguments: {' '.join(more)}")
    if getattr(chosen, "jobs", 1) < 1 or getattr(chosen, "rounds", 1) < 1:
        parser.error("--jobs and --rounds must be 1 or more")
    return chosen, more


def _add_common(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("group", choices=list(GROUPS), help="the group of rows")
    add("--rows", nargs="+", metavar="ROW", help="some of its rows (all; two of `long`)")
    add("--runs", type=Path, default=Path("runs/reproduce"), metavar="DIR",
        help="folder of the runs (runs/reproduce)")  # fmt: skip
    add("--jobs", type=int, default=1, metavar="N", help="rows at the same time (1)")
    add("--quick", action="store_true", help="a few images and one epoch, to try everything out")


def judge_rows(chosen: argparse.Namespace) -> list[str]:
    """Judge the rows; returns the names of those that failed. A single row is judged by this
    process, several by a process each."""
    names = list(chosen_rows(chosen.group, chosen.rows))
    chosen_rows(chosen.group, chosen.full)
    if others := [name for name in chosen.full if name not in names]:
        raise ValueError(f"--full {' '.join(others)}: not among the rows that are judged")
    if len(names) == 1:
        (name,) = names
        group = GROUPS[chosen.group]
        figures = [*group.figures, *["autoattack_all"] * (name in chosen.full)]
        judge.judge(
            chosen.runs / name, figures, group.images, data=chosen.data, device=chosen.device,
            quick=chosen.quick,
        )  # fmt: skip
        return []
    commands = {}
    for name in names:
        more = ["--full", name] if name in chosen.full else []
        more += ["--data", chosen.data] if chosen.data else []
        more += ["--quick"] if chosen.quick else []
        commands[name] = [
            sys.executable, __file__, "judge", chosen.group, "--rows", name,
            "--runs", str(chosen.runs), "--device", chosen.device, *more,
        ]  # fmt: skip
    logs = {name: chosen.runs / name / "judged.txt" for name in names}
    return processes.run_all(commands, logs, chosen.jobs, lambda name: "judged")


def table(chosen: argparse.Namespace) -> None:
    """Print the table, and write the figures and the picture where that is asked for."""
    file = tables.FILES[chosen.group]
    if chosen.picture and file != "reproduce":
        raise ValueError(f"{chosen.group} has no picture")
    written = json.loads(chosen.json.read_text()) if chosen.json and chosen.json.exists() else {}
    content = tables.collect(chosen.group, chosen.runs, written.get("rows", ()))
    if not content["rows"]:
        raise ValueError(f"{chosen.runs} has no row of {chosen.group} that is trained and judged")
    if chosen.json:  # before it is printed: the reader of standard output may be gone
        with atomic_write(chosen.json) as temporary:
            temporary.write_text(json.dumps(content, indent=2) + "\n")
    print(update_results.reproduction(file)(content))
    if chosen.picture and can_draw({"matplotlib": "matplotlib"}, str(chosen.picture)):
        picture.plot_accuracies(content, chosen.picture)


def main() -> None:
    chosen, more = parse()
    if chosen.command == "budget":
        rows, note = budget.measure(chosen.data, chosen.rounds, chosen.threads)
        budget.write(chosen.json, rows, note)
        print(f"written to {chosen.json}")
        return
    if chosen.command == "table":
        table(chosen)
        return
    if chosen.command == "train":
        planned = train.plan(
            chosen.group, chosen.rows, chosen.runs, quick=chosen.quick, epochs=chosen.epochs,
            budget_file=chosen.budget, more=more,
        )  # fmt: skip
        failed = train.train(planned, chosen.runs, chosen.jobs)
        if not failed:
            train.write_two_views(list(chosen_rows(chosen.group, chosen.rows)), chosen.runs)
    else:
        failed = judge_rows(chosen)
    if failed:
        sys.exit(f"{chosen.command}: {len(failed)} rows failed: {', '.join(failed)}")


if __name__ == "__main__":
    run_command(main)
