"""What is proved: the exact radius of each image."""

from pathlib import Path

import numpy as np

from ...evaluation import evaluate
from ...evaluation.certified_picture import plot_certified_accuracy
from ...evaluation.robustness_curve import nearest_distances
from ...prototypes import certified_accuracy, certify
from ..content import LeftOut, Picture, Section, Table, Text
from ..subject import BATCH, Subject

FRACTIONS = (0.25, 0.5, 1.0, 1.5)


def certificate(subject: Subject, folder: Path) -> Section:
    """The certified accuracy as a curve, beside that under FAB."""
    network = subject.winner_take_all
    if network is None:
        raise LeftOut("exact radii are known for winner-take-all networks only")
    radius, _ = certify(
        network, subject.flat, subject.labels, norm=subject.norm, lo=0.0, hi=1.0,
        path=folder / "certificate.npz", verbose=True,
    )  # fmt: skip
    report = evaluate(
        subject.victim, subject.x, subject.xp.asarray(subject.y), ["fab"], eps=subject.eps,
        norm=subject.norm, batch_size=BATCH, seed=subject.seed, state_path=folder / "fab.npz",
    )  # fmt: skip
    attacked = nearest_distances(report)
    below = int((attacked < radius * (1 - 1e-6)).sum())
    plot_certified_accuracy(
        radius, attacked, folder / "certificate.png", norm=subject.norm, marked=subject.eps,
        title=f"{subject.name}: accuracy that is proved, and that under FAB",
    )  # fmt: skip
    proved = float(certified_accuracy(radius, np.array([subject.eps]))[0])
    rows = [
        {"radius": f"{eps:.4g}",
         "proved %": f"{100 * float(certified_accuracy(radius, np.array([eps]))[0]):.1f}"}
        for eps in (part * subject.eps for part in FRACTIONS)
    ]  # fmt: skip
    text = Text(
        f"For {100 * proved:.1f} % of {len(radius):,} images it is proved, exactly and inside the "
        f"range of pixels, that nothing within {subject.ball} changes the right answer. FAB found "
        f"{'no point' if not below else f'{below} points'} nearer than the proved radius."
    )
    picture = Picture(
        "certificate.png",
        "Two falling curves of accuracy against the radius, the proved one below that under "
        f"attack. {text.text}",
    )
    figures = {f"proved accuracy, {subject.ball}": f"{100 * proved:.1f} %"}
    return Section("Proof", [text, picture, Table("Proved accuracy", rows)], figures)
