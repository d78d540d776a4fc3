"""Accuracy under the corruptions of CIFAR-10-C: Adv-DPNP and PGD training, on the same images.

    python benchmarks/bench_corruption_accuracy.py [--quick] [--json FILE] [--reports DIR]

The networks are those in benchmarks/models, one training run each. All 10,000 test images of
CIFAR-10 are corrupted by this package's functions; --quick takes the first 500. With --reports, the
report of each network is kept in DIR after every corruption, and an interrupted run goes on there.
The mean is over the 15 usual corruptions and five severities; the relative error is that of
Adv-DPNP divided by that of PGD training.
"""

from pathlib import Path

from common import argument_parser, report

from tinyproto.backend.device import select_device
from tinyproto.data import CORRUPTION_GROUPS
from tinyproto.evaluation.command import run_command
from tinyproto.evaluation.corruption import CorruptionReport, corruption_report
from tinyproto.evaluation.saved_models import open_with_test_images

MODELS = {"Adv-DPNP": "cifar10_adv_dpnp.npz", "PGD training": "cifar10_pgd.npz"}
FOLDER = Path(__file__).parent / "models"


def main() -> None:
    parser = argument_parser(__doc__)
    parser.add_argument("--reports", type=Path, metavar="DIR", help="keep each report here")
    options = parser.parse_args()
    count = 500 if options.quick else 10_000
    reports = {}
    for name, file in MODELS.items():
        model, x, y, _ = open_with_test_images(
            FOLDER / file, select_device("cpu"), count, folder=options.data
        )
        path = options.reports / f"{Path(file).stem}.json" if options.reports else None
        reports[name] = corruption_report(model, x, y, path=path, verbose=True)
    report(rows(reports), options.json, f"the first {len(y):,} test images of CIFAR-10")


def rows(reports: dict[str, CorruptionReport]) -> list[dict[str, str | float]]:
    """Accuracies in % of clean images, of every corruption, of the groups, and of all."""
    means = {name: found.by_corruption() for name, found in reports.items()}
    groups = {name: found.by_group() for name, found in reports.items()}
    own, other = reports.values()
    relative = own.relative_to(other)
    table = [_row("clean", {name: found.clean for name, found in reports.items()})]
    for group, names in CORRUPTION_GROUPS.items():
        for corruption in names:
            found = {name: means[name][corruption] for name in reports}
            table.append(_row(corruption, found, relative[corruption]))
        table.append(_row(f"mean of {group}", {name: groups[name][group] for name in reports}))
    usual = {name: found.mean for name, found in reports.items()}
    return [*table, _row("mean of the usual 15", usual, relative["mean"])]


def _row(
    name: str, fractions: dict[str, float], relative: float | None = None
) -> dict[str, str | float]:
    own, other = fractions.values()
    return {
        "images": name,
        **{f"{model}, %": round(100 * value, 2) for model, value in fractions.items()},
        "difference": round(100 * (own - other), 2),
        "relative error %": "" if relative is None else round(100 * relative, 1),
    }


if __name__ == "__main__":
    run_command(main)
