"""Write the tables of the documentation and README.md from benchmarks/results/*.json.

    python benchmarks/update_results.py [--check]

No number in a table is typed by hand. In docs/results.md the table of results/NAME.json is between
`<!-- NAME -->` and `<!-- /NAME -->`; the README has one small table, `summary`, and docs/models.md
the cards of the models in the package. --check changes nothing, and fails where a table is not what
the files say.
"""

import argparse
import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import model_pages
from paper_ed_wta import tables as paper_tables
from reproduction import claims
from reproduction import tables as reproduction_tables

from tinyproto.pretrained import zoo

ROOT = Path(__file__).parent.parent
RESULTS = Path(__file__).parent / "results"
Rows = list[dict[str, Any]]


def markdown(rows: Rows) -> str:
    """Rows as Markdown tables; a row with other columns starts a new table."""
    tables: list[tuple[list[str], Rows]] = []
    for row in rows:
        if not tables or tables[-1][0] != list(row):
            tables.append((list(row), []))
        tables[-1][1].append(row)
    return "\n\n".join(_table(columns, some) for columns, some in tables)


def _table(columns: list[str], rows: Rows) -> str:
    cells = [[_text(row[name]) for name in columns] for row in rows]
    numbers = (
        all(re.match(r"-?\d|$", cell) for cell in column) for column in zip(*cells, strict=True)
    )
    lines = [columns, ["---:" if right else "---" for right in numbers], *cells]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _text(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    return f"{value:,}" if isinstance(value, int) and value >= 10_000 else str(value)


def _mean(rows: Rows, name: str) -> float:
    return float(sum(row[name] for row in rows) / len(rows))


def _certified(rows: Rows, norm: str, radius: float) -> str:
    """The certified accuracy within a radius."""
    ball = (norm, radius)
    share = next(row["certified %"] for row in rows if (row["norm"], row.get("radius")) == ball)
    return f"{share:.1f} %"


def mnist_ed_wta(metrics: dict[str, Any]) -> str:
    """The figures that examples/mnist_ed_wta.py wrote."""
    found = {"test accuracy": f"{metrics['clean_accuracy']:.2%}"}
    names = {"linf": "L∞", "l2": "L2"}
    for name, value in metrics["robust_accuracy"].items():
        attack, *at = name.split()
        if attack == "exact":
            found[f"certified accuracy, {names[at[0]]} radius {at[1]}"] = f"{value:.1%}"
        elif attack == "pgd":
            found[f"accuracy under PGD, L∞ {at[0]}"] = f"{value:.1%}"
    found["‖w⁺ − w⁻‖ / ‖w⁺‖"] = f"{metrics['prototype_difference']:.3f}"
    found["mean distance from a positive prototype to the nearest training image"] = (
        f"{metrics['centre_distance']:.2f}"
    )
    found["training time, seconds"] = f"{metrics['seconds']:.0f}"
    return markdown([{"measure": name, "value": value} for name, value in found.items()])


def cifar10_standard(metrics: dict[str, Any]) -> str:
    """The accuracies that examples/cifar10_adv_dpnp.py wrote. Its times are those of an older
    version of the convolutions and are left out."""
    epochs, images = len(metrics["history"]), metrics["attacked"]
    found = {f"test accuracy after {epochs} epochs": f"{metrics['clean_accuracy']:.2%}"}
    for name, value in metrics["robust_accuracy"].items():
        found[f"accuracy under {name} (the first {images:,} test images)"] = f"{value:.1%}"
    return markdown([{"measure": name, "value": value} for name, value in found.items()])


def evaluation(report: dict[str, Any]) -> str:
    """What `python -m tinyproto.evaluation --out` wrote, without its times."""
    columns = ("accuracy %", "forward passes", "backward passes")
    rows = [
        {"attack": row["attack"], **{name: row.get(name, "") for name in columns}}
        for row in report["rows"]
    ]
    return markdown(rows)


def mutations(content: dict[str, Any]) -> str:
    """How many mutants of each file were caught."""
    found = []
    for file in dict.fromkeys(row["file"] for row in content["rows"]):
        fates = [row["fate"] for row in content["rows"] if row["file"] == file]
        counts = {fate: fates.count(fate) for fate in ("caught", "equivalent", "survived")}
        found.append({"file": file, "mutants": len(fates), **counts})
    return markdown(found)


def autoattack(content: dict[str, Any]) -> str:
    """Accuracies side by side; a cell is empty where an implementation was not run."""
    kinds = ("deterministic", "single attack", "AutoAttack stage")
    found: Rows = []
    for row in content["rows"]:
        kind = next((kind for kind in kinds if kind in row), None)
        if kind is None:
            found[-1]["images with another outcome"] = row[
                "images on which the two AutoAttacks differ"
            ]
            continue
        accuracies = {
            "ours": row["ours, accuracy %"],
            "torchattacks": row.get("torchattacks, accuracy %", ""),
            "AutoAttack's authors": row.get("authors, accuracy %", ""),
        }
        stage = kind == "AutoAttack stage"
        found.append(
            {
                "attack": f"AutoAttack, stage {row[kind]}" if stage else row[kind],
                "images": row["images"],
                **{who: f"{v:.1f} %" if v != "" else "" for who, v in accuracies.items()},
                "images with another outcome": row.get("images that differ", ""),
            }
        )
    found[-1]["attack"] = found[-1]["attack"].replace("stage all", "all stages")
    return markdown(found)


def gradients(content: dict[str, Any]) -> str:
    """The largest error of each kind of comparison."""
    kinds = {
        "networks and random layers: scores, input and parameter gradients": (" eval", " train"),
        "a training step of a defence": ("a step of",),
        "SGD and Adam, five steps": ("SGD", "Adam"),
        "losses, with respect to every argument; PGD": ("",),
    }
    errors: dict[str, list[float]] = {kind: [] for kind in kinds}
    for row in content["rows"]:
        kind = next(k for k, marks in kinds.items() if any(m in row["compared"] for m in marks))
        errors[kind].append(row["largest relative error"])
    return markdown(
        [
            {"compared": kind, "cases": len(some), "largest relative error": f"{max(some):.1e}"}
            for kind, some in errors.items()
        ]
    )


def accuracy(content: dict[str, Any]) -> str:
    """Means over the seeds of each preset."""
    found = []
    for preset in dict.fromkeys(row["preset"] for row in content["rows"]):
        some = [row for row in content["rows"] if row["preset"] == preset]
        accuracies = [row["test accuracy %"] for row in some]
        found.append(
            {
                "preset": preset,
                "seeds": len(some),
                "mean test accuracy": f"{_mean(some, 'test accuracy %'):.2f} %",
                "lowest – highest": f"{min(accuracies):.2f} – {max(accuracies):.2f} %",
                "positive prototypes whose nearest image is of their class": (
                    f"{_mean(some, 'nearest image of own class %'):.1f} %"
                ),
                "‖w⁺ − w⁻‖ / ‖w⁺‖": f"{_mean(some, '‖w⁺ − w⁻‖/‖w⁺‖'):.3f}",
            }
        )
    return markdown(found)


def robust(content: dict[str, Any]) -> str:
    """Means over the seeds of each preset, with the lowest and the highest."""
    rows = content["rows"]
    seeds = {row["preset"]: [r for r in rows if r["preset"] == row["preset"]] for row in rows}
    measures = [
        ("test accuracy %", "accuracy"),
        *(
            (f"certified in [0, 1] at {eps} %", f"certified in [0, 1] at {eps}")
            for eps in (0.5, 1.0, 1.58, 2.0, 0.05, 0.1, 0.15, 0.2)
        ),
        ("bound without the box at 1.58 %", "bound of pairs, no box, at 1.58"),
        ("bound without the box at 0.1 %", "bound of pairs, no box, at 0.1"),
        ("nearest image of own class %", "prototypes nearest to an image of their class"),
        ("K", "prototypes of each class"),
        ("epochs", "epochs"),
        ("test digits", "digits judged"),
    ]
    found: Rows = []
    for key, name in measures:
        cells = {preset: _span(some, key) for preset, some in seeds.items()}
        if any(cells.values()):
            found.append({"measure": name, **cells})
    heads = {preset: f"{preset}, {some[0]['norm']}" for preset, some in seeds.items()}
    return markdown([{heads.get(name, name): cell for name, cell in row.items()} for row in found])


def _span(rows: Rows, key: str) -> str:
    """A mean, with the lowest and the highest where they differ; empty where a row has no value."""
    values = [row[key] for row in rows if key in row]
    if not values:
        return ""
    if not key.endswith("%"):
        return f"{values[0]:,}"
    mean = f"{sum(values) / len(values):.2f} %"
    return mean if len(values) == 1 else f"{mean} ({min(values):.2f} – {max(values):.2f})"


PUBLISHED: Rows = [
    {
        "classifier": "nearest prototypes, 400 a class (Voráček and Hein, ICML 2022)",
        "certified at L2 1.58": "73.0 %",
        "what is proved": "as its authors prove it",
        "source": "arXiv 2207.07208",
    },
    {
        "classifier": "the best network without randomness in their comparison",
        "certified at L2 1.58": "69.8 %",
        "what is proved": "as its authors prove it",
        "source": "arXiv 2207.07208",
    },
]
"""Figures of others, as they are published, for MNIST's test digits."""


def comparison(found: dict[str, dict[str, Any]]) -> str:
    """Ours beside the published figures."""
    rows = [row for row in found["robust"]["rows"] if row["preset"] == "robust-large"]
    ours = [
        {
            "classifier": f"ED-WTA, {rows[0]['K']} prototypes a class, {len(rows)} seeds",
            "certified at L2 1.58": _span(rows, key),
            "what is proved": what,
            "source": f"all {rows[0]['test digits']:,} test digits, bench_robust.py",
        }
        for key, what in (
            ("certified in [0, 1] at 1.58 %", "the exact radius in [0, 1]"),
            ("bound without the box at 1.58 %", "the bound of pairs, no box"),
        )
    ]
    return markdown([*ours, *PUBLISHED])


def paper_ed_wta(content: dict[str, Any]) -> str:
    """The tables of the ±ED-WTA paper's experiments, with a heading for each."""
    found = paper_tables.everything(content["rows"])
    return "\n\n".join(f"**{name}**\n\n{markdown(table)}" for name, table in found.items())


def with_note_as_sentence(content: dict[str, Any]) -> str:
    """The rows, and what was measured."""
    note = content["note"]
    return f"{markdown(content['rows'])}\n\n{note[0].upper()}{note[1:]}."


def with_note(content: dict[str, Any]) -> str:
    """The rows, and what was measured and assumed."""
    return f"{markdown(content['rows'])}\n\n{content['note']}."


def reproduction(name: str) -> Callable[[dict[str, Any]], str]:
    """The tables that benchmarks/reproduce.py makes of a file, and what they show."""

    def body(content: dict[str, Any]) -> str:
        found = reproduction_tables.TABLES[name](content)
        note = content["note"]
        return "\n\n".join([*map(markdown, found), f"{note}."])

    return body


TABLES: dict[str, Callable[[dict[str, Any]], str]] = {
    **{name: reproduction(name) for name in reproduction_tables.TABLES},
    "accuracy": accuracy,
    "autoattack": autoattack,
    "autoattack_l1": autoattack,
    "autoattack_l2": autoattack,
    "autoattack_two_views": autoattack,
    "cost_model": with_note,
    "cifar10_adv_dpnp": evaluation,
    "cifar10_standard": cifar10_standard,
    "flip_average": with_note_as_sentence,
    "geometry": with_note_as_sentence,
    "gradients": gradients,
    "mnist_ed_wta": mnist_ed_wta,
    "mutations": mutations,
    "onnx_autoattack": with_note,
    "onnx_forward": with_note,
    "hop_skip_jump": with_note,
    "robust": robust,
    "paper_ed_wta": paper_ed_wta,
}
"""Files whose tables are not simply their rows."""


def summary(found: dict[str, dict[str, Any]]) -> str:
    """The README's table: a few figures of the others."""
    wta, certified = found["accuracy"]["rows"], found["certified"]["rows"]
    certified_digits = next(row["images"] for row in certified if "images" in row)
    authors = [row for row in wta if row["preset"] == "authors"]
    engine = next(
        row for row in found["onnx_forward"]["rows"]
        if (row["network"], row["batch"], row["threads"]) == ("compact_cnn", 128, 2)
    )  # fmt: skip
    defended = reproduction_tables.headline(found["reproduce"]["rows"])
    peer = found["autoattack"]["rows"]
    stages = next(r for r in peer if str(r.get("AutoAttack stage", "")).startswith("all"))
    differ = next(r for r in peer if "images on which the two AutoAttacks differ" in r)
    passes = [
        row
        for row in found["network"]["rows"]
        if row["network"].startswith("compact_cnn, ")
        and (row["threads"], row["normalization"]) == (2, "BatchNorm")
    ]

    def proved(preset: str, eps: float) -> str:
        some = [row for row in found["robust"]["rows"] if row["preset"] == preset]
        return f"{_mean(some, f'certified in [0, 1] at {eps} %'):.1f} %"

    ratios = ", ".join(f"{row['ours / PyTorch']:.2f}" for row in passes)
    rows = {
        "MNIST, ±ED-WTA with the authors' settings: test accuracy": (
            f"{_mean(authors, 'test accuracy %'):.2f} % (mean of {len(authors)} seeds)"
        ),
        "MNIST, ±ED-WTA: certified accuracy at L2 radius 0.5; at L∞ radius 0.05": (
            f"{_certified(certified, 'l2', 0.5)}; {_certified(certified, 'linf', 0.05)} "
            f"({certified_digits:,} test digits)"
        ),
        "MNIST, ED-WTA trained for its radius: proved in [0, 1] for all test digits at L2 1.58": (
            proved("robust-large", 1.58)
        ),
        "the same with half as many prototypes, trained for L∞: proved at 0.1": proved(
            "robust-linf", 0.1
        ),
        **{f"CIFAR-10, compact_cnn, {name}": value for name, value in defended.items()},
        "CIFAR-10, PGD training: accuracy under AutoAttack, ours; its authors' code": (
            f"{stages['ours, accuracy %']:.1f} %; {stages['authors, accuracy %']:.1f} % "
            f"({differ['images on which the two AutoAttacks differ']} of "
            f"{stages['images']:,} images differs)"
        ),
        "compact_cnn on two CPU threads, our time / PyTorch's: "
        + ", ".join(row["pass"] for row in passes): ratios,
        "AutoAttack, our time / its authors' on PyTorch, equal numbers of passes": (
            f"{found['autoattack_time']['rows'][-1]['ours / authors']:.2f}"
        ),
        "compact_cnn from an ONNX file, 128 images forward on two threads: our time / that of "
        f"{engine['fastest of the others']}, the fastest of four others": (
            f"{engine['ours / fastest']:.2f}"
        ),
    }
    return markdown([{"measure": name, "value": value} for name, value in rows.items()])


def replaced(text: str, name: str, body: str, page: str) -> str:
    """The text with the table `name` set to `body`."""
    table = re.compile(rf"<!-- {name} -->\n.*?<!-- /{name} -->", re.DOTALL)
    if not table.search(text):
        raise ValueError(f"{page} has no <!-- {name} --> … <!-- /{name} -->")
    return table.sub(lambda _: f"<!-- {name} -->\n{body}\n<!-- /{name} -->", text)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--check", action="store_true", help="only compare: fail if a page differs")
    check = parser.parse_args(arguments).check
    found = {path.stem: json.loads(path.read_text()) for path in sorted(RESULTS.glob("*.json"))}
    bodies = {
        name: TABLES[name](content) if name in TABLES else markdown(content["rows"])
        for name, content in found.items()
    }
    pages: dict[str, dict[str, str]] = {
        "docs/concepts/clusters.md": {
            name: bodies.pop(name) for name in ("cost_model", "workers") if name in bodies
        },
        "docs/results.md": bodies,
        "docs/concepts/certificate.md": {"comparison": comparison(found)},
        "docs/concepts/adv_dpnp.md": {"claims": markdown(claims.table(found))},
        "docs/models.md": {"models": model_pages.body(zoo())},
        "README.md": {"summary": summary(found)},
    }
    for page, tables in pages.items():
        before = after = (ROOT / page).read_text()
        for name, body in tables.items():
            after = replaced(after, name, body, page)
        if check and after != before:
            sys.exit(f"{page} is not what benchmarks/results says: run {Path(__file__).name}")
        if after != before:
            (ROOT / page).write_text(after)


if __name__ == "__main__":
    main()
