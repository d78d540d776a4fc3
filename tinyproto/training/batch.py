"""What a training step gets: a batch of images, and how they are attacked."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from ..attacks import Victim, pgd_inner
from ..backend.device import Array, array_module, to_device
from ..layers import Layer
from ..networks import Network, fold
from ..parameters import flatten
from ..validation import (
    check_count,
    check_index,
    check_labels,
    check_number,
    check_shape,
    resolve_norm,
)


class Augment(Protocol):
    """A random change of training images, such as `data.augment.crop_and_flip`."""

    def __call__(self, images: Array, *, seed: int, epoch: int, index: Array) -> Array: ...


@dataclass(frozen=True)
class Batch:
    """Images, their labels, and what the random numbers of the step depend on.

    Parameters
    ----------
    x : array (N, H, W, C)
        Images in [0, 1].
    y : array (N,)
        Labels.
    index : array (N,)
        The positions of the images in the data set.
    epoch : int
        The epoch, from 0.
    seed : int
        The seed of the run.

    Raises
    ------
    ValueError
        For images that are no floating-point numbers, and for labels or positions that are not one
        integer of 0 or more for each image.

    Examples
    --------
    >>> import numpy as np
    >>> from tinyproto.training import Batch
    >>> batch = Batch(np.zeros((2, 8, 8, 3)), np.array([0, 1]), np.arange(2), epoch=3)
    >>> batch.x.shape, batch.epoch, batch.seed
    ((2, 8, 8, 3), 3, 0)
    """

    x: Array
    y: Array
    index: Array
    epoch: int = 0
    seed: int = 0

    def __post_init__(self) -> None:
        x = self.x
        if getattr(getattr(x, "dtype", None), "kind", "") != "f":
            found = getattr(x, "dtype", type(x).__name__)
            raise ValueError(f"x must hold floating-point numbers in [0, 1], not {found}")
        object.__setattr__(self, "y", check_labels(self.y, len(x)))
        object.__setattr__(self, "index", check_index(self.index, len(x), like=x))


@dataclass(frozen=True)
class PGDConfig:
    """How PGD attacks images in training and validation.

    Called with a network and a batch, it returns the attacked images x′ (N, H, W, C). The network
    is attacked in eval mode. The options of the call, `loss` and `initial_noise`, are those of
    `attacks.pgd_inner`.

    Parameters
    ----------
    eps : float
        The radius of the ball, in units of x.
    steps : int
        The number of steps.
    step_size : float
        The length of a step, in units of x.
    norm : {"linf", "l2"}
        The norm of the ball.

    Raises
    ------
    ValueError
        For a radius below 0, a step size that is not above 0, and a number of steps that is not an
        integer of 1 or more; when called, as `attacks.pgd_inner` does.

    Examples
    --------
    >>> import numpy as np
    >>> from tinyproto.layers import Flatten, Linear, initialize
    >>> from tinyproto.networks import Network
    >>> from tinyproto.training import Batch, PGDConfig
    >>> network = initialize(Network(Flatten(), Linear(12, 3)), seed=0)
    >>> batch = Batch(np.full((2, 2, 2, 3), 0.5), np.array([0, 1]), np.arange(2))
    >>> attacked = PGDConfig(eps=0.1, steps=5, step_size=0.05)(network, batch)
    >>> bool(abs(attacked - batch.x).max() <= 0.1)
    True
    """

    eps: float = 8 / 255
    steps: int = 10
    step_size: float = 2 / 255
    norm: str = "linf"

    def __post_init__(self) -> None:
        check_number("eps", self.eps, most=math.inf)
        check_count("steps", self.steps)
        check_number("step_size", self.step_size, zero=False)
        object.__setattr__(self, "norm", resolve_norm(self.norm))

    def __call__(
        self,
        network: Network,
        batch: Batch,
        *,
        loss: Any = "ce",
        initial_noise: float | None = None,
    ) -> Array:
        return pgd_inner(
            Victim(fold(network)), batch.x, batch.y, eps=self.eps, steps=self.steps,
            step_size=self.step_size, norm=self.norm, loss=loss, initial_noise=initial_noise,
            seed=batch.seed, epoch=batch.epoch, index=batch.index,
        )  # fmt: skip


PGD_CONFIG = PGDConfig()
"""What the defences use by default: ε = 8/255 in L∞, ten steps of 2/255."""


def to_network(network: Layer, images: np.ndarray) -> Array:
    """Images on the network's device, in its dtype and in [0, 1]: uint8 is divided by 255."""
    weights = next(iter(flatten(getattr(network, "params", {})).values()), None)
    if weights is None:
        raise ValueError("the network has no parameters, which tell its device and dtype")
    if images.dtype != np.uint8 and images.dtype.kind != "f":
        raise ValueError(f"images must hold uint8 or floats in [0, 1], not {images.dtype}")
    moved = to_device(images, array_module(weights)).astype(weights.dtype)
    if images.dtype == np.uint8:
        moved /= 255
    return moved


def load_batch(
    network: Layer,
    x: np.ndarray,
    y: np.ndarray,
    index: np.ndarray,
    *,
    augment: Augment | None = None,
    seed: int = 0,
    epoch: int = 0,
) -> Batch:
    """The images at some positions of the data set, on the network's device and in its dtype.

    Raises ValueError for labels of another length than the images, positions that are not 0 …
    len(x) − 1, and what is wrong in them for a `Batch`.
    """
    check_shape("y", y, (len(x),))
    index = check_index(index, len(index), like=y)
    if len(index) and int(index.max()) >= len(x):
        raise ValueError(f"index must be in 0 … {len(x) - 1}, not {int(index.max())}")
    images = to_network(network, x[index])
    xp = array_module(images)
    positions = xp.asarray(index)
    if augment is not None:
        images = augment(images, seed=seed, epoch=epoch, index=positions)
        check_shape("what augment returns", images, (len(index), "H", "W", "C"))
    return Batch(images, to_device(y[index], xp), positions, epoch, seed)


def attacked_images(
    attack: Callable[..., Array], network: Layer, batch: Batch, **options: Any
) -> Array:
    """What an attack makes of a batch, of the shape of its images."""
    attacked = attack(network, batch, **options)
    check_shape("what the attack returns", attacked, batch.x.shape)
    return attacked
