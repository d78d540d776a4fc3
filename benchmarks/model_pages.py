"""The cards of the models that ship as Markdown; `update_results.py` writes docs/models.md."""

import re
from collections.abc import Sequence

from tinyproto.pretrained import Card, Figure, Zoo
from tinyproto.prototypes import clopper_pearson


def body(models: Zoo) -> str:
    """The table of all models, and a section about each."""
    return "\n\n".join([summary(models), *map(section, models.values())])


def summary(models: Zoo) -> str:
    """One row for each model."""
    head, *rows = models.rows()
    linked = [[f"[{name}](#{name})", *cells] for name, *cells in rows]
    return table([head, *linked], right=1)


def section(card: Card) -> str:
    """A section with everything that a card says."""
    facts = [[name, text] for name, text in card.facts().items() if text != card.command]
    figures = [["measure", "value", "95 % interval", "test images"], *map(_figure, card.figures)]
    settings = ", ".join(f"{name} {value}" for name, value in card.training.items())
    return "\n\n".join(
        [
            f"## {card.name}",
            card.description,
            f"```python\nmodel = tinyproto.load({card.name!r})\n```".replace("'", '"'),
            table([["", "what it is"], *facts]),
            table(figures, right=1),
            "What it must not be used for, and what the figures do not say:",
            "\n".join(f"- {limit}" for limit in card.limits),
            f"Trained by\n\n```sh\n{card.command}\n```\n\nwith the settings {settings}.",
        ]
    )  # fmt: skip


def _figure(figure: Figure) -> list[str]:
    name = f"{figure.measure}, {figure.ball}" if figure.ball else figure.measure
    interval = ""
    if figure.unit == "%" and figure.images and not figure.measure.startswith("mean "):
        right = round(figure.value * figure.images / 100)
        low, high = clopper_pearson(right, figure.images)
        interval = f"{100 * low:.1f} – {100 * high:.1f} %"
    return [name, figure.amount, interval, f"{figure.images:,}" if figure.images else ""]


def table(rows: Sequence[Sequence[str]], right: int | None = None) -> str:
    """Rows as a Markdown table, the first as its head; columns from `right` on to the right."""
    head, *others = rows
    start = len(head) if right is None else right
    lines = [head, ["---"] * start + ["---:"] * (len(head) - start)]
    for row in others:  # a number stays on the line of its unit
        unbroken = [
            re.sub(r" (?=%)|(?<=L[2∞]) ", "\N{NO-BREAK SPACE}", cell) for cell in row[start:]
        ]
        lines.append([*row[:start], *unbroken])
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
