"""The results of a robustness evaluation, and their table as text, JSON and CSV."""

import csv
import io
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ..state import atomic_write

UNBOUNDED = ", no bound"
"""The end of the name of an attack that may go anywhere in the box, whatever eps is."""

NORMS = {"linf": "L∞", "l2": "L2", "l1": "L1"}
ARRAY_FIELDS = ("attacked", "robust", "robust_8bit", "distance")
COST_FIELDS = ("seconds", "forward_passes", "backward_passes", "flat_gradients")


@dataclass(eq=False, repr=False)
class Result:
    """The effect of one attack on each of N examples, and its cost.

    Parameters
    ----------
    attacked : array (N,)
        Bool: the example has been attacked.
    robust : array (N,)
        Bool: the example is classified correctly, and the attack found no misclassified point
        within eps.
    robust_8bit : array (N,)
        Bool: as `robust`, but a misclassified point counts only if it stays misclassified when it
        is rounded to 8 bits, as an image file stores it.
    distance : array (N,)
        Distance from the example to the misclassified point that was found, in the norm of the
        evaluation, within eps or not; ∞ where none was found.
    seconds : float
        Time that the attack took.
    forward_passes, backward_passes : int
        Number of examples that went through the victim, forward and backward.
    flat_gradients : int
        Number of backward passes whose gradient was exactly 0 (see `Victim`).
    adversarial : dict of int to array
        The misclassified points within eps, by the positions of their examples; only from
        `evaluate(keep_adversarial=True)`.

    Examples
    --------
    >>> import numpy as np
    >>> from tinyproto.evaluation import Result
    >>> result = Result.unattacked(np.array([True, False]))
    >>> result.robust.tolist(), result.attacked.tolist()
    ([True, False], [False, False])
    """

    attacked: np.ndarray
    robust: np.ndarray
    robust_8bit: np.ndarray
    distance: np.ndarray
    seconds: float = 0.0
    forward_passes: int = 0
    backward_passes: int = 0
    flat_gradients: int = 0
    adversarial: dict[int, np.ndarray] = field(default_factory=dict)

    def __repr__(self) -> str:
        return (
            f"Result(attacked={self.attacked.sum()}, robust={self.robust.sum()}, "
            f"examples={len(self.robust)}, seconds={self.seconds:.1f})"
        )

    @classmethod
    def unattacked(cls, correct: np.ndarray) -> "Result":
        """The result before the attack starts; `correct` (N,) marks the examples to attack."""
        no, infinite = np.zeros(len(correct), dtype=bool), np.full(len(correct), np.inf)
        return cls(no, correct.copy(), correct.copy(), infinite)


@dataclass(eq=False, repr=False)
class Report:
    """The results of several attacks on one victim, as `evaluate` returns them.

    Parameters
    ----------
    correct : array (N,)
        Bool: the example is classified correctly when it is not attacked.
    results : dict of str to Result
        The result of each attack, by its name, in the order in which they ran.
    settings : dict
        What was evaluated: eps, norm, seed, attacks, and checksums of the data.
    warnings : list of str
        Reasons to doubt the figures, one line each (see `tinyproto.evaluation.masking`).
    fingerprint : array (n, C)
        Scores of the first n examples, which identify the victim.
    verdict : str
        What the attacks of "masking" show about masked gradients, in words; "" for others.

    Examples
    --------
    >>> import numpy as np
    >>> from tinyproto.attacks import Victim, pgd
    >>> from tinyproto.evaluation import evaluate
    >>> W = np.array([[1.0, -1.0], [-1.0, 1.0]])
    >>> victim = Victim(lambda x: (x @ W, lambda dz: dz @ W.T))
    >>> x, y = np.array([[0.9, 0.1], [0.55, 0.45]]), np.array([0, 0])
    >>> report = evaluate(victim, x, y, {"pgd": pgd}, eps=0.1, verbose=False)
    >>> report.robust.tolist()
    [True, False]
    >>> [(row["attack"], row["accuracy %"]) for row in report.rows()]
    [('none', 100.0), ('pgd', 50.0), ('worst case', 50.0)]
    """

    correct: np.ndarray
    results: dict[str, Result]
    settings: dict[str, Any]
    warnings: list[str] = field(default_factory=list)
    fingerprint: np.ndarray = field(default_factory=lambda: np.zeros((0, 2)))
    verdict: str = ""

    def __repr__(self) -> str:
        s, rows = self.settings, self.rows()
        accuracies = ", ".join(f"{row['attack']} {row['accuracy %']:.4g} %" for row in rows)
        ball = f"{s.get('norm')}, eps {format_value(s.get('eps'))}"
        return f"Report({len(self.correct)} examples, {ball}; accuracy: {accuracies})"

    @property
    def robust(self) -> np.ndarray:
        """Bool (N,): the example is robust against every attack that stays within eps."""
        bounded = (r.robust for name, r in self.results.items() if not name.endswith(UNBOUNDED))
        return np.logical_and.reduce([self.correct, *bounded])

    def rows(self) -> list[dict[str, Any]]:
        """One row for no attack, one for each attack, and one for the worst case of each example.

        - accuracy %: examples that are robust against the attack; in a sequential evaluation,
          against it and all those before it. Clean accuracy in the row of no attack.
        - 8-bit accuracy %: the same after attacked images are rounded to 8 bits. An upper bound in
          a sequential evaluation: an image that only rounding saves is not attacked again.
        - success rate %: attacked examples for which a misclassified point was found, at any
          distance.
        - mean distance, median distance: of these points.
        """
        rows = [{"attack": "none", "accuracy %": 100 * fraction(self.correct)}]
        all_robust, all_8bit = self.correct.copy(), self.correct.copy()
        nearest = np.full(len(self.correct), np.inf)
        for name, result in self.results.items():
            robust, robust_8bit = result.robust, result.robust_8bit
            if name.endswith(UNBOUNDED):  # its points may be at any distance: not in the worst case
                robust = robust_8bit = self.correct & ~np.isfinite(result.distance)
            else:
                all_robust, all_8bit = all_robust & robust, all_8bit & robust_8bit
                nearest = np.minimum(nearest, result.distance)
                if self.settings["sequential"]:
                    robust, robust_8bit = all_robust, all_8bit
            costs = {
                "forward passes": result.forward_passes,
                "backward passes": result.backward_passes,
                "seconds": round(result.seconds, 1),
            }
            rows.append(_row(name, robust, robust_8bit, result.distance[result.attacked]) | costs)
        return [*rows, _row("worst case", all_robust, all_8bit, nearest[self.correct])]

    def text(self) -> str:
        """The table with headings of two lines, the settings, the warnings, and the verdict."""
        rows = self.rows()
        names = column_names(rows)
        headings = [
            list(line) for line in zip(*(n.partition(" ")[::2] for n in names), strict=True)
        ]
        cells = [[format_value(row.get(name, "")) for name in names] for row in rows]
        settings = (
            f"{NORMS[self.settings['norm']]}, eps {self.settings['eps']:.4g}, seed "
            f"{self.settings['seed']}, {len(self.correct)} examples; success: a misclassified "
            "point was found,\nwithin eps or not; distance: to that point; passes: counted in "
            "examples"
        )
        warnings = (f"warning: {line}" for line in self.warnings)
        verdict = [f"verdict: {self.verdict}"] if self.verdict else []
        return "\n".join([align_columns([*headings, *cells]), settings, *warnings, *verdict])

    def csv(self) -> str:
        """The rows as CSV with a line of headings."""
        return csv_table(self.rows())

    def content(self) -> dict[str, Any]:
        """What the JSON has: the rows, warnings, settings and, if there is one, the verdict."""
        content = {"rows": self.rows(), "warnings": self.warnings, "settings": self.settings}
        return content | ({"verdict": self.verdict} if self.verdict else {})

    def json(self) -> str:
        """The rows, warnings, settings and, if there is one, the verdict as JSON."""
        return json.dumps(self.content(), indent=2) + "\n"

    def write(self, path: str | Path) -> None:
        """Write the table: CSV if the name ends in .csv, JSON otherwise."""
        path = Path(path)
        with atomic_write(path) as temporary:
            temporary.write_text(self.csv() if path.suffix == ".csv" else self.json())


def _row(
    name: str, robust: np.ndarray, robust_8bit: np.ndarray, distance: np.ndarray
) -> dict[str, Any]:
    """One row of the table; `distance` is that of the examples that were attacked."""
    found = np.isfinite(distance)
    row: dict[str, Any] = {
        "attack": name,
        "accuracy %": 100 * fraction(robust),
        "8-bit accuracy %": 100 * fraction(robust_8bit),
        "success rate %": 100 * fraction(found),
    }
    if found.any():
        row["mean distance"] = float(distance[found].mean())
        row["median distance"] = float(np.median(distance[found]))
    return row


def fraction(flags: np.ndarray) -> float:
    """The fraction that is true; 0 of an empty array."""
    return float(flags.mean()) if len(flags) else 0.0


def column_names(rows: Sequence[dict[str, Any]]) -> list[str]:
    """The names of all columns, in the order in which they first appear."""
    return list(dict.fromkeys(name for row in rows for name in row))


def csv_table(rows: Sequence[dict[str, Any]]) -> str:
    """The rows as CSV with a line of headings; a cell that a row does not have is empty."""
    out = io.StringIO()
    writer = csv.DictWriter(out, column_names(rows), restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()


def markdown_table(rows: Sequence[dict[str, Any]]) -> str:
    """The rows as a table of Markdown: the first column to the left, the others to the right."""
    names = column_names(rows)
    cells = [[format_value(row.get(name, "")) for name in names] for row in rows]
    lines = [names, ["---", *["---:"] * (len(names) - 1)], *cells]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def align_columns(rows: Sequence[Sequence[str]]) -> str:
    """Rows of cells as lines of text: the first column to the left, the others to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join([f"{first:<{widths[0]}}", *map(str.rjust, rest, widths[1:])]).rstrip()
        for first, *rest in rows
    )


def divide(a: float, b: float) -> float:
    """a / b; of b = 0 it is infinite, or NaN."""
    if b == 0:
        return float("nan") if a == 0 else float("inf") if a > 0 else float("-inf")
    return a / b


def finite(value: Any) -> Any:
    """The value with None for what JSON does not have, ∞ and NaN; in lists and dicts, too."""
    if isinstance(value, dict):
        return {name: finite(item) for name, item in value.items()}
    if isinstance(value, list):
        return [finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def format_radius(eps: float) -> str:
    """A radius in units of [0, 1]: as a decimal where it is a short one, such as 0.5, else as a
    fraction of 255 where it is a number of grey levels."""
    if float(f"{eps:.3g}") == eps:
        return f"{eps:g}"
    levels = 255 * eps
    whole = levels >= 1 and abs(levels - round(levels)) < 1e-9
    return f"{levels:.0f}/255" if whole else f"{eps:.4g}"


def format_value(value: Any) -> str:
    """A cell of a table: floats with four significant digits."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)
