"""What the subcommands have in common: how each is parsed and ended, and the options of several."""

import argparse
import shutil
import sys
import textwrap
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from ..evaluation.command import run_command
from ..state import atomic_write

FORMATS = ("text", "markdown", "json", "csv")
SUFFIXES = {".json": "json", ".csv": "csv", ".md": "markdown"}
WIDEST = 100  # columns of a help text, where the terminal has as many
ROUNDING = 1e-9  # of a percentage: 29 of 100 images are not less than 29 %

Tables = Mapping[str, Callable[[], str]]
"""A table in each format that it is printed in."""


@dataclass(frozen=True)
class Subcommand:
    """A subcommand: its options, and what it does with them.

    `run` returns the exit status; `advice` is what a user can do after an interruption.
    """

    name: str
    summary: str
    usage: str
    add_arguments: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace], int]
    advice: Callable[[argparse.Namespace], str] = lambda options: ""

    def fill(self, parser: argparse.ArgumentParser) -> None:
        """Make a parser this subcommand's."""
        parser.usage = f"{parser.prog} {self.usage}"
        self.add_arguments(parser)
        parser.set_defaults(subcommand=self)

    def parse(self, arguments: Sequence[str] | None = None, *, prog: str) -> argparse.Namespace:
        """The options, as of a program of its own that is called `prog`."""
        parser = Parser(prog=prog, description=self.summary)
        self.fill(parser)
        return parser.parse_args(arguments)


class Parser(argparse.ArgumentParser):
    """A parser whose help fits a screen, and whose option --eps, where it takes several radii,
    takes radii only: in `--eps 2/255 8/255 model.npz` two of them, and then a model."""

    def __init__(self, **options: Any):
        super().__init__(formatter_class=_formatter, **options)

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        given = sys.argv[1:] if args is None else args
        if isinstance(self._option_string_actions.get("--eps"), argparse._AppendAction):
            given = _repeat_option(given, "--eps")
        return super().parse_known_args(given, namespace)


def _formatter(prog: str) -> argparse.HelpFormatter:
    return argparse.RawDescriptionHelpFormatter(prog, max_help_position=25, width=_help_width())


def _help_width() -> int:
    return min(shutil.get_terminal_size().columns, WIDEST) - 2


def list_names(what: str, names: Iterable[str]) -> str:
    """The names, in lines as wide as a help text, for the end of it."""
    text = f"{what}: {', '.join(names)}"
    return textwrap.fill(text, max(_help_width(), 20), subsequent_indent="  ",
                         break_on_hyphens=False, break_long_words=False)  # fmt: skip


def _repeat_option(arguments: Sequence[str], option: str) -> list[str]:
    """The arguments with the option before each of the numbers that follow it: argparse would take
    everything that follows."""
    found: list[str] = []
    for argument in arguments:
        follows = found[-2:-1] == [option] and _is_number(argument)
        found += [option, argument] if follows else [argument]
    return found


def _is_number(text: str) -> bool:
    try:
        Fraction(text)
    except (ValueError, ZeroDivisionError):
        return False
    return True


def end(options: argparse.Namespace) -> None:
    """Run the subcommand that was parsed, and end the process unless all is well."""
    subcommand: Subcommand = options.subcommand

    def run() -> None:
        if status := subcommand.run(options):
            sys.stdout.flush()
            sys.exit(status)

    for stream in (sys.stdout, sys.stderr):  # "∞" must not cost an evaluation its table
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")
    run_command(run, lambda: subcommand.advice(options), wrong_input=2)


def add_format(parser: argparse.ArgumentParser, what: str = "the table") -> None:
    """The option --format."""
    parser.add_argument("--format", choices=FORMATS, default="text",
        help=f"how {what} is printed: {', '.join(FORMATS)} (default: text)",
        metavar="FORMAT")  # fmt: skip


def add_fail_below(parser: argparse.ArgumentParser, what: str) -> None:
    """The option --fail-below."""
    parser.add_argument("--fail-below", type=float, metavar="PERCENT",
        help=f"exit with status 1 if {what} is less")  # fmt: skip


def check_fail_below(options: argparse.Namespace) -> None:
    """Raises ValueError for a percentage that is none."""
    if options.fail_below is not None and not 0 <= options.fail_below <= 100:
        raise ValueError(f"--fail-below must be in [0, 100] %, not {options.fail_below:g}")


def status_of(options: argparse.Namespace, accuracies: Mapping[str, float]) -> int:
    """The exit status: 1, after a line, if one of the accuracies in % is less than
    --fail-below."""
    least = options.fail_below
    below = [f"{what} is {value:.4g} %" for what, value in accuracies.items()
             if least is not None and value < least - ROUNDING]  # fmt: skip
    if below:
        print(f"below {least:g} %: {'; '.join(below)}", file=sys.stderr)
    return 1 if below else 0


def advice_to_continue(option: str, path: Path | None, *others: Path) -> str:
    """What to do after an interruption: progress is in the file of an option, or in others that
    go with it, or nowhere."""
    if path is not None and any(file.exists() for file in (path, *others)):
        return f"run the same command again to continue from {path}"
    return f"no progress was saved (use {option} FILE)"


def check_table_file(path: Path | None, formats: Sequence[str] = tuple(SUFFIXES)) -> None:
    """Raises ValueError for a file of --out whose name does not say its format."""
    if path is not None and path.suffix not in formats:
        known = ", ".join(formats[:-1]) + f" or {formats[-1]}" if formats[1:] else formats[0]
        raise ValueError(f"--out must end in {known}, not {path.name!r}")


@contextmanager
def printing(format: str) -> Iterator[Callable[[Tables, Path | None], None]]:
    """Within the block, what is said goes to standard error unless the format is text, so that
    standard output has the table and nothing else. Yields the function that prints it; to the file
    of --out, if there is one, it writes it first: standard output may fail."""
    out = sys.stdout

    def show(tables: Tables, path: Path | None) -> None:
        if path is not None:
            with atomic_write(path) as temporary:
                temporary.write_text(tables[SUFFIXES[path.suffix]](), encoding="utf-8")
        print(tables[format]().rstrip("\n"), file=out)
        if path is not None:
            print(f"written to {path}")

    with redirect_stdout(sys.stdout if format == "text" else sys.stderr):
        yield show
