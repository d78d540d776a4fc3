"""Run the documentation's examples of models from elsewhere, each in a new virtual environment.

    python benchmarks/fresh_environments.py [torch] [sklearn] [onnx] [function] [--with PACKAGE …]

An environment gets what the page says, `pip install -e ".[torch]"` and nothing else, and runs the
text of the page's blocks in a folder of its own. --with gives pip further requirements, such as
"torch==2.13.0". The exit status is 1 if an example fails. Nothing is kept.
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
import venv
from dataclasses import dataclass
from pathlib import Path

from tinyproto.evaluation.command import run_command

ROOT = Path(__file__).parent.parent
FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.DOTALL | re.MULTILINE)
BEFORE = ""
"""The heading of what stands before the first one of the second level."""


@dataclass(frozen=True)
class Example:
    """Sections of a page, by their headings, all if there are none, and the extra they need."""

    extra: str
    page: str
    headings: tuple[str, ...] = ()


INTEROP, ONNX = "docs/concepts/interop.md", "docs/concepts/onnx.md"
EXAMPLES = {
    "torch": Example("torch", INTEROP, (BEFORE, "PyTorch")),
    "sklearn": Example("sklearn", INTEROP, (BEFORE, "scikit-learn")),
    "onnx": Example("onnx", ONNX),
    "function": Example("", INTEROP, (BEFORE, "A bare function")),
}


def sections(text: str) -> dict[str, str]:
    """The text of a page by its headings of the second level; those in code are none."""
    found, heading = {BEFORE: ""}, BEFORE
    in_code = False
    for line in text.splitlines(keepends=True):
        in_code ^= line.startswith("```")
        if line.startswith("## ") and not in_code:
            heading = line[3:].strip()
            found[heading] = ""
        found[heading] += line
    return found


def program(example: Example) -> str:
    """The Python of an example, as a reader would copy it, in order. ValueError if there is none
    under one of the headings."""
    text = sections((ROOT / example.page).read_text())
    blocks = []
    for heading in example.headings or text:
        if heading not in text:
            raise ValueError(f"{example.page} has no heading {heading!r}")
        found = [code for kind, code in FENCE.findall(text[heading]) if kind == "python"]
        if example.headings and not found:
            raise ValueError(f"{example.page} has no Python under the heading {heading!r}")
        blocks += found
    return "\n".join(blocks)


def run_in_fresh_environment(example: Example, more: list[str]) -> int:
    """The exit status of the example in an environment of its own, which is removed."""
    with tempfile.TemporaryDirectory() as folder:
        venv.create(Path(folder) / "venv", with_pip=True)
        python = Path(folder) / "venv" / ("Scripts" if os.name == "nt" else "bin") / "python"
        what = f".[{example.extra}]" if example.extra else "."
        install = [str(python), "-m", "pip", "install", "--quiet", "-e", what, *more]
        if status := subprocess.run(install, cwd=ROOT, env=environment(folder)).returncode:
            return status
        page = Path(folder) / "example.py"
        page.write_text(program(example))
        return subprocess.run(
            [str(python), page.name], cwd=folder, env=environment(folder)
        ).returncode


def environment(folder: str) -> dict[str, str]:
    """Without the packages and the caches of this one."""
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return {**kept, "NUMBA_CACHE_DIR": str(Path(folder) / "cache")}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("examples", nargs="*", metavar="EXAMPLE",
                        help=f"{', '.join(EXAMPLES)} (all)")  # fmt: skip
    parser.add_argument("--with", dest="more", nargs="+", default=[], metavar="PACKAGE",
                        help="further requirements for pip")  # fmt: skip
    chosen = parser.parse_args()
    names = chosen.examples or list(EXAMPLES)
    for name in names:
        if name not in EXAMPLES:
            raise ValueError(f"examples are {', '.join(EXAMPLES)}, not {name!r}")
    failed = []
    for name in names:
        begun = time.perf_counter()
        status = run_in_fresh_environment(EXAMPLES[name], chosen.more)
        failed += [name] if status else []
        seconds = time.perf_counter() - begun
        print(f"{name}: {'failed' if status else 'ran'}, {seconds:.0f} s", flush=True)
    if failed:
        sys.exit(f"failed: {', '.join(failed)}")


if __name__ == "__main__":
    run_command(main)
