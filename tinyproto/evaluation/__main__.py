"""Attack a saved network: python -m tinyproto.evaluation model.npz --attack autoattack --eps 8/255

It prints a table, and with --out writes it to a file that ends in .json or .csv. With --state, what
is done is kept in a file, from which a run that was cut off goes on.
"""

import argparse
import sys
from collections.abc import Callable, Mapping
from fractions import Fraction
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from .. import networks, state
from ..attacks import (
    Victim,
    apgd,
    carlini_wagner,
    carlini_wagner_linf,
    fab,
    square,
)
from ..attacks.victim import Model
from ..data import load
from ..device import Array, DeviceError, select
from ..prototypes import storage
from . import masking
from .robustness import evaluate


def _fab(victim: Victim, x: Array, y: Array, *, eps: float, **options: Any) -> Array:
    """FAB without a radius: distances are not cut off where the accuracy is known."""
    return fab(victim, x, y, **options)


def _nearest(victim: Victim, x: Array, y: Array, *, norm: str, **_: Any) -> Array:
    """Carlini and Wagner's attack knows no radius and draws nothing."""
    if norm != "l2":
        raise ValueError("--attack cw looks for the nearest point in L2; for L∞ there is cw-linf")
    return carlini_wagner(victim, x, y)


def _margin(victim: Victim, x: Array, y: Array, *, norm: str, **options: Any) -> Array:
    if norm != "linf":
        raise ValueError("--attack cw-linf is for --norm linf; for L2 there is cw")
    return carlini_wagner_linf(victim, x, y, **options)


ATTACKS: dict[str, Callable[..., Array]] = {
    name: attack for name, attack in masking.ATTACKS.items() if "," not in name
} | {
    "cw": _nearest,
    "cw-linf": _margin,
    "apgd-ce": apgd,
    "apgd-dlr": partial(apgd, loss="dlr"),
    "fab": _fab,
    "fab-t": partial(_fab, targets=9),
    "square": square,
}
LISTS: dict[str, str | Mapping[str, Callable[..., Array]]] = {
    "autoattack": "autoattack",
    "autoattack-plus": "autoattack-plus",
    "autoattack-rand": "autoattack-rand",
    "masking": masking.ATTACKS,
}


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tinyproto.evaluation", description=(__doc__ or "").splitlines()[0]
    )
    add = parser.add_argument
    add("model", type=Path, help="a network that tinyproto saved")
    add("--attack", nargs="+", default=["autoattack"], metavar="NAME",
        help=f"{' or '.join(LISTS)}, or some of {', '.join(ATTACKS)} (autoattack)")  # fmt: skip
    add("--eps", default="8/255", help="radius, a fraction or a decimal (8/255)")
    add("--norm", choices=["linf", "l2"], default="linf")
    add("--dataset", help="mnist, cifar10, … (what the network was trained on)")
    add("--data", metavar="DIR", help="folder with the data set")
    add("--examples", type=int, default=1000, metavar="N", help="of the test images (1000)")
    add("--batch", type=int, default=250, metavar="N", help="images at a time (250)")
    add("--seed", type=int, default=0)
    add("--device", choices=["cpu", "cuda"], default="cpu")
    add("--out", type=Path, metavar="FILE", help="write the table there, .json or .csv")
    add("--state", type=Path, metavar="FILE", help="keep what is done there, and go on from it")
    return parser.parse_args(arguments)


def radius(text: str, norm: str) -> float:
    """eps from "8/255" or "0.03". Raises ValueError for anything else, and in L∞ for what is more
    than any image has room for."""
    try:
        value = float(Fraction(text.replace(" ", "")))
    except (ValueError, ZeroDivisionError, OverflowError):
        raise ValueError(f"--eps must be a number like 0.031 or 8/255, not {text!r}") from None
    if value < 0:
        raise ValueError(f"--eps must be 0 or more, not {text}")
    if value > 1 and norm == "linf":
        raise ValueError(f"--eps {text} is more than from black to white; is {text}/255 meant?")
    return value


def choose(names: list[str]) -> str | Mapping[str, Callable[..., Array]]:
    """What `evaluate` takes, for the names given. Raises ValueError for others."""
    if len(names) == 1 and names[0] in LISTS:
        return LISTS[names[0]]
    for name in names:
        if name not in ATTACKS:
            reason = "stands alone" if name in LISTS else "is unknown"
            raise ValueError(
                f"--attack {name} {reason}; there are {', '.join(LISTS)}, or some of "
                f"{', '.join(ATTACKS)}"
            )
    return {name: ATTACKS[name] for name in names}


def open_model(path: Path, xp: ModuleType) -> tuple[Model, str, Any]:
    """A model to attack, the data set it was trained on, and its labels, if they are not 0 … C − 1.
    Raises ValueError for a file that holds none."""
    _, metadata = state.load(path)
    if "kind" in metadata:
        network = storage.load(path, "cpu" if xp is np else "cuda")
        return network, "mnist", network.classes_
    return networks.fold(networks.load(path, xp)), metadata.get("dataset", "cifar10"), None


def run(options: argparse.Namespace) -> None:
    eps, attacks = radius(options.eps, options.norm), choose(options.attack)
    if options.examples < 1 or options.batch < 1:
        raise ValueError("--examples and --batch must be 1 or more")
    if options.out and options.out.suffix not in (".json", ".csv"):
        raise ValueError(f"--out must end in .json or .csv, not {options.out.name!r}")
    xp = select(options.device)
    model, trained_on, classes = open_model(options.model, xp)
    data = load(options.dataset or trained_on, options.data)
    images = data.x_test[: options.examples]
    if images.ndim == 3:
        images = images[..., None]  # grey: one channel, so that Square sees an image
    labels = data.y_test[: options.examples]
    if classes is not None:
        if not np.isin(labels, classes).all():
            raise ValueError(f"{options.model} does not know all classes of {data.name}")
        labels = np.searchsorted(classes, labels)
    print(f"{len(images)} test images of {data.name} from {data.source}")
    x = xp.asarray(images) / xp.float32(255)
    report = evaluate(
        Victim(model), x, xp.asarray(labels), attacks, eps=eps, norm=options.norm,
        batch_size=options.batch, seed=options.seed, path=options.state,
    )  # fmt: skip
    print(report.text())
    if options.out:
        report.write(options.out)
        print(f"written to {options.out}")


def main(arguments: list[str] | None = None) -> None:
    options = parse(arguments)
    try:
        run(options)
    except (ValueError, OSError, ImportError, DeviceError) as error:
        sys.exit(f"error: {' '.join(str(error).split())}")
    except KeyboardInterrupt:
        how = f"the same command goes on from {options.state}" if options.state else "all is lost"
        sys.exit(f"stopped; {how}")


if __name__ == "__main__":
    main()
