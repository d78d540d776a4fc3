"""Which classes are confused, and which class becomes which under attack."""

from pathlib import Path

from ...evaluation.confusion import changed_classes, confusion_matrix, plot_confusion
from ..content import Picture, Section, Table, Text
from ..subject import Subject

PAIRS = 8  # of classes in the table


def mistakes(subject: Subject, folder: Path) -> Section:
    """Confusion matrices, clean and attacked, and the most frequent changes."""
    y, clean, attacked = subject.y, subject.predicted, subject.predicted_attacked
    names = subject.class_names
    rows = changed_classes(y, clean, attacked, names)
    for row in rows:
        row["% of the class"] = f"{row['% of the class']:.1f}"
    what = f"PGD with 20 steps, {subject.ball}"
    matrices = {
        "clean": confusion_matrix(y, clean, len(names)),
        "under attack": confusion_matrix(y, attacked, len(names)),
    }
    plot_confusion(
        matrices, folder / "mistakes.png", class_names=names,
        title=f"{subject.name}: answers in % of each class; attack: {what}",
    )  # fmt: skip
    text = Text(f"{what}, changed no answer from right to wrong.")
    if rows:
        first = rows[0]
        text = Text(
            f"{what}: {first['class']} becomes {first['becomes']} most often ({first['images']} "
            f"images, {first['% of the class']} % of those of {first['class']} that were right)."
        )
    picture = Picture(
        "mistakes.png",
        "Two confusion matrices, on clean and on attacked images, with the percentage of each "
        "class that gets each answer; the diagonal is right. "
        f"{text.text}",
    )
    tables = [Table("Changed by the attack most often", rows[:PAIRS])] if rows else []
    return Section("Mistakes", [text, picture, *tables])
