"""Write a page about a saved model: attacks, corruptions, geometry, detection, explanations.

    python -m tinyproto.report model.npz

The page runs/report/index.html holds everything. A report that was stopped goes on when the same
command is run again; with --compare, a second model stands beside the first.
"""

import argparse
import time
from pathlib import Path

from ..evaluation.command import run_command
from ..evaluation.saved_models import parse_radius
from ..evaluation.suites import ATTACKS, LISTS, choose
from .parts import PARTS
from .subject import Settings
from .write import write_report


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tinyproto.report", description=(__doc__ or "").splitlines()[0]
    )
    add = parser.add_argument
    default = Settings()
    add("model", type=Path, help="a network saved by tinyproto (.npz), or the name of one that "
        "ships with it")  # fmt: skip
    add("--out", type=Path, default=Path("runs/report"), metavar="DIR",
        help="folder (default: runs/report)")  # fmt: skip
    add("--compare", type=Path, metavar="FILE", help="a second network, to stand beside the first")
    add("--parts", nargs="+", choices=list(PARTS), metavar="NAME", default=list(PARTS),
        help=f"some of {', '.join(PARTS)} (default: all that apply)")  # fmt: skip
    add("--attack", nargs="+", default=list(default.attacks), metavar="NAME",
        help=f"one of {', '.join(LISTS)}; or one or more of {', '.join(ATTACKS)} "
        f"(default: {' '.join(default.attacks)})")  # fmt: skip
    add("--eps", help="radius of the attacks, a fraction or a decimal (default: the usual one: "
        "8/255 for colour and 0.1 for grey images in linf, 0.5 and 1.58 in l2)")  # fmt: skip
    add("--norm", choices=["linf", "l2"], default=default.norm, help="norm of the ball (linf)")
    add("--dataset", metavar="NAME",
        help="mnist, fashion, cifar10, cifar100 or svhn (default: what the network was trained "
        "on)")  # fmt: skip
    add("--data", metavar="DIR", help="folder with the data set")
    add("--examples", type=int, default=default.examples, metavar="N",
        help=f"number of test images, from the first on (default: {default.examples})")  # fmt: skip
    add("--seed", type=int, default=0, help="seed of the random numbers (default: 0)")
    add("--device", choices=["cpu", "cuda"], default="cpu",
        help="where to compute (default: cpu)")  # fmt: skip
    return parser.parse_args(arguments)


def run(options: argparse.Namespace) -> None:
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
    models = [options.model] + ([options.compare] if options.compare else [])
    chosen = [name for name in PARTS if name in options.parts]
    page = write_report(models, options.out, settings=settings, parts=chosen)
    print(f"written to {page} in {time.perf_counter() - started:.0f} s")


def main(arguments: list[str] | None = None) -> None:
    options = parse(arguments)
    run_command(
        lambda: run(options), lambda: f"run the same command again to continue {options.out}"
    )


if __name__ == "__main__":
    main()
