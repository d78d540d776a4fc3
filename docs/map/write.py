"""Write the pages of the map from `equations.py` and the code: `python docs/map/write.py`.

A page of each theme shows the line of every equation where it is in the source, and the test that
covers it; `derivations.md` shows the docstrings of the modules that derive them; a table in
`index.md` leads to all of them.
"""

import re
from pathlib import Path

from equation import ROOT, Equation, chapter_of, function_of, picture_of
from equations import THEMES

from tinyproto.tour.places import line_number

HERE = Path(__file__).parent
MARK = re.compile(r"(?<=<!-- map -->\n\n).*?(?=\n\n<!-- /map -->)", re.DOTALL)
DERIVATION = re.compile(r"\(#derivation-([\w-]+)\)")
WHOLE, AROUND = 16, 3
"""A function of at most so many lines is shown as a whole, else so many lines on either side."""


def shown(path: str, options: dict[str, object]) -> str:
    """What shows a part of a file of the checkout."""
    lines = [f":{name}: {value}".rstrip() for name, value in options.items()]
    return "\n".join([f"```{{literalinclude}} ../../{path}", ":language: python", *lines, "```"])


def line_shown(equation: Equation) -> str:
    """The line in its function, or in the lines around it."""
    name, first, last = function_of(equation)
    at = line_number(equation.file, equation.line) - first + 1
    length = last - first + 1
    low, high = (1, length) if length <= WHOLE else (max(1, at - AROUND), min(length, at + AROUND))
    options: dict[str, object] = {"pyobject": name}
    if (low, high) != (1, length):
        options["lines"] = f"{low}-{high}"
    options |= {"lineno-match": "", "emphasize-lines": at - low + 1}
    return shown(f"tinyproto/{equation.file}", options)


def target(derivation: str) -> str:
    """Where a link to a derivation leads: to the entry of an object, or to `derivations.md`."""
    if ":" in derivation:
        return derivation.replace(":", ".")
    return "derivation-" + derivation.removeprefix("tinyproto.").replace(".", "-").replace("_", "-")


def slug(title: str) -> str:
    """The anchor of a heading."""
    return re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")


def section(equation: Equation) -> str:
    """An equation with its line, its derivation, its test, its picture and its chapter."""
    file, name = equation.test.split("::")
    links = [
        f"[Derivation](#{target(equation.derivation)})",
        f"[picture](../{picture_of(equation)})",
        f"[chapter {int(equation.chapter)}](../{chapter_of(equation)})",
    ]
    broken = f"\n\nTo break it: `python -m tinyproto.tour break {equation.place}`."
    formula = "\n".join(f"    {line}" for line in equation.formula.split("\n"))
    return f"""## {equation.title}

{formula}

{", ".join(links)}. The line, in `tinyproto/{equation.file}`:

{line_shown(equation)}

<details>
<summary>The test, <code>{name}</code> in <code>{file}</code></summary>

{shown(file, {"pyobject": name, "lineno-match": ""})}

</details>{broken if equation.place else ""}
"""


def page(title: str, equations: tuple[Equation, ...]) -> str:
    """The page of a theme."""
    head = f"# {title}\n\n[The map](index.md) lists all equations.\n\n"
    return head + "\n".join(map(section, equations))


def table() -> str:
    """The equations of all themes, with links."""
    parts = []
    for file, (title, equations) in THEMES.items():
        rows = [f"## {title}", "", "| equation | | picture | chapter |", "|" + " --- |" * 4]
        for equation in equations:
            formula = re.sub(" {4,}", ", ", equation.formula).replace("|", r"\|")
            cells = [
                f"[{equation.title}]({file}.md#{slug(equation.title)})",
                formula,
                f"[picture](../{picture_of(equation)})",
                f"[{int(equation.chapter)}](../{chapter_of(equation)})",
            ]
            rows.append(f"| {' | '.join(cells)} |")
        parts.append("\n".join(rows))
    return "\n\n".join(parts)


def derivations(index: str) -> str:
    """The docstrings of the modules that the equations, and the links of `index.md`, name."""
    named = {e.derivation for _, equations in THEMES.values() for e in equations}
    modules = {target(name): name for name in named if ":" not in name}
    for found in DERIVATION.findall(index):
        modules.setdefault(f"derivation-{found}", module_of(found))
    parts = [
        f"({anchor})=\n## {name}\n\n```{{eval-rst}}\n.. automodule:: {name}\n   :no-index:\n```\n"
        for anchor, name in sorted(modules.items(), key=lambda item: item[1])
    ]
    about = "The docstrings of the modules that derive what [the map](index.md) lists."
    return f"# Derivations\n\n{about}\n\n" + "\n".join(parts)


def module_of(anchor: str) -> str:
    """The module of a link to a derivation."""
    files = sorted((ROOT / "tinyproto").rglob("*.py"))
    names = [".".join(f.relative_to(ROOT).with_suffix("").parts) for f in files]
    names = [name.removesuffix(".__init__") for name in names]
    (found,) = [name for name in names if target(name) == f"derivation-{anchor}"]
    return found


def pages() -> dict[Path, str]:
    """Each page and its text."""
    written = {HERE / f"{file}.md": page(*theme) for file, theme in THEMES.items()}
    index = (HERE / "index.md").read_text()
    written[HERE / "derivations.md"] = derivations(index)
    written[HERE / "index.md"] = MARK.sub(lambda _: table(), index)
    return written


if __name__ == "__main__":
    for path, text in pages().items():
        path.write_text(text)
