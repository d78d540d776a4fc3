"""What the commands that evaluate a saved model share: options, the model, its test images, their
files."""

import argparse
import tempfile
from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from .. import networks, state
from ..attacks.inputs import question_radius
from ..attacks.victim import Model
from ..data import Dataset, load
from ..data.sources import SOURCES, Source
from ..pretrained import find_model
from ..prototypes import storage

MODEL = "a network saved by tinyproto (.npz), or the name of one that ships with it"


def add_options(
    parser: argparse.ArgumentParser, *, datasets: str, examples: int, batch: str
) -> None:
    """The model and its options: the data sets that are allowed, the usual number of examples, and
    what is done with the images of a batch together."""
    add = parser.add_argument
    add("model", type=Path, metavar="MODEL", help=MODEL)
    add("--dataset", metavar="NAME",
        help=f"{datasets} (default: what the network was trained on)")  # fmt: skip
    add("--data", metavar="DIR", help="folder with the data set")
    add("--examples", type=int, default=examples, metavar="N",
        help=f"test images, from the first on (default: {examples})")  # fmt: skip
    add("--batch", type=int, default=250, metavar="N",
        help=f"images that are {batch} together (default: 250)")  # fmt: skip
    add("--seed", type=int, default=0, metavar="N", help="seed of the random numbers (default: 0)")
    add("--device", choices=["cpu", "cuda"], default="cpu",
        help="where the network computes (default: cpu)")  # fmt: skip


def add_ball_options(
    parser: argparse.ArgumentParser,
    norms: tuple[str, ...] = ("linf", "l2"),
    *,
    several: bool = False,
) -> None:
    """The radius, or several, and the norm of an attack; `parse_radius` reads a radius."""
    add = parser.add_argument
    if several:
        add("--eps", action="append", metavar="EPS [EPS ...]",
            help="one radius or several, fractions or decimals; choose your own for other norms "
            "than linf (default: 8/255)")  # fmt: skip
    else:
        add("--eps", default="8/255",
            help="radius of the attacks, a fraction or a decimal; choose your own for other norms "
            "than linf (default: 8/255)")  # fmt: skip
    add("--norm", choices=norms, default="linf",
        help="norm of the ball and of the distances (default: linf)")  # fmt: skip


def check_options(options: argparse.Namespace) -> None:
    """Raises ValueError for a seed, or numbers of images, of `add_options` that cannot be right."""
    if not 0 <= options.seed < 2**32:
        raise ValueError(f"--seed must be in [0, 2**32), not {options.seed}")
    if options.examples < 1 or options.batch < 1:
        raise ValueError("--examples and --batch must be 1 or more")


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


def check_writable(files: Mapping[str, Path | None]) -> None:
    """Raises ValueError, before anything is computed, if one of the files, which are named after
    their options, cannot be written."""
    given: dict[Path, str] = {}
    for option, path in files.items():
        if path is None:
            continue
        if (other := given.setdefault(path.resolve(), option)) != option:
            raise ValueError(f"{other} and {option} must be different files, not both {path}")
        if path.is_dir():
            raise ValueError(f"{path} is a folder: a file is needed")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            tempfile.TemporaryFile(dir=path.parent).close()
        except OSError as error:
            raise ValueError(f"cannot write {path}: {error.strerror}") from None


def check_new_file(option: str, path: Path | None, suffix: str, overwrite: bool) -> None:
    """Raises ValueError for the file of an option that ends in something else than `suffix`, and
    for one that is there and may not be overwritten."""
    if path is None:
        return
    if path.suffix != suffix:
        raise ValueError(f"{option} must end in {suffix}, not {path.name!r}")
    if path.exists() and not overwrite:
        raise ValueError(f"{path} exists: choose another {option} or replace it with --overwrite")


def open_model(path: Path, xp: ModuleType) -> tuple[Model, str, Any]:
    """A model to attack, from its file or by the name of one that ships, the data set it was
    trained on, and its labels (None for 0 … C − 1). Raises ValueError for an unknown name, and if
    the file does not hold a model."""
    path = find_model(path)
    if path.is_dir() or not path.exists():
        raise ValueError(
            f"{path}: expected a saved network, found {'a folder' if path.is_dir() else 'nothing'}"
        )
    is_winner_take_all, dataset = kind_and_dataset(path)
    if is_winner_take_all:
        network = storage.load(path, "cpu" if xp is np else "cuda")
        return network, dataset, network.classes_
    return networks.fold(networks.load(path, xp)), dataset, None


def kind_and_dataset(path: Path) -> tuple[bool, str]:
    """Whether a saved model, or one of that name that ships, is a winner-take-all network and not
    one of layers, and the name of the data set it was trained on."""
    _, metadata = state.load_arrays(find_model(path))
    is_winner_take_all = "kind" in metadata
    usual = "mnist" if is_winner_take_all else "cifar10"
    return is_winner_take_all, str(metadata.get("dataset", usual))


def check_images(model: Path, trained_on: str, name: str) -> None:
    """Raises ValueError for a data set whose images or classes are not like those of the one that
    the model was trained on."""
    own, other = SOURCES.get(trained_on), SOURCES.get(name)
    if own is None or other is None:
        return

    def describe(source: Source) -> str:
        shape = " × ".join(map(str, source.image_shape))
        return f"images of {shape} in {len(source.class_names)} classes"

    if describe(own) != describe(other):
        raise ValueError(
            f"{model} was trained on {trained_on}, {describe(own)}; {name} has {describe(other)}: "
            f"choose --dataset {trained_on}"
        )


def open_with_data(
    path: Path,
    xp: ModuleType,
    *,
    dataset: str | None = None,
    folder: str | Path | None = None,
) -> tuple[Model, Dataset, Any]:
    """A saved model, a data set, by default the one it was trained on, and the labels of its
    columns of scores (None for 0 … C − 1).

    Raises ValueError for a file without a model, and for another kind of images or of classes.
    """
    model, trained_on, classes = open_model(path, xp)
    name = dataset or trained_on
    check_images(path, trained_on, name)
    return model, load(name, folder), classes


def open_with_test_images(
    path: Path,
    xp: ModuleType,
    count: int,
    *,
    dataset: str | None = None,
    folder: str | Path | None = None,
    verbose: bool = True,
) -> tuple[Model, np.ndarray, np.ndarray, list[str]]:
    """A saved model, the first test images (N, H, W, C) of a data set, uint8, their labels as
    columns of the model's scores, and the names of these columns; by default the data set it was
    trained on. With `verbose`, a line says which.

    Raises ValueError for a file without a model, and for another kind of images or of classes.
    """
    model, data, classes = open_with_data(path, xp, dataset=dataset, folder=folder)
    images = data.x_test[:count]
    labels = column_indices(path, data.name, data.y_test[:count], classes)
    if images.ndim == 3:
        images = images[..., None]  # a channel axis for grey images, which Square needs
    fewer = f" (of {count} requested)" if len(images) < count else ""
    if verbose:
        print(f"{len(images)} test images of {data.name}{fewer} from {data.source}")
    return model, images, labels, class_names(data, classes)


def class_names(data: Dataset, classes: Any) -> list[str]:
    """The names of the classes that the columns of a model's scores stand for, which are of these
    labels (None for 0 … C − 1)."""
    names = data.class_names
    return list(names) if classes is None else [names[c] for c in classes]


def column_indices(path: Path, name: str, labels: np.ndarray, classes: Any) -> np.ndarray:
    """Labels of a data set as columns of the model's scores, which are of these classes (None for
    0 … C − 1). Raises ValueError if it has no column for one of them."""
    if classes is None:
        return labels
    if not np.isin(labels, classes).all():
        raise ValueError(f"{path} was not trained on all classes of {name}")
    return np.searchsorted(classes, labels)
