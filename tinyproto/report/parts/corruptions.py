"""Accuracy under the common corruptions."""

from pathlib import Path

from ...data.corruptions import CORRUPTION_GROUPS
from ...evaluation.corruption import corruption_report, plot_corruptions
from ..content import LeftOut, Picture, Row, Section, Table, Text, percent
from ..subject import BATCH, Subject


def corruptions(subject: Subject, folder: Path) -> Section:
    """All 19 corruptions at five severities: heat map and means."""
    if subject.images.shape[1:] != (32, 32, 3):
        raise LeftOut("the corruptions of CIFAR-10-C are for colour images of 32 × 32")
    report = corruption_report(
        subject.model, subject.images, subject.y, seed=subject.seed, batch_size=BATCH,
        device=subject.device, path=folder / "corruption_report.json", verbose=True,
    )  # fmt: skip
    plot_corruptions(report, folder / "corruptions.png", title=subject.name)
    by_corruption, by_group = report.by_corruption(), report.by_group()
    worst = min(by_corruption, key=by_corruption.__getitem__)
    rows: list[Row] = []
    for group, names in CORRUPTION_GROUPS.items():
        rows.append({"corruption": f"{group}: mean", "mean accuracy %": percent(by_group[group])})
        rows += [{"corruption": n, "mean accuracy %": percent(by_corruption[n])} for n in names]
    severities = ", ".join(
        f"{percent(accuracy)} % at severity {severity}"
        for severity, accuracy in report.by_severity().items()
    )
    text = Text(
        f"Mean accuracy over the 15 usual corruptions and five severities: {percent(report.mean)} "
        f"%, where clean images have {percent(report.clean)} %. The worst is "
        f"{worst.replace('_', ' ')}, which leaves {percent(by_corruption[worst])} %."
    )
    picture = Picture(
        "corruptions.png",
        f"A heat map of accuracy: a row for each corruption, a column for each severity. "
        f"{text.text} Means: {severities}.",
    )
    table = Table("Mean over the severities", rows)
    figures = {"mean accuracy under corruption": f"{percent(report.mean)} %"}
    return Section("Corruptions", [text, picture, table], figures)
