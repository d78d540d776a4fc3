"""`metrics.json`, which every example writes with the same keys."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from .. import __version__
from ..attacks import Victim, fgsm, pgd
from ..data import Dataset
from ..networks import Network
from ..progress import Advance, progress
from ..state import atomic_write
from ..training import accuracy
from .report import format_radius

__all__ = ["accuracy_under_attack", "format_table", "write_metrics"]


def write_metrics(
    path: str | Path,
    *,
    data: Dataset,
    clean_accuracy: float,
    robust_accuracy: Mapping[str, float],
    seconds: float,
    images_per_second: float,
    seed: int,
    device: str,
    settings: Mapping[str, Any],
    **more: Any,
) -> dict[str, Any]:
    """Write the results of a training run as JSON. The file is written completely or not at all.

    Parameters
    ----------
    path : str or Path
        File to write, usually `metrics.json`.
    data : Dataset
        Data set that was trained on; its name and sizes are written.
    clean_accuracy : float
        Accuracy on the test images, in [0, 1].
    robust_accuracy : dict of str to float
        Accuracy under each attack, in [0, 1].
    seconds : float
        Time of training.
    images_per_second : float
        Speed of training.
    seed : int
        Seed of all random numbers.
    device : str
        "cpu" or "cuda".
    settings : dict
        Settings of the run.
    **more
        Further keys and values that JSON can hold.

    Returns
    -------
    dict
        The content of the file, with the version of tinyproto.

    Raises
    ------
    ValueError
        For an accuracy outside [0, 1].

    Examples
    --------
    >>> import numpy as np
    >>> from tinyproto.data import Dataset
    >>> from tinyproto.evaluation import write_metrics
    >>> x, y = np.zeros((3, 28, 28), np.uint8), np.array([0, 1, 0])
    >>> data = Dataset("mnist", x, y, x[:2], y[:2], False, "digits.npz", ("zero", "one"))
    >>> metrics = write_metrics(
    ...     "metrics.json", data=data, clean_accuracy=0.9, robust_accuracy={"pgd-20 0.1": 0.4},
    ...     seconds=2.0, images_per_second=1.5, seed=0, device="cpu", settings={"epochs": 1},
    ... )
    >>> metrics["data"]
    {'name': 'mnist', 'train': 3, 'test': 2, 'complete': False}
    """
    metrics = {
        "clean_accuracy": _fraction("clean_accuracy", clean_accuracy),
        "robust_accuracy": {
            name: _fraction(f"robust_accuracy[{name!r}]", value)
            for name, value in robust_accuracy.items()
        },
        "seconds": seconds,
        "images_per_second": images_per_second,
        "seed": seed,
        "device": device,
        "data": {
            "name": data.name,
            "train": len(data.x_train),
            "test": len(data.x_test),
            "complete": data.complete,
        },
        "settings": dict(settings),
        "version": __version__,
        **more,
    }
    with atomic_write(path) as temporary:
        temporary.write_text(json.dumps(metrics, indent=2, default=_of_python) + "\n")
    return metrics


def accuracy_under_attack(
    network: Network,
    data: Dataset,
    count: int,
    *,
    eps: float,
    step_size: float,
    seed: int = 0,
    verbose: bool = True,
) -> tuple[float, dict[str, float]]:
    """Measure the accuracy of a network on test images, and under FGSM and PGD-20 in L∞.

    Parameters
    ----------
    network : Network
        The network.
    data : Dataset
        The data set.
    count : int
        How many of the test images are attacked, from the first on.
    eps, step_size : float
        Radius of both attacks, and length of a step of PGD, in units of [0, 1].
    seed : int
        Seed of PGD.
    verbose : bool
        Whether to show progress on stderr.

    Returns
    -------
    clean : float
        Accuracy on all test images, in [0, 1].
    robust : dict of str to float
        Accuracy under each attack, such as "pgd-20 8/255".

    Examples
    --------
    >>> import tinyproto
    >>> from tinyproto.data import load
    >>> from tinyproto.evaluation import accuracy_under_attack
    >>> data, network = load("cifar10", download=False), tinyproto.load("cifar10-compact-pgd")
    >>> clean, robust = accuracy_under_attack(network, data, 10, eps=8 / 255, step_size=2 / 255)
    >>> list(robust)
    ['fgsm 8/255', 'pgd-20 8/255']
    """
    x, y = data.x_test[:count], data.y_test[:count]

    def fast(victim: Victim, images: Any, labels: Any, index: Any) -> Any:
        return fgsm(victim, images, labels, eps=eps)

    def strong(victim: Victim, images: Any, labels: Any, index: Any) -> Any:
        return pgd(
            victim, images, labels, eps=eps, steps=20, step_size=step_size, seed=seed, index=index
        )

    robust, at = {}, format_radius(eps)
    total = len(data.x_test) + 2 * count
    with progress(total, "image", title="testing", max_lines=4, verbose=verbose) as advance:

        def named(name: str) -> Advance:
            return lambda count, text: advance(count, f"{name}: {text}")

        clean = accuracy(network, data.x_test, data.y_test, advance=named("clean"))
        for name, attack in ((f"fgsm {at}", fast), (f"pgd-20 {at}", strong)):
            robust[name] = accuracy(network, x, y, attack, advance=named(name))
    return clean, robust


def _fraction(name: str, value: Any) -> float:
    if not 0 <= value <= 1:
        advice = "; divide by 100" if 1 < value <= 100 else ""
        raise ValueError(f"{name} must be a fraction in [0, 1], not {value!r}{advice}")
    return float(value)


def _of_python(value: Any) -> Any:
    """A number or an array of NumPy as JSON can hold it."""
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    raise TypeError(f"metrics.json cannot hold {value!r}, of type {type(value).__name__}")


def format_table(rows: Mapping[str, str]) -> str:
    """Lay out names and values in two aligned columns.

    Parameters
    ----------
    rows : dict of str to str
        Values by name.

    Returns
    -------
    str
        One line per row.

    Examples
    --------
    >>> from tinyproto.evaluation.metrics import format_table
    >>> print("table:\\n" + format_table({"accuracy": "97 %", "training": "3.1 s"}))
    table:
      accuracy  97 %
      training  3.1 s
    """
    width = max(map(len, rows), default=0)
    return "\n".join(f"  {name:<{width}}  {value}" for name, value in rows.items())
