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
from dataclasses import dataclass
from pathlib import Path
from queue import Queue

from common import options, report

ROOT = Path(__file__).parent.parent
DEFENSES = "tests/training/test_defenses.py"
LAYERS = ["tests/layers/test_layer_gradients.py", "tests/layers/test_layers.py"]
TESTS = {
    **{
        f"layers/{name}.py": LAYERS
        for name in (
            "base", "batch_norm", "containers", "convolution", "dense", "elementwise", "pooling",
        )
    },
    "losses.py": ["tests/test_losses.py", DEFENSES],
    "prototypes/deep.py": ["tests/prototypes/test_deep.py", DEFENSES],
    "optimizers.py": ["tests/test_optimizers.py"],
    "training/defenses.py": [DEFENSES],
    "kernels/convolution.py": ["tests/kernels/test_convolution.py"],
    "kernels/pooling.py": [*LAYERS, "-k", "Pool"],
    "kernels/channels.py": [*LAYERS, "-k", "BatchNorm or ReLU or GlobalAverage"],
}  # fmt: skip
"""The files that are broken, and what pytest is told for each."""

EQUIVALENT: dict[tuple[str, str, str], str] = {}
"""(file, function, change) → why nothing that the tests may ask for is different."""

CHECKS = {"_require", "_check_schedule", "check_input", "positive_integers"}
COMMUTATIVE = {"max", "min", "maximum", "minimum"}
INVERSE = {
    ast.Eq: ("==", "!="), ast.NotEq: ("!=", "=="), ast.Gt: (">", "<="), ast.LtE: ("<=", ">"),
    ast.Lt: ("<", ">="), ast.GtE: (">=", "<"), ast.In: ("in", "not in"),
    ast.NotIn: ("not in", "in"), ast.Is: ("is", "is not"), ast.IsNot: ("is not", "is"),
}  # fmt: skip

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
        """The line, as `dz = [q - p -> q + p]`."""
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

    node: ast.AST
    line: str

    def span(self, node: ast.AST) -> tuple[int, int]:
        """From which column to which a node is written (`ast` counts bytes)."""
        start, end = (
            len(self.line.encode()[:of].decode())
            for of in (node.col_offset, node.end_col_offset)  # type: ignore[attr-defined]
        )
        return start, end

    def text(self, node: ast.AST) -> str:
        start, end = self.span(node)
        return self.line[start:end]

    def after(self, node: ast.AST, text: str) -> int:
        """Where an operator that follows a node is written."""
        return self.line.index(text, self.span(node)[1])

    def swapped(self, one: ast.AST, other: ast.AST) -> Iterator[Edit]:
        """Two neighbours change places."""
        (start, middle), (resume, end) = self.span(one), self.span(other)
        between = self.line[middle:resume]
        if self.text(one) != self.text(other):
            yield start, end, self.text(other) + between + self.text(one)


SUMS = {ast.Add: "+", ast.Sub: "-"}
PRODUCTS = {ast.Mult: "*", ast.Div: "/", ast.FloorDiv: "//", ast.Pow: "**"}


def sign(place: Place) -> Iterator[Edit]:
    """+ for −, − for +; a minus dropped."""
    node = place.node
    if isinstance(node, ast.BinOp | ast.AugAssign) and type(node.op) in SUMS:
        old = SUMS[type(node.op)]
        at = place.after(node.left if isinstance(node, ast.BinOp) else node.target, old)
        yield at, at + 1, "-" if old == "+" else "+"
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        start, _ = place.span(node)
        yield start, start + 1, ""


def _operands(place: Place, node: ast.BinOp, operator: str) -> tuple[str, str]:
    """What stands on either side, with its parentheses."""
    start, end = place.span(node)
    at = place.after(node.left, operator)
    return place.line[start:at].rstrip(), place.line[at + len(operator) : end].lstrip()


def term(place: Place) -> Iterator[Edit]:
    """One term of a sum left out; a statement that adds, too."""
    node = place.node
    if isinstance(node, ast.BinOp) and type(node.op) in SUMS:
        operator = SUMS[type(node.op)]
        left, right = _operands(place, node, operator)
        yield *place.span(node), left
        yield *place.span(node), right if operator == "+" else f"-{right}"
    elif isinstance(node, ast.AugAssign) and type(node.op) in SUMS:
        yield *place.span(node), "pass"


def factor(place: Place) -> Iterator[Edit]:
    """One factor, divisor or exponent left out; a statement that multiplies, too."""
    node = place.node
    if isinstance(node, ast.BinOp) and type(node.op) in PRODUCTS:
        left, right = _operands(place, node, PRODUCTS[type(node.op)])
        yield *place.span(node), left
        if isinstance(node.op, ast.Mult):
            yield *place.span(node), right
    elif isinstance(node, ast.AugAssign) and type(node.op) in PRODUCTS:
        yield *place.span(node), "pass"


def axis(place: Place) -> Iterator[Edit]:
    """Another axis, another entry of a shape, two indices exchanged, a transpose dropped."""
    node, other = place.node, {0: "1", 1: "0", 2: "1", 3: "2"}
    if isinstance(node, ast.keyword) and node.arg == "axis":
        if isinstance(node.value, ast.Constant):
            yield *place.span(node.value), other[node.value.value]
    elif isinstance(node, ast.Attribute) and node.attr == "T":
        _, end = place.span(node)
        yield end - 2, end, ""
    elif isinstance(node, ast.Subscript):
        of, index = node.value, node.slice
        if isinstance(of, ast.Attribute) and of.attr == "shape" and isinstance(index, ast.Constant):
            yield *place.span(index), other[index.value]
        elif isinstance(index, ast.Tuple):
            for one, next_one in zip(index.elts, index.elts[1:], strict=False):
                yield from place.swapped(one, next_one)


def mask(place: Place) -> Iterator[Edit]:
    """A comparison or a condition turned into its opposite; `and` for `or`."""
    node = place.node
    if isinstance(node, ast.Compare):
        old, new = INVERSE[type(node.ops[0])]
        at = place.after(node.left, old)
        yield at, at + len(old), new
    elif isinstance(node, ast.BoolOp):
        old, new = ("and", "or") if isinstance(node.op, ast.And) else ("or", "and")
        at = place.after(node.values[0], old)
        yield at, at + len(old), new
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        yield *place.span(node), place.text(node.operand)


def condition(place: Place) -> Iterator[Edit]:
    """What `if` asks of a name turned into its opposite."""
    if isinstance(place.node, ast.Name | ast.Attribute | ast.Call):
        yield *place.span(place.node), f"not {place.text(place.node)}"


def constant(place: Place) -> Iterator[Edit]:
    """One more; 1 for 2; 1.0 for 0.5, twice another fraction; True for False."""
    node = place.node
    if isinstance(node, ast.Constant) and isinstance(node.value, int | float):
        value = node.value
        if isinstance(value, bool):
            new: bool | int | float = not value
        elif isinstance(value, int):
            new = 1 if value == 2 else value + 1
        else:
            new = 2 * value or 1.0
        yield *place.span(node), repr(new)


def arguments(place: Place) -> Iterator[Edit]:
    """Two neighbours among the arguments of a call exchanged."""
    node = place.node
    if isinstance(node, ast.Call):
        called = place.text(node.func).rpartition(".")[2]
        plain = [a for a in node.args if not isinstance(a, ast.Starred)]
        if called not in COMMUTATIVE and plain == node.args:
            for one, next_one in zip(plain, plain[1:], strict=False):
                yield from place.swapped(one, next_one)


RULES: dict[str, Callable[[Place], Iterator[Edit]]] = {
    "sign": sign,
    "term": term,
    "factor": factor,
    "axis": axis,
    "mask": mask,
    "constant": constant,
    "arguments": arguments,
}


def _checks(statement: ast.stmt) -> bool:
    """Whether all that a statement does is to refuse arguments."""
    if isinstance(statement, ast.If):
        return isinstance(statement.body[-1], ast.Raise) and all(map(_checks, statement.orelse))
    if isinstance(statement, ast.For):
        return all(map(_checks, statement.body))
    if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Call):
        return getattr(statement.value.func, "id", None) in CHECKS
    return isinstance(statement, ast.Raise)


def _nodes(node: ast.AST, function: str = "") -> Iterator[tuple[str, ast.AST]]:
    """The nodes that may be changed, each with the name of the function it is in."""
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        if node.name in CHECKS or any(getattr(d, "attr", "") == "example" for d in _marks(node)):
            return
        function = f"{function}.{node.name}" if function else node.name
        defaults = [] if isinstance(node, ast.ClassDef) else _defaults(node.args)
        children: list[ast.AST] = [*defaults, *node.body]
    elif isinstance(node, ast.AnnAssign):
        children = [node.value] if node.value else []
    elif isinstance(node, ast.stmt) and _checks(node):
        return
    elif isinstance(node, ast.If) and isinstance(node.body[-1], ast.Raise):
        children = [*node.orelse]
    elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
        return  # a docstring
    elif isinstance(node, ast.JoinedStr | ast.Import | ast.ImportFrom) or _is_type(node):
        return
    else:
        yield function, node
        children = [*ast.iter_child_nodes(node)]
    for child in children:
        yield from _nodes(child, function)


def _is_type(node: ast.AST) -> bool:
    """Whether a statement names a type, as `Rule = Callable[[Place], Edit]`."""
    value = node.value if isinstance(node, ast.Assign) else None
    return isinstance(value, ast.Subscript) and getattr(value.value, "id", "") == "Callable"


def _marks(node: ast.FunctionDef | ast.ClassDef) -> list[ast.expr]:
    return node.decorator_list


def _defaults(of: ast.arguments) -> list[ast.AST]:
    return [*of.defaults, *(value for value in of.kw_defaults if value)]


def candidates(file: str, text: str) -> list[Mutant]:
    """Every mutant of a file of the package, each changed line once."""
    lines, found = text.split("\n"), {}
    tree: ast.AST = ast.parse(text)
    if file.startswith("kernels/"):  # what is no body serves the examples
        body = [node for node in tree.body if _is_kernel(node)]  # type: ignore[attr-defined]
        tree = ast.Module(body, [])
    for function, node in _nodes(tree):
        asked = getattr(node, "test", None)
        tries = [(name, rule, node) for name, rule in RULES.items()]
        tries += [("mask", condition, asked)] if isinstance(asked, ast.expr) else []
        for name, rule, at in tries:
            first, last = getattr(at, "lineno", 0), getattr(at, "end_lineno", -1)
            if first == last:
                line = lines[first - 1]
                for edit in rule(Place(at, line)):
                    mutant = Mutant(file, first, function, name, line, edit)
                    found.setdefault((first, mutant.after), mutant)
    return list(found.values())


def _is_kernel(node: ast.stmt) -> bool:
    marks = node.decorator_list if isinstance(node, ast.FunctionDef) else []
    return any(getattr(mark, "id", "") == "kernel" for mark in marks)


def drawn(everything: dict[str, list[Mutant]], seed: int, count: int) -> list[Mutant]:
    """`count` of the mutants of all files: of a file as the root of how many it has, at least one;
    of the rules in turn; a fifth, at most, of kernels. An edit elsewhere in the package hardly
    changes who is drawn: a mutant's place in the draw is a number made of its own name."""

    def place(mutant: Mutant) -> int:
        return zlib.crc32(repr((seed, mutant.rule, *mutant.name)).encode())

    left = {file: sorted(mutants, key=place) for file, mutants in everything.items()}
    taken: list[Mutant] = []
    while len(taken) < count:
        kernels = sum(mutant.file.startswith("kernels/") for mutant in taken)
        full = kernels >= count // 5
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
        print(tinyproto.__file__, file=sys.stderr)
        os._exit(99)
    phases = [Phase.explicit, Phase.generate]  # the first failure is enough: none is made smaller
    settings.register_profile("mutants", settings.get_profile("tinyproto"), phases=phases)
    settings.load_profile("mutants")
"""


class Workshop:
    """A copy of the package and its tests, in which one mutant at a time is tried. The folder
    stays: Numba's cache goes by the paths and times of the files, so what is as it was is not
    compiled again."""

    def __init__(self, folder: Path):
        self.folder = folder
        for name in ("tinyproto", "tests"):
            shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache*"))
        shutil.copy2(ROOT / "setup.cfg", folder)
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
                return self.test(TESTS[mutant.file], limit, Path(cache))
        finally:
            path.write_text(before)
            os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))

    def test(self, chosen: list[str], limit: float, cache: Path | None = None) -> str:
        """The first test that fails, or "crash" or "time limit"; "" where all pass."""
        one = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"), "1")
        environment = {
            **os.environ, **one, "PYTHONPATH": str(self.folder), "PYTHONDONTWRITEBYTECODE": "1",
            "NUMBA_CACHE_DIR": str(cache or self.folder / "cache"),
        }  # fmt: skip
        command = [sys.executable, "-m", "pytest", "-x", "-q", "--tb=no", "-p", "no:cacheprovider"]
        with subprocess.Popen(
            [*command, "-p", "mutants_plugin", *chosen], cwd=self.folder, env=environment,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True,
        ) as process:  # fmt: skip
            try:
                output, _ = process.communicate(timeout=limit)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)  # its own session: nobody else's
                return "time limit"
        if process.returncode == 99:
            raise RuntimeError(f"tested another package than the copy: {output}")
        if process.returncode == 0:
            return ""
        failed = re.search(r"^(?:FAILED|ERROR) (?:tests/)?(\S+)", output, re.MULTILINE)
        return failed[1] if failed else f"crash ({process.returncode})"


def _fate(mutant: Mutant, caught: str) -> str:
    return "caught" if caught else "equivalent" if mutant.name in EQUIVALENT else "survived"


def main() -> None:
    parser = options(__doc__)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--count", type=int, default=60)
    parser.add_argument("--workers", type=int, default=2, help="copies tried at the same time")
    parser.add_argument("--only", default="", metavar="FILE", help="files whose name has this")
    parser.add_argument("--list", action="store_true", help="draw, and try none")
    chosen = parser.parse_args()
    everything = {
        file: candidates(file, (ROOT / "tinyproto" / file).read_text())
        for file in TESTS
        if not (chosen.quick and file.startswith("kernels/"))
    }
    mutants = drawn(everything, chosen.seed, 12 if chosen.quick else chosen.count)
    mutants = [mutant for mutant in mutants if chosen.only in mutant.file]
    if chosen.list:
        print("\n".join(f"{m.file}:{m.line}  {m.rule}: {m.change}" for m in mutants))
        return

    begun = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(chosen.workers) as pool:
        free: Queue[Workshop] = Queue()
        for i in range(chosen.workers):
            free.put(Workshop(Path(folder) / str(i)))

        def sound(tests: tuple[str, ...]) -> float:
            """The seconds that tests of the package as it is take."""
            workshop, start = free.get(), time.perf_counter()
            try:
                failed = workshop.test(list(tests), 1800)
            finally:
                free.put(workshop)
            if failed:
                raise RuntimeError(f"fails with nothing broken: {failed}")
            return time.perf_counter() - start

        def attempt(mutant: Mutant) -> dict[str, str | int | float]:
            workshop, start = free.get(), time.perf_counter()
            try:
                caught = workshop.attempt(mutant, 120 + 5 * seconds[tuple(TESTS[mutant.file])])
            finally:
                free.put(workshop)
            row = {
                "change": mutant.change, "function": mutant.function, "file": mutant.file,
                "line": mutant.line, "rule": mutant.rule, "fate": _fate(mutant, caught),
                "caught by": caught, "seconds": time.perf_counter() - start,
            }  # fmt: skip
            print(f"{row['fate']:10} {mutant.file}:{mutant.line} {mutant.change}", flush=True)
            return row

        suites = list(dict.fromkeys(tuple(TESTS[mutant.file]) for mutant in mutants))
        seconds = dict(zip(suites, pool.map(sound, suites), strict=True))
        rows = list(pool.map(attempt, mutants))
    fates = Counter(row["fate"] for row in rows)
    minutes = (time.perf_counter() - begun) / 60
    report(
        rows,
        chosen.json,
        f"seed {chosen.seed}, of {sum(map(len, everything.values()))} places: {fates['caught']} "
        f"caught, {fates['equivalent']} equivalent, {fates['survived']} survived; "
        f"{minutes:.0f} minutes",
    )
    sys.exit(1 if fates["survived"] else 0)


if __name__ == "__main__":
    main()
