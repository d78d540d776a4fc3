"""What programs that train a network on a data set share: statistics of the images, the images that
are held out, the batch and the learning rate, and a defence with its coefficients."""

from collections.abc import Mapping
from dataclasses import asdict
from functools import partial
from typing import Any

import numpy as np

from ..random import permutation
from ..validation import check_count
from .batch import PGDConfig
from .defenses import DEFENSES
from .single_step import NFGSMConfig

SAMPLED = 5000  # images, of whose number of pixels the statistics are taken
HELD_OUT = 1000  # images at most
BATCH, SMALL_BATCH, MANY = 128, 32, 5000  # the smaller one for fewer than `MANY` images
LEARNING_RATE = 0.1  # the peak of one cycle, for a batch of `BATCH`


def image_statistics(images: np.ndarray) -> dict[str, list[float]]:
    """The mean and the standard deviation of each channel, as the networks' builders take them.

    Parameters
    ----------
    images : array (N, H, W, C)
        Whole numbers 0 … 255.

    Returns
    -------
    dict
        "mean" and "std", a number in units of [0, 1] for each channel. Of more than 5,000 images
        they are taken of as many pixels as 5,000 have.

    Examples
    --------
    >>> import numpy as np
    >>> from tinyproto.training import image_statistics
    >>> images = np.zeros((4, 8, 8, 3), np.uint8)
    >>> images[:2] = 255
    >>> image_statistics(images)
    {'mean': [0.5, 0.5, 0.5], 'std': [0.5, 0.5, 0.5]}
    """
    pixels = images.reshape(-1, images.shape[-1])[:: max(1, len(images) // SAMPLED)] / 255
    return {
        "mean": [round(float(v), 4) for v in pixels.mean(axis=0)],
        "std": [round(float(v), 4) for v in pixels.std(axis=0)],
    }


def hold_out(
    count: int, *, limit: int | None = None, validate: int = HELD_OUT, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Split training images into those to learn from and those to validate on.

    A tenth of all is held out, at most 1,000.

    Parameters
    ----------
    count : int
        The number of images.
    limit : int, optional
        How many to learn from at most; all that are not held out if not given.
    validate : int
        How many of those held out to validate on, at most.
    seed : int
        Seed of the random choice.

    Returns
    -------
    learned, held : array
        Positions in ascending order.

    Raises
    ------
    ValueError
        For a limit that is not between 1 and the number of images.

    Examples
    --------
    >>> from tinyproto.training import hold_out
    >>> learned, held = hold_out(40, limit=10)
    >>> len(learned), len(held)
    (10, 4)
    """
    order = permutation(count, seed=seed, stream="held out")
    limit = check_count("limit", count if limit is None else limit, 1, count)
    held = min(HELD_OUT, count // 10)
    return np.sort(order[held:][:limit]), np.sort(order[:held][:validate])


def batch_and_learning_rate(
    count: int, batch: int | None = None, learning_rate: float | None = None
) -> tuple[int, float]:
    """The batch and the learning rate of a network of convolutions, where they are not given.

    The gradient of a batch is a mean over its images: with fewer of them it is noisier, and there
    are more steps in an epoch. So a batch below 128 takes a rate in proportion to it (the linear
    scaling rule of Goyal and others, arXiv 1706.02677, section 2.1), and half of that where there
    are so few images that the steps in which the rate rises are few, too.

    Parameters
    ----------
    count : int
        The number of training images.
    batch : int, optional
        Images in a step; by default 128, or 32 for fewer than 5,000 images.
    learning_rate : float, optional
        The peak of one cycle; by default 0.1, or 0.1 · batch / 128 for a batch below 128; half of
        it for fewer than 5,000 images.

    Returns
    -------
    batch : int
    learning_rate : float

    Examples
    --------
    >>> from tinyproto.training import batch_and_learning_rate
    >>> batch_and_learning_rate(50_000)
    (128, 0.1)
    >>> batch_and_learning_rate(1000)
    (32, 0.0125)
    """
    few = count < MANY
    if batch is None:
        batch = SMALL_BATCH if few else BATCH
    if learning_rate is None:
        learning_rate = LEARNING_RATE * min(1.0, batch / BATCH) * (0.5 if few else 1.0)
    return batch, learning_rate


def bind_defense(
    method: str,
    coefficients: Mapping[str, Any],
    attack: PGDConfig | NFGSMConfig | None = None,
) -> tuple[partial[Any], dict[str, Any]]:
    """A defence with its coefficients and its attack, for `fit`.

    Parameters
    ----------
    method : str
        A name in `DEFENSES`.
    coefficients : mapping
        Values of coefficients; the others have their defaults.
    attack : PGDConfig or NFGSMConfig, optional
        The attack of a defence that trains on attacked images; others ignore it.

    Returns
    -------
    defense : callable
        What `fit` takes.
    described : dict
        All of it as JSON can hold it, for the settings of a checkpoint.

    Raises
    ------
    ValueError
        For a coefficient that the defence does not have.

    Examples
    --------
    >>> from tinyproto.training import PGDConfig, bind_defense
    >>> defense, described = bind_defense("trades", {"beta": 3.0}, PGDConfig(steps=2))
    >>> described["beta"], described["attack"]["steps"]
    (3.0, 2)
    """
    defense = DEFENSES[method]
    bound: dict[str, Any] = defense.defaults()
    for name, value in coefficients.items():
        if name not in bound:
            raise ValueError(f"{method} has no coefficient {name!r}")
        bound[name] = value
    described = dict(bound)
    if defense.adversarial and attack is not None:
        bound["attack"], described["attack"] = attack, asdict(attack)
    return partial(defense, **bound), described
