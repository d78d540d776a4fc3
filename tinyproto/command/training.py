"""`tinyproto train`: a convolutional network with a defence, or a network of prototypes.

Both write metrics.json and model.npz to a folder that must not have the results of another run. A
convolutional network also writes checkpoint.npz, from which a run that was stopped in any way
continues, to the same bits.
"""

import argparse
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..evaluation.metrics import format_table
from ..evaluation.report import NORMS
from ..prototypes import PRESETS
from ..training import DEFENSES
from .settings import check_setting, read_settings
from .subcommand import Subcommand, list_names
from .train_network import BUILDERS, CHECKPOINT, network_choices, network_settings, train_network
from .train_network import DATASETS as COLOUR
from .train_prototypes import DATASETS as GREY
from .train_prototypes import KINDS, prototype_settings, train_prototypes

METHODS = (*DEFENSES, *KINDS)


def train(
    method: str,
    *,
    out: str | Path | None = None,
    dataset: str | None = None,
    data: str | Path | None = None,
    network: str | None = None,
    preset: str | None = None,
    prototypes: int | None = None,
    epochs: int | None = None,
    batch: int | None = None,
    learning_rate: float | None = None,
    limit: int | None = None,
    examples: int = 1000,
    seed: int = 0,
    device: str = "cpu",
    resume: bool = False,
    overwrite: bool = False,
    settings: Mapping[str, Any] | None = None,
    verbose: bool = True,
) -> dict[str, Any]:
    """Train a network, as `tinyproto train` does.

    Parameters
    ----------
    method : str
        A defence of `tinyproto.training.DEFENSES`, for a convolutional network; or "pm-ed-wta",
        "ed-wta" or "ip-wta", for a network of prototypes.
    out : str or Path, optional
        Folder for the results; by default "runs/" and the method.
    dataset, data : str, optional
        Name of the data set ("cifar10", "cifar100" or "svhn", for prototypes "mnist" or "fashion";
        the first is the default), and its folder.
    network : {"compact", "resnet18"}, optional
        The convolutional network; by default the compact one.
    preset : {"authors", "accurate", "robust", "robust-linf"}, optional
        The settings of a network of prototypes to begin with; by default the authors'.
    prototypes : int, optional
        Neurons of each class, by default those of the preset.
    epochs, batch, learning_rate : optional
        By default 10, 128 (32 for fewer than 5,000 images) and 0.1, the peak of one cycle (less
        for a smaller batch or fewer images); for prototypes those of the preset.
    limit : int, optional
        Number of training images; all if not given.
    examples : int
        Number of test images that are attacked.
    seed : int
        Seed of all random numbers.
    device : {"cpu", "cuda"}
        Where to compute.
    resume, overwrite : bool
        Whether to continue the run in the folder, or to replace it.
    settings : mapping, optional
        Other settings of the method, as `tinyproto train METHOD --set list` lists them.
    verbose : bool
        Whether to show progress.

    Returns
    -------
    dict
        What metrics.json holds.

    Raises
    ------
    ValueError
        For settings that the method does not have or cannot have, and a folder with results.

    Examples
    --------
    >>> from tinyproto import command
    >>> metrics = command.train("ed-wta", prototypes=1, epochs=1, limit=500, examples=20,
    ...                         verbose=False)
    >>> metrics["trained_on"], metrics["settings"]["prototypes_per_class"]
    (500, 1)
    """
    if method not in METHODS:
        raise ValueError(f"method must be one of {', '.join(METHODS)}, not {method!r}")
    counts = {"epochs": epochs, "batch": batch, "limit": limit, "examples": examples,
              "prototypes": prototypes}  # fmt: skip
    for name, count in counts.items():
        if count is not None and count < 1:
            raise ValueError(f"--{name} must be 1 or more, not {count}")
    if not 0 <= seed < 2**32:
        raise ValueError(f"--seed must be in [0, 2**32), not {seed}")
    of_others: dict[str, Any] = {"network": network, "resume": resume}
    if method in DEFENSES:
        of_others = {"preset": preset, "prototypes": prototypes}
    for name, value in of_others.items():
        if value:
            raise ValueError(f"{method} has no --{name}")
    names = COLOUR if method in DEFENSES else GREY
    if dataset is not None and dataset not in names:
        raise ValueError(f"{method} is for the data sets {', '.join(names)}, not {dataset!r}")
    chosen = _checked(method, settings or {})
    where: dict[str, Any] = {
        "out": Path(out or f"runs/{method}"), "dataset": dataset or names[0], "data": data,
        "limit": limit, "examples": examples, "seed": seed, "device": device,
        "overwrite": overwrite, "verbose": verbose,
    }  # fmt: skip
    if method in DEFENSES:
        return train_network(
            method, network=network or "compact", epochs=epochs or 10, batch=batch,
            learning_rate=learning_rate, resume=resume, settings=chosen, **where,
        )  # fmt: skip
    options = {"prototypes_per_class": prototypes, "epochs": epochs, "batch_size": batch,
               "learning_rate": learning_rate}  # fmt: skip
    chosen |= {name: value for name, value in options.items() if value is not None}
    return train_prototypes(method, preset=preset or "authors", parameters=chosen, **where)


def settings_of(method: str) -> dict[str, Any]:
    """The settings of a method that have no option of their own, with their defaults."""
    return network_settings(method) if method in DEFENSES else prototype_settings(method)


def _checked(method: str, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings with their types. Raises ValueError for unknown names and impossible values."""
    defaults, checked = settings_of(method), {}
    choices = network_choices(method) if method in DEFENSES else {}
    at_most = DEFENSES[method].at_most if method in DEFENSES else {}
    for name, value in settings.items():
        if name not in defaults:
            raise ValueError(f"{method} has no setting {name!r}; it has {', '.join(defaults)}")
        limits = choices.get(name, ()), at_most.get(name, math.inf)
        checked[name] = check_setting(name, value, defaults[name], *limits)
    return checked


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `tinyproto train`."""
    add = parser.add_argument
    add("method", choices=METHODS, metavar="METHOD", help="how to train, one of those below")
    add("--dataset", metavar="NAME",
        help=f"{', '.join(COLOUR)}; for prototypes {' or '.join(GREY)} (default: the "
        "first)")  # fmt: skip
    add("--data", metavar="DIR", help="folder with the data set")
    add("--out", type=Path, metavar="DIR", help="folder for the results (default: runs/METHOD)")
    add("--network", choices=list(BUILDERS), help="the network of layers (default: compact)")
    add("--preset", choices=list(PRESETS), metavar="NAME",
        help=f"for prototypes: {', '.join(PRESETS)} (default: authors)")  # fmt: skip
    add("--prototypes", type=int, metavar="K",
        help="for prototypes: neurons of each class (default: the preset's)")  # fmt: skip
    add("--epochs", type=int, metavar="N",
        help="passes over the images (default: 10, or the preset's)")  # fmt: skip
    add("--batch", type=int, metavar="N",
        help="images in a step (default: 128, 32 for few images, or the preset's)")  # fmt: skip
    add("--learning-rate", type=float, metavar="X",
        help="peak of one cycle (default: 0.1, less for a small batch or few images, or the "
        "preset's)")  # fmt: skip
    add("--set", nargs="+", default=[], action="extend", metavar="NAME=VALUE",
        help="other settings of the method; `--set list` lists them")  # fmt: skip
    add("--limit", type=int, metavar="N", help="train on N images (default: all)")
    add("--examples", type=int, default=1000, metavar="N",
        help="test images that are attacked at the end (default: 1000)")  # fmt: skip
    add("--seed", type=int, default=0, metavar="N", help="seed of all random numbers (default: 0)")
    add("--device", choices=["cpu", "cuda"], default="cpu", help="where to compute (default: cpu)")
    add("--resume", action="store_true", help=f"continue from {CHECKPOINT} in --out")
    add("--overwrite", action="store_true", help="replace the results of another run in --out")
    layers = list_names("networks of layers", DEFENSES)
    parser.epilog = f"{layers}\n{list_names('networks of prototypes', KINDS)}"


def run(options: argparse.Namespace) -> int:
    """Check the options, train, and print a summary; the exit status."""
    if options.set == ["list"]:
        defaults = settings_of(options.method)
        print(format_table({name: repr(value) for name, value in defaults.items()}))
        return 0
    out = options.out or Path("runs") / options.method
    metrics = train(
        options.method, out=out, dataset=options.dataset, data=options.data,
        network=options.network, preset=options.preset, prototypes=options.prototypes,
        epochs=options.epochs, batch=options.batch, learning_rate=options.learning_rate,
        limit=options.limit, examples=options.examples, seed=options.seed, device=options.device,
        resume=options.resume, overwrite=options.overwrite,
        settings=read_settings(options.set),
    )  # fmt: skip
    print(format_table(summary(metrics)))
    data = metrics["data"]
    if not data["complete"]:
        print(f"trained and tested on a part of {data['name']}: not comparable with published "
              "results")  # fmt: skip
    print(f"written to {out}")
    return 0


def summary(metrics: Mapping[str, Any]) -> dict[str, str]:
    """The main figures of metrics.json, by what they are."""
    rows = {"test accuracy": f"{metrics['clean_accuracy']:.2%}"}
    for name, value in metrics["robust_accuracy"].items():
        kind, *norm, radius = name.split()
        what = f"certified accuracy, {NORMS[norm[0]]}" if norm else f"accuracy under {kind}, L∞"
        rows[f"{what} radius {radius}"] = f"{value:.1%}"
    speed = metrics["images_per_second"]
    rows["training"] = f"{metrics['seconds']:.1f} s, {speed:,.0f} images per second"
    return rows


def advice(options: argparse.Namespace) -> str:
    """What to do after an interruption."""
    out = options.out or Path("runs") / options.method
    resumable = options.method in DEFENSES and (out / CHECKPOINT).exists()
    return "continue with --resume" if resumable else ""


TRAIN = Subcommand(
    "train", "Train a network of layers, or one of prototypes.",
    "METHOD [options]", add_arguments, run, advice,
)  # fmt: skip
