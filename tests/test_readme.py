"""The README says what the measurements say, and names files and functions that are there."""

import importlib
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
TEXT = (ROOT / "README.md").read_text()


def test_tables_are_those_of_the_results():
    script = ROOT / "benchmarks" / "update_readme.py"
    out = subprocess.run([sys.executable, str(script), "--check"], capture_output=True, text=True)
    assert out.returncode == 0, out.stderr


def test_links_and_commands_name_files_that_are_there():
    linked = re.findall(r"\]\((?!http)([^)#]+)\)", TEXT) + re.findall(r'src="([^"]+)"', TEXT)
    ran = re.findall(r"python ((?:examples|benchmarks|tests)/\S+\.py)", TEXT)
    assert linked
    assert ran
    for name in linked + ran:
        assert (ROOT / name).exists(), name


def test_the_map_names_functions_that_are_there():
    named = re.findall(r"`(tinyproto\.[\w.]+)`", TEXT)
    assert len(named) > 10
    for name in named:
        module, _, attribute = name.rpartition(".")
        try:
            importlib.import_module(name)
        except ImportError:
            assert hasattr(importlib.import_module(module), attribute), name


def test_code_in_the_readme_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    for block in re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL):
        exec(compile(block, "README.md", "exec"), {})
