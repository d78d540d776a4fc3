"""An equation of the map, and where it is found in the source and in the documentation."""

import ast
from pathlib import Path
from typing import NamedTuple

from tinyproto.tour.places import PLACES, Place, line_number

DOCS = Path(__file__).parent.parent
ROOT = DOCS.parent
Function = ast.FunctionDef | ast.AsyncFunctionDef


class Equation(NamedTuple):
    """An equation and where it is. Whoever adds one names a line whose text is the only one of its
    kind in its file, and a test that covers it."""

    title: str
    formula: str
    file: str
    """The file of the line, below tinyproto/."""
    line: str
    derivation: str
    """The module whose docstring derives it, or the public object, as "module:name"."""
    test: str
    chapter: str
    """The beginning of the chapter's file name."""
    picture: str = ""
    """The page and the section of the picture; by default the chapter's experiment."""
    place: str = ""
    """Its name for `python -m tinyproto.tour break`."""


def breakable(place: str, title: str, derivation: str, chapter: str, picture: str = "") -> Equation:
    """The equation of a place worth breaking, with its line and its test."""
    found: Place = PLACES[place]
    test = found.tests[0].partition("[")[0]
    return Equation(
        title, found.formula, found.file, found.line, derivation, test, chapter, picture, place
    )


def functions(path: Path) -> dict[str, tuple[int, int]]:
    """First and last line, from 1, of each function of a file and each method, `Class.method`."""
    found = {}
    for node in ast.parse(path.read_text()).body:
        owner, inside = (
            (f"{node.name}.", node.body) if isinstance(node, ast.ClassDef) else ("", [node])
        )
        for function in inside:
            if isinstance(function, Function):
                first = min([function.lineno, *(d.lineno for d in function.decorator_list)])
                found[owner + function.name] = first, function.end_lineno or first
    return found


def function_of(equation: Equation) -> tuple[str, int, int]:
    """Name, first and last line of the function that its line is in."""
    number = line_number(equation.file, equation.line)
    spans = functions(ROOT / "tinyproto" / equation.file)
    return next((name, *span) for name, span in spans.items() if span[0] <= number <= span[1])


def chapter_of(equation: Equation) -> str:
    """The file of its chapter, below docs/."""
    (found,) = (DOCS / "tour").glob(f"{equation.chapter}-*.md")
    return f"tour/{found.name}"


def picture_of(equation: Equation) -> str:
    return equation.picture or f"{chapter_of(equation)}#the-experiment"
