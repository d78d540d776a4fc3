"""Break the code in one place, and see whether the tests notice: mutation testing.

    python benchmarks/mutate.py [--seed 0] [--count 60] [--workers 2] [--only FILE] [--list]

A mutant is a copy of the package in which one node of the syntax tree is changed, by one of RULES,
within one line. Docstrings, annotations, imports, what only checks arguments, and the examples of
kernels are left alone. The seed draws from every file and every rule. The tests of the mutant's
file are run on it until the first fails; one that hangs or crashes is caught too. A survivor that
EQUIVALENT does not explain makes the exit status 1. --quick draws a dozen, none of them a kernel's
(after a change in a kernel all of them are compiled anew).
"""

import ast
import math
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from queue import Queue
from typing import Any

from common import options, report

ROOT = Path(__file__).parent.parent
DEFENSES = "tests/training/test_defenses.py"
CHANNELS = "channels or BatchNorm or ReLU or GlobalAverage"
LAYERS = ["tests/layers/test_layer_gradients.py", "tests/layers/test_layers.py"]
LOSSES = ["tests/test_losses.py", DEFENSES]
ATTACKS = ["tests/attacks"]
TESTS = {
    "layers/base.py": LAYERS,
    "layers/batch_norm.py": LAYERS,
    "layers/containers.py": LAYERS,
    "layers/convolution.py": LAYERS,
    "layers/im2col.py": LAYERS,
    "layers/linear.py": LAYERS,
    "layers/elementwise.py": LAYERS,
    "layers/pooling.py": LAYERS,
    "losses/divergences.py": LOSSES,
    "losses/entropy.py": LOSSES,
    "losses/margins.py": LOSSES,
    "prototypes/dpnp.py": ["tests/prototypes/test_dpnp.py", DEFENSES],
    "optimizers.py": ["tests/test_optimizers.py"],
    "training/defenses.py": [DEFENSES],
    "attacks/apgd.py": ATTACKS,
    "attacks/autoattack.py": ATTACKS,
    "attacks/carlini_wagner.py": ATTACKS,
    "attacks/fab.py": ATTACKS,
    "attacks/pgd.py": ATTACKS,
    "attacks/hyperplane.py": ATTACKS,
    "attacks/inputs.py": ATTACKS,
    "attacks/region.py": ATTACKS,
    "attacks/square.py": ATTACKS,
    "attacks/victim.py": ATTACKS,
    "kernels/im2col.py": ["tests/kernels/test_im2col.py"],
    "kernels/hyperplane.py": ["tests/attacks/test_hyperplane.py"],
    "kernels/pooling.py": [*LAYERS, "-k", "Pool"],
    "kernels/channels.py": ["tests/kernels/test_channels.py", "tests/layers", "-k", CHANNELS],
}
"""The files that are broken, and what pytest is told for each."""

EQUIVALENT = {
    (
        "layers/elementwise.py",
        "ReLU.__call__",
        "flat = xp.ascontiguousarray(x).reshape("
        "[len(x), math.prod(x.shape[1:]) -> math.prod(x.shape[1:]), len(x)])",
    ): "each number is rectified by itself and takes its place again: rows may be of any length",
    (
        "layers/pooling.py",
        "MaxPool2D.__call__",
        "if self.size > [15 -> 16]:",
    ): "the places in a window of 16 × 16 are 0 … 255: a byte holds them",
    (
        "attacks/carlini_wagner.py",
        "carlini_wagner",
        "w = w - scale * first_moment / (xp.sqrt(second_moment) [+ -> -] EPSILON)",
    ): "Adam's 1e-8 beside the root of a second moment that is far larger",
    (
        "losses/margins.py",
        "_logits_ratio",
        "total = xp.zeros_like(z[:, [0 -> 1]])",
    ): "zeros of the shape and dtype of a column, whichever",
}
"""(file, function, change) → why it changes nothing that a test may ask for."""

CHECKS = {"_require", "_check_schedule", "check_input", "positive_integers"}
COMMUTATIVE = {"max", "min", "maximum", "minimum"}
SYMBOLS = {
    ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/", ast.FloorDiv: "//", ast.Pow: "**"
}  # fmt: skip
OPPOSITE = {
    ast.Eq: ("==", "!="), ast.NotEq: ("!=", "=="), ast.Gt: (">", "<="), ast.LtE: ("<=", ">"),
    ast.Lt: ("<", ">="), ast.GtE: (">=", "<"), ast.In: ("in", "not in"),
    ast.NotIn: ("not in", "in"), ast.Is: ("is", "is not"), ast.IsNot: ("is not", "is"),
}  # fmt: skip
OTHER_AXIS = {"0": "1", "1": "0", "2": "1", "3": "2"}

Edit = tuple[int, int, str]
"""Of a line: from this column to that one, and what is written there instead."""


@dataclass(frozen=True)
class Mutant:
    """One line of a file of the package, before and after."""

    file: str
    line: int  # from 1
    function: str
    rule: str
    before: str
    edit: Edit

    @property
    def after(self) -> str:
        start, end, new = self.edit
        return self.before[:start] + new + self.before[end:]

    @property
    def change(self) -> str:
        """The line, as `dw = [q - p -> p]`."""
        start, end, new = self.edit
        old = self.before[start:end]
        return f"{self.before[:start]}[{old} -> {new}]{self.before[end:]}".strip()

    @property
    def name(self) -> tuple[str, str, str]:
        return self.file, self.function, self.change

    def source(self, text: str) -> str:
        """The file's text with this one line changed."""
        lines = text.split("\n")
        lines[self.line - 1] = self.after
        return "\n".join(lines)


@dataclass(frozen=True)
class Place:
    """A node that lies within one line, and that line."""

    node: Any
    line: str

    def span(self, node: Any) -> tuple[int, int]:
        """From which column to which a node is written (`ast` counts bytes)."""
        line = self.line.encode()
        return len(line[: node.col_offset].decode()), len(line[: node.end_col_offset].decode())

    def text(self, node: Any) -> str:
        return self.line[slice(*self.span(node))]

    def after(self, node: Any, symbol: str) -> int:
        """Where an operator that follows a node is written."""
        return self.line.index(symbol, self.span(node)[1])

    def operator(self) -> tuple[str, int]:
        """That of `a + b` or `a += b`, and where it is written; else ("", 0)."""
        of = getattr(self.node, "op", None)
        symbol = SYMBOLS.get(type(of), "") if isinstance(of, ast.operator) else ""
        left = getattr(self.node, "left", None) or getattr(self.node, "target", None)
        return (symbol, self.after(left, symbol)) if symbol and left else ("", 0)

    def swapped(self, nodes: list[Any]) -> Iterator[Edit]:
        """Two neighbours change places."""
        for one, other in pairwise(nodes):
            (start, middle), (resume, end) = self.span(one), self.span(other)
            if self.text(one) != self.text(other):
                yield start, end, self.text(other) + self.line[middle:resume] + self.text(one)


def sign(place: Place) -> Iterator[Edit]:
    """+ for −, − for +; a minus dropped."""
    symbol, at = place.operator()
    if symbol in ("+", "-"):
        yield at, at + 1, "-" if symbol == "+" else "+"
    elif isinstance(place.node, ast.UnaryOp) and isinstance(place.node.op, ast.USub):
        start, _ = place.span(place.node)
        yield start, start + 1, ""


def term(place: Place, symbols: tuple[str, ...] = ("+", "-")) -> Iterator[Edit]:
    """One term of a sum left out; a statement that adds, too."""
    symbol, at = place.operator()
    if symbol in symbols:
        start, end = place.span(place.node)
        right = place.line[at + len(symbol) : end].strip()
        if isinstance(place.node, ast.AugAssign):
            yield start, end, "pass"
        else:
            yield start, end, place.line[start:at].strip()
            if symbol in ("+", "-", "*"):
                yield start, end, f"-{right}" if symbol == "-" else right


def factor(place: Place) -> Iterator[Edit]:
    """One factor, divisor or exponent left out; a statement that multiplies, too."""
    yield from term(place, ("*", "/", "//", "**"))


def axis(place: Place) -> Iterator[Edit]:
    """Another axis, another entry of a shape, two indices exchanged, a transpose dropped."""
    node = place.node
    if isinstance(node, ast.keyword) and node.arg == "axis":
        if place.text(node.value) in OTHER_AXIS:
            yield *place.span(node.value), OTHER_AXIS[place.text(node.value)]
    elif isinstance(node, ast.Attribute) and node.attr == "T":
        _, end = place.span(node)
        yield end - 2, end, ""
    elif isinstance(node, ast.Subscript):
        if isinstance(node.slice, ast.Constant) and place.text(node.value).endswith(".shape"):
            yield *place.span(node.slice), OTHER_AXIS[place.text(node.slice)]
        elif isinstance(node.slice, ast.Tuple):
            yield from place.swapped(node.slice.elts)


def mask(place: Place) -> Iterator[Edit]:
    """A comparison turned into its opposite; `and` for `or`; `not` dropped."""
    node = place.node
    if isinstance(node, ast.Compare | ast.BoolOp):
        if isinstance(node, ast.Compare):
            first, (old, new) = node.left, OPPOSITE[type(node.ops[0])]
        else:
            old, new = ("and", "or") if isinstance(node.op, ast.And) else ("or", "and")
            first = node.values[0]
        at = place.after(first, old)
        yield at, at + len(old), new
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        yield *place.span(node), place.text(node.operand)


def condition(place: Place) -> Iterator[Edit]:
    """What `if` asks of one value turned into its opposite: belongs to `mask`."""
    if isinstance(place.node, ast.Name | ast.Attribute | ast.Call):
        yield *place.span(place.node), f"not {place.text(place.node)}"


def constant(place: Place) -> Iterator[Edit]:
    """One more; 1 for 2; 1.0 for 0.5, twice any fraction; True for False."""
    value = getattr(place.node, "value", None)
    if isinstance(place.node, ast.Constant) and isinstance(value, int | float):
        start, _ = place.span(place.node)
        if "reshape(" in place.line and place.line[start - 1] == "-":
            return  # any negative length is the unknown one
        new: int | float = 1 if value == 2 else value + 1
        if isinstance(value, bool):
            new = not value
        elif isinstance(value, float):
            new = 2 * value or 1.0
        yield *place.span(place.node), repr(new)


def arguments(place: Place) -> Iterator[Edit]:
    """Two neighbours among the arguments of a call exchanged."""
    if isinstance(place.node, ast.Call):
        called, given = place.text(place.node.func).rpartition(".")[2], place.node.args
        if called not in COMMUTATIVE and not any(isinstance(a, ast.Starred) for a in given):
            yield from place.swapped(given)


RULES: dict[str, Callable[[Place], Iterator[Edit]]] = {
    "sign": sign, "term": term, "factor": factor, "axis": axis, "mask": mask,
    "constant": constant, "arguments": arguments,
}  # fmt: skip


def _checks(statement: ast.stmt) -> bool:
    """Whether all that a statement does is to refuse arguments, to name a type, or to explain."""
    if isinstance(statement, ast.If):
        return isinstance(statement.body[-1], ast.Raise) and all(map(_checks, statement.orelse))
    if isinstance(statement, ast.For | ast.FunctionDef):
        return all(map(_checks, statement.body))
    if isinstance(statement, ast.Expr):
        called = statement.value.func if isinstance(statement.value, ast.Call) else statement.value
        return isinstance(called, ast.Constant) or ast.unparse(called) in CHECKS
    if isinstance(statement, ast.Assign):
        return ast.unparse(statement.value).startswith("Callable[")
    return isinstance(statement, ast.Raise)


def _nodes(node: Any, function: str = "") -> Iterator[tuple[str, Any]]:
    """The nodes that may be changed, each with the name of the function it is in."""
    children = [*ast.iter_child_nodes(node)]
    if isinstance(node, ast.JoinedStr | ast.Import | ast.ImportFrom):
        return
    if isinstance(node, ast.stmt) and _checks(node):
        return
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        function = f"{function}.{node.name}" if function else node.name
        children = [*node.body, *_defaults(node)]
    elif isinstance(node, ast.AnnAssign):
        children = [node.value] if node.value else []
    elif isinstance(node, ast.If) and isinstance(node.body[-1], ast.Raise):
        children = [*node.orelse]
    else:
        yield function, node
    for child in children:
        yield from _nodes(child, function)


def _defaults(node: ast.FunctionDef | ast.ClassDef) -> Iterator[ast.expr]:
    """Those of the arguments that a function looks at."""
    if isinstance(node, ast.FunctionDef):
        of, named = node.args, {n.id for n in ast.walk(node) if isinstance(n, ast.Name)}
        last = zip(reversed(of.args), reversed(of.defaults), strict=False)
        for argument, default in (*last, *zip(of.kwonlyargs, of.kw_defaults, strict=True)):
            if default and argument.arg in named:
                yield default


def candidates(file: str, text: str) -> list[Mutant]:
    """Every mutant of a file of the package, each changed line once."""
    found: dict[tuple[int, str], Mutant] = {}
    lines, tree = text.split("\n"), ast.parse(text)
    if file.startswith("kernels/"):  # what else is there serves the examples
        marks = {node: getattr(node, "decorator_list", []) for node in tree.body}
        tree.body = [node for node in tree.body if "kernel" in map(ast.unparse, marks[node])]
    for function, node in _nodes(tree):
        tries = [(name, rule, node) for name, rule in RULES.items()]
        if hasattr(node, "test"):
            tries.append(("mask", condition, node.test))
        for name, rule, at in tries:
            if getattr(at, "lineno", 0) == getattr(at, "end_lineno", -1):
                line = lines[at.lineno - 1]
                for edit in rule(Place(at, line)):
                    mutant = Mutant(file, at.lineno, function, name, line, edit)
                    found.setdefault((at.lineno, mutant.after), mutant)
    return list(found.values())


def drawn(everything: dict[str, list[Mutant]], seed: int, count: int) -> list[Mutant]:
    """`count` of the mutants of all files: of a file as the root of how many it has, at least one;
    of the rules in turn; a fifth, at most, of kernels. An edit elsewhere in the package hardly
    changes who is drawn: a mutant's place in the draw is a number made of its own name."""

    def place(mutant: Mutant) -> int:
        return zlib.crc32(repr((seed, mutant.rule, *mutant.name)).encode())

    left = {file: sorted(mutants, key=place) for file, mutants in everything.items()}
    taken: list[Mutant] = []
    while len(taken) < count:
        full = sum(mutant.file.startswith("kernels/") for mutant in taken) >= count // 5
        files = [f for f in left if left[f] and not (full and f.startswith("kernels/"))]
        if not files:
            break
        of_file = Counter(mutant.file for mutant in taken)
        file = min(files, key=lambda f: of_file[f] / math.sqrt(len(everything[f])))
        here = Counter(mutant.rule for mutant in taken if mutant.file == file)
        overall = Counter(mutant.rule for mutant in taken)
        rule = min((m.rule for m in left[file]), key=lambda r: (here[r], overall[r]))
        mutant = next(m for m in left[file] if m.rule == rule)
        left[file].remove(mutant)
        taken.append(mutant)
    return sorted(taken, key=lambda m: (list(everything).index(m.file), m.line))


PLUGIN = """
import os
import sys
from pathlib import Path

from hypothesis import Phase, settings


def pytest_configure(config):
    import tinyproto

    if Path(tinyproto.__file__).parent != Path(__file__).parent / "tinyproto":
        print(tinyproto.__file__, file=sys.stderr, flush=True)
        os._exit(99)
    phases = [Phase.explicit, Phase.generate]  # the first failure is enough: none is made smaller
    settings.register_profile("mutants", settings.get_profile("tinyproto"), phases=phases)
    settings.load_profile("mutants")
"""


class Workshop:
    """A copy of the package and its tests, in which one mutant at a time is tried. The folder
    stays: Numba's cache goes by the paths and times of the files, so what is as it was is not
    compiled again."""

    def __init__(self, folder: Path, origin: Path = ROOT):
        self.folder = folder.resolve()
        for name in ("tinyproto", "tests"):
            copied = shutil.ignore_patterns("__pycache__")
            shutil.copytree(origin / name, folder / name, ignore=copied)
        shutil.copy2(origin / "setup.cfg", folder)
        (folder / "mutants_plugin.py").write_text(PLUGIN)

    def attempt(self, mutant: Mutant, limit: float) -> str:
        """By what a mutant is caught; "" for a survivor."""
        path = self.folder / "tinyproto" / mutant.file
        before, stat = path.read_text(), path.stat()
        path.write_text(mutant.source(before))
        try:
            if not mutant.file.startswith("kernels/"):
                return self.test(TESTS[mutant.file], limit)
            with tempfile.TemporaryDirectory() as cache:
                return self.test(TESTS[mutant.file], limit, cache)
        finally:
            path.write_text(before)
            os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))

    def test(self, chosen: list[str], limit: float, cache: str = "") -> str:
        """The first test that fails, or "crash" or "time limit"; "" where all pass."""
        one = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"), "1")
        environment = {
            **os.environ, **one, "PYTHONPATH": str(self.folder), "PYTHONDONTWRITEBYTECODE": "1",
            "NUMBA_CACHE_DIR": cache or str(self.folder / "cache"),
        }  # fmt: skip
        command = [sys.executable, "-m", "pytest", "-x", "-q", "--tb=no", "-p", "no:cacheprovider"]
        with subprocess.Popen(
            [*command, "-p", "mutants_plugin", *chosen], cwd=self.folder, env=environment,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True,
        ) as process:  # fmt: skip
            for _ in range(int(limit)):  # seconds, of which a pause of all counts for one
                with suppress(subprocess.TimeoutExpired):
                    output, _ = process.communicate(timeout=1)
                    break
            else:
                os.killpg(process.pid, signal.SIGKILL)  # its own session: nobody else's
                return "time limit"
        if process.returncode == 99:
            raise RuntimeError(f"this was tested, and not the copy: {output}")
        failed = re.search(r"^(?:FAILED|ERROR) tests/(.+?)(?: - .*)?$", output, re.MULTILINE)
        if failed or process.returncode == 0:
            return failed[1] if failed else ""
        return f"crash, status {process.returncode}"


def main() -> None:
    parser = options(__doc__)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--count", type=int, default=60)
    parser.add_argument("--workers", type=int, default=2, help="copies tried at the same time")
    parser.add_argument("--only", default="", metavar="FILE", help="files whose name has this")
    parser.add_argument("--list", action="store_true", help="draw, and try none")
    chosen = parser.parse_args()
    begun = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(chosen.workers) as pool:
        first = Workshop(Path(folder) / "0")
        everything = {
            file: candidates(file, (first.folder / "tinyproto" / file).read_text())
            for file in TESTS
            if not (chosen.quick and file.startswith("kernels/"))
        }
        mutants = drawn(everything, chosen.seed, 12 if chosen.quick else chosen.count)
        mutants = [mutant for mutant in mutants if chosen.only in mutant.file]
        if chosen.list:
            print("\n".join(f"{m.file}:{m.line}  {m.rule}: {m.change}" for m in mutants))
            return
        free: Queue[Workshop] = Queue()
        free.put(first)
        for i in range(1, chosen.workers):
            free.put(Workshop(Path(folder) / str(i), first.folder))

        def sound(tests: tuple[str, ...]) -> float:
            """The seconds that tests of the package as it is take."""
            workshop, start = free.get(), time.perf_counter()
            try:
                failed = workshop.test(list(tests), 1800)
            finally:
                free.put(workshop)
            if failed:
                raise RuntimeError(f"{failed} fails with nothing broken")
            return time.perf_counter() - start

        def attempt(mutant: Mutant) -> dict[str, Any]:
            workshop = free.get()
            try:
                caught = workshop.attempt(mutant, 120 + 5 * seconds[tuple(TESTS[mutant.file])])
            finally:
                free.put(workshop)
            known = mutant.name in EQUIVALENT
            fate = "caught" if caught else "equivalent" if known else "survived"
            print(f"{fate:10} {mutant.file}:{mutant.line} {mutant.change}", flush=True)
            return {
                "change": mutant.change, "file": mutant.file, "line": mutant.line,
                "rule": mutant.rule, "fate": fate, "by": caught,
            }  # fmt: skip

        suites = list(dict.fromkeys(tuple(TESTS[mutant.file]) for mutant in mutants))
        seconds = dict(zip(suites, pool.map(sound, suites), strict=True))
        rows = list(pool.map(attempt, mutants))
    fates = Counter(row["fate"] for row in rows)
    note = (
        f"seed {chosen.seed}, {len(rows)} of {sum(map(len, everything.values()))} places: "
        f"{fates['caught']} caught, {fates['equivalent']} equivalent, {fates['survived']} "
        f"survived; {(time.perf_counter() - begun) / 60:.0f} minutes"
    )
    report(rows, chosen.json, note)
    sys.exit(1 if fates["survived"] else 0)


if __name__ == "__main__":
    main()
