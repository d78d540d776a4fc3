"""`tinyproto report`: one page about a saved model, or about two side by side.

The page index.html in the folder --out holds everything. A report that was stopped goes on when the
same command is run again.
"""

import argparse
import time
from collections.abc import Sequence
from pathlib import Path

from ..evaluation.saved_models import MODEL, parse_radius
from ..evaluation.suites import ATTACKS, LISTS, choose
from ..report import Settings, write_report
from ..report.parts import PARTS
from .subcommand import Subcommand, end, list_names

DEFAULT = Settings()


def report(
    model: str | Path,
    *,
    out: str | Path = "runs/report",
    compare: str | Path | None = None,
    parts: Sequence[str] = tuple(PARTS),
    settings: Settings = DEFAULT,
) -> Path:
    """Write a page about a saved model, as `tinyproto report` does.

    Parameters
    ----------
    model : str or Path
        A file that tinyproto saved, or the name of a model that ships.
    out : str or Path
        Folder for the page and its figures.
    compare : str or Path, optional
        A second model, to stand beside the first.
    parts : list of str
        Names of parts of the page.
    settings : Settings
        How the models are judged.

    Returns
    -------
    Path
        The page.

    Raises
    ------
    ValueError, ImportError
        As `tinyproto.report.write_report` does.

    Examples
    --------
    >>> from tinyproto import command
    >>> from tinyproto.report import Settings
    >>> command.report("mnist-ed-wta", parts=["model"], settings=Settings(examples=20)).name
    'index.html'
    """
    models = [model] if compare is None else [model, compare]
    chosen = [name for name in PARTS if name in parts] + [n for n in parts if n not in PARTS]
    return write_report(models, out, settings=settings, parts=chosen)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `tinyproto report`."""
    add = parser.add_argument
    add("model", type=Path, metavar="MODEL", help=MODEL)
    add("--out", type=Path, default=Path("runs/report"), metavar="DIR",
        help="folder (default: runs/report)")  # fmt: skip
    add("--compare", type=Path, metavar="MODEL", help="a second network, beside the first")
    add("--parts", nargs="+", choices=list(PARTS), metavar="NAME", default=list(PARTS),
        help="parts of the page, named below (default: all that apply)")  # fmt: skip
    add("--attack", nargs="+", default=list(DEFAULT.attacks), metavar="NAME",
        help="a suite or some attacks, named below (default: "
        f"{' '.join(DEFAULT.attacks)})")  # fmt: skip
    add("--eps", help="radius of the attacks, a fraction or a decimal (default: 8/255 for colour "
        "and 0.1 for grey images in linf, 0.5 and 1.58 in l2)")  # fmt: skip
    add("--norm", choices=["linf", "l2"], default=DEFAULT.norm,
        help="norm of the ball (default: linf)")  # fmt: skip
    add("--dataset", metavar="NAME",
        help="mnist, fashion, cifar10, cifar100 or svhn (default: what the network was trained "
        "on)")  # fmt: skip
    add("--data", metavar="DIR", help="folder with the data set")
    add("--examples", type=int, default=DEFAULT.examples, metavar="N",
        help=f"test images, from the first on (default: {DEFAULT.examples})")  # fmt: skip
    add("--seed", type=int, default=0, metavar="N", help="seed of the random numbers (default: 0)")
    add("--device", choices=["cpu", "cuda"], default="cpu",
        help="where to compute (default: cpu)")  # fmt: skip
    parser.epilog = "\n".join([
        list_names("parts", PARTS), list_names("suites", LISTS), list_names("attacks", ATTACKS)
    ])  # fmt: skip


def run(options: argparse.Namespace) -> int:
    """Check the options and write the page; the exit status."""
    started = time.perf_counter()
    eps = None if options.eps is None else parse_radius(options.eps, options.norm)
    choose(options.attack, options.norm)
    if options.examples < 1:
        raise ValueError("--examples must be 1 or more")
    if not 0 <= options.seed < 2**32:
        raise ValueError(f"--seed must be in [0, 2**32), not {options.seed}")
    settings = Settings(
        examples=options.examples, eps=eps, norm=options.norm, attacks=tuple(options.attack),
        seed=options.seed, device=options.device, dataset=options.dataset, data=options.data,
    )  # fmt: skip
    page = report(
        options.model, out=options.out, compare=options.compare, parts=options.parts,
        settings=settings,
    )  # fmt: skip
    print(f"written to {page} in {time.perf_counter() - started:.0f} s")
    return 0


def advice(options: argparse.Namespace) -> str:
    """What to do after an interruption."""
    return f"run the same command again to continue {options.out}"


REPORT = Subcommand(
    "report", "Write a page about a saved model, or about two.",
    "MODEL [options]", add_arguments, run, advice,
)  # fmt: skip


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """The options of `python -m tinyproto.report`, which are those of `tinyproto report`."""
    return REPORT.parse(arguments, prog="python -m tinyproto.report")


def main(arguments: list[str] | None = None) -> None:
    """Run `python -m tinyproto.report`."""
    end(parse(arguments))
