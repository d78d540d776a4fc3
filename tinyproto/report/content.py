"""What a part of the report holds: text, tables and pictures, and its form as JSON."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

Row = dict[str, Any]


@dataclass(frozen=True)
class Text:
    """A paragraph."""

    text: str


@dataclass(frozen=True)
class Table:
    """Rows, each with a value for each column; the first column names the row. `note` is shown
    below."""

    caption: str
    rows: list[Row]
    note: str = ""

    @property
    def columns(self) -> list[str]:
        """The names of the columns, each once, in the order in which the rows name them."""
        return list(dict.fromkeys(name for row in self.rows for name in row))


@dataclass(frozen=True)
class Picture:
    """A PNG file in the folder of its part; `alt` says in words what a reader sees in it."""

    file: str
    alt: str
    caption: str = ""


Block = Text | Table | Picture
KINDS: dict[str, type[Block]] = {"text": Text, "table": Table, "picture": Picture}


@dataclass(frozen=True)
class Section:
    """One part of the report.

    `figures` are its key figures, name → value with its unit, for the summary at the top.
    """

    title: str
    blocks: list[Block] = field(default_factory=list)
    figures: dict[str, str] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """The section as JSON can hold it."""
        kinds = {kind: name for name, kind in KINDS.items()}
        blocks = [{"kind": kinds[type(block)], **asdict(block)} for block in self.blocks]
        return {"title": self.title, "figures": self.figures, "blocks": blocks}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "Section":
        """The section that `to_json` described. Raises KeyError or TypeError for anything else."""
        blocks = []
        for block in content["blocks"]:
            fields = dict(block)
            blocks.append(KINDS[fields.pop("kind")](**fields))
        return cls(str(content["title"]), blocks, dict(content["figures"]))


class LeftOut(Exception):
    """A part that does not apply to a model, or that a missing package prevents; says why."""


def percent(fraction: float | None) -> str:
    """A fraction in %, with one decimal; a dash where there is none."""
    return "–" if fraction is None else f"{100 * fraction:.1f}"
