"""Imports go one way, `import tinyproto` is cheap, and optional packages stay optional."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "tinyproto"

# A folder or file may import itself and those before it. Those of one line do not know one another.
ORDER = [
    "progress npz optional",
    "backend",
    "cpu parameters workers communicator",
    "gradients validation",
    "kernels",
    "random",
    "state data optimizers schedules",
    "losses layers",
    "prototypes",
    "networks",
    "pretrained",
    "attacks",
    "training interop testing",
    "evaluation",
    "report tour",
    "command",
]
LEVEL = {name: level for level, line in enumerate(ORDER) for name in line.split()}
BASE_ONLY = {"state", "data", "optimizers", "schedules"}  # know no mathematics of models
BASE = {
    "optional",
    "backend",
    "npz",
    "parameters",
    "kernels",
    "random",
    "state",
    "validation",
    "gradients",
}


OPTIONAL = {
    "jinja2", "matplotlib", "PIL", "tqdm", "scipy", "sklearn", "cupy", "torch", "onnx",
    "safetensors", "cloudpickle", "mpi4py", "distributed", "hypothesis",
}  # fmt: skip

# Of Hypothesis, whose decorators are needed where a strategy is defined.
STRATEGIES = {
    PACKAGE / "testing" / f"{n}.py" for n in ("layers", "losses", "networks", "prototypes")
}


def modules():
    return sorted(PACKAGE.rglob("*.py"))


def imports_of(path: Path):
    """Every absolute module name that a file imports, wherever in the file."""
    package = ("tinyproto", *path.relative_to(PACKAGE).parts[:-1])
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            parent = package[: len(package) - node.level + 1] if node.level else ()
            base = ".".join([*parent, *([node.module] if node.module else [])])
            if node.module:
                yield base
            yield from (f"{base}.{name.name}" for name in node.names)


def top_level_name(path: Path) -> str:
    """The folder or file; a program, `python -m`, is a part of the command wherever it is."""
    if path.name == "__main__.py":
        return "command"
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


@pytest.mark.parametrize("path", modules(), ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_go_one_way(path):
    importer = top_level_name(path)
    if importer == "__init__":
        return  # what it imports, and when, is the next test
    for name in imports_of(path):
        if not name.startswith("tinyproto.") or name == "tinyproto.__version__":
            continue
        target = name.split(".")[1]
        assert target in LEVEL, f"{path.name} imports {name}, which is not in ORDER"
        if target == importer:
            continue
        assert LEVEL[target] < LEVEL[importer], f"{path.name}: {importer} must not import {target}"
        if importer in BASE_ONLY:
            assert target in BASE
        if target in BASE_ONLY:
            assert importer not in ("kernels", "losses", "layers")


def test_importing_the_package_loads_nothing_until_a_name_is_used():
    program = """
import sys
import tinyproto
assert "numpy" not in sys.modules
assert [name for name in sys.modules if name.startswith("tinyproto")] == ["tinyproto"]
assert {"load", "zoo"} <= set(dir(tinyproto)) and not hasattr(tinyproto, "lode")
print(len(tinyproto.zoo()) > 0, tinyproto.load is tinyproto.pretrained.load, "numba" in sys.modules)
"""
    out = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert out.stdout.strip() == "True True False", out.stdout + out.stderr


def test_no_module_imports_a_program():
    for path in modules():
        assert not any(name.endswith("__main__") for name in imports_of(path)), path


def test_order_is_complete():
    names = {top_level_name(path) for path in modules()} - {"__init__"}
    assert names == set(LEVEL)


def test_cupy_and_numba_cuda_are_imported_in_one_file_each():
    for path in modules():
        named = set(imports_of(path))
        if path.name != "device.py":
            assert not any(n.split(".")[0] == "cupy" for n in named), path
        if path.name != "routines.py":
            assert not any(n.startswith("numba.cuda") for n in named), path


@pytest.mark.parametrize("path", modules(), ids=lambda p: str(p.relative_to(PACKAGE)))
def test_optional_packages_are_imported_where_they_are_used(path):
    top = ast.parse(path.read_text()).body
    for node in top:
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else [node.module]
            found = {str(n).split(".")[0] for n in names} & OPTIONAL
            assert found <= ({"hypothesis"} if path in STRATEGIES else set())


def test_importing_everything_loads_neither_numba_nor_an_optional_package():
    program = """
import sys
import tinyproto.prototypes, tinyproto.attacks, tinyproto.data, tinyproto.state
import tinyproto.prototypes.certificate, tinyproto.prototypes.equivalence, tinyproto.evaluation
import tinyproto.networks, tinyproto.training, tinyproto.report, tinyproto.interop
import tinyproto.command
import tinyproto.testing, tinyproto.testing.victims
loaded = {name.split(".")[0] for name in sys.modules}
optional = {"matplotlib", "PIL", "tqdm", "scipy", "sklearn", "cupy", "onnx", "safetensors", "torch"}
optional |= {"hypothesis"}
print(sorted(loaded & ({"numba"} | optional)))
"""
    out = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert out.stdout.strip() == "[]", out.stdout + out.stderr


def test_files_stay_short():
    too_long = [p.name for p in modules() if len(p.read_text().splitlines()) > 350]
    assert too_long == []
