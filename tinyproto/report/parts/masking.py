"""Whether the gradients show the way: signs of masked gradients."""

from pathlib import Path

from ...evaluation import evaluate
from ...evaluation.masking import count_signs
from ..content import Section, Table, Text
from ..subject import BATCH, Subject
from .attacks import attack_rows

IMAGES = 100  # attacked by seven attacks


def masking(subject: Subject, folder: Path) -> Section:
    """The attacks of the list "masking" and what they show together."""
    count = min(IMAGES, len(subject.y))
    report = evaluate(
        subject.victim, subject.x[:count], subject.xp.asarray(subject.y[:count]), "masking",
        eps=subject.eps, norm=subject.norm, batch_size=BATCH, seed=subject.seed,
        state_path=folder / "masking.npz",
    )  # fmt: skip
    text = Text(
        "If the gradients of a model are masked, attacks that follow them fail and the model only "
        "seems robust. More steps, no bound, a random start and an attack without gradients "
        f"tell. On the first {count:,} images: {report.verdict}."
    )
    table = Table("Attacks that show masked gradients", attack_rows(report.rows()[:-1]))
    warnings = [Text(f"Warning: {line}.") for line in report.warnings]
    signs = count_signs(report)
    return Section("Masked gradients", [text, table, *warnings], {
        "signs of masked gradients": str(signs or "none") if report.correct.any() else "–"
    })  # fmt: skip
