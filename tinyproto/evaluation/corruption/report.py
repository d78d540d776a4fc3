"""The accuracy per corruption and severity, its means, and its file."""

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ...data.corruptions import CORRUPTION_GROUPS, CORRUPTIONS
from ...data.corruptions.catalogue import SEVERITIES
from ...state import atomic_write
from ..report import align_columns, divide, finite

USUAL = tuple(name for name in CORRUPTIONS if name not in CORRUPTION_GROUPS["extra"])
KIND = "tinyproto corruption report"


@dataclass(eq=False, repr=False)
class CorruptionReport:
    """Accuracies of one classifier, fractions in [0, 1], as `corruption_report` returns them.

    Parameters
    ----------
    clean : float
        Accuracy on the images as they are.
    accuracy : dict of str to dict of int to float
        Accuracy by corruption and severity.
    settings : dict
        What was measured: number of examples, seed, checksum, and scores that identify the
        classifier.

    Examples
    --------
    >>> from tinyproto.evaluation.corruption import CorruptionReport
    >>> ours = CorruptionReport(0.9, {"fog": {1: 0.8, 5: 0.6}, "snow": {1: 0.7, 5: 0.5}})
    >>> round(ours.mean, 3), {s: round(a, 3) for s, a in ours.by_severity().items()}
    (0.65, {1: 0.75, 5: 0.55})
    >>> other = CorruptionReport(0.9, {"fog": {1: 0.6, 5: 0.2}, "snow": {1: 0.6, 5: 0.4}})
    >>> {name: round(error, 3) for name, error in ours.relative_to(other).items()}
    {'snow': 0.8, 'fog': 0.5, 'mean': 0.65}
    """

    clean: float
    accuracy: dict[str, dict[int, float]]
    settings: dict[str, Any] = field(default_factory=dict)

    def __repr__(self) -> str:
        return (
            f"CorruptionReport({len(self.accuracy)} corruptions; accuracy: clean "
            f"{100 * self.clean:.4g} %, corrupted {100 * self.mean:.4g} %)"
        )

    @property
    def mean(self) -> float:
        """Mean accuracy over the usual corruptions that were measured (all if they are extra ones),
        each with equal weight; NaN for an empty report."""
        usual = [name for name in self.accuracy if name in USUAL] or list(self.accuracy)
        return _mean(self.by_corruption()[name] for name in usual)

    def by_corruption(self) -> dict[str, float]:
        """Mean over the severities, for each corruption."""
        return {name: _mean(cells.values()) for name, cells in self.accuracy.items() if cells}

    def by_severity(self) -> dict[int, float]:
        """Mean over the usual corruptions (all if they are extra ones), for each severity."""
        usual = [name for name in self.accuracy if name in USUAL] or list(self.accuracy)
        return {
            severity: _mean(found)
            for severity in SEVERITIES
            if (found := [a[severity] for n in usual if severity in (a := self.accuracy[n])])
        }

    def by_group(self) -> dict[str, float]:
        """Mean over corruptions and severities, for each of the groups."""
        means = self.by_corruption()
        return {
            group: _mean(found)
            for group, names in CORRUPTION_GROUPS.items()
            if (found := [means[name] for name in names if name in means])
        }

    def relative_to(self, other: "CorruptionReport", *, clean: bool = False) -> dict[str, float]:
        """The sum of the errors over the severities, divided by that of another report, for each
        corruption of both, and the mean of the usual ones under "mean".

        With `clean`, the error on clean images is subtracted from each error first. Both are those
        of Hendrycks and Dietterich (arXiv 1903.12261, section 3.2): CE, and relative CE; the other
        report is that of AlexNet there. Of an other error of 0, the quotient is infinite, or NaN.
        """

        def total(report: CorruptionReport, name: str, severities: Iterable[int]) -> float:
            least = 1 - report.clean if clean else 0.0
            return sum(1 - report.accuracy[name][s] - least for s in severities)

        quotients = {}
        for name in self.accuracy.keys() & other.accuracy.keys():
            both = sorted(self.accuracy[name].keys() & other.accuracy[name].keys())
            if both:
                quotients[name] = divide(total(self, name, both), total(other, name, both))
        ordered = {name: quotients[name] for name in CORRUPTIONS if name in quotients}
        usual = [name for name in ordered if name in USUAL] or list(ordered)
        return ordered | {"mean": _mean(ordered[name] for name in usual)}

    def text(self, other: "CorruptionReport | None" = None) -> str:
        """The table: accuracies in %, and the errors relative to another report if there is one."""
        rows = self.rows(other)
        return align_columns([list(rows[0]), *(list(row.values()) for row in rows)])

    def rows(self, other: "CorruptionReport | None" = None) -> list[dict[str, str]]:
        """The rows of the table, each cell as it is printed."""
        severities = list(self.by_severity())
        relative = {} if other is None else self.relative_to(other)
        headings = ["accuracy %", *map(str, severities), "mean"]
        headings += ["relative error %"] if other is not None else []

        def row(name: str, values: Iterable[float | None], quotient: float | None) -> list[str]:
            cells = ["" if v is None else f"{100 * v:.2f}" for v in values]
            last = [] if other is None else ["" if quotient is None else f"{100 * quotient:.1f}"]
            return [name, *cells, *last]

        rows = [row("clean", [*(None for _ in severities), self.clean], None)]
        means = self.by_corruption()
        for group, names in CORRUPTION_GROUPS.items():
            measured = [name for name in names if name in means]
            for name in measured:
                cells = [self.accuracy[name].get(severity) for severity in severities]
                rows.append(row(name, [*cells, means[name]], relative.get(name)))
            if measured:
                part = CorruptionReport(
                    self.clean, {name: self.accuracy[name] for name in measured}
                )
                cells = [part.by_severity().get(severity) for severity in severities]
                rows.append(row(f"mean of {group}", [*cells, part.mean], None))
        total = [*self.by_severity().values(), self.mean]
        name = "mean" if means.keys() <= set(CORRUPTION_GROUPS["extra"]) else "mean without extra"
        rows.append(row(name, total, relative.get("mean")))
        return [dict(zip(headings, cells, strict=True)) for cells in rows]

    def json(self, other: "CorruptionReport | None" = None) -> str:
        """Everything as JSON: the accuracies, their means and the settings; the errors relative to
        another report if there is one."""
        content = {
            "kind": KIND,
            "clean": self.clean,
            "accuracy": {n: {str(s): a for s, a in c.items()} for n, c in self.accuracy.items()},
            "mean": self.mean if self.accuracy else None,
            "by severity": {str(s): a for s, a in self.by_severity().items()},
            "by group": self.by_group(),
            "settings": self.settings,
        }
        if other is not None:
            content["relative error"] = finite(self.relative_to(other))
        return json.dumps(content, indent=2) + "\n"

    def write(self, path: str | Path) -> None:
        """Write the JSON, whole or not at all."""
        with atomic_write(path) as temporary:
            temporary.write_text(self.json())

    @classmethod
    def read(cls, path: str | Path) -> "CorruptionReport":
        """The report in a file that `write` wrote. Raises ValueError for any other file."""
        with open(path, "rb") as file:
            text = file.read()
        try:
            content = json.loads(text)
        except (ValueError, RecursionError):
            content = None
        if not isinstance(content, dict) or content.get("kind") != KIND:
            raise ValueError(f"{path} is not a corruption report")
        settings, accuracy = content.get("settings"), content.get("accuracy")
        if not isinstance(settings, dict) or not isinstance(accuracy, dict):
            raise ValueError(f"{path}: expected accuracy and settings, found something else")
        cells: dict[str, dict[int, float]] = {}
        allowed = {str(severity): severity for severity in SEVERITIES}
        for name, values in accuracy.items():
            known = name in CORRUPTIONS and isinstance(values, dict)
            if not known or not values.keys() <= allowed.keys():
                raise ValueError(f"{path}: {name!r} is no corruption with severities 1 … 5")
            cells[name] = {allowed[s]: _fraction(path, name, a) for s, a in values.items()}
        return cls(_fraction(path, "clean", content.get("clean")), cells, settings)


def _fraction(path: str | Path, name: str, value: Any) -> float:
    if type(value) not in (int, float) or not 0 <= value <= 1:
        raise ValueError(f"{path}: the accuracy of {name} must be in [0, 1], not {value!r}")
    return float(value)


def _mean(values: Iterable[float]) -> float:
    found = list(values)
    return sum(found) / len(found) if found else float("nan")
