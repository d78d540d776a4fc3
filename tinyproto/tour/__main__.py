"""Break a formula of the package, and see the test that catches it.

    python -m tinyproto.tour break                    the places worth breaking
    python -m tinyproto.tour break batch-norm         break one, in a copy of the package
    python -m tinyproto.tour break --all              each of them in turn
    python -m tinyproto.tour break --mine mine.diff   a change of your own, a unified diff

Everything happens in a copy in a temporary folder; the checkout is read, and never changed. The
exit status is 0 if what was broken was caught by the test named for it, or if your own change
passes its tests.
"""

import argparse
import sys
from pathlib import Path

from ..evaluation.command import run_command
from .breaking import break_places, list_places, try_mine
from .places import PLACES


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tinyproto.tour",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", required=True)
    add = commands.add_parser("break", help="break a formula in a copy").add_argument
    add("names", nargs="*", metavar="NAME", help="places to break; without any, all are listed")
    add("--all", action="store_true", help="break each place in turn (minutes)")
    add("--mine", type=Path, metavar="FILE",
        help="apply a unified diff of files of tinyproto/ (git diff > FILE)")  # fmt: skip
    add("--tests", nargs="+", default=[], metavar="TEST",
        help="with --mine, arguments of pytest (default: the changed files' tests)")  # fmt: skip
    options = parser.parse_args(arguments)
    if options.mine is not None and (options.names or options.all):
        parser.error("--mine takes no names of places, and not --all")
    if options.tests and options.mine is None:
        parser.error("--tests goes with --mine")
    return options


def run(options: argparse.Namespace) -> None:
    if options.mine is not None:
        passed = try_mine(options.mine, options.tests)
    elif options.names or options.all:
        passed = break_places(list(PLACES) if options.all else options.names)
    else:
        list_places()
        passed = True
    if not passed:
        sys.exit(1)


def main(arguments: list[str] | None = None) -> None:
    options = parse(arguments)
    run_command(lambda: run(options))


if __name__ == "__main__":
    main()
