"""The accuracies as a heat map; Matplotlib is imported when it is used."""

from pathlib import Path

import numpy as np

from ...data.corruptions import CORRUPTION_GROUPS
from ..figures import new_figure, save_figure
from .report import CorruptionReport


def plot_corruptions(report: CorruptionReport, path: str | Path, *, title: str = "") -> None:
    """Draw the accuracy as a heat map: a row for each corruption, a column for each severity.

    Parameters
    ----------
    report : CorruptionReport
        What `corruption_report` returned.
    path : str or Path
        File to write: PNG, SVG or PDF, as its name ends.
    title : str
        Title of the picture.

    Raises
    ------
    ValueError
        For another ending, and for a report without corruptions.

    Examples
    --------
    >>> from tinyproto.evaluation.corruption import CorruptionReport, plot_corruptions
    >>> report = CorruptionReport(0.9, {"fog": {1: 0.8, 5: 0.6}, "snow": {1: 0.7, 5: 0.5}})
    >>> plot_corruptions(report, "corruptions.png")
    """
    groups = {
        group: [name for name in names if report.accuracy.get(name)]
        for group, names in CORRUPTION_GROUPS.items()
    }
    names = [name for measured in groups.values() for name in measured]
    if not names:
        raise ValueError("the report has no corruption to draw")
    severities = sorted({severity for name in names for severity in report.accuracy[name]})
    means = report.by_corruption()
    cells = np.array([
        [*(report.accuracy[name].get(s, np.nan) for s in severities), means[name]]
        for name in names
    ])  # fmt: skip
    figure, axes = new_figure(1, width=2.6 + 0.7 * len(severities), height=1.6 + 0.3 * len(names))
    axis = axes[0]
    drawn = axis.imshow(100 * cells, cmap="viridis", vmin=0, vmax=100, aspect="auto")
    for row, column in np.ndindex(cells.shape):
        value = 100 * cells[row, column]
        if np.isfinite(value):
            colour = "black" if value > 60 else "white"
            axis.text(column, row, f"{value:.1f}", ha="center", va="center", color=colour, size=8)
    axis.axvline(len(severities) - 0.5, color="white", linewidth=3)
    ends = np.cumsum([len(measured) for measured in groups.values() if measured])
    for end in ends[:-1]:
        axis.axhline(end - 0.5, color="white", linewidth=3)
    axis.set_xticks(range(len(severities) + 1), labels=[*map(str, severities), "mean"])
    axis.set_yticks(range(len(names)), labels=[name.replace("_", " ") for name in names])
    axis.tick_params(length=0, labelsize=9)
    axis.set_xlabel("severity")
    for spine in axis.spines.values():
        spine.set_visible(False)
    bar = figure.colorbar(drawn, ax=axis, shrink=0.6)
    bar.set_label("accuracy in %", fontsize=9)
    bar.ax.tick_params(labelsize=8)
    summary = f"accuracy: clean {100 * report.clean:.1f} %, corrupted {100 * report.mean:.1f} %"
    axis.set_title("\n".join(filter(None, [title, summary])), fontsize=11)
    save_figure(figure, path)
