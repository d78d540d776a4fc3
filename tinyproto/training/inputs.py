"""What training and evaluation are given, checked once and before anything is changed."""

from collections.abc import Callable
from typing import Any

import numpy as np

from ..backend.device import Array, to_host
from ..layers import Layer, Linear
from ..networks import Network
from ..optimizers import Optimizer
from ..prototypes.dpnp import PrototypeHead
from ..validation import check_count, check_images, check_labels
from .batch import Batch, PGDConfig, to_network

Images = tuple[np.ndarray, np.ndarray]
"""Images and their labels."""


def check_examples(network: Layer, x: Any, y: Any, names: tuple[str, str] = ("x", "y")) -> Images:
    """Images (N, H, W, C) and labels (N,) on the host, as `load_batch` takes them.

    Raises ValueError for images that are neither whole numbers 0 … 255 nor floats in [0, 1], or
    that the network refuses, and for labels that are not one class for each image.
    """
    x = check_images(x, names[0])
    classes = _classes_of_one_image(network, x, names[0]) if len(x) else None
    return x, to_host(check_labels(y, len(x), classes, names[1]))


def check_batch(network: Layer, batch: Batch) -> None:
    """Raise ValueError unless the labels of a batch are columns of the network's scores."""
    if not len(batch.x):
        raise ValueError("the batch holds no images")
    head = getattr(network, "head", None)
    if isinstance(head, PrototypeHead):
        classes = len(head.params["prototypes"])
    elif isinstance(head, Linear):
        classes = head.params["weight"].shape[1]
    else:
        classes = network(batch.x[:1])[0].shape[-1]
    check_labels(batch.y, len(batch.x), classes)


def check_options(
    network: Any,
    defense: Any,
    schedule: Any,
    optimizer: Any,
    augment: Any,
    validation: Any,
    validation_attack: Any,
    monitor: str,
    seed: int,
    **counts: int,
) -> None:
    """Raise ValueError or TypeError for the first option of `fit` that it cannot work with; each of
    `counts` is a whole number, 1 or more."""
    for name, count in counts.items():
        check_count(name, count)
    check_count("seed", seed, 0, (1 << 32) - 1)
    if monitor not in ("clean", "robust") or (monitor == "robust" and validation_attack is None):
        raise ValueError(
            f"monitor must be 'clean', or 'robust' with a validation_attack, not {monitor!r}"
        )
    if validation is None and (validation_attack is not None or monitor == "robust"):
        raise ValueError("a validation_attack needs validation=(images, labels)")
    if validation is not None and not (
        isinstance(validation, tuple | list) and len(validation) == 2
    ):
        raise ValueError("validation must be a pair: validation=(images, labels)")
    required: tuple[tuple[str, Any, Any, str], ...] = (
        ("network", network, Network, "a Network, such as Network(features, head)"),
        ("optimizer", optimizer, Optimizer | None, "an Optimizer, such as SGD()"),
        ("validation_attack", validation_attack, PGDConfig | None, "a PGDConfig"),
        ("defense", defense, Callable, "a function, such as DEFENSES['standard']"),
        ("schedule", schedule, Callable, "a function that takes the number of steps"),
        ("augment", augment, Callable | None, "a function, such as crop_and_flip"),
    )
    for name, value, kind, expected in required:
        if not isinstance(value, kind):
            raise TypeError(f"{name} must be {expected}, not {value!r}")


def _classes_of_one_image(network: Layer, x: np.ndarray, name: str) -> int:
    """The number of scores of the first image, which the network gets to see if it can."""
    image: Array = to_network(network, x[:1])
    try:
        z, _ = network(image)
    except ValueError as error:
        raise ValueError(
            f"{name} has images of shape {x.shape[1:]}, which the network refuses: {error}; "
            "images are (N, H, W, C)"
        ) from error
    if z.ndim != 2 or len(z) != 1:
        raise ValueError(
            f"the network must return scores (N, classes), not {z.shape} for one image"
        )
    return int(z.shape[1])
