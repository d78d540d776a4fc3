"""What an average over flips, and black around images, are worth to the networks that ship.

    python benchmarks/bench_flip_average.py [--quick] [--json FILE] [--models NAME [NAME ...]]

The weights are those that ship. Random crops of images with a black margin of 4 pixels have shown
the networks black at one or two sides of 80 of 81 training images; a test image has none. With
padding the network puts a line of it above and at the left itself, where no attack can change it;
with an average its features are the mean over an image and its horizontal flip. Accuracy on all
test images of CIFAR-10, under PGD-20 on the first 1,000, and after two attacks of AutoAttack,
APGD-CE and APGD-T, on the first 500; L∞ 8/255; attacks see the gradient of the whole network. An
interrupted run goes on with the rows that --json has.
"""

from typing import Any

import numpy as np
from common import argument_parser, known_rows, report, write_rows
from reproduction.rows import TWO_VIEWS
from reproduction.train import changed

import tinyproto
from tinyproto import networks
from tinyproto.attacks import ATTACKS, Victim, apgd, apgd_targeted
from tinyproto.data import Dataset, load
from tinyproto.evaluation import evaluate
from tinyproto.evaluation.batches import correct
from tinyproto.evaluation.command import run_command
from tinyproto.pretrained import find_model

EPS, SEED, BATCH = 8 / 255, 0, 250
PGD, APGD = {"pgd-20": ATTACKS["pgd-20"]}, {"apgd-ce": apgd, "apgd-t": apgd_targeted}
PREFIX = "cifar10-compact-"
PADDING, AVERAGE = ({name: TWO_VIEWS[name]} for name in ("padding", "flip_average"))
VIEWS: dict[str, dict[str, Any]] = {
    "as it ships": {}, "padding": PADDING, "average": AVERAGE, "both": TWO_VIEWS,
}  # fmt: skip


def main() -> None:
    parser = argument_parser(__doc__)
    shipped = [name for name in tinyproto.zoo() if name.startswith(PREFIX)]
    parser.add_argument(
        "--models", nargs="+", choices=shipped, default=shipped, help="some of them (all)"
    )
    options = parser.parse_args()
    data = load("cifar10", options.data)
    pgd, apgd = (20, 10) if options.quick else (1000, 500)
    about = {"images": len(data.y_test), "PGD-20": pgd, "APGD": apgd}
    rows = known_rows(options.json, about)
    note = f"{len(data.y_test):,} test images; PGD-20 on the first {pgd:,}, APGD on {apgd:,}"
    known = {(row["model"], row["views"]) for row in rows}
    for name in options.models:
        for views in VIEWS:
            if (name.removeprefix(PREFIX), views) not in known:
                rows.append(row_of(name, views, data, pgd, apgd))
                write_rows(rows, options.json, note, about)
    names = [name.removeprefix(PREFIX) for name in shipped]
    rows.sort(key=lambda row: (names.index(row["model"]), [*VIEWS].index(row["views"])))
    report(rows, options.json, note, about)


def row_of(name: str, views: str, data: Dataset, pgd: int, apgd: int) -> dict[str, str | float]:
    """Accuracies in % of a model that ships, seen in this way."""
    victim = Victim(networks.fold(changed(networks.load(find_model(name)), VIEWS[views])))
    x, y = data.x_test / np.float32(255), data.y_test

    def percent(attacks: dict[str, Any], count: int) -> float:
        found = evaluate(victim, x[:count], y[:count], attacks, eps=EPS, seed=SEED, sequential=True)
        return round(100 * float(found.robust.mean()), 1)

    return {
        "model": name.removeprefix(PREFIX), "views": views,
        "clean %": round(100 * float(correct(victim, x, y, BATCH).mean()), 2),
        "PGD-20 %": percent(PGD, pgd), "APGD %": percent(APGD, apgd),
    }  # fmt: skip


if __name__ == "__main__":
    run_command(main)
