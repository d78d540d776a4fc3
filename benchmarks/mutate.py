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
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from queue import Queue
from typing import Any

from common import argument_parser, report

ROOT = Path(__file__).parent.parent
DEFENSES = "tests/training/test_defenses.py"
CHANNELS = "channels or BatchNorm or ReLU or GlobalAverage"
LAYERS = [
    "tests/layers/test_layer_gradients.py", "tests/layers/test_layers.py",
    "tests/layers/test_checks.py",
]  # fmt: skip
LOSSES = ["tests/test_losses.py", DEFENSES]
CERTIFICATE = [
    "tests/prototypes/test_certificate.py",
    "tests/prototypes/test_exact_certificate.py",
    "tests/prototypes/test_proof_arithmetic.py",
    "tests/attacks/test_exact_radius.py",
    "tests/prototypes/test_search.py",
]
DETECTION = [
    "tests/prototypes/test_detection.py",
    "tests/prototypes/test_detection_gradients.py",
    "tests/prototypes/test_detection_certificate.py",
    "tests/attacks/test_attack_detector.py",
]
FAST_PATH = ["tests/cpu", "tests/layers/test_fast_path.py"]
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
    "schedules.py": ["tests/test_schedules.py"],
    "training/defenses.py": [DEFENSES],
    "training/prototype_defenses.py": [DEFENSES, "tests/training/test_prototype_gradients.py"],
    "attacks/apgd.py": ATTACKS,
    "attacks/apgd_l1.py": ["tests/attacks/test_l1.py"],
    "attacks/average.py": ["tests/attacks/test_average.py"],
    "attacks/box.py": ATTACKS,
    "attacks/hop_skip_jump.py": ["tests/attacks/test_hop_skip_jump.py"],
    "attacks/l1.py": ["tests/attacks/test_l1.py"],
    "attacks/minimum_norm.py": ["tests/attacks/test_minimum_norm.py"],
    "attacks/per_feature.py": ["tests/attacks/test_per_feature.py"],
    "attacks/targeted.py": ["tests/attacks/test_targeted.py"],
    "attacks/autoattack.py": ATTACKS,
    "attacks/carlini_wagner.py": ATTACKS,
    "attacks/checks.py": ATTACKS,
    "attacks/fab.py": ATTACKS,
    "attacks/pgd.py": ATTACKS,
    "attacks/hyperplane.py": ATTACKS,
    "attacks/inputs.py": ATTACKS,
    "attacks/region.py": ATTACKS,
    "attacks/square.py": ATTACKS,
    "attacks/victim.py": ATTACKS,
    "kernels/im2col.py": ["tests/kernels/test_im2col.py"],
    "kernels/hyperplane.py": ["tests/attacks/test_hyperplane.py"],
    "kernels/radius.py": ["tests/prototypes/test_radius_objective.py"],
    "kernels/pooling.py": ["tests/kernels/test_pooling.py", *LAYERS, "-k", "ool"],
    "kernels/channels.py": ["tests/kernels/test_channels.py", "tests/layers", "-k", CHANNELS],
    "prototypes/radius_objective.py": ["tests/prototypes/test_radius_objective.py"],
    "prototypes/certificate/convex.py": CERTIFICATE,
    "prototypes/certificate/dyadic.py": CERTIFICATE,
    "prototypes/certificate/exact_bound.py": CERTIFICATE,
    "prototypes/certificate/lower_bound.py": CERTIFICATE,
    "prototypes/certificate/curve.py": ["tests/prototypes/test_curve.py"],
    "prototypes/certificate/minimax.py": CERTIFICATE,
    "prototypes/certificate/parallel.py": ["tests/prototypes/test_certify.py"],
    "prototypes/certificate/projection.py": CERTIFICATE,
    "prototypes/certificate/radius.py": CERTIFICATE,
    "prototypes/certificate/real_network.py": CERTIFICATE,
    "prototypes/certificate/radius_file.py": ["tests/prototypes/test_certify.py"],
    "prototypes/certificate/rival_distance.py": CERTIFICATE,
    "prototypes/certificate/rows.py": CERTIFICATE,
    "prototypes/certificate/search.py": CERTIFICATE,
    "attacks/detector.py": [DETECTION[3]],
    "attacks/feature_detector.py": ["tests/attacks/test_attack_feature_detector.py"],
    "evaluation/transfer.py": ["tests/evaluation/test_transfer.py"],
    "evaluation/confusion.py": ["tests/evaluation/test_confusion.py"],
    "evaluation/deep_explanation.py": ["tests/evaluation/test_deep_explanation.py"],
    "evaluation/feature_detection.py": ["tests/evaluation/test_feature_detection_report.py"],
    "evaluation/robustness_curve.py": ["tests/evaluation/test_robustness_curve.py"],
    "evaluation/geometry/angles.py": ["tests/evaluation/test_geometry.py"],
    "evaluation/geometry/collapse.py": ["tests/evaluation/test_collapse.py"],
    "evaluation/geometry/measure.py": ["tests/evaluation/test_geometry_report.py"],
    "evaluation/geometry/planes.py": ["tests/evaluation/test_geometry.py"],
    "evaluation/detection.py": ["tests/evaluation/test_detection_report.py"],
    "evaluation/explanation.py": ["tests/evaluation/test_explanation.py"],
    "prototypes/detection/certificate.py": [DETECTION[2], "-m", "not slow"],
    "prototypes/detection/detector.py": DETECTION[:2],
    "prototypes/detection/feature_detector.py": ["tests/prototypes/test_feature_detector.py"],
    "prototypes/detection/feature_scores.py": ["tests/prototypes/test_feature_detector.py"],
    "prototypes/detection/dual.py": [DETECTION[2], "-m", "not slow"],
    "prototypes/detection/profile.py": DETECTION[:2],
    "prototypes/detection/scores.py": DETECTION[:2],
    "prototypes/roc.py": ["tests/prototypes/test_detection.py"],
    "report/content.py": ["tests/report", "-m", "not slow"],
    "report/page.py": ["tests/report", "-m", "not slow"],
    "report/run.py": ["tests/report", "-m", "not slow"],
    "report/subject.py": ["tests/report", "-m", "not slow"],
    "cpu/channels.py": ["tests/kernels/test_channels.py", *FAST_PATH],
    "cpu/gemm.py": FAST_PATH,
    "cpu/pooling.py": ["tests/kernels/test_pooling.py", *FAST_PATH],
    "cpu/direct/bands.py": FAST_PATH,
    "cpu/direct/convolve.py": FAST_PATH,
    "cpu/direct/packing.py": FAST_PATH,
    "cpu/direct/weights.py": FAST_PATH,
    "cpu/winograd/convolve.py": FAST_PATH,
    "cpu/winograd/filters.py": FAST_PATH,
    "cpu/winograd/tiles.py": FAST_PATH,
    "cpu/winograd/transforms.py": FAST_PATH,
    "cpu/winograd/weights.py": FAST_PATH,
}
"""The files that are mutated, and the arguments of pytest for each."""

COMPILED = ("kernels/", "cpu/")
"""The folders of kernels."""

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
    phases = [Phase.explicit, Phase.generate]  # without shrinking: one failure is enough
    settings.register_profile("mutants", settings.get_profile("tinyproto"), phases=phases)
    settings.load_profile("mutants")
"""


class Sandbox:
    """A copy of the package and its tests, for one mutant at a time.

    The folder is used again for the next mutant: Numba's cache depends on the paths and times of
    the files, so that unchanged files are not compiled again.
    """

    def __init__(self, folder: Path, origin: Path = ROOT):
        self.folder = folder.resolve()
        for name in ("tinyproto", "tests"):
            copied = shutil.ignore_patterns("__pycache__")
            shutil.copytree(origin / name, folder / name, ignore=copied)
        shutil.copy2(origin / "setup.cfg", folder)
        (folder / "mutants_plugin.py").write_text(PLUGIN)

    def test_mutant(self, mutant: Mutant, limit: float) -> str:
        """What catches a mutant, as `run_tests` says; "" if it survives."""
        path = self.folder / "tinyproto" / mutant.file
        before, stat = path.read_text(), path.stat()
        path.write_text(mutant.source(before))
        try:
            if not mutant.file.startswith(COMPILED):
                return self.run_tests(TESTS[mutant.file], limit)
            with tempfile.TemporaryDirectory() as cache:
                return self.run_tests(TESTS[mutant.file], limit, cache)
        finally:
            path.write_text(before)
            os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))

    def run_tests(self, tests: list[str], limit: float, cache: str = "") -> str:
        """The first test that fails, or "crash" or "time limit"; "" if all pass."""
        threads = dict.fromkeys(
            ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"), "1"
        )
        environment = {
            **os.environ, **threads, "PYTHONPATH": str(self.folder), "PYTHONDONTWRITEBYTECODE": "1",
            "NUMBA_CACHE_DIR": cache or str(self.folder / "cache"),
        }  # fmt: skip
        command = [sys.executable, "-m", "pytest", "-x", "-q", "--tb=no", "-p", "no:cacheprovider"]
        with subprocess.Popen(
            [*command, "-p", "mutants_plugin", *tests], cwd=self.folder, env=environment,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True,
        ) as process:  # fmt: skip
            for _ in range(int(limit)):  # seconds; a pause of the whole machine counts as one
                with suppress(subprocess.TimeoutExpired):
                    output, _ = process.communicate(timeout=1)
                    break
            else:
                os.killpg(process.pid, signal.SIGKILL)  # its session contains nothing else
                return "time limit"
        if process.returncode == 99:
            raise RuntimeError(f"the tests imported {output.strip()} instead of the copy")
        failed = re.search(r"^(?:FAILED|ERROR) tests/(.+?)(?: - .*)?$", output, re.MULTILINE)
        if failed or process.returncode == 0:
            return failed[1] if failed else ""
        return f"crash, status {process.returncode}"


def main() -> None:
    parser = argument_parser(__doc__)
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
            failed = sandbox.run_tests(list(tests), 1800)
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
