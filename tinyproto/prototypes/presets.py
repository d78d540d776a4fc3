"""Measured parameters for MNIST, of PlusMinusEDWTA (benchmarks/bench_accuracy.py) and, for the
robustness radius, of EDWTA (benchmarks/bench_robust.py)."""

from collections.abc import Callable
from typing import Any

from ..backend.device import Array
from ..data import elastic
from .base import WinnerTakeAll
from .radius_objective import FINAL_AFTER
from .winner_take_all import IPWTA

AUTHORS: dict[str, Any] = {
    "prototypes_per_class": 6,
    "epochs": 49,
    "batch_size": 1,
    "learning_rate": 0.01,
    "beta": 1.0,
    "beta_learning_rate": 1e-4,
    "decay": 0.95,
    "init": "random",
    "init_scale": 0.01,
}
"""Those of the paper (arXiv 2008.08750): one sample at a time, learning rates × 0.95 per epoch."""

ACCURATE: dict[str, Any] = {
    "prototypes_per_class": 80,
    "epochs": 80,
    "batch_size": 128,
    "learning_rate": 0.4 / 120**2,
    "schedule": "cosine",
    "beta": 120.0,
    "beta_learning_rate": 0.0,
    "init": "kmeans",
    "init_spread": 0.3,
    "negative_init_fraction": 5 / 120,
}
"""Ours, for images that are shifted and deformed anew in each epoch (`data.augment.elastic`).

They were chosen on 10,000 training images held out. β is large and fixed, and the prototypes start
close together, w⁻ a small step from w⁺ towards the mean image. Both keep α β, the size of an
update, small, so that the positive prototypes remain digits: with β = 25 the accuracy was no lower,
but 8 % of them were nearest to an image of another class.
"""

ROBUST: dict[str, Any] = {
    "objective": "radius",
    "norm": "l2",
    "target_radius": 2.5,
    "final_target_radius": 1.9,
    "ramp": 0.8,
    "dropout": 0.3,
    "prototypes_per_class": 200,
    "epochs": 40,
    "batch_size": 500,
    "learning_rate": 20.0,
    "momentum": 0.9,
    "schedule": "cosine",
    "init": "samples",
}
"""For the L2 radius. The hinge, its R, the momentum and the start from samples are those of Voráček
and Hein (arXiv 2207.07208); the images are deformed by `robust_deformation`, anew in each epoch."""

ROBUST_LARGE: dict[str, Any] = {
    **ROBUST, "prototypes_per_class": 400, "epochs": 150, "learning_rate": 25.0, "dropout": 0.5,
}  # fmt: skip
"""ROBUST with as many prototypes as Voráček and Hein have."""

ROBUST_LINF: dict[str, Any] = {
    **ROBUST,
    "norm": "linf",
    "target_radius": 0.16,
    "final_target_radius": 0.12,
    "ramp": 0.05,
    "learning_rate": 100.0,
}
"""For the L∞ radius."""

ROBUST_LINF_LARGE: dict[str, Any] = {
    **ROBUST_LINF, "prototypes_per_class": 400, "epochs": 80, "learning_rate": 150.0,
}  # fmt: skip
"""ROBUST_LINF with more prototypes and epochs."""


def robust_deformation(epoch: int, epochs: int) -> dict[str, Any]:
    """How an epoch of these presets deforms the images: arguments of `data.elastic`.

    All images at first, and half of them in the last quarter, where the others are as they are.

    Parameters
    ----------
    epoch : int
        From 0 on.
    epochs : int
        Of the whole training.

    Returns
    -------
    dict
        max_shift, max_displacement, max_rotation and probability.

    Examples
    --------
    >>> from tinyproto.prototypes import robust_deformation
    >>> [robust_deformation(epoch, 40)["probability"] for epoch in (0, 29, 30, 39)]
    [1.0, 1.0, 0.5, 0.5]
    """
    probability = 1.0 if epoch < FINAL_AFTER * epochs else 0.5
    sizes = {"max_shift": 0.5, "max_displacement": 1.0, "max_rotation": 6.0}
    return {**sizes, "probability": probability}


PRESETS = {
    "authors": AUTHORS, "accurate": ACCURATE, "robust": ROBUST, "robust-linf": ROBUST_LINF,
}  # fmt: skip
"""Presets by name."""

AUTHORS_KMEANS = {"beta": 10.0, "learning_rate": 0.001, "beta_learning_rate": 1e-6}
"""What the authors change with a k-means start."""


def preset_network(
    kind: type[WinnerTakeAll], preset: str, *, seed: int = 0, device: str = "cpu", **parameters: Any
) -> WinnerTakeAll:
    """Make a network with the parameters of a preset.

    Parameters
    ----------
    kind : class
        IPWTA, EDWTA or PlusMinusEDWTA. Parameters of the preset that it does not have are left out.
    preset : str
        A name in `PRESETS`.
    seed, device
        The parameters random_state and device of the network.
    **parameters
        Parameters that are not those of the preset.

    Returns
    -------
    WinnerTakeAll
        Not fitted.

    Raises
    ------
    ValueError
        For an unknown preset, and for a parameter that the network does not have.

    Examples
    --------
    >>> from tinyproto.prototypes import EDWTA, preset_network
    >>> network = preset_network(EDWTA, "robust", epochs=3)
    >>> network.objective, network.prototypes_per_class, network.epochs
    ('radius', 200, 3)
    """
    network = kind(random_state=seed, device=device)
    settings = _settings(preset)
    if preset == "authors" and parameters.get("init") == "kmeans" and kind is not IPWTA:
        settings |= AUTHORS_KMEANS
    known = network.get_params()
    network.set_params(**{name: value for name, value in settings.items() if name in known})
    return network.set_params(**parameters)


def _settings(preset: str) -> dict[str, Any]:
    """A copy of a preset. Raises ValueError for a name that there is not."""
    if preset not in PRESETS:
        raise ValueError(f"preset must be one of {', '.join(PRESETS)}, not {preset!r}")
    return dict(PRESETS[preset])


def preset_augmentation(
    preset: str, shape: tuple[int, ...], *, epochs: int, seed: int = 0
) -> Callable[[Array, int], Array] | None:
    """How a preset changes the images anew in each epoch: the argument `augment` of `fit`.

    Parameters
    ----------
    preset : str
        A name in `PRESETS`.
    shape : tuple of int
        Height and width of an image.
    epochs : int
        Of the whole training.
    seed : int
        Seed of the deformations.

    Returns
    -------
    callable or None
        augment(x, epoch) of images (N, height · width); None for the authors' preset.

    Raises
    ------
    ValueError
        For an unknown preset.

    Examples
    --------
    >>> import numpy as np
    >>> from tinyproto.prototypes import preset_augmentation
    >>> augment = preset_augmentation("robust", (28, 28), epochs=40)
    >>> augment(np.ones((2, 784), np.float32), 0).shape
    (2, 784)
    """
    _settings(preset)
    if preset == "authors":
        return None

    def augment(samples: Array, epoch: int) -> Array:
        options = {} if preset == "accurate" else robust_deformation(epoch, epochs)
        images = samples.reshape(-1, *shape)
        deformed: Array = elastic(images, seed=seed, epoch=epoch, **options).reshape(samples.shape)
        return deformed

    return augment
