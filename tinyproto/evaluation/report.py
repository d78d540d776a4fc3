"""What an evaluation of robustness found, and its table as text, JSON and CSV."""

import csv
import io
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ..state import atomic_write

NO_BOUND = ", no bound"  # how the name of an attack ends that may go anywhere in the box
SHORT = {
    "rounded to 8 bits, right %": "8-bit %",
    "mean distance": "mean d",
    "median distance": "median d",
    "forward passes": "forward",
    "backward passes": "backward",
    "seconds": "s",
}  # fmt: skip
ARRAYS = ("done", "right", "right_rounded", "distance")
COSTS = ("seconds", "forward_passes", "backward_passes", "flat_gradients")


@dataclass(eq=False, repr=False)
class Result:
    """What one attack did to each example (N,), and its cost.

    done: it has been attacked. right: right, and no wrong point was found within eps;
    right_rounded: none that is still wrong once it is rounded to 8 bits. distance: of a wrong point
    found, in the norm of the evaluation, within eps or not; ∞ where none was.
    """

    done: np.ndarray
    right: np.ndarray
    right_rounded: np.ndarray
    distance: np.ndarray
    seconds: float = 0.0
    forward_passes: int = 0
    backward_passes: int = 0
    flat_gradients: int = 0

    @classmethod
    def blank(cls, clean: np.ndarray) -> "Result":
        no, far = np.zeros(len(clean), dtype=bool), np.full(len(clean), np.inf)
        return cls(no, clean.copy(), clean.copy(), far)


@dataclass(eq=False, repr=False)
class Report:
    """Results by attack. clean (N,): which examples are right without any. warnings: what speaks
    against the figures, one line each (see `masking`). probe: the scores of the first images.

    `print(report.text())` shows it; `rows`, `json`, `csv` and `write(path)` give the same figures.
    """

    clean: np.ndarray
    results: dict[str, Result]
    settings: dict[str, Any]
    warnings: list[str] = field(default_factory=list)
    probe: np.ndarray = field(default_factory=lambda: np.zeros((0, 2)))

    @property
    def right(self) -> np.ndarray:
        """Which examples no attack made wrong (N,)."""
        bound = (r.right for name, r in self.results.items() if not name.endswith(NO_BOUND))
        return np.logical_and.reduce([self.clean, *bound])

    def rows(self) -> list[dict[str, Any]]:
        """A row for each attack, and one for the worst of them at each example.

        Accuracies in per cent; in a chain, of what is right after the attack and all before it. (An
        image that rounding saves is not attacked again there: "rounded" is an upper bound.)
        "found": for how many of the attacked examples a wrong point was found at all; distances
        are those of these points.
        """
        rows = [{"attack": "none", "right %": 100 * share(self.clean)}]
        left, rounded = self.clean.copy(), self.clean.copy()
        nearest, chain = np.full(len(self.clean), np.inf), self.settings["chain"]
        for name, result in self.results.items():
            right, on_8_bits = result.right, result.right_rounded
            if name.endswith(NO_BOUND):  # it counts for itself alone, at any distance
                right = on_8_bits = self.clean & ~np.isfinite(result.distance)
            else:
                left, rounded = left & right, rounded & on_8_bits
                nearest = np.minimum(nearest, result.distance)
                if chain:
                    right, on_8_bits = left, rounded
            costs = {
                "forward passes": result.forward_passes,
                "backward passes": result.backward_passes,
                "seconds": round(result.seconds, 1),
            }
            rows.append(_row(name, right, on_8_bits, result.distance[result.done]) | costs)
        return [*rows, _row("worst case", left, rounded, nearest[self.clean])]

    def text(self) -> str:
        """The table, what its columns are, and the warnings."""
        names, rows = self._columns()
        lines = [[SHORT.get(name, name) for name in names]]
        lines += [[_text(row.get(name, "")) for name in names] for row in rows]
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        table = (
            "  ".join([f"{first:<{widths[0]}}", *map(str.rjust, rest, widths[1:])]).rstrip()
            for first, *rest in lines
        )
        about = (
            f"{self.settings['norm']}, eps {self.settings['eps']:.4g}, seed "
            f"{self.settings['seed']}, {len(self.clean)} examples; found: a wrong point, near or "
            "far, of those attacked;"
        )
        more = "d: its distance; forward, backward: passes of examples"
        return "\n".join([*table, about, more, *(f"warning: {line}" for line in self.warnings)])

    def csv(self) -> str:
        names, rows = self._columns()
        out = io.StringIO()
        writer = csv.DictWriter(out, names, restval="", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        return out.getvalue()

    def json(self) -> str:
        content = {"rows": self.rows(), "warnings": self.warnings, "settings": self.settings}
        return json.dumps(content, indent=2) + "\n"

    def write(self, path: str | Path) -> None:
        """As CSV to a name that ends in .csv, else as JSON."""
        path = Path(path)
        with atomic_write(path) as temporary:
            temporary.write_text(self.csv() if path.suffix == ".csv" else self.json())

    def _columns(self) -> tuple[list[str], list[dict[str, Any]]]:
        rows = self.rows()
        return list(dict.fromkeys(name for row in rows for name in row)), rows


def _row(name: str, right: np.ndarray, rounded: np.ndarray, distance: np.ndarray) -> dict[str, Any]:
    """`distance` is that of the examples that were attacked."""
    found = np.isfinite(distance)
    row: dict[str, Any] = {
        "attack": name,
        "right %": 100 * share(right),
        "rounded to 8 bits, right %": 100 * share(rounded),
        "found %": 100 * share(found),
    }
    if found.any():
        row["mean distance"] = float(distance[found].mean())
        row["median distance"] = float(np.median(distance[found]))
    return row


def share(flags: np.ndarray) -> float:
    """How many are true; of none, 0."""
    return float(flags.mean()) if len(flags) else 0.0


def _text(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
