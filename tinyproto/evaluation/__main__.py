"""Attack a saved network and print its accuracy under each attack.

    python -m tinyproto.evaluation model.npz --attack autoattack --eps 8/255

With --out, the table is also written to a .json or .csv file. With --state, the progress is saved
after each batch; the same command continues a run that was stopped, and one with more attacks or
more examples extends it.
"""

import argparse
from contextlib import nullcontext
from fractions import Fraction
from pathlib import Path

from ..attacks import Victim
from ..attacks.inputs import question_radius
from ..backend.device import select_device
from .command import run_command
from .result_folder import exclusive
from .robustness import evaluate
from .saved_models import check_writable, open_with_test_images
from .suites import ATTACKS, LISTS, choose


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tinyproto.evaluation", description=(__doc__ or "").splitlines()[0]
    )
    add = parser.add_argument
    add("model", type=Path, help="a network saved by tinyproto (.npz)")
    add("--attack", nargs="+", default=["autoattack"], metavar="NAME",
        help=f"one of {', '.join(LISTS)}; or one or more of {', '.join(ATTACKS)} "
        "(default: autoattack)")  # fmt: skip
    add("--eps", default="8/255",
        help="radius of the attacks, a fraction or a decimal; choose your own for l2 "
        "(default: 8/255)")  # fmt: skip
    add("--norm", choices=["linf", "l2"], default="linf",
        help="norm of the ball and of the distances (default: linf)")  # fmt: skip
    add("--dataset", metavar="NAME",
        help="mnist, fashion, cifar10, cifar100 or svhn (default: what the network was trained "
        "on)")  # fmt: skip
    add("--data", metavar="DIR", help="folder with the data set")
    add("--examples", type=int, default=1000, metavar="N",
        help="number of test images, from the first on (default: 1000)")  # fmt: skip
    add("--batch", type=int, default=250, metavar="N",
        help="number of images that are attacked together (default: 250)")  # fmt: skip
    add("--seed", type=int, default=0, help="seed of the random numbers (default: 0)")
    add("--device", choices=["cpu", "cuda"], default="cpu",
        help="where to compute (default: cpu)")  # fmt: skip
    add("--out", type=Path, metavar="FILE", help="also write the table to this .json or .csv file")
    add("--state", type=Path, metavar="FILE",
        help="save the progress to this file; continue or extend it if it exists")  # fmt: skip
    return parser.parse_args(arguments)


def parse_radius(text: str, norm: str) -> float:
    """eps from "8/255" or "0.03". Raises ValueError for anything else, and in L∞ for values above
    1, the range of an image."""
    try:
        value = float(Fraction(text.replace(" ", "")))
    except (ValueError, ZeroDivisionError, OverflowError):
        raise ValueError(f"--eps must be a number like 0.031 or 8/255, not {text!r}") from None
    if value < 0:
        raise ValueError(f"--eps must be 0 or more, not {text}")
    if value > 1 and norm == "linf":
        raise ValueError(f"--{question_radius(value, norm, size=1.0, width=1.0)}")
    return value


def run(options: argparse.Namespace) -> None:
    eps = parse_radius(options.eps, options.norm)
    choose(options.attack, options.norm)
    if not 0 <= options.seed < 2**32:
        raise ValueError(f"--seed must be in [0, 2**32), not {options.seed}")
    if options.examples < 1 or options.batch < 1:
        raise ValueError("--examples and --batch must be 1 or more")
    if options.out and options.out.suffix not in (".json", ".csv"):
        raise ValueError(f"--out must end in .json or .csv, not {options.out.name!r}")
    check_writable({"--out": options.out, "--state": options.state})
    xp = select_device(options.device)
    model, images, labels = open_with_test_images(
        options.model, xp, options.examples, dataset=options.dataset, folder=options.data
    )
    x = xp.asarray(images) / xp.float32(255)
    saved = options.state
    lock = nullcontext() if saved is None else exclusive(
        saved.with_name(f".{saved.name}.lock"), f"another evaluation is writing to {saved}"
    )  # fmt: skip
    with lock:
        report = evaluate(
            Victim(model), x, xp.asarray(labels), options.attack, eps=eps, norm=options.norm,
            batch_size=options.batch, seed=options.seed, state_path=saved,
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
