"""Clean accuracy against accuracy under AutoAttack, a point for each defence."""

from pathlib import Path
from typing import Any

from tinyproto.evaluation.figures import new_figure, save_figure

from .rows import AS_LONG_AS, LONG, NOT_ATTACKED, VIEWS, defense_of
from .tables import interval, title

MARKERS = {
    "standard": "P", "pgd": "o", "trades": "s", "mart": "^", "dpnp": "X", "adv-dpnp": "D",
}  # fmt: skip
COLOURS = {
    "standard": "tab:gray", "pgd": "tab:blue", "trades": "tab:green", "mart": "tab:brown",
    "dpnp": "tab:purple", "adv-dpnp": "tab:red",
}  # fmt: skip
SIZES = {LONG: 12, VIEWS: 16}


def plot_accuracies(content: dict[str, Any], path: Path) -> None:
    """Draw the rows with their 95 % intervals, all of them and then those that were attacked in
    training: a marker for each method, open where training took a single step (N-FGSM), large with
    the longer budget, larger with two views, and small with a shorter one."""
    figure, axes = new_figure(2, width=6.6, height=4.6)
    known = [row for row in content["rows"] if "autoattack" in row["figures"]]
    if not known:
        raise ValueError("no row has been judged by AutoAttack")
    rows = sorted(known, key=_robust, reverse=True)
    attacked = [row for row in rows if defense_of(row["row"]) not in NOT_ATTACKED]
    for axis, some, name in zip(
        axes, (rows, attacked), ("all defences", "those that attack training images"), strict=True
    ):
        for row in some:
            _plot(axis, row)
        axis.set_title(name)
        axis.set_xlabel("clean accuracy, % of the test images")
        axis.grid(alpha=0.3)
    images = rows[0]["figures"]["autoattack"]["images"]
    axes[0].set_ylabel(f"AutoAttack accuracy, L∞ 8/255,\n% of the first {images:,} test images")
    handles, names = axes[0].get_legend_handles_labels()
    figure.legend(
        handles, names, loc="outside right center", title="from the most robust down;\n"
        "bars: 95 % intervals", alignment="left", frameon=False, labelspacing=0.8,
    )  # fmt: skip
    save_figure(figure, path)


def _plot(axis: Any, row: dict[str, Any]) -> None:
    """A row as a point with its intervals."""
    clean, robust = row["figures"]["clean"], row["figures"]["autoattack"]
    x, y = 100 * clean["clean"] / clean["images"], _robust(row)
    (left, right), (low, high) = interval(clean, "clean"), interval(robust, "autoattack")
    method, name = row["settings"]["method"], defense_of(row["row"])
    axis.errorbar(
        x, y, xerr=[[x - left], [right - x]], yerr=[[y - low], [high - y]], linestyle="none",
        label=title(row["row"]).replace(", averaged", ",\naveraged"), color=COLOURS[method],
        marker=MARKERS[method], capsize=2,
        markersize=SIZES.get(row["row"].removeprefix(name), 4 if name in AS_LONG_AS else 7),
        markerfacecolor="white" if "n-fgsm" in name else COLOURS[method],
        elinewidth=0.9, zorder=3,
    )  # fmt: skip


def _robust(row: dict[str, Any]) -> float:
    found = row["figures"]["autoattack"]
    return float(100 * found["autoattack"] / found["images"])
