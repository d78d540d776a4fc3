"""Accuracy under attack at several radii: an evaluation for each, and one table.

    reports = evaluate_radii(victim, x, y, "autoattack", eps=[2 / 255, 4 / 255, 8 / 255])
    print(reports.text())

Each radius is evaluated on its own, so that its figures do not depend on the others.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..attacks import Victim
from ..backend.device import Array
from .checks import validate_evaluation
from .report import (
    NORMS,
    Report,
    align_columns,
    csv_table,
    format_radius,
    format_value,
    markdown_table,
)
from .robustness import evaluate
from .suites import Attack


@dataclass(eq=False, repr=False)
class RadiusReports:
    """The reports of one victim at several radii. Of one radius, the tables are those of `Report`.

    Parameters
    ----------
    reports : list of Report
        One for each radius.

    Examples
    --------
    >>> import numpy as np
    >>> from tinyproto.attacks import Victim
    >>> from tinyproto.evaluation import evaluate_radii
    >>> W = np.array([[1.0, -1.0], [-1.0, 1.0]])
    >>> victim = Victim(lambda x: (x @ W, lambda dz: dz @ W.T))
    >>> x, y = np.array([[0.9, 0.1], [0.55, 0.45]]), np.array([0, 0])
    >>> evaluate_radii(victim, x, y, ["fgsm"], eps=[0.1, 0.5], verbose=False).accuracy()
    {0.1: 50.0, 0.5: 0.0}
    """

    reports: list[Report]

    def __repr__(self) -> str:
        at = ", ".join(f"{format_radius(e)}: {a:.4g} %" for e, a in self.accuracy().items())
        return f"RadiusReports(accuracy in the worst case: {at})"

    def accuracy(self) -> dict[float, float]:
        """The accuracy in % under the worst attack on each example, by radius."""
        return {r.settings["eps"]: r.rows()[-1]["accuracy %"] for r in self.reports}

    def rows(self) -> list[dict[str, Any]]:
        """The rows of each report, with its radius before them."""
        if len(self.reports) == 1:
            return self.reports[0].rows()
        return [{"eps": r.settings["eps"], **row} for r in self.reports for row in r.rows()]

    def accuracies(self) -> list[dict[str, Any]]:
        """A row for each attack: the accuracy in % at each radius."""
        radii = [format_radius(report.settings["eps"]) for report in self.reports]
        columns = [{r["attack"]: r["accuracy %"] for r in report.rows()} for report in self.reports]
        return [
            {"accuracy %": name, **{at: of[name] for at, of in zip(radii, columns, strict=True)}}
            for name in columns[0]
        ]

    def text(self) -> str:
        """The table as text, with settings, warnings and verdicts."""
        if len(self.reports) == 1:
            return self.reports[0].text()
        rows = self.accuracies()
        cells = [[format_value(value) for value in row.values()] for row in rows]
        return "\n".join([align_columns([list(rows[0]), *cells]), *self._notes()])

    def markdown(self) -> str:
        """The table in Markdown, with settings, warnings and verdicts below it."""
        one = len(self.reports) == 1
        table = markdown_table(self.rows() if one else self.accuracies())
        return "\n".join([table, "", *(f"{line}  " for line in self._notes())]).rstrip() + "\n"

    def csv(self) -> str:
        """All rows as CSV."""
        return csv_table(self.rows())

    def json(self) -> str:
        """The content of each report as JSON: of one as `Report.json`, of several as a list."""
        if len(self.reports) == 1:
            return self.reports[0].json()
        return (
            json.dumps({"reports": [report.content() for report in self.reports]}, indent=2) + "\n"
        )

    def _notes(self) -> list[str]:
        settings, count = self.reports[0].settings, len(self.reports[0].correct)
        radius = f"eps {settings['eps']:.4g}, " if len(self.reports) == 1 else ""
        lines = [f"{NORMS[settings['norm']]}, {radius}seed {settings['seed']}, {count} examples"]
        for report in self.reports:
            at = "" if radius else f" at {format_radius(report.settings['eps'])}"
            lines += [f"warning{at}: {line}" for line in report.warnings]
            lines += [f"verdict{at}: {report.verdict}"] if report.verdict else []
        return lines


def evaluate_radii(
    victim: Victim,
    x: Array,
    y: Array,
    attacks: str | Sequence[str] | Mapping[str, Attack] = "autoattack",
    *,
    eps: float | Sequence[float],
    state_path: str | Path | None = None,
    **options: Any,
) -> RadiusReports:
    """Measure the accuracy of a classifier under attacks at several radii.

    Parameters
    ----------
    victim, x, y, attacks
        As in `evaluate`.
    eps : float or list of float
        The radii, each once; what is larger than the box is the box.
    state_path : str or Path, optional
        File to continue from. Of several radii, each has a file of its own: `state_files`.
    **options
        As in `evaluate`: norm, sequential, batch_size, seed, index, executor, keep_adversarial,
        verbose.

    Returns
    -------
    RadiusReports
        Each report is the one that `evaluate` gives for its radius alone.

    Raises
    ------
    ValueError
        For no radius, one that comes twice, several that are the whole box, and as `evaluate` does.

    Examples
    --------
    >>> import numpy as np
    >>> from tinyproto.attacks import Victim
    >>> from tinyproto.evaluation import evaluate_radii
    >>> W = np.array([[1.0, -1.0], [-1.0, 1.0]])
    >>> victim = Victim(lambda x: (x @ W, lambda dz: dz @ W.T))
    >>> x, y = np.array([[0.9, 0.1], [0.55, 0.45]]), np.array([0, 0])
    >>> print(evaluate_radii(victim, x, y, ["fgsm"], eps=[0.1, 0.5], verbose=False).text())
    accuracy %   0.1  0.5
    none         100  100
    fgsm          50    0
    worst case    50    0
    L∞, seed 0, 2 examples
    """
    given: Any = eps
    radii = [given] if np.ndim(given) == 0 else list(given)
    index, norm = options.get("index"), options.get("norm", "linf")
    in_box = [validate_evaluation(victim, x, y, index, radius, norm).eps for radius in radii]
    radii = [float(radius) for radius in radii]
    files, box = state_files(state_path, radii), max(in_box, default=0.0)
    if in_box.count(box) > 1:
        whole = ", ".join(f"{radius:g}" for radius in radii if radius >= box)
        raise ValueError(f"eps has {whole}, each of which is the whole box, {box:.4g}: only one")
    return RadiusReports([
        evaluate(victim, x, y, attacks, eps=radius, state_path=files.get(radius), **options)
        for radius in radii
    ])  # fmt: skip


def state_files(path: str | Path | None, eps: Sequence[float]) -> dict[float, Path]:
    """The state file of each radius.

    Parameters
    ----------
    path : str or Path, optional
        The file for one radius.
    eps : list of float
        The radii.

    Returns
    -------
    dict of float to Path
        Of one radius the path itself; of several, the path with "-eps-" and the radius in its name;
        none without a path.

    Raises
    ------
    ValueError
        For no radius, and one that comes twice.

    Examples
    --------
    >>> from tinyproto.evaluation.several_radii import state_files
    >>> [file.name for file in state_files("state.npz", [8 / 255, 0.5]).values()]
    ['state-eps-8_255.npz', 'state-eps-0.5.npz']
    """
    names = [format_radius(radius).replace("/", "_") for radius in eps]
    if not names:
        raise ValueError("eps must have one radius or more, not none")
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"eps has {twice.replace('_', '/')} twice: each radius once")
    if path is None:
        return {}
    path = Path(path)
    if len(names) == 1:
        return {eps[0]: path}
    return {
        radius: path.with_name(f"{path.stem}-eps-{name}{path.suffix}")
        for radius, name in zip(eps, names, strict=True)
    }
