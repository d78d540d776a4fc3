"""Networks trained for their radius on MNIST: what is proved of them, over seeds.

    python benchmarks/bench_robust.py [--quick] [--preset NAME ...] [--seeds N ...] [--json FILE]
                                      [--held-out] [--models DIR] [--workers N] [--data DIR]

For each preset and seed: the accuracy on the test digits; the share of them for which no
perturbation of the given size changes a right answer, exactly and inside [0, 1] (`exact_radius`),
exactly without the box, and by the bound of single pairs without the box, which is what is trained
(Voráček and Hein, arXiv 2207.07208); how far the prototypes are from images; the seconds. Rows are
written one by one, and those that the JSON file has are not computed again. --models keeps the
networks, and is where they are looked for.

The presets were chosen by comparing test digits. With --held-out the last 10,000 training digits
take the place of the test digits, and the networks are trained on the others: figures that no
choice has seen.
"""

import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from common import argument_parser, known_rows, load_mnist, own_class_fraction, report

from tinyproto.data import Dataset, elastic
from tinyproto.evaluation.command import run_command
from tinyproto.prototypes import (
    EDWTA,
    ROBUST,
    ROBUST_LARGE,
    ROBUST_LINF,
    ROBUST_LINF_LARGE,
    load,
    robust_deformation,
    save,
)
from tinyproto.prototypes.certificate import certify, clopper_pearson

PRESETS = {
    "robust": ROBUST,
    "robust-large": ROBUST_LARGE,
    "robust-linf": ROBUST_LINF,
    "robust-linf-large": ROBUST_LINF_LARGE,
}
RADII = {"l2": (0.5, 1.0, 1.58, 2.0), "linf": (0.05, 0.1, 0.15, 0.2)}
NAMES = {"l2": "L2", "linf": "L∞"}
WITHOUT_BOX = 1000  # test digits, of the exact radius without the box
HELD_OUT = 10_000
EPOCHS_PER_QUICK = 20
QUICK_DIGITS = 200


def settings_of(preset: str, quick: bool) -> dict[str, Any]:
    """The parameters of the network."""
    settings = dict(PRESETS[preset])
    if quick:
        settings |= {"epochs": settings["epochs"] // EPOCHS_PER_QUICK, "prototypes_per_class": 20}
        settings["learning_rate"] /= 10
    return settings


def opened(path: Path, preset: str, quick: bool) -> EDWTA:
    """The network of a file. Raises ValueError for one that this benchmark has not trained."""
    network = load(path)
    expected = settings_of(preset, quick)
    found = network.get_params()
    if not isinstance(network, EDWTA) or {k: found.get(k) for k in expected} != expected:
        raise ValueError(f"{path} is no network of the preset {preset}: remove it")
    return network


def train(
    preset: str, seed: int, data: Dataset, x: np.ndarray, y: np.ndarray, quick: bool
) -> tuple[EDWTA, float]:
    """The network, and the seconds of its training."""
    settings = settings_of(preset, quick)

    def deform(samples: Any, epoch: int) -> Any:
        images = samples.reshape(-1, *data.x_train.shape[1:])
        deformed = elastic(
            images, seed=seed, epoch=epoch, **robust_deformation(epoch, settings["epochs"])
        )
        return deformed.reshape(samples.shape)

    started = time.perf_counter()
    network = EDWTA(**settings, random_state=seed).fit(x, y, augment=deform)
    return network, time.perf_counter() - started


def row_of(preset: str, name: str, seed: int, chosen: Any) -> dict[str, Any]:
    """Train or load a network, and prove what can be proved."""
    x, y, x_test, y_test, data = load_mnist(chosen.data)
    if chosen.held_out:
        x, y, x_test, y_test = x[:-HELD_OUT], y[:-HELD_OUT], x[-HELD_OUT:], y[-HELD_OUT:]
    quick = "_quick" * chosen.quick
    path = None if chosen.models is None else chosen.models / f"{name}{quick}_{seed}.npz"
    seconds: float | str
    if path is not None and path.exists():
        network, seconds = opened(path, preset, chosen.quick), ""  # its training was not timed
    else:
        network, seconds = train(preset, seed, data, x, y, chosen.quick)
        if path is not None:
            save(network, path, dataset="mnist")
    norm = network.norm
    if chosen.quick:
        x_test, y_test = x_test[:QUICK_DIGITS], y_test[:QUICK_DIGITS]
    radii_path = None if path is None else path.with_name(f"{path.stem}_radii.npz")
    known = radii_path is not None and radii_path.exists()
    started = time.perf_counter()
    radius, _ = certify(
        network, x_test, y_test, norm=norm, lo=0.0, hi=1.0, workers=chosen.workers,
        path=radii_path, verbose=sys.stderr.isatty(),
    )  # fmt: skip
    certificate_seconds = time.perf_counter() - started
    some = slice(0, WITHOUT_BOX)
    unboxed, _ = certify(network, x_test[some], y_test[some], norm=norm, workers=chosen.workers)
    bound = network.radius_bound(x_test, y_test, norm=norm)
    row: dict[str, Any] = {
        "preset": name,
        "norm": NAMES[norm],
        "seed": seed,
        "K": network.prototypes_per_class,
        "epochs": network.epochs,
        "test digits": len(x_test),
        "test accuracy %": 100 * network.score(x_test, y_test),
    }
    for eps in RADII[norm]:
        row[f"certified in [0, 1] at {eps} %"] = 100 * float((radius > eps).mean())
    middle = RADII[norm][2 if norm == "l2" else 1]
    low, high = clopper_pearson(int((unboxed > middle).sum()), len(unboxed))
    row |= {
        f"exact without the box at {middle} % (95 % interval, {len(unboxed)} digits)": (
            f"{100 * (unboxed > middle).mean():.1f} ({100 * low:.1f} … {100 * high:.1f})"
        ),
        f"bound without the box at {middle} %": 100 * float((bound > middle).mean()),
        "nearest image of own class %": 100
        * own_class_fraction(network.positive_prototypes_, network.prototype_labels_, x, y),
        "seconds of training": seconds,
        "seconds of the certificate": "" if known else certificate_seconds,
    }
    return row


def main() -> None:
    parser = argument_parser(__doc__)
    parser.add_argument("--preset", nargs="+", choices=list(PRESETS), default=list(PRESETS))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--held-out", action="store_true", help="judge by training digits held out")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--models", type=Path, metavar="DIR", help="folder of the networks")
    chosen = parser.parse_args()
    if chosen.models is not None:
        chosen.models.mkdir(parents=True, exist_ok=True)
    about = {"quick": chosen.quick, "whole data": load_mnist(chosen.data)[-1].complete}
    rows = known_rows(chosen.json, about)
    for preset in chosen.preset:
        for seed in chosen.seeds[: 1 if chosen.quick else None]:
            name = preset + " held out" * chosen.held_out
            if any((row["preset"], row["seed"]) == (name, seed) for row in rows):
                continue
            rows.append(row_of(preset, name, seed, chosen))
            rows.sort(key=lambda row: (row["preset"], row["seed"]))
            report(rows, chosen.json, about=about)
            print(flush=True)


if __name__ == "__main__":
    run_command(main)
