"""Attack a saved network and print its accuracy under each attack.

    python -m tinyproto.evaluation model.npz --attack autoattack --eps 8/255

With --out, the table is also written to a .json or .csv file. With --state, the progress is saved
after each batch; the same command continues a run that was stopped, and one with more attacks or
more examples extends it. With --workers, processes share out the batches, with the same result.
"""

import argparse
from pathlib import Path

from ..attacks import Victim
from ..backend.device import select_device
from ..workers import worker_processes
from .command import run_command
from .result_folder import lock_for
from .robustness import evaluate
from .saved_models import (
    add_ball_options,
    add_options,
    check_options,
    check_writable,
    open_with_test_images,
    parse_radius,
)
from .suites import ATTACKS, LISTS, choose


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tinyproto.evaluation", description=(__doc__ or "").splitlines()[0]
    )
    add = parser.add_argument
    add("--attack", nargs="+", default=["autoattack"], metavar="NAME",
        help=f"one of {', '.join(LISTS)}; or one or more of {', '.join(ATTACKS)} "
        "(default: autoattack)")  # fmt: skip
    add_ball_options(parser, ("linf", "l2", "l1"))
    add_options(
        parser, datasets="mnist, fashion, cifar10, cifar100 or svhn", examples=1000,
        batch="attacked",
    )  # fmt: skip
    add("--workers", type=int, default=1, metavar="N",
        help="number of processes that share out the batches, and the cores (default: 1, this one)",
    )  # fmt: skip
    add("--out", type=Path, metavar="FILE", help="also write the table to this .json or .csv file")
    add("--state", type=Path, metavar="FILE",
        help="save the progress to this file; continue or extend it if it exists")  # fmt: skip
    return parser.parse_args(arguments)


def run(options: argparse.Namespace) -> None:
    eps = parse_radius(options.eps, options.norm)
    choose(options.attack, options.norm)
    check_options(options)
    if options.out and options.out.suffix not in (".json", ".csv"):
        raise ValueError(f"--out must end in .json or .csv, not {options.out.name!r}")
    if options.workers < 1:
        raise ValueError(f"--workers must be 1 or more, not {options.workers}")
    if options.workers > 1 and options.device == "cuda":
        raise ValueError("--workers shares out the cores of a CPU; leave it out for --device cuda")
    check_writable({"--out": options.out, "--state": options.state})
    xp = select_device(options.device)
    model, images, labels, _ = open_with_test_images(
        options.model, xp, options.examples, dataset=options.dataset, folder=options.data
    )
    x = xp.asarray(images) / xp.float32(255)
    saved = options.state
    executor = worker_processes(options.workers, "spawn") if options.workers > 1 else None
    with lock_for(saved, "evaluation"):
        report = evaluate(
            Victim(model), x, xp.asarray(labels), options.attack, eps=eps, norm=options.norm,
            batch_size=options.batch, seed=options.seed, state_path=saved, executor=executor,
        )  # fmt: skip
    print(report.text())
    if options.out:
        report.write(options.out)
        print(f"written to {options.out}")


def main(arguments: list[str] | None = None) -> None:
    options = parse(arguments)

    def advice() -> str:
        if options.state is not None and options.state.exists():
            return f"run the same command again to continue from {options.state}"
        return "no progress was saved (use --state FILE)"

    run_command(lambda: run(options), advice)


if __name__ == "__main__":
    main()
