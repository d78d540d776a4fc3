"""README and docs: the code runs, the names and files exist, the tables are the results', the site
builds."""

import doctest
import importlib
import importlib.util
import os
import re
import subprocess
import sys
import types
from pathlib import Path

import numpy as np
import pytest

from tests import ONE_THREAD, ROOT
from tests.test_docstrings import PUBLIC
from tinyproto import attacks
from tinyproto.evaluation import evaluate

DOCS = ROOT / "docs"
PAGES = [
    path
    for path in (*ROOT.glob("*.md"), *sorted(DOCS.rglob("*.md")))
    if "_build" not in path.parts and "generated" not in path.parts
]
FENCE = re.compile(r"^```python\n(.*?)^```", re.DOTALL | re.MULTILINE)


def name_of(path):
    return str(path.relative_to(ROOT))


def outside_of_code(text):
    """The text outside of code blocks."""
    return re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)


NEEDS = {
    "import torch": "torch",
    "from_torch(": "torch",
    "_onnx(": "onnx",
    ".safetensors": "safetensors",
}
"""Words in a block, and the optional package that it needs then."""


def installed(block):
    """Whether a block's optional packages are there."""
    needed = (package for word, package in NEEDS.items() if word in block)
    return all(importlib.util.find_spec(package) is not None for package in needed)


def program(text):
    """The Python of a page, each block on its own lines, so that an error names the page's line."""
    lines = [""] * len(text.splitlines())
    for block in FENCE.finditer(text):
        if installed(block[1]):
            start = text[: block.start(1)].count("\n")
            code = block[1].splitlines()
            lines[start : start + len(code)] = code
    return "\n".join(lines) + "\n"


CONTRIBUTING = ROOT / "CONTRIBUTING.md"
WITH_CODE = [p for p in PAGES if FENCE.search(p.read_text()) and p != CONTRIBUTING]


def environment(folder):
    """No data but the package's samples, no network."""
    kept = {k: v for k, v in os.environ.items() if k != "TINYPROTO_DATA"}
    paths = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    nowhere = {"XDG_CACHE_HOME": str(folder), "https_proxy": "http://127.0.0.1:9"}
    return {**kept, **nowhere, **ONE_THREAD, "PYTHONPATH": paths}


@pytest.mark.slow
@pytest.mark.parametrize("path", WITH_CODE, ids=name_of)
def test_the_code_of_a_page_runs(path, tmp_path):
    """As one program in a file, as a reader would write it."""
    (tmp_path / "page.py").write_text(program(path.read_text()))
    command = [sys.executable, "page.py"]
    out = subprocess.run(
        command, cwd=tmp_path, env=environment(tmp_path), capture_output=True, text=True
    )
    assert out.returncode == 0, out.stderr


def test_there_is_code_on_the_pages_that_promise_it():
    names = {name_of(path) for path in WITH_CODE}
    concepts = {f"docs/concepts/{name}.md" for name in ("victim", "layer", "kernel")}
    assert names >= {"README.md", "docs/quickstart.md", "docs/convolution.md", *concepts}


def test_the_attack_of_the_worked_example(monkeypatch):
    """As a file of the package, with its line in the registry."""
    (block,) = FENCE.findall(CONTRIBUTING.read_text())
    module = types.ModuleType("tinyproto.attacks.random_search")
    module.__package__ = "tinyproto.attacks"
    exec(compile(block, "CONTRIBUTING.md", "exec"), vars(module))
    attack = module.random_search
    monkeypatch.setattr(attacks, "random_search", attack, raising=False)
    monkeypatch.setitem(attacks.ATTACKS, "random-search", attack)
    assert doctest.testmod(module) == (0, len(re.findall(">>>", block)))

    random = np.random.default_rng(0)
    W, x = random.normal(size=(6, 3)), random.random((20, 6))
    victim = attacks.Victim(lambda x: (x @ W, lambda dz: dz @ W.T))
    y = victim(x)[0].argmax(axis=1)
    attacked = attack(victim, x, y, eps=0.1)
    assert np.abs(attacked - x).max() <= 0.1
    half = np.arange(10, 20)
    np.testing.assert_array_equal(
        attacked[half], attack(victim, x[half], y[half], eps=0.1, index=half)
    )
    report = evaluate(victim, x, y, ["random-search"], eps=0.1, verbose=False)
    assert report.robust.tolist() == (victim(attacked)[0].argmax(axis=1) == y).tolist()


@pytest.mark.parametrize("path", PAGES, ids=name_of)
def test_links_and_commands_name_files_that_exist(path):
    text = path.read_text()
    linked = re.findall(r"\]\((?!http|#)([^)#\s]+)", outside_of_code(text))
    directives = "figure|include|image|literalinclude"
    linked += re.findall(rf"^```\{{(?:{directives})\}} (\S+)", text, re.MULTILINE)
    for name in linked:
        assert (path.parent / name).exists(), name
    ran = re.findall(r"python ((?:examples|benchmarks|tests|docs)/[\w/]+\.py)", text)
    ran += re.findall(
        r"`((?:examples|benchmarks|tests|docs|tinyproto)/[\w/]+\.(?:py|md|npz))`", text
    )
    for name in ran:
        assert "NAME" in name or (ROOT / name).exists(), name


@pytest.mark.parametrize("path", PAGES, ids=name_of)
def test_names_of_the_package_exist(path):
    if path.name == "CHANGELOG.md":
        return  # which names what is gone
    for name in re.findall(r"\b(?<!/)tinyproto(?:\.\w+)+", outside_of_code(path.read_text())):
        assert exists(name), name


def exists(name):
    """Whether a dotted name is a module, or something in one."""
    parts = name.split(".")
    for split in range(len(parts), 0, -1):
        try:
            thing = importlib.import_module(".".join(parts[:split]))
        except ImportError:
            continue
        for attribute in parts[split:]:
            if not hasattr(thing, attribute):
                return False
            thing = getattr(thing, attribute)
        return True
    return False


def test_the_reference_has_a_page_for_everything_public():
    text = (DOCS / "api" / "index.md").read_text()
    assert sorted(re.findall(r"^   (tinyproto[\w.]+)$", text, re.MULTILINE)) == sorted(PUBLIC)


def test_tables_are_those_of_the_results():
    script = ROOT / "benchmarks" / "update_results.py"
    out = subprocess.run([sys.executable, str(script), "--check"], capture_output=True, text=True)
    assert out.returncode == 0, out.stderr


def test_the_table_of_mutations_names_files_that_exist():
    table = (DOCS / "results.md").read_text().partition("<!-- mutations -->")[2]
    files = re.findall(r"^\| ([\w/]+(?:\.py)?) \| +\d", table, re.MULTILINE)
    assert len(files) > 10
    for name in files:
        assert (ROOT / "tinyproto" / name).exists(), name


def test_the_diagram_is_what_its_script_draws(tmp_path):
    script = DOCS / "diagrams" / "convolution.py"
    drawn = tmp_path / "convolution.svg"
    subprocess.run([sys.executable, str(script), str(drawn)], check=True)
    assert drawn.read_text() == (DOCS / "diagrams" / "convolution.svg").read_text()


@pytest.mark.slow
def test_the_table_of_attacks_is_what_its_script_observes(tmp_path):
    page, written = DOCS / "concepts" / "attacks.md", tmp_path / "attacks.md"
    subprocess.run([sys.executable, str(DOCS / "attack_table.py"), str(written)], check=True)
    assert written.read_text() == page.read_text()


def test_the_readme_has_the_command_that_runs_the_tests():
    """`.ci/run` looks for it."""
    lines = re.findall(r"^pip install .*pytest.*$", (ROOT / "README.md").read_text(), re.MULTILINE)
    assert lines == ['pip install -e ".[test]" && pytest -n auto']


PIP_BY_NAME = re.compile(
    r"\b(?:pip\d?|pipx|uv|poetry|conda|mamba)\s+(?:install|add|run)\b[^\n]*?"
    r"[ \t'\"=]tinyproto(?![\w/.])"
    r"|\btinyproto\[[a-z]|\btinyproto\s*[=~>]=\s*[\d.]"
)
"""A command that installs, or a requirement that asks for, what PyPI has under the name."""


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("pip install tinyproto", True),
        ("pip install -U 'tinyproto[cuda13]'", True),
        ("python -m pip install --upgrade tinyproto==0.1", True),
        ("uv pip install tinyproto", True),
        ("try tinyproto[examples]", True),
        ("pip install -e '.[examples]'", False),
        ("pip install -e . && python -m tinyproto.evaluation", False),
        ("pip install /path/to/tinyproto/", False),
        ("pip install -e .\ntinyproto zoo", False),
    ],
)
def test_a_command_that_installs_by_name_is_recognized(text, found):
    assert bool(PIP_BY_NAME.search(text)) == found


def test_no_file_installs_the_other_project_of_this_name_from_pypi():
    made = re.compile(
        r"\.git|\.venv|\..*_cache|\.hypothesis|__pycache__|_build|build|generated|runs"
    )
    files = [
        path
        for path in ROOT.rglob("*")
        if path.is_file() and not any(map(made.fullmatch, path.relative_to(ROOT).parts))
    ]
    kinds = {".md", ".py", ".cfg", ".toml", ".yaml", ".yml", ".cff", ".txt", ".rst", ""}
    texts = {p: p.read_text(errors="replace") for p in files if p.suffix in kinds}
    assert len(texts) > 150
    texts.pop(Path(__file__).resolve(), None)  # its own examples
    by_name = [name_of(p) for p, text in texts.items() if PIP_BY_NAME.search(text)]
    assert by_name == []
    assert "not on PyPI" in texts[ROOT / "README.md"]


@pytest.mark.slow
def test_the_site_builds_without_warnings(tmp_path):
    for package in ("sphinx", "furo", "myst_nb"):
        pytest.importorskip(package, reason='needs pip install -e ".[docs]"')
    where = [str(DOCS), str(tmp_path / "html")]
    command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-E", "-b", "html"]
    command += ["-D", "nb_execution_mode=off"]  # the tour runs where `.ci/run` builds the site
    out = subprocess.run(
        [*command, "-d", str(tmp_path / "doctrees"), *where],
        env=environment(tmp_path), capture_output=True, text=True,
    )  # fmt: skip
    assert out.returncode == 0, out.stderr
    play = tmp_path / "html" / "play" / "index.html"
    for link in re.findall(r'href="([^"#]+)"', play.read_text()):
        assert (play.parent / link).is_file(), link
    listed = set()
    for module in PUBLIC:
        page = (tmp_path / "html" / "api" / "generated" / f"{module}.html").read_text()
        for name in importlib.import_module(module).__all__:
            assert f'id="{module}.{name}"' in page, f"{module}.{name} is not on its page"
            listed.add(name)
    assert "Victim" in listed
