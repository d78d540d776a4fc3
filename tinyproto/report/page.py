"""The page: one HTML file that holds everything, its pictures too. Jinja2 is imported on use."""

import base64
import importlib.util
import io
import struct
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from .. import __version__
from .content import Picture, Section, Table, Text

LARGE = 200_000  # bytes of a picture
TEMPLATE = Path(__file__).with_name("page.html.jinja")


class Judged(NamedTuple):
    """A model's name, its sections, what was left out and why, and the folder of its parts."""

    name: str
    sections: Mapping[str, Section]
    left_out: Mapping[str, str]
    folder: Path


def render(models: Sequence[Judged], title: str) -> str:
    """The page of one model, or of two side by side."""
    from jinja2 import Environment, StrictUndefined

    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    template = environment.from_string(TEMPLATE.read_text(encoding="utf-8"))
    names = list(dict.fromkeys(name for model in models for name in model.sections))
    parts = [_part(name, models) for name in names]
    return template.render(
        title=title,
        names=[model.name for model in models],
        figures=_figures(models),
        parts=parts,
        left_out=[(model.name, dict(model.left_out)) for model in models if model.left_out],
        version=__version__,
    )


def _part(name: str, models: Sequence[Judged]) -> dict[str, Any]:
    """What the template needs of one part of every model."""
    sections = [model.sections.get(name) for model in models]
    return {
        "id": name,
        "title": next(section.title for section in sections if section is not None),
        "columns": [
            {
                "name": model.name,
                "blocks": None if section is None else
                [_block(block, model.folder / name) for block in section.blocks],
            }
            for model, section in zip(models, sections, strict=True)
        ],
    }  # fmt: skip


def _block(block: Text | Table | Picture, folder: Path) -> dict[str, Any]:
    if isinstance(block, Text):
        return {"kind": "text", "text": block.text}
    if isinstance(block, Table):
        cells = [[str(row.get(column, "")) for column in block.columns] for row in block.rows]
        return {
            "kind": "table", "caption": block.caption, "columns": block.columns, "rows": cells,
            "note": block.note, "numeric": _numeric(cells),
        }  # fmt: skip
    content = _compact((folder / block.file).read_bytes())
    width, height = struct.unpack(">II", content[16:24])  # of a PNG: its IHDR comes first
    return {
        "kind": "picture", "alt": block.alt, "caption": block.caption, "width": width,
        "height": height, "data": base64.b64encode(content).decode(),
    }  # fmt: skip


def _compact(content: bytes) -> bytes:
    """A PNG with 256 colours where that makes a large file smaller: photographs take a third of the
    space so, and look the same at this size. Without Pillow it stays as it is."""
    if len(content) <= LARGE or importlib.util.find_spec("PIL") is None:
        return content
    from PIL import Image

    buffer = io.BytesIO()
    with Image.open(io.BytesIO(content)) as image:
        image.convert("RGB").quantize(256).save(buffer, format="PNG", optimize=True)
    return min(content, buffer.getvalue(), key=len)


def _numeric(cells: list[list[str]]) -> list[bool]:
    """Which columns hold numbers: they are aligned to the right."""

    def number(text: str) -> bool:
        try:
            float(text.replace(",", "").removesuffix("%"))
        except ValueError:
            return text in ("", "–")
        return True

    return [all(map(number, column)) for column in zip(*cells, strict=True)]


def _figures(models: Sequence[Judged]) -> list[tuple[str, list[str]]]:
    """The key figures: a name, and its value for each model."""
    found = [
        {name: value for section in model.sections.values() for name, value in
         section.figures.items()}
        for model in models
    ]  # fmt: skip
    names = dict.fromkeys(name for figures in found for name in figures)
    return [(name, [figures.get(name, "–") for figures in found]) for name in names]
