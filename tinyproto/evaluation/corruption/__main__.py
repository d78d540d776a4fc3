"""Measure the accuracy of a saved network on corrupted images, and print a table.

    python -m tinyproto.evaluation.corruption model.npz --out corruption.json

--out is written after each corruption and severity; the same command continues a run that was
stopped, and one with more corruptions extends it.
"""

import argparse
from pathlib import Path

from ...backend.device import select_device
from ...data.corruptions import CORRUPTION_GROUPS, CORRUPTIONS
from ...data.corruptions.catalogue import SEVERITIES, check_name
from ...validation import check_count
from ..command import can_draw, run_command
from ..figures import FORMATS
from ..result_folder import lock_for
from ..saved_models import add_options, check_options, check_writable, open_with_test_images
from .measure import corruption_report
from .picture import plot_corruptions
from .report import CorruptionReport


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tinyproto.evaluation.corruption",
        description=(__doc__ or "").splitlines()[0],
    )
    add = parser.add_argument
    add("--corruption", nargs="+", default=["all"], metavar="NAME",
        help=f"all, or some of the groups {', '.join(CORRUPTION_GROUPS)} and of "
        f"{', '.join(CORRUPTIONS)} (default: all)")  # fmt: skip
    add("--severity", nargs="+", type=int, default=list(SEVERITIES), metavar="N",
        help="some of 1 2 3 4 5 (default: all five)")  # fmt: skip
    add(
        "--corrupted",
        metavar="DIR",
        help="folder of the published CIFAR-10-C, to use its images (default: this package's)",
    )
    add_options(parser, datasets="cifar10 or cifar100", examples=10_000, batch="classified")
    add("--relative-to", type=Path, metavar="FILE",
        help="the --out of another network: also show the errors relative to its")  # fmt: skip
    add(
        "--out",
        type=Path,
        metavar="FILE",
        help="also write the figures to this .json file; continue or extend it if it exists",
    )
    add("--picture", type=Path, metavar="FILE",
        help=f"also draw them to this file, .{', .'.join(FORMATS)}")  # fmt: skip
    return parser.parse_args(arguments)


def chosen(names: list[str]) -> list[str]:
    """The corruptions that names of corruptions and of groups stand for, each once."""
    groups = {**CORRUPTION_GROUPS, "all": CORRUPTIONS}
    found = {corruption for name in names for corruption in groups.get(name) or (check_name(name),)}
    return [name for name in CORRUPTIONS if name in found]


def run(options: argparse.Namespace) -> None:
    names = chosen(options.corruption)
    for severity in options.severity:
        check_count("--severity", severity, 1, len(SEVERITIES))
    check_options(options)
    if options.out and options.out.suffix != ".json":
        raise ValueError(f"--out must end in .json, not {options.out.name!r}")
    if options.picture and options.picture.suffix.removeprefix(".") not in FORMATS:
        raise ValueError(f"--picture must end in .{', .'.join(FORMATS)}")
    check_writable({"--out": options.out, "--picture": options.picture})
    other = CorruptionReport.read(options.relative_to) if options.relative_to else None
    model, images, labels, _ = open_with_test_images(
        options.model, select_device(options.device), options.examples,
        dataset=options.dataset, folder=options.data,
    )  # fmt: skip
    out = options.out
    with lock_for(out, "measurement"):
        report = corruption_report(
            model, images, labels, corruptions=names, severities=options.severity,
            folder=options.corrupted, seed=options.seed, batch_size=options.batch,
            device=options.device, path=out, verbose=True,
        )  # fmt: skip
    print(report.text(other))
    if out:
        print(f"written to {out}")
    if options.picture and can_draw({"matplotlib": "matplotlib"}, str(options.picture)):
        plot_corruptions(report, options.picture, title=options.model.stem)
        print(f"drawn to {options.picture}")


def main(arguments: list[str] | None = None) -> None:
    options = parse(arguments)

    def advice() -> str:
        if options.out is not None and options.out.exists():
            return f"run the same command again to continue from {options.out}"
        return "no progress was saved (use --out FILE)"

    run_command(lambda: run(options), advice)


if __name__ == "__main__":
    main()
