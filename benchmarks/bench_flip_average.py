"""What an average over flips, and black around images, are worth to the networks that ship.

    python benchmarks/bench_flip_average.py [--quick] [--json FILE] [--models NAME [NAME ...]]

The weights are those that ship. Random crops of images with a black margin of 4 pixels have shown
the networks black at one or two sides of 80 of 81 training images; a test image has none. With
padding the network puts a line of it above and at the left itself, where no attack can change it;
with an average its features are the mean over an image and its horizontal flip.

To choose by: accuracy on the 1,000 training images that all of these networks have held out, and
under PGD-20. Then accuracy on all test images of CIFAR-10, and after two attacks of AutoAttack,
APGD-CE and APGD-T, on the first 500. L∞ 8/255; attacks see the gradient of the whole network. An
interrupted run goes on with the rows that --json has. --quick takes one model and a few images.
"""

from typing import Any

import numpy as np
from common import argument_parser, known_rows, report, write_rows
from reproduction.rows import TWO_VIEWS
from reproduction.rows import VIEWS as VIEWS_ENDING

import tinyproto
from tinyproto import networks, parameters
from tinyproto.attacks import ATTACKS, Victim, apgd, apgd_targeted
from tinyproto.data import load
from tinyproto.evaluation import evaluate
from tinyproto.evaluation.batches import correct
from tinyproto.evaluation.command import run_command
from tinyproto.evaluation.report import Report
from tinyproto.pretrained import find_model
from tinyproto.training import hold_out

Images = tuple[np.ndarray, np.ndarray]
EPS, SEED, BATCH = 8 / 255, 0, 250
HELD_OUT = 1000  # as examples/cifar10_adv_dpnp.py does
PGD, APGD = {"pgd-20": ATTACKS["pgd-20"]}, {"apgd-ce": apgd, "apgd-t": apgd_targeted}
PREFIX = "cifar10-compact-"
PADDING, AVERAGE = ({name: TWO_VIEWS[name]} for name in ("padding", "flip_average"))
VIEWS: dict[str, dict[str, Any]] = {
    "as it ships": {}, "padding": PADDING, "average": AVERAGE, "both": TWO_VIEWS,
}  # fmt: skip


def main() -> None:
    parser = argument_parser(__doc__)
    shipped = [n for n in tinyproto.zoo() if n.startswith(PREFIX) and not n.endswith(VIEWS_ENDING)]
    parser.add_argument(
        "--models", nargs="+", choices=shipped, default=shipped, help="some of them (all)"
    )
    options = parser.parse_args()
    models = options.models[:1] if options.quick else options.models
    data = load("cifar10", options.data)
    if not data.complete:
        raise ValueError("all images of CIFAR-10 are needed: choose their folder, --data")
    about = {"unseen": 10, "APGD": 4} if options.quick else {"unseen": 1000, "APGD": 500}
    rows = known_rows(options.json, about)
    note = f"unseen: {about['unseen']:,} training images; APGD on {about['APGD']:,} test images"
    held = hold_out(len(data.x_train), limit=None, validate=HELD_OUT, seed=0)[1][: about["unseen"]]
    unseen = data.x_train[held] / np.float32(255), data.y_train[held]
    test = data.x_test / np.float32(255), data.y_test
    known = {(row["model"], row["views"]) for row in rows}
    for name in models:
        for views in VIEWS:
            if (name.removeprefix(PREFIX), views) not in known:
                rows.append(row_of(name, views, unseen, test, about["APGD"]))
                write_rows(rows, options.json, note, about)
    names = [name.removeprefix(PREFIX) for name in shipped]
    rows.sort(key=lambda row: (names.index(row["model"]), [*VIEWS].index(row["views"])))
    report(rows, options.json, note, about)


def row_of(
    name: str, views: str, unseen: Images, test: Images, attacked: int
) -> dict[str, str | float]:
    """Accuracies in % of a model that ships, seen in this way."""
    network = networks.load(find_model(name))
    changed = networks.from_settings({**network.settings, **VIEWS[views]})
    parameters.assign(changed.params, parameters.flatten(network.params))
    victim, (x, y) = Victim(networks.fold(changed)), test

    def after(attacks: dict[str, Any], images: Images) -> Report:
        return evaluate(victim, *images, attacks, eps=EPS, seed=SEED, sequential=True)

    def percent(right: np.ndarray) -> float:
        return round(100 * float(right.mean()), 2)

    pgd = after(PGD, unseen)
    return {
        "model": name.removeprefix(PREFIX), "views": views,
        "unseen, clean %": percent(pgd.correct), "unseen, PGD-20 %": percent(pgd.robust),
        "test, clean %": percent(correct(victim, x, y, BATCH)),
        "test, APGD %": percent(after(APGD, (x[:attacked], y[:attacked])).robust),
    }  # fmt: skip


if __name__ == "__main__":
    run_command(main)
