"""`tinyproto certify`: the exact robustness radii of a saved winner-take-all network.

The radii are saved as they are found; the same command continues a run that was stopped, and one
with other --eps needs no new radii.
"""

import argparse
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..evaluation.report import (
    NORMS,
    align_columns,
    csv_table,
    finite,
    format_radius,
    markdown_table,
)
from ..evaluation.result_folder import lock_for
from ..evaluation.saved_models import (
    check_writable,
    kind_and_dataset,
    open_with_test_images,
    parse_radius,
)
from ..pretrained import find_model
from ..prototypes import WinnerTakeAll, certified_accuracy
from ..prototypes import certify as exact_radii
from ..validation import check_count, check_number, resolve_norm
from .subcommand import (
    Subcommand,
    Tables,
    add_fail_below,
    add_format,
    advice_to_continue,
    check_fail_below,
    check_table_file,
    printing,
    status_of,
)

USUAL_EPS = {"l2": ("0.5", "1", "1.58"), "linf": ("0.05", "0.1")}


@dataclass(eq=False, frozen=True)
class Certificate:
    """What is proved of a network.

    Parameters
    ----------
    radius : array (N,)
        For each test image the radius within which nothing changes its right answer; 0 for one that
        is classified wrongly.
    norm : {"l2", "linf"}
        The norm of the radii.
    eps : tuple of float
        The radii of the table.
    in_box : bool
        Whether only images with pixels in [0, 1] count.

    Examples
    --------
    >>> import numpy as np
    >>> from tinyproto.command import Certificate
    >>> certificate = Certificate(np.array([0.0, 0.4, 0.9, 1.2]), "l2", (0.5, 1.0), True)
    >>> certificate.rows()
    [{'eps': 0.0, 'certified accuracy %': 75.0}, {'eps': 0.5, 'certified accuracy %': 50.0}, \
{'eps': 1.0, 'certified accuracy %': 25.0}]
    """

    radius: np.ndarray
    norm: str
    eps: tuple[float, ...]
    in_box: bool

    def accuracy(self) -> dict[float, float]:
        """The certified accuracy in % at each radius, by radius."""
        found = 100 * certified_accuracy(self.radius, np.array(self.eps))
        return dict(zip(self.eps, found.tolist(), strict=True))

    def rows(self) -> list[dict[str, Any]]:
        """A row for eps 0, the clean accuracy, and one for each radius."""
        table = {0.0: 100 * float((self.radius > 0).mean())} | self.accuracy()
        return [{"eps": eps, "certified accuracy %": value} for eps, value in table.items()]

    def text(self) -> str:
        """The table and a line on what is proved."""
        cells = [[format_radius(row["eps"]), f"{row['certified accuracy %']:.2f}"]
                 for row in self.rows()]  # fmt: skip
        return align_columns([["eps", "certified accuracy %"], *cells]) + "\n" + self.note()

    def note(self) -> str:
        """What is proved, and of how many images."""
        box = ", pixels in [0, 1]" if self.in_box else ""
        median = format_radius(float(np.median(self.radius)))
        return f"{NORMS[self.norm]}{box}, {len(self.radius)} images; median radius {median}"

    def tables(self) -> Tables:
        """The table in each format."""
        content = {
            "rows": self.rows(), "norm": self.norm, "in_box": self.in_box,
            "examples": len(self.radius), "median radius": finite(float(np.median(self.radius))),
        }  # fmt: skip
        return {
            "text": self.text,
            "markdown": lambda: f"{markdown_table(self.rows())}\n\n{self.note()}\n",
            "json": lambda: json.dumps(content, indent=2) + "\n",
            "csv": lambda: csv_table(self.rows()),
        }


def certify(
    model: str | Path,
    *,
    eps: float | Sequence[float] | None = None,
    norm: str = "l2",
    in_box: bool = True,
    dataset: str | None = None,
    data: str | Path | None = None,
    examples: int = 200,
    workers: int = 1,
    state: str | Path | None = None,
    verbose: bool = True,
) -> Certificate:
    """Compute the exact robustness radii of a saved network, as `tinyproto certify` does.

    Parameters
    ----------
    model : str or Path
        The file of a winner-take-all network, or the name of one that ships.
    eps : float or list of float, optional
        Radii of the table; by default 0.5, 1 and 1.58 in L2, 0.05 and 0.1 in L∞.
    norm : {"l2", "linf"}
        Norm of the radii.
    in_box : bool
        Whether pixels stay in [0, 1], which makes radii larger.
    dataset, data : str, optional
        Name of the data set, by default the one of the training, and its folder.
    examples : int
        Number of test images, from the first on.
    workers : int
        Number of processes.
    state : str or Path, optional
        File for the radii (entries radius and length, .npz), to be continued if it exists.
    verbose : bool
        Whether to show progress, and to say which images are certified.

    Returns
    -------
    Certificate

    Raises
    ------
    ValueError
        For any other network, of which no exact radius is known, and impossible arguments.

    Examples
    --------
    >>> from tinyproto import command
    >>> certificate = command.certify("mnist-ed-wta", eps=[0.5], examples=5, verbose=False)
    >>> certificate.radius.shape, list(certificate.accuracy())
    ((5,), [0.5])
    """
    for name, count in (("examples", examples), ("workers", workers)):
        check_count(name, count)
    norm = resolve_norm(norm)
    if eps is None:
        eps = [float(text) for text in USUAL_EPS[norm]]
    radii = tuple(np.atleast_1d(np.asarray(eps, np.float64)).tolist())
    for radius in radii:
        check_number("eps", radius)
    path = find_model(model)
    if path.is_file() and not kind_and_dataset(path)[0]:
        raise ValueError(
            f"{model} is a network of layers, of which no exact radius is known; certify a "
            "winner-take-all network (IPWTA, EDWTA or PlusMinusEDWTA), such as mnist-ed-wta"
        )
    network, images, labels, _ = open_with_test_images(
        path, np, examples, dataset=dataset, folder=data, verbose=verbose
    )
    assert isinstance(network, WinnerTakeAll)
    x = images.reshape(len(images), -1) / np.float32(255)
    lo, hi = (0.0, 1.0) if in_box else (None, None)
    file = None if state is None else Path(state)
    with lock_for(file, "certification"):
        radius, _ = exact_radii(
            network, x, network.classes_[labels], norm=norm, lo=lo, hi=hi,
            workers=workers, path=file, verbose=verbose,
        )  # fmt: skip
    return Certificate(radius, norm, radii, in_box)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `tinyproto certify`."""
    add = parser.add_argument
    add("model", type=Path, metavar="MODEL",
        help="a winner-take-all network saved by tinyproto, or the name of one that "
        "ships")  # fmt: skip
    add("--eps", action="append", metavar="EPS [EPS ...]",
        help="radii of the table (default: 0.5 1 1.58 in l2, 0.05 0.1 in linf)")  # fmt: skip
    add("--norm", choices=list(USUAL_EPS), default="l2", help="norm of the radii (default: l2)")
    add("--no-box", action="store_true",
        help="let pixels leave [0, 1], which makes radii smaller")  # fmt: skip
    add("--dataset", metavar="NAME",
        help="mnist or fashion (default: what the network was trained on)")  # fmt: skip
    add("--data", metavar="DIR", help="folder with the data set")
    add("--examples", type=int, default=200, metavar="N",
        help="test images, from the first on (default: 200)")  # fmt: skip
    add("--workers", type=int, default=1, metavar="N",
        help="processes that share out the images (default: 1)")  # fmt: skip
    add_format(parser)
    add("--out", type=Path, metavar="FILE",
        help="also write the table to this .json, .csv or .md file")  # fmt: skip
    add("--state", type=Path, metavar="FILE",
        help="save the radii to this .npz file; continue if it exists")  # fmt: skip
    add_fail_below(parser, "certified accuracy")


def run(options: argparse.Namespace) -> int:
    """Check the options, certify, and print; the exit status."""
    eps = [parse_radius(text, options.norm) for text in options.eps or USUAL_EPS[options.norm]]
    if options.examples < 1 or options.workers < 1:
        raise ValueError("--examples and --workers must be 1 or more")
    check_fail_below(options)
    check_table_file(options.out)
    check_writable({"--out": options.out, "--state": options.state})
    with printing(options.format) as show:
        certificate = certify(
            options.model, eps=eps, norm=options.norm, in_box=not options.no_box,
            dataset=options.dataset, data=options.data, examples=options.examples,
            workers=options.workers, state=options.state,
        )  # fmt: skip
        tables = certificate.tables()
        show(tables, options.out)
    return status_of(options, {
        f"certified accuracy at eps {format_radius(radius)}": accuracy
        for radius, accuracy in certificate.accuracy().items()
    })  # fmt: skip


def advice(options: argparse.Namespace) -> str:
    """What to do after an interruption."""
    return advice_to_continue("--state", options.state)


CERTIFY = Subcommand(
    "certify", "Prove the accuracy of a winner-take-all network within radii.",
    "MODEL [options]", add_arguments, run, advice,
)  # fmt: skip
