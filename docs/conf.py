"""The Sphinx site. To build it: `pip install -e ".[docs]"`, and

    sphinx-build -W -b html docs docs/_build/html

The pages are Markdown (MyST). The API reference is made from the docstrings (numpydoc) of what each
public module lists in `__all__`. Nothing is fetched from the network.
"""

import re
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))

import tinyproto

project = "tinyproto"
author = "The tinyproto developers"
project_copyright = author
version = release = tinyproto.__version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
]
exclude_patterns = ["_build", "_templates"]
templates_path = ["_templates"]
html_theme = "furo"
html_title = f"tinyproto {release}"

default_role = "py:obj"  # `name` in a docstring is a link where the name is known, else code
highlight_language = "none"  # an indented block of a docstring is a formula, not code
smartquotes = False
myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 3

autodoc_typehints = "none"  # the docstrings say the types, with shapes
autodoc_member_order = "bysource"
autosummary_generate = True
autosummary_ignore_module_all = False
autosummary_imported_members = True
napoleon_google_docstring = False
napoleon_use_rtype = False
# A package and a function in it may have one name (`tinyproto.attacks.pgd`).
suppress_warnings = ["ref.python"]

SECTION = re.compile(r"^[A-Z][A-Za-z ]+$")
FIELDS = (
    "Parameters",
    "Returns",
    "Yields",
    "Raises",
    "Attributes",
    "Warns",
    "See Also",
    "Examples",
)
LIST_ITEM = re.compile(r"^([-*+]|\d+[.)]|\w[.)]) ")
CODE = re.compile(r"(``.*?``|`[^`]*`)")


def literal_formulas(
    app: Any, what: str, name: str, obj: Any, options: Any, lines: list[str]
) -> None:
    """Keep the formulas of docstrings as they are written.

    reStructuredText would join the lines of an indented block into one paragraph; `::` before the
    block keeps them. Outside of code, `|x|` and `w_` are mathematics here and no references.
    """
    section, previous, inside, text = "", "", False, []
    for i, line in enumerate(lines):
        following = lines[i + 1] if i + 1 < len(lines) else ""
        if SECTION.match(line) and following and set(following) == {"-"}:
            section = line
        indented = line.startswith("  ")
        if line.strip() and not indented:
            inside = False
        starts = indented and not inside and i > 0 and not lines[i - 1].strip()
        if starts and section not in FIELDS and not LIST_ITEM.match(previous):
            inside = True
            if not previous.endswith("::"):
                text += ["::", ""]
        if line.strip() and not indented:
            previous = line
        plain = (
            not inside
            and not line.lstrip().startswith((">>>", "...", ".. "))
            and section != "Examples"
        )
        text.append(escaped(line) if plain else line)
    lines[:] = text


def escaped(line: str) -> str:
    """The line with `|` and final underscores escaped, outside of backticks."""
    parts = CODE.split(line)
    parts[::2] = [re.sub(r"(\||(?<=\w)_(?=\W|$))", r"\\\1", part) for part in parts[::2]]
    return "".join(parts)


def setup(app: Any) -> None:
    app.connect("autodoc-process-docstring", literal_formulas, priority=400)  # before napoleon
