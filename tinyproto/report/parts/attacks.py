"""Accuracy under attacks, one after the other on what is left, and class by class."""

from pathlib import Path

import numpy as np

from ...evaluation import evaluate
from ...evaluation.report import Report, format_value
from ..content import Block, Row, Section, Table, Text
from ..subject import BATCH, Subject

SHORT = {
    "accuracy %": "accuracy %",
    "8-bit accuracy %": "rounded to 8 bits: accuracy %",
    "success rate %": "misled of those attacked %",
    "median distance": "median distance",
    "seconds": "seconds",
}
"""Columns of a report of attacks, and their headings here."""


def attacks(subject: Subject, folder: Path) -> Section:
    """The table of attacks, each on the images that are robust against those before it."""
    report = evaluate(
        subject.victim, subject.x, subject.xp.asarray(subject.y), list(subject.attacks),
        eps=subject.eps, norm=subject.norm, sequential=True, batch_size=BATCH, seed=subject.seed,
        state_path=folder / "attacks.npz",
    )  # fmt: skip
    rows = report.rows()
    worst = rows[-1]["accuracy %"]
    text = Text(
        f"Attacks in the ball of {subject.ball}. Each attack gets the images that those above it "
        f"left; {worst:.1f} % of {len(subject.y):,} images withstand all of them."
    )
    blocks: list[Block] = [
        text,
        Table("Accuracy under attack", attack_rows(rows), "distance: to the misclassified point"),
        *(Text(f"Warning: {line}.") for line in report.warnings),
        Table("Accuracy in each class, %", _by_class(subject, report)),
    ]
    return Section("Attacks", blocks, {f"accuracy under attack, {subject.ball}": f"{worst:.1f} %"})


def attack_rows(rows: list[Row]) -> list[Row]:
    """The rows of a report of attacks with the columns that a reader wants."""
    return [
        {
            "attack": row["attack"],
            **{name: _cell(name, row.get(key)) for key, name in SHORT.items()},
        }
        for row in rows
    ]


def _cell(name: str, value: float | None) -> str:
    """Percentages and seconds with one decimal, distances with four digits."""
    if value is None:
        return ""
    return format_value(float(value)) if "distance" in name else f"{value:.1f}"


def _by_class(subject: Subject, report: Report) -> list[Row]:
    found = []
    for c, name in enumerate(subject.class_names):
        own = subject.y == c
        if own.any():
            clean, robust = (100 * np.mean(flags[own]) for flags in (report.correct, report.robust))
            row = {"class": name, "images": int(own.sum())}
            found.append(row | {"clean": f"{clean:.1f}", "under attack": f"{robust:.1f}"})
    return found
