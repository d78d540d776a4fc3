"""Mutation testing: change the code in one place, and see whether the tests fail.

    python benchmarks/mutate.py [--seed 0] [--count 100] [--workers 2] [--only FILE] [--list]

A mutant is a copy of the package in which one node of the syntax tree is changed, by one of RULES,
within one line. Docstrings, annotations, imports and validation of arguments are not changed.
Mutants are drawn with a seed from every file and every rule. The tests of the mutated file are run
until the first fails; a mutant that hangs or crashes is caught, too. A mutant that survives and is
not explained in EQUIVALENT makes the exit status 1. --quick draws 12, none of them in compiled code
(after a change there, all kernels are compiled again).
"""

import ast
import math
import sys
import tempfile
import time
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from queue import Queue
from typing import Any

from common import argument_parser, report

from tinyproto.tour.covering_tests import TESTS
from tinyproto.tour.sandbox import COMPILED
from tinyproto.tour.sandbox import Sandbox as PackageCopy

EQUIVALENT = {
    (
        "layers/elementwise.py",
        "ReLU.__call__",
        "flat = xp.ascontiguousarray(x).reshape("
        "[len(x), math.prod(x.shape[1:]) -> math.prod(x.shape[1:]), len(x)])",
    ): "a ReLU acts on each number by itself, and the shape is restored: rows may be of any length",
    (
        "layers/pooling.py",
        "MaxPool2D.__call__",
        "if self.kernel_size > [15 -> 16]:",
    ): "the positions in a window of 16 × 16 are 0 … 255: a byte holds them",
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
    (
        "prototypes/certificate/projection.py",
        "_maximize_dual",
        "if optimal [or -> and] _distance(value) > limit or damping > 1e9:",
    ): "the iteration ends later; its multipliers are a proposal, and their bound is proved",
    (
        "prototypes/certificate/projection.py",
        "solve_linf",
        "if radius >= upper_bound or (G @ delta >= h - "
        "[1e-12 * max(float(h.max()), 0.0) -> 1e-12]).all():",
    ): "a proposal is accepted a little earlier or later, and its bound is proved",
    (
        "prototypes/certificate/real_network.py",
        "RealNetwork.__init__",
        "magnitude = [0.5 * self.beta -> self.beta] * squares",
    ): "an allowance for rounding that is twice as large allows for it, too",
    (
        "cpu/winograd/convolve.py",
        "_convolve",
        "fitting = CACHE_BYTES // ([36 -> 37] * 4 * (padded(channels) + padded(out)))",
    ): "how many tiles are computed at once, which changes no sum",
    (
        "cpu/direct/weights.py",
        "_sum_products",
        "rows = dy_rows * stride if z < count [- -> +] 1 else (band_rows - 1) * stride + size",
    ): "the rows of the last band that nobody reads are filled, too: each band has room for them",
    (
        "prototypes/detection/dual.py",
        "",
        "HALVINGS = [12 -> 13]  # of the interval of an L∞ radius",
    ): "one more halving: a lower bound that is nearer by 2⁻¹³ of the interval",
}
"""(file, function, change) → why the mutant does what the original does."""

CHECKS = {
    "_require", "require", "_check_arguments", "check_input", "positive_integers", "check_number",
    "check_count", "check_shape", "check_parameters", "check_backward", "check_floats",
    "check_scores", "check_gradients", "require_finite_box",
}  # fmt: skip
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
"""First and last column of a part of a line, and its replacement."""


@dataclass(frozen=True)
class Mutant:
    """A line of a file of the package before and after one edit."""

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
        """The text of the file with the mutated line."""
        lines = text.split("\n")
        lines[self.line - 1] = self.after
        return "\n".join(lines)


@dataclass(frozen=True)
class Site:
    """A node of the syntax tree within one line, and that line."""

    node: Any
    line: str

    def span(self, node: Any) -> tuple[int, int]:
        """First and last column of a node (`ast` counts bytes)."""
        line = self.line.encode()
        return len(line[: node.col_offset].decode()), len(line[: node.end_col_offset].decode())

    def text(self, node: Any) -> str:
        return self.line[slice(*self.span(node))]

    def after(self, node: Any, symbol: str) -> int:
        """The column of an operator that follows a node."""
        return self.line.index(symbol, self.span(node)[1])

    def operator(self) -> tuple[str, int]:
        """The operator of `a + b` or `a += b` and its column; ("", 0) for other nodes."""
        of = getattr(self.node, "op", None)
        symbol = SYMBOLS.get(type(of), "") if isinstance(of, ast.operator) else ""
        left = getattr(self.node, "left", None) or getattr(self.node, "target", None)
        return (symbol, self.after(left, symbol)) if symbol and left else ("", 0)

    def swapped(self, nodes: list[Any]) -> Iterator[Edit]:
        """Two neighbours exchanged."""
        for one, other in pairwise(nodes):
            (start, middle), (resume, end) = self.span(one), self.span(other)
            if self.text(one) != self.text(other):
                yield start, end, self.text(other) + self.line[middle:resume] + self.text(one)


def sign(site: Site) -> Iterator[Edit]:
    """+ for −, − for +; a minus removed."""
    symbol, at = site.operator()
    if symbol in ("+", "-"):
        yield at, at + 1, "-" if symbol == "+" else "+"
    elif isinstance(site.node, ast.UnaryOp) and isinstance(site.node.op, ast.USub):
        start, _ = site.span(site.node)
        yield start, start + 1, ""


def term(site: Site, symbols: tuple[str, ...] = ("+", "-")) -> Iterator[Edit]:
    """One term of a sum removed, or a statement `a += b`."""
    symbol, at = site.operator()
    if symbol in symbols:
        start, end = site.span(site.node)
        right = site.line[at + len(symbol) : end].strip()
        if isinstance(site.node, ast.AugAssign):
            yield start, end, "pass"
        else:
            yield start, end, site.line[start:at].strip()
            if symbol in ("+", "-", "*"):
                yield start, end, f"-{right}" if symbol == "-" else right


def factor(site: Site) -> Iterator[Edit]:
    """One factor, divisor or exponent removed, or a statement `a *= b`."""
    yield from term(site, ("*", "/", "//", "**"))


def axis(site: Site) -> Iterator[Edit]:
    """Another axis or element of a shape, two indices exchanged, a transpose removed."""
    node = site.node
    if isinstance(node, ast.keyword) and node.arg == "axis":
        if site.text(node.value) in OTHER_AXIS:
            yield *site.span(node.value), OTHER_AXIS[site.text(node.value)]
    elif isinstance(node, ast.Attribute) and node.attr == "T":
        _, end = site.span(node)
        yield end - 2, end, ""
    elif isinstance(node, ast.Subscript):
        if isinstance(node.slice, ast.Constant) and site.text(node.value).endswith(".shape"):
            yield *site.span(node.slice), OTHER_AXIS[site.text(node.slice)]
        elif isinstance(node.slice, ast.Tuple):
            yield from site.swapped(node.slice.elts)


def mask(site: Site) -> Iterator[Edit]:
    """The opposite comparison; `and` for `or`; `not` removed."""
    node = site.node
    if isinstance(node, ast.Compare | ast.BoolOp):
        if isinstance(node, ast.Compare):
            first, (old, new) = node.left, OPPOSITE[type(node.ops[0])]
        else:
            old, new = ("and", "or") if isinstance(node.op, ast.And) else ("or", "and")
            first = node.values[0]
        at = site.after(first, old)
        yield at, at + len(old), new
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        yield *site.span(node), site.text(node.operand)


def condition(site: Site) -> Iterator[Edit]:
    """`if not value` for `if value`: a part of the rule `mask`."""
    if isinstance(site.node, ast.Name | ast.Attribute | ast.Call):
        yield *site.span(site.node), f"not {site.text(site.node)}"


def constant(site: Site) -> Iterator[Edit]:
    """An integer plus 1, or 1 for 2; a float doubled; True for False."""
    value = getattr(site.node, "value", None)
    if isinstance(site.node, ast.Constant) and isinstance(value, int | float):
        start, _ = site.span(site.node)
        if "reshape(" in site.line and site.line[start - 1] == "-":
            return  # every negative length means the unknown one
        new: int | float = 1 if value == 2 else value + 1
        if isinstance(value, bool):
            new = not value
        elif isinstance(value, float):
            new = 2 * value or 1.0
        yield *site.span(site.node), repr(new)


def arguments(site: Site) -> Iterator[Edit]:
    """Two neighbouring arguments of a call exchanged."""
    if isinstance(site.node, ast.Call):
        called, given = site.text(site.node.func).rpartition(".")[2], site.node.args
        if called not in COMMUTATIVE and not any(isinstance(a, ast.Starred) for a in given):
            yield from site.swapped(given)


RULES: dict[str, Callable[[Site], Iterator[Edit]]] = {
    "sign": sign, "term": term, "factor": factor, "axis": axis, "mask": mask,
    "constant": constant, "arguments": arguments,
}  # fmt: skip


def _only_validates(statement: ast.stmt) -> bool:
    """Whether a statement only validates arguments, names a type, or is a docstring."""
    if isinstance(statement, ast.If):
        return isinstance(statement.body[-1], ast.Raise) and all(
            map(_only_validates, statement.orelse)
        )
    if isinstance(statement, ast.For | ast.FunctionDef):
        return all(map(_only_validates, statement.body))
    if isinstance(statement, ast.Expr):
        called = statement.value.func if isinstance(statement.value, ast.Call) else statement.value
        return isinstance(called, ast.Constant) or ast.unparse(called) in CHECKS
    if isinstance(statement, ast.Assign):
        aliases = ("Callable[", "dict[", "list[", "tuple[")
        return ast.unparse(statement.value).startswith(aliases)
    return isinstance(statement, ast.Raise)


def _nodes(node: Any, function: str = "") -> Iterator[tuple[str, Any]]:
    """The nodes that may be changed, each with the name of its function."""
    children = [*ast.iter_child_nodes(node)]
    if isinstance(node, ast.JoinedStr | ast.Import | ast.ImportFrom):
        return
    if isinstance(node, ast.stmt) and _only_validates(node):
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
    """The defaults of those arguments that the function uses."""
    if isinstance(node, ast.FunctionDef):
        of, named = node.args, {n.id for n in ast.walk(node) if isinstance(n, ast.Name)}
        last = zip(reversed(of.args), reversed(of.defaults), strict=False)
        for argument, default in (*last, *zip(of.kwonlyargs, of.kw_defaults, strict=True)):
            if default and argument.arg in named:
                yield default


def all_mutants(file: str, text: str) -> list[Mutant]:
    """Every mutant of a file of the package, each changed line once."""
    found: dict[tuple[int, str], Mutant] = {}
    lines, tree = text.split("\n"), ast.parse(text)
    for function, node in _nodes(tree):
        rules = [(name, rule, node) for name, rule in RULES.items()]
        if hasattr(node, "test"):
            rules.append(("mask", condition, node.test))
        for name, rule, at in rules:
            if getattr(at, "lineno", 0) == getattr(at, "end_lineno", -1):
                line = lines[at.lineno - 1]
                for edit in rule(Site(at, line)):
                    mutant = Mutant(file, at.lineno, function, name, line, edit)
                    found.setdefault((at.lineno, mutant.after), mutant)
    return list(found.values())


def draw(everything: dict[str, list[Mutant]], seed: int, count: int) -> list[Mutant]:
    """`count` of the mutants of all files. Files are drawn in proportion to the square root of how
    many mutants they have, and at least once; rules equally often; kernels two fifths at most.

    A mutant is drawn by a checksum of its own name, so that edits elsewhere in the package hardly
    change the result."""

    def order(mutant: Mutant) -> int:
        return zlib.crc32(repr((seed, mutant.rule, *mutant.name)).encode())

    left = {file: sorted(mutants, key=order) for file, mutants in everything.items()}
    taken: list[Mutant] = []
    while len(taken) < count:
        full = sum(mutant.file.startswith(COMPILED) for mutant in taken) >= 2 * count // 5
        files = [f for f in left if left[f] and not (full and f.startswith(COMPILED))]
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


class Sandbox(PackageCopy):
    """A copy of the package and its tests, for one mutant at a time."""

    def test_mutant(self, mutant: Mutant, limit: float) -> str:
        """The test that catches a mutant, without "tests/", or what else does; "" if it
        survives."""
        before = (self.folder / "tinyproto" / mutant.file).read_text()
        with self.changed(mutant.file, mutant.source(before)):
            caught = self.test_changed([mutant.file], TESTS[mutant.file], limit)
        return caught.test.removeprefix("tests/")


def main() -> None:
    parser = argument_parser(__doc__, data=False)
    parser.add_argument("--seed", type=int, default=0, help="seed of the draw (0)")
    parser.add_argument("--count", type=int, default=100, help="number of mutants (100)")
    parser.add_argument(
        "--workers", type=int, default=2, help="number of mutants tested at a time (2)"
    )
    parser.add_argument(
        "--only", default="", metavar="FILE", help="only files whose name contains this"
    )
    parser.add_argument(
        "--list", action="store_true", help="print the mutants without testing them"
    )
    chosen = parser.parse_args()
    begun = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        first = Sandbox(Path(folder) / "0")
        everything = {
            file: all_mutants(file, (first.folder / "tinyproto" / file).read_text())
            for file in TESTS
            if not (chosen.quick and file.startswith(COMPILED))
        }
        mutants = draw(everything, chosen.seed, 12 if chosen.quick else chosen.count)
        mutants = [mutant for mutant in mutants if chosen.only in mutant.file]
        if chosen.list:
            print("\n".join(f"{m.file}:{m.line}  {m.rule}: {m.change}" for m in mutants))
            return
        copies = [Sandbox(Path(folder) / str(i), first.folder) for i in range(1, chosen.workers)]
        rows = run_all(mutants, [first, *copies])
    fates = Counter(row["fate"] for row in rows)
    note = (
        f"seed {chosen.seed}, {len(rows)} of {sum(map(len, everything.values()))} places: "
        f"{fates['caught']} caught, {fates['equivalent']} equivalent, {fates['survived']} "
        f"survived; {(time.perf_counter() - begun) / 60:.0f} minutes"
    )
    report(rows, chosen.json, note)
    sys.exit(1 if fates["survived"] else 0)


def run_all(mutants: list[Mutant], sandboxes: list[Sandbox]) -> list[dict[str, Any]]:
    """A row for each mutant. The tests are first run on the original, to see that they pass and to
    know how long they take."""
    free: Queue[Sandbox] = Queue()
    for sandbox in sandboxes:
        free.put(sandbox)

    @contextmanager
    def free_sandbox() -> Iterator[Sandbox]:
        sandbox = free.get()
        try:
            yield sandbox
        finally:
            free.put(sandbox)

    def time_original(tests: tuple[str, ...]) -> float:
        with free_sandbox() as sandbox:
            start = time.perf_counter()
            failed = sandbox.run_tests(list(tests), 1800).test
        if failed:
            raise RuntimeError(f"{failed} fails without a mutation")
        return time.perf_counter() - start

    def test_one(mutant: Mutant) -> dict[str, Any]:
        limit = 120 + 5 * seconds[tuple(TESTS[mutant.file])]
        with free_sandbox() as sandbox:
            caught = sandbox.test_mutant(mutant, limit)
        known = mutant.name in EQUIVALENT
        fate = "caught" if caught else "equivalent" if known else "survived"
        print(f"{fate:10} {mutant.file}:{mutant.line} {mutant.change}", flush=True)
        return {
            "change": mutant.change, "file": mutant.file, "line": mutant.line,
            "rule": mutant.rule, "fate": fate, "by": caught,
        }  # fmt: skip

    suites = list(dict.fromkeys(tuple(TESTS[mutant.file]) for mutant in mutants))
    with ThreadPoolExecutor(len(sandboxes)) as pool:
        seconds = dict(zip(suites, pool.map(time_original, suites), strict=True))
        return list(pool.map(test_one, mutants))


if __name__ == "__main__":
    main()
