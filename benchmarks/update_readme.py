"""Write the tables of README.md from benchmarks/results/*.json, so that no number is typed by hand.

    python benchmarks/update_readme.py [--check]

A table stands between `<!-- NAME -->` and `<!-- /NAME -->`; NAME.json holds its rows (or, for the
example, its metrics). --check changes nothing and fails where a table is not what the file says.
"""

import json
import re
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
RESULTS = Path(__file__).parent / "results"


def markdown(rows: list[dict[str, Any]]) -> str:
    """Rows as Markdown tables; rows of other columns start a new one."""
    tables: list[tuple[list[str], list[dict[str, Any]]]] = []
    for row in rows:
        if not tables or tables[-1][0] != list(row):
            tables.append((list(row), []))
        tables[-1][1].append(row)
    return "\n\n".join(_table(columns, some) for columns, some in tables)


def _table(columns: list[str], rows: list[dict[str, Any]]) -> str:
    lines = [columns, ["---", *["---:"] * (len(columns) - 1)]]
    lines += [[_text(row[name]) for name in columns] for row in rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _text(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    return f"{value:,}" if isinstance(value, int) and value >= 10_000 else str(value)


def example(metrics: dict[str, Any]) -> str:
    """The figures that examples/mnist_ed_wta.py printed."""
    rows = {"test accuracy": f"{metrics['clean_accuracy']:.2%}"}
    shown = metrics["robust_accuracy"].items()
    rows |= {f"accuracy, {name}": f"{v:.1%}" for name, v in shown if not name.startswith("fgsm")}
    rows["‖w⁺ − w⁻‖ / ‖w⁺‖"] = f"{metrics['prototype_difference']:.3f}"
    rows["mean distance of a centre to its nearest image"] = f"{metrics['centre_distance']:.2f}"
    rows["training, seconds"] = f"{metrics['seconds']:.0f}"
    return markdown([{"measure": name, "value": value} for name, value in rows.items()])


def deep_example(metrics: dict[str, Any]) -> str:
    """The figures that examples/cifar10_adv_dpnp.py printed."""
    rows = {
        f"test accuracy after {len(metrics['history'])} epochs": f"{metrics['clean_accuracy']:.2%}",
        "training, minutes": f"{metrics['seconds'] / 60:.0f}",
        "images a second": f"{metrics['images_per_second']:.0f}",
    }
    for name, value in metrics["robust_accuracy"].items():
        rows[f"accuracy, {name} ({metrics['attacked']:,} images)"] = f"{value:.1%}"
    return markdown([{"measure": name, "value": value} for name, value in rows.items()])


def mutations(rows: list[dict[str, Any]]) -> str:
    """How many mutants of each file were caught."""
    found = []
    for file in dict.fromkeys(row["file"] for row in rows):
        fates = [row["fate"] for row in rows if row["file"] == file]
        counts = {fate: fates.count(fate) for fate in ("caught", "equivalent", "survived")}
        found.append({"file": file, "broken": len(fates), **counts})
    return markdown(found)


def parity(rows: list[dict[str, Any]]) -> str:
    """Shares that stay right, side by side; a peer's place is empty where it was not run."""
    kinds = ("nothing drawn", "alone", "AutoAttack")
    found: list[dict[str, Any]] = []
    for row in rows:
        name = next((row[kind] for kind in kinds if kind in row), None)
        if name is None:
            found[-1]["images that differ"] = row["images on which the two AutoAttacks differ"]
            continue
        stage = "AutoAttack" in row
        shares = {
            "ours": row["ours, right %"],
            "torchattacks": row.get("torchattacks, right %", ""),
            "AutoAttack's authors": row.get("theirs, right %", row.get("the authors, right %", "")),
        }
        found.append(
            {
                "attack": f"AutoAttack: {name}" if stage else name,
                "images": row["images"],
                **{who: f"{v:.1f} %" if v != "" else "" for who, v in shares.items()},
                "images that differ": row.get("images that differ", ""),
            }
        )
    return markdown(found)


def gradients(rows: list[dict[str, Any]]) -> str:
    """The worst of each kind of comparison."""
    kinds = {
        "networks and random layers: scores, input and parameter gradients": (" eval", " train"),
        "a whole step of a defence": ("a step of",),
        "SGD and Adam, five steps": ("SGD", "Adam"),
        "losses, at all their arguments; PGD": ("",),
    }
    worst: dict[str, list[float]] = {kind: [] for kind in kinds}
    for row in rows:
        kind = next(k for k, marks in kinds.items() if any(m in row["what"] for m in marks))
        worst[kind].append(row["largest relative error"])
    return markdown(
        [
            {"what": kind, "comparisons": len(found), "largest relative error": f"{max(found):.1e}"}
            for kind, found in worst.items()
        ]
    )


def accuracy(rows: list[dict[str, Any]]) -> str:
    """Means over the seeds of each preset."""
    found = []
    for preset in dict.fromkeys(row["preset"] for row in rows):
        some = [row for row in rows if row["preset"] == preset]
        accuracies = [row["test accuracy %"] for row in some]
        own_class = _mean(some, "nearest image of own class %")
        found.append(
            {
                "preset": preset,
                "seeds": len(some),
                "test accuracy": f"{sum(accuracies) / len(some):.2f} %",
                "least – most": f"{min(accuracies):.2f} – {max(accuracies):.2f} %",
                "prototypes nearest to their own class": f"{own_class:.1f} %",
                "‖w⁺ − w⁻‖/‖w⁺‖": f"{_mean(some, '‖w⁺ − w⁻‖/‖w⁺‖'):.3f}",
            }
        )
    return markdown(found)


def _mean(rows: list[dict[str, Any]], name: str) -> float:
    return float(sum(row[name] for row in rows) / len(rows))


def updated(text: str) -> str:
    for path in sorted(RESULTS.glob("*.json")):
        content, name = json.loads(path.read_text()), path.stem
        if name == "mnist_ed_wta":
            body = example(content)
        elif name == "accuracy":
            body = accuracy(content["rows"])
        elif name == "cifar10_standard":
            body = deep_example(content)
        elif name == "gradients":
            body = gradients(content["rows"])
        elif name in ("autoattack", "autoattack_l2"):
            body = parity(content["rows"])
        elif name in ("mutations", "mutations_attacks"):
            body = mutations(content["rows"])
        else:
            body = markdown(content["rows"])
        place = re.search(rf"<!-- {name} -->\n.*?<!-- /{name} -->", text, re.DOTALL)
        if place is None:
            raise ValueError(f"README.md has no place for {path.name}: <!-- {name} -->")
        table = f"<!-- {name} -->\n{body}\n<!-- /{name} -->"
        text = text[: place.start()] + table + text[place.end() :]
    return text


def main() -> None:
    readme = ROOT / "README.md"
    before = readme.read_text()
    after = updated(before)
    if "--check" in sys.argv:
        sys.exit("README.md is not what benchmarks/results says" if after != before else 0)
    readme.write_text(after)


if __name__ == "__main__":
    main()
