"""A picture of how often attackers evade detectors; Matplotlib is imported when it is used."""

from collections.abc import Sequence
from pathlib import Path

from .detection import DetectionReport
from .feature_detection import FeatureDetectionReport
from .figures import new_figure, save_figure
from .report import NORMS, format_radius

__all__ = ["plot_evasion"]


def plot_evasion(
    reports: Sequence[DetectionReport | FeatureDetectionReport],
    path: str | Path,
    *,
    title: str = "",
) -> None:
    """Draw a line for each detector, from the evasion of an attacker who ignores it to that of one
    who knows it.

    Parameters
    ----------
    reports : list of DetectionReport or FeatureDetectionReport
        Of different scores, with the same norm and eps.
    path : str or Path
        File to write: PNG, SVG or PDF, as its name ends.
    title : str
        Title of the picture.

    Raises
    ------
    ValueError
        For no reports, and for those of different norms or radii.

    Examples
    --------
    >>> from tinyproto.evaluation import DetectionReport
    >>> from tinyproto.evaluation.detection_picture import plot_evasion
    >>> report = DetectionReport(
    ...     score="margin", norm="l2", eps=1.0, images=200, false_rejection=0.05,
    ...     ignoring_auroc=0.9, ignoring_refused=0.8, ignoring_evasion=0.05,
    ...     adaptive_evasion=0.2, robust_accuracy=0.8, certified=0.8, without_detector=0.7)
    >>> plot_evasion([report], "evasion.png")
    """
    settings = {(report.norm, report.eps) for report in reports}
    if len(settings) != 1:
        raise ValueError(
            f"the reports must be of one norm and eps, not of {len(settings)}: {sorted(settings)}"
        )
    norm, eps = settings.pop()
    figure, (axis,) = new_figure(1, width=6.4, height=1.6 + 0.34 * len(reports))
    rows = range(len(reports))
    ignoring = [100 * report.ignoring_evasion for report in reports]
    adaptive = [100 * report.adaptive_evasion for report in reports]
    axis.hlines(rows, ignoring, adaptive, color="0.6", linewidth=1.5, zorder=1)
    axis.scatter(ignoring, rows, marker="o", s=90, facecolor="white", edgecolor="tab:blue",
                 linewidth=1.5, label="attacker who ignores the detector")  # fmt: skip
    axis.scatter(adaptive, rows, marker="D", s=32, color="tab:red",
                 label="attacker who knows the detector (adaptive)")  # fmt: skip
    axis.set_yticks(rows, labels=[report.score for report in reports])
    axis.set(xlim=(-2, 102), ylim=(len(reports) - 0.5, -0.5))
    length = format_radius(eps) if norm == "linf" else f"{eps:.4g}"
    axis.set_xlabel(
        f"attacked images that are classified wrongly and accepted, in %\n({NORMS[norm]}, eps "
        f"{length})",
        fontsize=9,
    )
    axis.grid(axis="x", color="0.9")
    axis.set_axisbelow(True)
    figure.legend(loc="outside lower center", ncols=2, fontsize=8, frameon=False)
    axis.set_title(title, fontsize=11)
    save_figure(figure, path)
