"""Accuracy on images, clean or attacked."""

from collections.abc import Callable
from dataclasses import asdict
from functools import partial

import numpy as np

from ..attacks import Victim, pgd
from ..backend.device import Array
from ..communicator import ONE_PROCESS, Communicator
from ..layers import Layer
from ..progress import Advance, progress
from ..validation import check_count, check_shape
from .batch import PGDConfig, load_batch
from .inputs import check_examples


def accuracy(
    network: Layer,
    x: np.ndarray,
    y: np.ndarray,
    attack: Callable[..., Array] | None = None,
    *,
    batch_size: int = 250,
    advance: Advance | None = None,
) -> float:
    """The fraction of images that are classified correctly, after an attack if one is given.

    The result does not depend on the batch size.

    Parameters
    ----------
    network : Layer
        The network, in eval mode, on any device.
    x : array (N, H, W, C)
        Images on the host: whole numbers 0 … 255, or floats in [0, 1].
    y : array (N,)
        Labels on the host, the classes from 0.
    attack : callable, optional
        attack(victim, x, y, index=…) returns attacked images; `index` are their positions in x.
    batch_size : int
        Images in one pass.
    advance : callable, optional
        advance(count, text) is called after each pass, as `progress` gives it.

    Returns
    -------
    float
        In [0, 1]; 0 for no images.

    Raises
    ------
    ValueError
        For images that the network refuses, images out of these ranges, labels that are not one
        class for each image, and an attack that returns another shape.

    Examples
    --------
    >>> from functools import partial
    >>> import numpy as np
    >>> from tinyproto.attacks import pgd
    >>> from tinyproto.layers import Flatten, Linear, initialize
    >>> from tinyproto.networks import Network
    >>> from tinyproto.training import accuracy
    >>> network = initialize(Network(Flatten(), Linear(12, 3)), seed=0)
    >>> x = np.random.default_rng(0).random((20, 2, 2, 3))
    >>> y = network(x)[0].argmax(axis=1)
    >>> accuracy(network, x, y)
    1.0
    >>> accuracy(network, x, y, partial(pgd, eps=0.5, steps=5)) < 1.0
    True
    """
    check_count("batch_size", batch_size)
    x, y = check_examples(network, x, y)
    places = np.arange(len(x))
    return count_correct(network, x, y, places, attack, batch_size, advance) / max(len(x), 1)


def count_correct(
    network: Layer,
    x: np.ndarray,
    y: np.ndarray,
    places: np.ndarray,
    attack: Callable[..., Array] | None,
    batch_size: int = 250,
    advance: Advance | None = None,
) -> int:
    """How many of the images at these places are classified correctly."""
    correct = 0
    for start in range(0, len(places), batch_size):
        index = places[start : start + batch_size]
        batch = load_batch(network, x, y, index)
        images = batch.x
        if attack is not None:
            images = attack(Victim(network), images, batch.y, index=batch.index)
            check_shape("what the attack returns", images, batch.x.shape)
        z, _ = network(images)
        correct += int((z.argmax(axis=1) == batch.y).sum())
        if advance is not None:
            advance(len(index), f"accuracy {correct / (start + len(index)):.1%}")
    return correct


def validate(
    network: Layer,
    x: np.ndarray,
    y: np.ndarray,
    attack: PGDConfig | None,
    verbose: bool = False,
    communicator: Communicator = ONE_PROCESS,
) -> dict[str, float]:
    """The accuracy on clean images and, with an attack, on attacked ones ("robust"); the ranks
    share the images."""
    attacks = {"clean": None} | ({"robust": partial(pgd, **asdict(attack))} if attack else {})
    places = communicator.shard(np.arange(len(x)))
    total = len(attacks) * len(places)
    with progress(
        total, "image", title="validating", verbose=verbose, max_lines=1, leave=False
    ) as advance:
        counts = [
            count_correct(network, x, y, places, each, advance=advance) for each in attacks.values()
        ]
    sums = communicator.all_reduce(np.array(counts, dtype=np.float64))
    return {name: int(n) / max(len(x), 1) for name, n in zip(attacks, sums, strict=True)}
