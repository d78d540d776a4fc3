"""Whether a device computes what the CPU does, in float32."""

from collections.abc import Iterator
from types import ModuleType
from typing import Any

import numpy as np

from tinyproto.attacks import Victim, pgd
from tinyproto.backend.device import to_host
from tinyproto.losses import cross_entropy
from tinyproto.networks import compact_cnn
from tinyproto.parameters import flatten, zeros

IMAGES = 64


def rows(xp: ModuleType) -> Iterator[dict[str, Any]]:
    """The largest difference from the CPU's, relative to the largest number, of what a network
    gives on random images, and the share of pixels that PGD moves elsewhere."""
    random = np.random.default_rng(0)
    x, y = random.random((IMAGES, 32, 32, 3), dtype=np.float32), random.integers(0, 10, IMAGES)
    here, there = (_results(module, x, y) for module in (np, xp))
    for name, value in here.items():
        difference = np.abs(there[name] - value)
        yield {
            "agreement with the CPU": name,
            "largest difference, relative": float(difference.max() / np.abs(value).max()),
            "share that differs by over 1e-4": float((difference > 1e-4).mean()),
        }


def _results(xp: ModuleType, x: np.ndarray, y: np.ndarray) -> dict[str, np.ndarray]:
    network = compact_cnn().to(xp)
    images, labels = xp.asarray(x), xp.asarray(y)
    grads = zeros(network.params)
    z, backward = network(images, train=True)
    dx = backward(cross_entropy(z, labels)[1] / len(z), grads)
    attacked = pgd(Victim(network), images, labels, eps=8 / 255, steps=10, step_size=2 / 255)
    first, *_, last = (leaf for path, leaf in flatten(grads).items() if path.endswith("weight"))
    found = {
        "scores": z, "gradient at the images": dx, "gradient of the first weights": first,
        "gradient of the last weights": last, "images attacked by PGD-10": attacked,
    }  # fmt: skip
    return {name: to_host(array) for name, array in found.items()}
