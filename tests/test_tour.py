"""The chapters of the tour: their form, and what they show of the source. They run when the
documentation is built."""

import ast
import json
import re

import pytest
from sliders import sliders

from tests import ROOT

TOUR = ROOT / "docs" / "tour"
CHAPTERS = sorted(TOUR.glob("[0-9]*.md"))
SECTIONS = [
    "The equation", "The line", "The question", "The experiment", "What it shows", "The exercise",
]  # fmt: skip
DIRECTIVE = re.compile(r"^```\{([\w-]+)\}([^\n]*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
FRONT_MATTER = (
    "---\nfile_format: mystnb\nkernelspec:\n  name: python3\n  display_name: Python 3\n---\n\n"
)


def sections(path):
    """The text of each section by its heading."""
    parts = re.split(r"^## (.+)$", path.read_text(), flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def cells(text):
    """(options, code) of each cell."""
    for name, _, body in DIRECTIVE.findall(text):
        if name == "code-cell":
            options, code = re.fullmatch(
                r"(---\n.*?^---\n|(?::[\w-]+:[^\n]*\n)*)(.*)", body, re.DOTALL | re.MULTILINE
            ).groups()
            yield options, code


def shown(path):
    """(file, options) of each part of the source that a page shows."""
    for name, file, body in DIRECTIVE.findall(path.read_text()):
        if name == "literalinclude":
            yield file.strip(), dict(re.findall(r"^:([\w-]+): ?(.*)$", body, re.MULTILINE))


def lines_of(tree, name):
    """The lines of a function or a method, `Class.method`, counted from 0, as a range."""
    for part in name.split("."):
        (tree,) = [n for n in ast.iter_child_nodes(tree) if getattr(n, "name", None) == part]
    return range(min([tree.lineno, *(d.lineno for d in tree.decorator_list)]) - 1, tree.end_lineno)


def selected(source, options):
    """The lines that the options of a `literalinclude` leave. Each marker is in one line only."""
    text = source.splitlines()
    span = lines_of(ast.parse(source), options["pyobject"]) if "pyobject" in options else text
    lines = [text[i] for i in span] if "pyobject" in options else text
    for option, after in (("start-at", 0), ("start-after", 1)):
        if option in options:
            (first,) = [i for i, line in enumerate(lines) if options[option] in line]
            lines = lines[first + after :]
    for option, after in (("end-at", 1), ("end-before", 0)):
        if option in options:
            lines = lines[: [options[option] in line for line in lines].index(True) + after]
    return lines


def test_there_are_chapters_and_the_index_lists_them():
    assert len(CHAPTERS) == 12
    index = (TOUR / "index.md").read_text()
    tree = next(body for name, _, body in DIRECTIVE.findall(index) if name == "toctree")
    assert re.findall(r"^(\d\d-.+)$", tree, re.MULTILINE) == [c.stem for c in CHAPTERS]
    titles = [re.search(r"^# (.+)$", c.read_text(), re.MULTILINE)[1] for c in CHAPTERS]
    assert re.findall(r"^\| \[(.+)\]\(", index, re.MULTILINE) == titles
    assert [int(title.partition(".")[0]) for title in titles] == list(range(1, 13))


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_a_chapter_has_the_form(path):
    text, parts = path.read_text(), sections(path)
    assert text.startswith(FRONT_MATTER)
    assert list(parts) == SECTIONS
    assert "**One idea.**" in text.partition("## ")[0]
    assert re.search(r"^    \S", parts["The equation"], re.MULTILINE)
    assert "`](#tinyproto." in parts["The line"]
    assert "../map/" in parts["The line"]
    assert "?" in parts["The question"]
    assert not list(cells(parts["The question"]))
    for folded in ("The question", "The exercise"):
        assert len(re.findall(r"^<details>\n<summary>", parts[folded], re.MULTILINE)) == 1
        assert "\n\n</details>\n" in parts[folded]
    assert list(cells(parts["The exercise"]))
    pictures = [options for options, code in cells(parts["The experiment"]) if "plt.show" in code]
    assert pictures
    assert all(re.search(r"^ +alt: \S", options, re.MULTILINE) for options in pictures)


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_cells_are_python_and_use_only_the_samples(path):
    for _, code in cells(path.read_text()):
        ast.parse(code)
        assert not re.search(r"\bload\(\"(mnist|cifar10)\"(?!, SAMPLES)", code)


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_what_is_shown_of_the_source_exists(path):
    included = list(shown(path))
    assert included
    for file, options in included:
        lines = selected((path.parent / file).read_text(), options)
        assert any(line.strip() for line in lines), (file, options)
        assert len(lines) <= 26, f"{file}: {len(lines)} lines are too many to read"


def test_a_marker_that_is_gone_or_ambiguous_is_found():
    source = "@wrapped\ndef f():\n    a = 1\n    b = 2\n    return a\n"
    assert selected(source, {"pyobject": "f"}) == source.splitlines()
    assert selected(source, {"start-after": "a = 1", "end-before": "return"}) == ["    b = 2"]
    for options in ({"pyobject": "g"}, {"start-at": "c ="}, {"start-at": "a"}, {"end-at": "c ="}):
        with pytest.raises(ValueError, match=r"unpack|not in list"):
            selected(source, options)


def test_sliders_have_the_rows_of_their_settings_and_begin_where_they_should():
    def row(name, **settings):
        return {"row": name, "settings": {"first_weight": 1.0, "second_weight": 6.0, **settings}}

    rows = [
        row("base"),
        row("first-weight-2", first_weight=2.0),
        row("first-weight-2+second-weight-3", first_weight=2.0, second_weight=3.0),
        row("radius-5"),
        row("first-weight-4+radius-5", first_weight=4.0),
    ]
    settings = {"first_weight": ("λ₁", 2.0), "second_weight": ("λ₂", 6.0)}
    page = sliders(rows, settings, {"clean": lambda row: 10 * row["settings"]["first_weight"]})
    data = json.loads(re.search(r"= (\{.*\});", page)[1])
    assert data["values"] == [["1", "2"], ["3", "6"]]
    assert data["rows"] == {"1 6": [10.0], "2 6": [20.0], "2 3": [20.0]}
    assert re.findall(r"<label>(\S+) <input [^>]*value=\"(\d)\"", page) == [
        ("λ₁", "1"),
        ("λ₂", "1"),
    ]
