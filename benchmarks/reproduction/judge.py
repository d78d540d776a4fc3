"""Judging a trained row: one figure after the other, each written to judged.json when it is known.

Attacks are in L∞ at 8/255. A figure says on how many images it was measured, how many of them
are classified correctly, and which (see `paired`); the images are the first of the test set, or
training images that the row has not seen.
"""

import argparse
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from tinyproto import networks, parameters
from tinyproto.attacks import ATTACKS, Victim, apgd, apgd_targeted
from tinyproto.backend.device import Array, select_device
from tinyproto.data import Dataset
from tinyproto.evaluation import corruption_report, evaluate
from tinyproto.evaluation.batches import correct
from tinyproto.evaluation.geometry import geometry_report, pairwise_angles
from tinyproto.evaluation.geometry.measure import class_vectors
from tinyproto.evaluation.report import Report
from tinyproto.evaluation.result_folder import lock_for
from tinyproto.networks import Network
from tinyproto.state import atomic_write, parameters_checksum

from . import example
from .paired import OUTCOMES, pack

Images = tuple[np.ndarray, np.ndarray]
Figure = dict[str, Any]

EPS, SEED, BATCH = 8 / 255, 0, 250
JUDGED = "judged.json"
PLAIN_ATTACKS = {
    "fgsm": ATTACKS["fgsm"],
    "pgd-20": ATTACKS["pgd-20"],
    "cw-linf": partial(ATTACKS["cw-linf"], steps=30),
}
TWO_OF_AUTOATTACK = {"apgd-ce": apgd, "apgd-t": apgd_targeted}


@dataclass(frozen=True)
class Row:
    """A trained row: its network on a device, what its run has written, and the data."""

    folder: Path
    network: Network
    metrics: Mapping[str, Any]
    data: Dataset
    device: str

    def test(self, count: int) -> Images:
        return self.data.x_test[:count], self.data.y_test[:count]

    def unseen(self, count: int) -> Images:
        """Training images that the run has neither learned from nor validated on."""
        options = argparse.Namespace(**self.metrics["settings"])
        seen = np.concatenate(example.module().split(options, self.data))
        left = np.setdiff1d(np.arange(len(self.data.x_train)), seen)[:count]
        return self.data.x_train[left], self.data.y_train[left]


def clean(row: Row, count: int) -> Figure:
    """On images without an attack."""
    right = correct(*_on_device(row, row.test(count)), BATCH)
    return {"images": len(right), **_counted({"clean": right})}


def attacks(row: Row, count: int) -> Figure:
    """Under FGSM, PGD-20 and Carlini and Wagner's attack with 30 steps."""
    report = _attacked(row, row.test(count), PLAIN_ATTACKS, "attacks")
    return {**_each(report), **_cost(report)}


def autoattack(row: Row, count: int) -> Figure:
    """Under AutoAttack's standard version."""
    report = _attacked(row, row.test(count), "autoattack", "autoattack")
    warned = {"warnings": report.warnings}
    return {**_counted({"autoattack": report.robust}), **warned, **_cost(report)}


def corruption(row: Row, count: int) -> Figure:
    """The mean over corruptions and five severities: all 19 corruptions, and the usual 15."""
    x, y = row.test(count)
    report = corruption_report(
        networks.fold(row.network), x, y, seed=SEED, device=row.device, verbose=True,
        path=row.folder / f"corruption_{len(x)}.json",
    )  # fmt: skip
    found = report.by_corruption()
    mean = sum(found.values()) / len(found)
    return {"images": len(x), "corrupted %": 100 * mean, "usual corruptions %": 100 * report.mean}


def geometry(row: Row, count: int) -> Figure:
    """How compact and how separate the classes are, clean and attacked, and the angles of the
    prototypes or weight vectors."""
    return _geometry(row, row.test(count), "geometry")


def unseen_geometry(row: Row, count: int) -> Figure:
    """The same of unseen training images."""
    return _geometry(row, row.unseen(count), "unseen_geometry")


def _geometry(row: Row, images: Images, name: str) -> Figure:
    path = row.folder / f"{name}_{len(images[0])}.json"
    report = geometry_report(row.network, *images, eps=EPS, seed=SEED, path=path, verbose=True)
    vectors, _, _ = class_vectors(row.network)
    angles = pairwise_angles(vectors)[np.triu_indices(len(vectors), 1)]
    quotient = "compactness / separation, class means"
    return {
        "images": len(images[0]),
        "compactness / separation": report.clean[quotient],
        "compactness / separation, attacked": report.attacked[quotient],
        "least angle": float(angles.min()),
        "mean angle": float(angles.mean()),
        "greatest angle": float(angles.max()),
    }


def unseen(row: Row, count: int) -> Figure:
    """On unseen training images, and under PGD-20."""
    x, y = row.unseen(count)
    report = _attacked(row, (x, y), {"pgd-20": ATTACKS["pgd-20"]}, "unseen")
    return {**_each(report, clean=report.correct), **_cost(report)}


def unseen_apgd(row: Row, count: int) -> Figure:
    """On unseen training images under the two first attacks of AutoAttack."""
    images = row.unseen(count)
    report = _attacked(row, images, TWO_OF_AUTOATTACK, "unseen_apgd", sequential=True)
    return {**_counted({"apgd": report.robust}), **_cost(report)}


FIGURES: dict[str, tuple[Callable[[Row, int], Figure], int, int]] = {
    "clean": (clean, 10_000, 100),
    "attacks": (attacks, 1000, 10),
    "autoattack": (autoattack, 1000, 4),
    "autoattack_all": (autoattack, 10_000, 8),
    "corruption": (corruption, 1000, 10),
    "geometry": (geometry, 1000, 100),
    "unseen": (unseen, 4000, 20),
    "unseen_apgd": (unseen_apgd, 500, 5),
    "unseen_geometry": (unseen_geometry, 1000, 100),
}
"""Function, number of images, and that of --quick."""


LEFT = (JUDGED, *(f"{name}.npz" for name in FIGURES), "corruption_*.json", "*geometry_*.json")
"""What judging leaves in the folder of a row."""


def judge(
    folder: Path, names: list[str], images: Mapping[str, int], *, data: str | None, device: str,
    quick: bool,
) -> None:  # fmt: skip
    """Add the figures that are missing to the row's judged.json; `images` has the numbers of images
    that are not those of `FIGURES`. Raises ValueError for a row that is not trained, and for
    figures of another model."""
    if not (folder / "metrics.json").exists():
        raise ValueError(f"{folder} is not trained: it has no metrics.json")
    network = networks.load(folder / "model.npz", select_device(device))
    metrics = json.loads((folder / "metrics.json").read_text())
    loaded = example.module().load("cifar10", data)
    row = Row(folder, network, metrics, loaded, device)
    path = folder / JUDGED
    with lock_for(path, "judgement"):
        found = _read(path, network)
        for name in names:
            function, whole, few = FIGURES[name]
            count = few if quick else images.get(name, whole)
            known = found["figures"].get(name, {"asked": 0})
            if known["asked"] >= count and known.get("whole data", True) >= loaded.complete:
                continue  # --quick and a sample of the data leave alone what is known better
            begun = time.perf_counter()
            figure = function(row, count)
            seconds = round(time.perf_counter() - begun, 1)
            about = {"asked": count, "device": device, "seconds": seconds}
            about |= {} if loaded.complete else {"whole data": False}
            found["figures"][name] = {**about, **figure}
            with atomic_write(path) as temporary:
                temporary.write_text(json.dumps(found, indent=2) + "\n")


def read(folder: Path) -> dict[str, Figure]:
    """The figures of a row by name; none where it has not been judged. Raises ValueError for those
    of another model than that of the folder."""
    path = folder / JUDGED
    if not path.exists():
        return {}
    found = _read(path, networks.load(folder / "model.npz"))
    figures: dict[str, Figure] = found["figures"]
    return figures


def _read(path: Path, network: Network) -> dict[str, Any]:
    """What judged.json holds, or the beginning of a new one."""
    model, settings = parameters_checksum(network.params), json.loads(json.dumps(network.settings))
    if not path.exists():
        count = parameters.count(network.params)
        return {"model": model, "network": settings, "weights": count, "figures": {}}
    found: dict[str, Any] = json.loads(path.read_text())
    if found["model"] != model or found.get("network", settings) != settings:
        files = sorted(file.name for pattern in LEFT for file in path.parent.glob(pattern))
        raise ValueError(
            f"{path.parent} has the figures of another model: to judge this one, remove "
            f"{', '.join(files)}"
        )
    return found


def _attacked(row: Row, images: Images, attacks: Any, name: str, **options: Any) -> Report:
    """An evaluation whose state is in the row's folder. It grows with the number of images."""
    return evaluate(
        *_on_device(row, images), attacks, eps=EPS, seed=SEED,
        state_path=row.folder / f"{name}.npz", **options,
    )  # fmt: skip


def _on_device(row: Row, images: Images) -> tuple[Victim, Array, Array]:
    """The victim, images in [0, 1] and labels."""
    xp, (x, y) = select_device(row.device), images
    return Victim(networks.fold(row.network)), xp.asarray(x) / xp.float32(255), xp.asarray(y)


def _each(report: Report, **others: np.ndarray) -> Figure:
    """How many images each attack has left, and which."""
    return _counted({**others, **{name: r.robust for name, r in report.results.items()}})


def _counted(right: Mapping[str, np.ndarray]) -> Figure:
    """How many images are classified correctly, by what was done to them, and which they are."""
    counts = {name: int(images.sum()) for name, images in right.items()}
    return {**counts, OUTCOMES: {name: pack(images) for name, images in right.items()}}


def _cost(report: Report) -> dict[str, Any]:
    """The number of images, and the seconds of all runs that the evaluation took."""
    seconds = sum(result.seconds for result in report.results.values())
    return {"images": len(report.correct), "seconds": round(seconds, 1)}
