"""The map: its pages are those of the code, and what they lead to is there."""

import ast
import importlib
import re

import equation
import pytest
import write
from equations import THEMES

from tests import ROOT
from tests.test_tour import lines_of, sections, selected, shown
from tinyproto.tour.places import PLACES

MAP = ROOT / "docs" / "map"
WITHOUT_PICTURE = {"adam", "n-fgsm"}


EQUATIONS = [e for _, equations in THEMES.values() for e in equations]
each = pytest.mark.parametrize("found", EQUATIONS, ids=lambda found: found.title)


def anchors(path):
    return {write.slug(h) for h in re.findall(r"^#+ (.+)$", path.read_text(), re.MULTILINE)}


def test_the_pages_are_up_to_date():
    for path, text in write.pages().items():
        assert path.read_text() == text, f"{path.name}: run python docs/map/write.py"


@each
def test_the_line_and_its_function_are_shown(found):
    text = write.line_shown(found)
    options = dict(re.findall(r"^:([\w-]+): ?(.*)$", text, re.MULTILINE))
    source = (ROOT / "tinyproto" / found.file).read_text()
    lines = selected(source, {"pyobject": options["pyobject"]})
    first, _, last = options.get("lines", f"1-{len(lines)}").partition("-")
    lines = lines[int(first) - 1 : int(last)]
    assert lines[int(options["emphasize-lines"]) - 1].strip() == found.line


@each
def test_the_test_is_there(found):
    file, name = found.test.split("::")
    assert name.startswith("test_")
    assert lines_of(ast.parse((ROOT / file).read_text()), name)


@each
def test_the_derivation_is_there(found):
    module, _, name = found.derivation.partition(":")
    explained = importlib.import_module(module)
    explained = getattr(explained, name) if name else explained
    assert len(explained.__doc__.splitlines()) > 1


@each
def test_the_picture_is_there(found):
    path, _, anchor = equation.picture_of(found).partition("#")
    text = (ROOT / "docs" / path).read_text()
    parts = re.split(r"^#+ (.+)$", text, flags=re.MULTILINE)
    (section,) = [
        body for head, body in zip(parts[1::2], parts[2::2], strict=True)
        if write.slug(head) == anchor
    ]  # fmt: skip
    assert "```{figure}" in section or "plt.show" in section


def test_every_place_worth_breaking_is_an_equation():
    assert {found.place for found in EQUATIONS} - {""} == set(PLACES) - WITHOUT_PICTURE


def test_every_chapter_is_the_chapter_of_an_equation_and_leads_to_the_map():
    chapters = sorted((ROOT / "docs" / "tour").glob("[0-9]*.md"))
    assert {equation.chapter_of(found) for found in EQUATIONS} == {
        f"tour/{c.name}" for c in chapters
    }
    for chapter in chapters:
        assert "../map/" in sections(chapter)["The line"]


def test_the_table_leads_to_every_equation():
    index = (MAP / "index.md").read_text()
    for found in EQUATIONS:
        (link,) = re.findall(rf"\[{re.escape(found.title)}\]\((.+?)\)", index)
        page, _, anchor = link.partition("#")
        assert anchor in anchors(MAP / page)


def test_what_the_pages_show_exists():
    for page in MAP.glob("*.md"):
        for file, options in shown(page):
            assert selected((MAP / file).read_text(), options)


def test_a_line_that_is_gone_or_ambiguous_is_refused():
    with pytest.raises(ValueError, match="0 lines"):
        write.line_shown(EQUATIONS[0]._replace(line="nothing = 0"))
    with pytest.raises(ValueError, match="2 lines"):
        write.line_shown(EQUATIONS[0]._replace(line="two = x.dtype.type(2)"))
