"""`tinyproto evaluate`: accuracy of a saved network under attack, at one radius or several.

The state of each radius is saved after each batch; the same command continues a run that was
stopped, and one with more attacks or more examples extends it.
"""

import argparse
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import numpy as np

from ..attacks import Victim
from ..backend.device import select_device
from ..evaluation.adversarial import count_missing, save_adversarial
from ..evaluation.report import format_radius
from ..evaluation.result_folder import lock_for
from ..evaluation.saved_models import (
    add_ball_options,
    add_options,
    check_new_file,
    check_options,
    check_writable,
    kind_and_dataset,
    open_with_test_images,
    parse_radius,
)
from ..evaluation.several_radii import RadiusReports, evaluate_radii, state_files
from ..evaluation.suites import ATTACKS, LISTS, choose
from ..validation import check_count
from ..workers import worker_processes
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


def evaluate(
    model: str | Path,
    *,
    eps: float | Sequence[float] = 8 / 255,
    attack: str | Sequence[str] = "autoattack",
    norm: str = "linf",
    dataset: str | None = None,
    data: str | Path | None = None,
    examples: int = 1000,
    batch: int = 250,
    seed: int = 0,
    device: str = "cpu",
    workers: int = 1,
    state: str | Path | None = None,
    adversarial: str | Path | None = None,
    verbose: bool = True,
) -> RadiusReports:
    """Attack a saved network, as `tinyproto evaluate` does.

    Parameters
    ----------
    model : str or Path
        A file that tinyproto saved, or the name of a model that ships.
    eps : float or list of float
        Radius of the attacks, or several, each of which is evaluated on its own.
    attack : str or list of str
        One of the suites "autoattack", "autoattack-plus", "autoattack-rand" and "masking", or names
        of `tinyproto.attacks.ATTACKS`.
    norm : {"linf", "l2", "l1"}
        Norm of the ball and of the distances.
    dataset, data : str, optional
        Name of the data set, by default the one of the training, and its folder.
    examples, batch : int
        Number of test images, from the first on, and of those that are attacked together.
    seed : int
        Seed of the random numbers.
    device : {"cpu", "cuda"}
        Where the network computes.
    workers : int
        Number of processes that share out the batches; with more than one, a program needs
        `if __name__ == "__main__":`.
    state : str or Path, optional
        File to save the progress to and to continue from; of several radii, one file each, with the
        radius in its name (`evaluation.several_radii.state_files`).
    adversarial : str or Path, optional
        File for the adversarial examples, .npz (see `evaluation.save_adversarial`).
    verbose : bool
        Whether to show progress, and to say which images are attacked.

    Returns
    -------
    RadiusReports
        Its `reports` has one `Report` for each radius.

    Raises
    ------
    ValueError
        For a file without a model, and arguments that do not belong together.

    Examples
    --------
    >>> from tinyproto import command
    >>> found = command.evaluate(
    ...     "mnist-ed-wta", eps=[0.05, 0.1], attack="fgsm", examples=50, verbose=False)
    >>> [len(report.correct) for report in found.reports]
    [50, 50]
    """
    for name, count in (("examples", examples), ("workers", workers)):
        check_count(name, count)
    radii = np.atleast_1d(np.asarray(eps, np.float64)).tolist()
    files = state_files(state, radii)
    xp = select_device(device)
    network, images, labels, _ = open_with_test_images(
        Path(model), xp, examples, dataset=dataset, folder=data, verbose=verbose
    )
    victim, x, y = Victim(network), xp.asarray(images) / xp.float32(255), xp.asarray(labels)
    executor = worker_processes(workers, "spawn") if workers > 1 else None
    with ExitStack() as locks:
        for file in files.values():
            locks.enter_context(lock_for(file, "evaluation"))
        found = evaluate_radii(
            victim, x, y, attack, eps=radii, norm=norm, batch_size=batch, seed=seed,
            state_path=state, executor=executor, keep_adversarial=adversarial is not None,
            verbose=verbose,
        )  # fmt: skip
    if adversarial is not None:
        count = save_adversarial(
            adversarial, victim, x, y, found.reports, batch_size=batch,
            metadata={"model": str(model), "dataset": dataset or kind_and_dataset(Path(model))[1]},
        )  # fmt: skip
        missing = sum(count_missing(r) for report in found.reports for r in report.results.values())
        if verbose:
            lost = f"; {missing} of an earlier run were not found again" if missing else ""
            print(f"{count} adversarial examples written to {adversarial}{lost}")
    return found


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `tinyproto evaluate`."""
    add = parser.add_argument
    add("--attack", nargs="+", default=["autoattack"], metavar="NAME",
        help="a suite or some attacks, named below (default: autoattack)")  # fmt: skip
    add_ball_options(parser, ("linf", "l2", "l1"), several=True)
    add_options(
        parser, datasets="mnist, fashion, cifar10, cifar100 or svhn", examples=1000,
        batch="attacked",
    )  # fmt: skip
    add("--workers", type=int, default=1, metavar="N",
        help="processes that share out batches and cores (default: 1)")  # fmt: skip
    add_format(parser)
    add("--out", type=Path, metavar="FILE",
        help="also write the table to this .json, .csv or .md file")  # fmt: skip
    add("--state", type=Path, metavar="FILE",
        help="save progress here; continue or extend it if there is any")  # fmt: skip
    add("--save-adversarial", type=Path, metavar="FILE",
        help="write the misclassified points to this .npz file")  # fmt: skip
    add("--overwrite", action="store_true", help="replace the file of --save-adversarial")
    add_fail_below(parser, "accuracy under attack")
    parser.epilog = f"{list_names('suites', LISTS)}\n{list_names('attacks', ATTACKS)}"


def run(options: argparse.Namespace) -> int:
    """Check the options, evaluate, and print; the exit status."""
    eps = [parse_radius(text, options.norm) for text in options.eps or ["8/255"]]
    files = state_files(options.state, eps)
    choose(options.attack, options.norm)
    check_options(options)
    check_fail_below(options)
    check_table_file(options.out)
    if options.workers < 1:
        raise ValueError(f"--workers must be 1 or more, not {options.workers}")
    if options.workers > 1 and options.device == "cuda":
        raise ValueError("--workers shares out the cores of a CPU; leave it out for --device cuda")
    saved = options.save_adversarial
    states = {f"--state at {format_radius(e)}": file for e, file in files.items()}
    if len(eps) == 1:
        states = {"--state": options.state}
    check_writable({"--out": options.out, **states, "--save-adversarial": saved})
    check_new_file("--save-adversarial", saved, ".npz", options.overwrite)
    with printing(options.format) as show:
        found = evaluate(
            options.model, eps=eps, attack=options.attack, norm=options.norm,
            dataset=options.dataset, data=options.data, examples=options.examples,
            batch=options.batch, seed=options.seed, device=options.device,
            workers=options.workers, state=options.state, adversarial=saved,
        )  # fmt: skip
        tables = {
            "text": found.text, "markdown": found.markdown, "json": found.json, "csv": found.csv
        }  # fmt: skip
        show(tables, options.out)
    return status_of(options, {
        f"accuracy under attack at eps {format_radius(radius)}": accuracy
        for radius, accuracy in found.accuracy().items()
    })  # fmt: skip


def advice(options: argparse.Namespace) -> str:
    """What to do after an interruption."""
    path: Path | None = options.state
    of_radii = path.parent.glob(f"{path.stem}-eps-*") if path is not None else ()
    return advice_to_continue("--state", path, *of_radii)


EVALUATE = Subcommand(
    "evaluate", "Attack a saved network and print its accuracy under each attack.",
    "MODEL [options]", add_arguments, run, advice,
)  # fmt: skip


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """The options of `python -m tinyproto.evaluation`, which are those of `tinyproto evaluate`."""
    return EVALUATE.parse(arguments, prog="python -m tinyproto.evaluation")


def main(arguments: list[str] | None = None) -> None:
    """Run `python -m tinyproto.evaluation`."""
    end(parse(arguments))
