"""The parts of a report are made one after another; those that are there are not made again."""

import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ..evaluation.command import describe_error
from ..state import atomic_write
from ..training import NotFinite
from .content import LeftOut, Picture, Section
from .parts import PARTS
from .subject import Subject

FAILURES = (LeftOut, ImportError, ValueError, FileNotFoundError, MemoryError, NotFinite)
"""What leaves out a part. Others, such as a full disk, end the report."""
PNG_BEGINS, PNG_ENDS = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", b"IEND\xaeB`\x82"

CHEAP = ("model", "settings")
"""Parts that are made anew each time: they say what is in files beside the model, too."""


def make_parts(
    subject: Subject, folder: Path, names: Iterable[str]
) -> tuple[dict[str, Section], dict[str, str]]:
    """The sections by name, and the reasons of those that were left out.

    Each part is kept in a folder of its own. It is read from there if it was made before of the
    same model with the same settings, so a report that was stopped goes on where it was. A part
    that fails is left out: it does not cost the others. Lines on standard error say which part is
    made.
    """
    chosen = list(names)
    sections: dict[str, Section] = {}
    left_out: dict[str, str] = {}
    for number, name in enumerate(chosen, 1):
        place = folder / name
        section = _read(place, subject.identity)
        if section is None:
            print(f"{subject.name}: {name} ({number} of {len(chosen)})", file=sys.stderr)
            place.mkdir(parents=True, exist_ok=True)
            _forget_others(place, subject.identity)
            try:
                section = PARTS[name](subject, place)
            except FAILURES as reason:
                left_out[name] = describe_error(reason).rstrip(".")
                if not isinstance(reason, LeftOut):
                    print(f"left out: {name}: {left_out[name]}", file=sys.stderr)
                continue
            if name not in CHEAP:
                _write(place, subject.identity, section)
        sections[name] = section
    return sections, left_out


def _read(folder: Path, identity: dict[str, Any]) -> Section | None:
    """The section that is kept in a folder; None for that of other settings, and for a file or a
    picture that is missing or damaged."""
    try:
        content = json.loads((folder / "section.json").read_text())
        if content["identity"] != identity:
            return None
        section = Section.from_json(content["section"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    pictures = [block.file for block in section.blocks if isinstance(block, Picture)]
    return section if all(_is_whole(folder / file) for file in pictures) else None


def _is_whole(picture: Path) -> bool:
    """Whether a file is a PNG from its first bytes to its last."""
    try:
        content = picture.read_bytes()
    except OSError:
        return False
    return content.startswith(PNG_BEGINS) and content.endswith(PNG_ENDS)


def _write(folder: Path, identity: dict[str, Any], section: Section) -> None:
    content = {"identity": identity, "section": section.to_json()}
    with atomic_write(folder / "section.json") as temporary:
        temporary.write_text(json.dumps(content, indent=1) + "\n")


def _forget_others(folder: Path, identity: dict[str, Any]) -> None:
    """Remove the progress of a part of another model or with other settings, which could not be
    continued; and note whose progress will be here."""
    note = folder / "identity.json"
    text = json.dumps(identity, sort_keys=True)
    try:
        same = note.read_text() == text
    except OSError:
        same = False
    if not same:
        for file in folder.iterdir():
            if file.is_file():
                file.unlink()
        with atomic_write(note) as temporary:
            temporary.write_text(text)
