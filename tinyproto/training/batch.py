"""What a training step gets: a batch of images, and how they are attacked."""

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from ..attacks import Victim, pgd_inner
from ..backend.device import Array, array_module, to_device
from ..layers import Layer
from ..networks import Network, fold
from ..parameters import flatten


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
    """The images at some positions of the data set, on the network's device and in its dtype."""
    weights = next(iter(flatten(network.params).values()))
    xp = array_module(weights)
    images = to_device(x[index], xp).astype(weights.dtype)
    if x.dtype == np.uint8:
        images /= 255
    positions = xp.asarray(index)
    if augment is not None:
        images = augment(images, seed=seed, epoch=epoch, index=positions)
    return Batch(images, to_device(y[index], xp), positions, epoch, seed)
