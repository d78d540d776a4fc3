"""The latent spaces of Adv-DPNP and of PGD training, for clean and attacked images, side by side.

    python benchmarks/bench_geometry.py [--quick] [--images N] [--json FILE] [--pictures DIR]

The two networks in benchmarks/models on the first test images of CIFAR-10, attacked by PGD-20 at
8/255 in L∞, which moves every image. The rows are the measures that do not depend on the scale of
the features. --pictures draws each network's space to DIR, as the command
`python -m tinyproto.evaluation.geometry` does.
"""

from pathlib import Path
from typing import Any

from common import argument_parser, report

from tinyproto import networks
from tinyproto.data import load
from tinyproto.evaluation.command import can_draw, run_command
from tinyproto.evaluation.geometry import GeometryReport, geometry_report
from tinyproto.evaluation.geometry.__main__ import draw

MODELS = Path(__file__).parent / "models"
METHODS = {"Adv-DPNP": "cifar10_adv_dpnp", "PGD training": "cifar10_pgd"}
IMAGES = 1000
PICTURES = ("distances", "angles", "movement", "discriminant")


def rows_of(reports: dict[str, GeometryReport]) -> list[dict[str, Any]]:
    """A row for each measure that has no unit, with the values of each network."""
    first = next(iter(reports.values()))
    sides = [
        {"measure": name}
        | {
            f"{method}, {side}": getattr(found, side)[name]
            for method, found in reports.items()
            for side in ("clean", "attacked")
        }
        for name in first.clean
        if not name.startswith("distance")
    ]
    others = [
        {"of the prototypes, or weight vectors" if part == "prototypes" else "under attack": name}
        | {method: getattr(found, part)[name] for method, found in reports.items()}
        for part in ("movement", "prototypes")
        for name in getattr(first, part)
        if not name.startswith(("distance", "length"))
    ]
    return [*sides, *others]


def main() -> None:
    parser = argument_parser(__doc__)
    parser.add_argument("--images", type=int, metavar="N", help=f"test images ({IMAGES})")
    parser.add_argument("--pictures", type=Path, metavar="DIR", help="folder for the pictures")
    options = parser.parse_args()
    data = load("cifar10", options.data)
    count = options.images or (IMAGES // 10 if options.quick else IMAGES)
    x, y = data.x_test[:count], data.y_test[:count]
    reports = {}
    for method, name in METHODS.items():
        network = networks.load(MODELS / f"{name}.npz")
        reports[method] = geometry_report(network, x, y, eps=8 / 255, verbose=True)
        if options.pictures and can_draw({"matplotlib": "matplotlib"}, str(options.pictures)):
            paths = {which: options.pictures / f"{name}_{which}.png" for which in PICTURES}
            draw(reports[method], paths, list(data.class_names), title=method, seed=0)
    note = f"the first {len(x):,} test images of {data.name}; PGD-20, eps 8/255, L∞, seed 0"
    report(rows_of(reports), options.json, note)


if __name__ == "__main__":
    run_command(main)
