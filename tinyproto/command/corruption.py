"""`tinyproto corrupt`: accuracy of a saved network on corrupted images.

The figures are saved after each corruption and severity; the same command continues a run that was
stopped, and one with more corruptions extends it.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from ..backend.device import select_device
from ..data.corruptions import CORRUPTION_GROUPS, CORRUPTIONS
from ..data.corruptions.catalogue import SEVERITIES, check_name
from ..evaluation.command import can_draw
from ..evaluation.corruption import CorruptionReport, corruption_report, plot_corruptions
from ..evaluation.figures import FORMATS
from ..evaluation.report import csv_table, markdown_table
from ..evaluation.result_folder import lock_for
from ..evaluation.saved_models import (
    add_options,
    check_options,
    check_writable,
    open_with_test_images,
)
from ..validation import check_count
from .subcommand import (
    Subcommand,
    add_fail_below,
    add_format,
    advice_to_continue,
    check_fail_below,
    check_table_file,
    end,
    list_names,
    printing,
    status_of,
)


def corrupt(
    model: str | Path,
    *,
    corruption: str | Sequence[str] = "all",
    severity: Sequence[int] = SEVERITIES,
    corrupted: str | Path | None = None,
    dataset: str | None = None,
    data: str | Path | None = None,
    examples: int = 10_000,
    batch: int = 250,
    seed: int = 0,
    device: str = "cpu",
    out: str | Path | None = None,
    verbose: bool = True,
) -> CorruptionReport:
    """Measure the accuracy of a saved network on corrupted images, as `tinyproto corrupt` does.

    Parameters
    ----------
    model : str or Path
        A file that tinyproto saved, or the name of a model that ships.
    corruption : str or list of str
        "all", or names of `tinyproto.data.CORRUPTIONS` and of their groups.
    severity : list of int
        Some of 1 … 5.
    corrupted : str or Path, optional
        Folder of the published CIFAR-10-C, for its images.
    dataset, data : str, optional
        Name of the data set, by default the one of the training, and its folder.
    examples, batch : int
        Number of test images, from the first on, and of those that are classified together.
    seed : int
        Seed of the random numbers.
    device : {"cpu", "cuda"}
        Where the network computes.
    out : str or Path, optional
        File for the figures, .json; it is continued or extended if it exists.
    verbose : bool
        Whether to show progress, and to say which images are corrupted.

    Returns
    -------
    CorruptionReport

    Raises
    ------
    ValueError
        For a file without a model, unknown corruptions or severities, and images of another size
        than 32 × 32 × 3.

    Examples
    --------
    >>> from tinyproto import command
    >>> report = command.corrupt(
    ...     "cifar10-compact-pgd", corruption="brightness", severity=[1], examples=20,
    ...     verbose=False)
    >>> list(report.accuracy)
    ['brightness']
    """
    check_count("examples", examples)
    network, images, labels, _ = open_with_test_images(
        Path(model), select_device(device), examples, dataset=dataset, folder=data, verbose=verbose
    )
    file = None if out is None else Path(out)
    with lock_for(file, "measurement"):
        return corruption_report(
            network, images, labels, corruptions=chosen(corruption), severities=severity,
            folder=corrupted, seed=seed, batch_size=batch, device=device, path=file,
            verbose=verbose,
        )  # fmt: skip


def chosen(names: str | Sequence[str]) -> list[str]:
    """The corruptions that names of corruptions and of groups stand for, each once."""
    groups = {**CORRUPTION_GROUPS, "all": CORRUPTIONS}
    given = [names] if isinstance(names, str) else names
    found = {corruption for name in given for corruption in groups.get(name) or (check_name(name),)}
    return [name for name in CORRUPTIONS if name in found]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `tinyproto corrupt`."""
    add = parser.add_argument
    add("--corruption", nargs="+", default=["all"], metavar="NAME",
        help="all, or groups and corruptions, named below (default: all)")  # fmt: skip
    add("--severity", nargs="+", type=int, default=list(SEVERITIES), metavar="N",
        help="some of 1 2 3 4 5 (default: all five)")  # fmt: skip
    add("--corrupted", metavar="DIR",
        help="use the images of the published CIFAR-10-C (default: make them)")  # fmt: skip
    add_options(parser, datasets="cifar10 or cifar100", examples=10_000, batch="classified")
    add("--relative-to", type=Path, metavar="FILE",
        help="the --out of another network: also show the errors relative to its")  # fmt: skip
    add_format(parser)
    add("--out", type=Path, metavar="FILE",
        help="also write this .json file; continue or extend it if it exists")  # fmt: skip
    add("--picture", type=Path, metavar="FILE",
        help=f"also draw to this file, .{', .'.join(FORMATS)}")  # fmt: skip
    add_fail_below(parser, "the mean accuracy")
    groups = list_names("groups", CORRUPTION_GROUPS)
    parser.epilog = f"{groups}\n{list_names('corruptions', CORRUPTIONS)}"


def run(options: argparse.Namespace) -> int:
    """Check the options, measure, print and draw; the exit status."""
    chosen(options.corruption)
    for severity in options.severity:
        check_count("--severity", severity, 1, len(SEVERITIES))
    check_options(options)
    check_fail_below(options)
    check_table_file(options.out, (".json",))
    if options.picture and options.picture.suffix.removeprefix(".") not in FORMATS:
        raise ValueError(f"--picture must end in .{', .'.join(FORMATS)}")
    check_writable({"--out": options.out, "--picture": options.picture})
    other = _other(options)
    with printing(options.format) as show:
        report = corrupt(
            options.model, corruption=options.corruption, severity=options.severity,
            corrupted=options.corrupted, dataset=options.dataset, data=options.data,
            examples=options.examples, batch=options.batch, seed=options.seed,
            device=options.device, out=options.out,
        )  # fmt: skip
        comparable = other is None or _of_the_same_images(report, other)
        if not comparable:
            other = None
        show({
            "text": lambda: report.text(other),
            "markdown": lambda: markdown_table(report.rows(other)),
            "json": lambda: report.json(other),
            "csv": lambda: csv_table(report.rows(other)),
        }, None)  # fmt: skip
        if options.out:
            print(f"written to {options.out}")
        if options.picture and can_draw({"matplotlib": "matplotlib"}, str(options.picture)):
            plot_corruptions(report, options.picture, title=options.model.stem)
            print(f"drawn to {options.picture}")
    status = status_of(options, {"the mean accuracy on corrupted images": 100 * report.mean})
    if not comparable:
        print(f"left out: relative errors: {options.relative_to} is of other images",
              file=sys.stderr)  # fmt: skip
    return status if comparable else 1


def _other(options: argparse.Namespace) -> CorruptionReport | None:
    """The report of --relative-to. Raises ValueError where it lacks a severity: the quotient would
    be of others than the accuracies beside it."""
    if options.relative_to is None:
        return None
    other = CorruptionReport.read(options.relative_to)
    for name in chosen(options.corruption):
        measured = other.accuracy.get(name)
        if measured and (lacking := sorted(set(options.severity) - set(measured))):
            raise ValueError(f"{options.relative_to} has no severity "
                             f"{', '.join(map(str, lacking))} of {name}")  # fmt: skip
    return other


def _of_the_same_images(report: CorruptionReport, other: CorruptionReport) -> bool:
    """Whether two reports are of the same images, or one does not say."""
    own, others = (r.settings.get("images") for r in (report, other))
    return own is None or others is None or own == others


def advice(options: argparse.Namespace) -> str:
    """What to do after an interruption."""
    return advice_to_continue("--out", options.out)


CORRUPT = Subcommand(
    "corrupt", "Measure the accuracy of a saved network on corrupted images.",
    "MODEL [options]", add_arguments, run, advice,
)  # fmt: skip


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """The options of `python -m tinyproto.evaluation.corruption`."""
    return CORRUPT.parse(arguments, prog="python -m tinyproto.evaluation.corruption")


def main(arguments: list[str] | None = None) -> None:
    """Run `python -m tinyproto.evaluation.corruption`."""
    end(parse(arguments))
