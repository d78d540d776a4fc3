"""Accuracy against the radius, from one run of an attack that looks for the nearest points."""

from pathlib import Path

import numpy as np

from ...evaluation import evaluate
from ...evaluation.robustness_curve import (
    accuracy_at,
    nearest_distances,
    plot_robustness_curves,
)
from ..content import Block, LeftOut, Picture, Section, Table, Text
from ..subject import BATCH, Subject

IMAGES = 200  # attacked by FAB, which costs the most
FRACTIONS = (0.25, 0.5, 1.0, 1.5, 2.0)  # of the radius of the attacks


def radii(subject: Subject, folder: Path) -> Section:
    """The curve, its picture, and some of its values."""
    if subject.winner_take_all is not None:
        raise LeftOut("the part on proofs shows the accuracy at every radius")
    count = min(IMAGES, len(subject.y))
    report = evaluate(
        subject.victim, subject.x[:count], subject.xp.asarray(subject.y[:count]), ["fab"],
        eps=subject.eps, norm=subject.norm, batch_size=BATCH, seed=subject.seed,
        state_path=folder / "radii.npz",
    )  # fmt: skip
    distances = nearest_distances(report)
    plot_robustness_curves(
        {"under FAB": distances}, folder / "radii.png", norm=subject.norm, marked=subject.eps,
        title=f"{subject.name}: accuracy against the radius of the attack",
    )  # fmt: skip
    rows = [
        {"radius": f"{eps:.4g}", "accuracy %": f"{100 * float(accuracy_at(distances, eps)):.1f}"}
        for eps in (0.0, *(part * subject.eps for part in FRACTIONS))
    ]
    found = distances[np.isfinite(distances) & (distances > 0)]
    middle = f"{np.median(found):.4g}" if len(found) else "not found"
    text = Text(
        f"FAB looks for the nearest misclassified point of each of the first {count:,} images, "
        "however far it is. So one run gives the accuracy at every radius; a better attack "
        "may find nearer points."
    )
    at = "; ".join(f"{row['accuracy %']} % at {row['radius']}" for row in rows)
    picture = Picture("radii.png", f"A falling curve of accuracy against the radius: {at}.")
    blocks: list[Block] = [text, picture, Table("Accuracy at some radii", rows)]
    return Section("Every radius", blocks, {f"median distance under FAB, {count} images": middle})
