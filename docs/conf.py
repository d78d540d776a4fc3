"""The Sphinx site. To build it: `pip install -e ".[docs]"`, and

    sphinx-build -W -b html docs docs/_build/html

The pages are Markdown (MyST). Those of the tour (`tour/`) are notebooks, run by MyST-NB at each
build; `-D nb_execution_mode=off` leaves that out. The API reference is made from the docstrings
(numpydoc) of what each public module lists in `__all__`. Nothing is fetched from the network.
"""

import logging
import os
import re
import sys
import tempfile
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))

from sphinx.pycode import ModuleAnalyzer

import tinyproto

# The tour runs in processes of its own, with this package, in one thread, and with settings of
# IPython that are the same for everybody. Not said: how Jupyter connects, and that kernels are
# compiled.
known = filter(None, [sys.path[0], os.environ.get("PYTHONPATH")])
os.environ["PYTHONPATH"] = os.pathsep.join(known)
os.environ.setdefault("NUMBA_NUM_THREADS", "1")  # of two, one would often wait for the other
logging.getLogger("traitlets").setLevel("WARNING")  # a line for each chapter
ipython = tempfile.TemporaryDirectory(prefix="tinyproto-docs-")
os.environ["IPYTHONDIR"] = ipython.name
profile = Path(ipython.name, "profile_default")
profile.mkdir()
(profile / "ipython_kernel_config.py").write_text(
    """c.IPKernelApp.log_level = "ERROR"
c.IPKernelApp.exec_lines = [
    "import logging; logging.getLogger('tinyproto').setLevel('ERROR'); del logging",
]
"""
)

project = "tinyproto"
author = "The tinyproto developers"
project_copyright = author
version = release = tinyproto.__version__

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
]
exclude_patterns = ["_build", "_templates"]
templates_path = ["_templates"]
html_theme = "furo"
html_title = f"tinyproto {release}"
html_static_path = ["_static"]
html_css_files = ["wide.css"]

default_role = "py:obj"  # `name` in a docstring is a link where the name is known, else code
highlight_language = "none"  # an indented block of a docstring is a formula, not code
smartquotes = False
myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 3
nb_execution_mode = "force"  # at each build, and no result is kept
nb_execution_raise_on_error = True
nb_execution_timeout = 120  # seconds for a cell
nb_output_stderr = "error"  # what a cell writes there is no part of a page
nb_merge_streams = True
nb_code_prompt_show, nb_code_prompt_hide = "Show the code", "Hide the code"

autodoc_typehints = "none"  # the docstrings say the types, with shapes
autodoc_member_order = "bysource"
autosummary_generate = True
autosummary_ignore_module_all = False
autosummary_imported_members = True
napoleon_google_docstring = False
napoleon_use_rtype = False
# Attributes as a list, like parameters: a property may be documented too.
napoleon_custom_sections = [("Attributes", "params_style")]
# A package and a function in it may have one name (`tinyproto.attacks.pgd`).
# And a chapter of the tour that is not run does not know its language.
suppress_warnings = ["ref.python", "myst-nb.lexer"]

HEADING = re.compile(r"^[A-Z][A-Za-z ]+$")
FIELDS = {"Parameters", "Returns", "Yields", "Raises", "Warns", "Attributes"}
LIST_ITEM = re.compile(r"^ *([-*+]|\d+[.)]|\w[.)]) ")
CODE = re.compile(r"(``.*?``|`[^`]*`)")
MISREAD = re.compile(r"\||(?<=\w)_(?=\W|$)|(?<![^\s(])\*+(?=\w)(?!.*\*)")


def explain_constants(
    app: Any, what: str, name: str, obj: Any, options: Any, lines: list[str]
) -> None:
    """Give a constant the docstring below its definition, from the module that defines it: without
    this, an imported dictionary is explained as `dict` is. (Done after napoleon, which would read
    what is before a colon as the type.)"""
    if what == "data":
        attribute = name.rpartition(".")[2]
        lines[:] = []
        for module in [m for m in sys.modules if m.startswith("tinyproto.")]:
            if vars(sys.modules[module]).get(attribute) is obj:
                explained = ModuleAnalyzer.for_module(module).find_attr_docs()
                lines[:] = explained.get(("", attribute), lines)
        keep_formulas(app, what, name, obj, options, lines)


def keep_formulas(app: Any, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """Keep the formulas of docstrings as they are written.

    reStructuredText would join the lines of an indented block into one paragraph; `::` before the
    block keeps them. Outside of code, `|x|` and `w_` are mathematics and no references, and a lone
    `**options` is not the start of bold text.
    """
    section, previous, base, inside = "", "", 0, False
    text: list[str] = []
    for i, line in enumerate(lines):
        if HEADING.match(line) and i + 1 < len(lines) and set(lines[i + 1]) == {"-"}:
            section, base = line, 4 if line in FIELDS else 0  # a field's text is indented itself
        deeper = len(line) - len(line.lstrip()) > base
        if line.strip() and not deeper:
            inside, previous = False, line
        starts = deeper and not inside and i > 0 and not lines[i - 1].strip()
        if starts and section != "Examples" and not LIST_ITEM.match(previous):
            inside = True
            text += [] if previous.endswith("::") else [" " * base + "::", ""]
        code = inside or section == "Examples" or line.lstrip().startswith((">>>", "..."))
        field = base and not line.startswith(" ")  # "name : type"; napoleon escapes the name
        text.append(line if code or field else escaped(line))
    lines[:] = text


def escaped(line: str) -> str:
    """The line with what reStructuredText would misread escaped, outside of backticks."""
    parts = CODE.split(line)
    parts[::2] = [MISREAD.sub(r"\\\g<0>", part) for part in parts[::2]]
    return "".join(parts)


PLAY = Path(__file__).parent / "play" / "index.html"
SITE_LINKS = [
    (re.compile(r'"\.\./([\w/-]+)\.md"'), r'"../\1.html"'),
    (re.compile(r'"\.\./\.\./(tinyproto/[\w/]+)\.py"'), r'"../_modules/\1.html"'),
]
"""Links of the page to play with, which are to files of the repository, and those of the site."""


def write_play_page(app: Any, error: Exception | None) -> None:
    """Put the page to play with on the site, with links to the site's pages."""
    if error is None and app.builder.name == "html":
        text = PLAY.read_text()
        for in_repository, on_site in SITE_LINKS:
            text = in_repository.sub(on_site, text)
        written = Path(app.outdir) / "play" / "index.html"
        written.parent.mkdir(exist_ok=True)
        written.write_text(text)


def setup(app: Any) -> None:
    app.connect("build-finished", write_play_page)
    app.connect("autodoc-process-docstring", keep_formulas, priority=400)  # before napoleon
    app.connect("autodoc-process-docstring", explain_constants, priority=600)  # after it
