"""`tinyproto COMMAND`: the program that has the subcommands."""

import sys
from collections.abc import Sequence

from .. import __version__
from .certification import CERTIFY
from .corruption import CORRUPT
from .evaluation import EVALUATE
from .models import ZOO
from .reporting import REPORT
from .subcommand import Parser, end
from .training import TRAIN

SUBCOMMANDS = (TRAIN, EVALUATE, REPORT, CERTIFY, CORRUPT, ZOO)

EPILOG = """\
tinyproto COMMAND --help lists the options of a command.

Exit status: 0 all is well, 1 a run failed or an accuracy is less than
--fail-below, 2 wrong options or input, 130 Ctrl-C, 143 SIGTERM."""


def build_parser() -> Parser:
    """The parser of the whole command."""
    parser = Parser(
        prog="tinyproto", epilog=EPILOG, usage="tinyproto COMMAND [options]",
        description="Prototype learning and adversarial robustness.",
    )  # fmt: skip
    parser.add_argument("--version", action="version", version=f"tinyproto {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", title="commands", prog="tinyproto")
    for subcommand in SUBCOMMANDS:
        own = commands.add_parser(
            subcommand.name, help=subcommand.summary, description=subcommand.summary
        )
        subcommand.fill(own)
    return parser


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command `tinyproto`.

    Parameters
    ----------
    arguments : list of str, optional
        The words after `tinyproto`; those of this process if not given.

    Raises
    ------
    SystemExit
        With the exit status, unless that is 0.

    Examples
    --------
    >>> from tinyproto.command import main
    >>> main(["zoo", "--format", "csv"])
    name,weights,...
    """
    parser = build_parser()
    options = parser.parse_args(arguments)
    if not hasattr(options, "subcommand"):
        parser.print_help(sys.stderr)
        sys.exit(2)
    end(options)
