"""N-FGSM as the attack of a defence, and a look at whether it was enough."""

import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..attacks import Victim, n_fgsm
from ..backend.device import Array
from ..networks import Network, fold
from ..validation import check_number
from .batch import Batch

COLLAPSE = 0.5  # of the best accuracy under attack so far
LEAST_FALL = 0.1  # less may be chance in the first epochs


@dataclass(frozen=True)
class NFGSMConfig:
    """How N-FGSM attacks images in training: a noisy start and a single step (arXiv 2202.01181).

    It takes the place of a `PGDConfig` as the attack of any defence, at the cost of one pass. The
    network is attacked in eval mode.

    Parameters
    ----------
    eps : float
        ε, the length of the step, in units of x.
    noise : float
        k, the noise of the start in units of ε.

    Raises
    ------
    ValueError
        For a negative number.

    Examples
    --------
    >>> import numpy as np
    >>> from tinyproto.layers import Flatten, Linear, initialize
    >>> from tinyproto.networks import Network
    >>> from tinyproto.parameters import zeros
    >>> from tinyproto.training import Batch, NFGSMConfig, pgd
    >>> network = initialize(Network(Flatten(), Linear(12, 3)), seed=0)
    >>> batch = Batch(np.full((2, 2, 2, 3), 0.5), np.array([0, 1]), np.arange(2))
    >>> loss, z = pgd(network, batch, zeros(network.params), attack=NFGSMConfig(eps=0.1))
    >>> loss.shape
    (2,)
    """

    eps: float = 8 / 255
    noise: float = 2.0

    def __post_init__(self) -> None:
        check_number("eps", self.eps, most=math.inf)
        check_number("noise", self.noise)

    def __call__(
        self,
        network: Network,
        batch: Batch,
        *,
        loss: Any = "ce",
        initial_noise: float | None = None,
    ) -> Array:
        """The attacked images; the start is noisy anyway, so `initial_noise` is not needed."""
        return n_fgsm(
            Victim(fold(network)), batch.x, batch.y, eps=self.eps, noise=self.noise, loss=loss,
            seed=batch.seed, epoch=batch.epoch, index=batch.index,
        )  # fmt: skip


def warn_of_collapse(history: Sequence[Mapping[str, float]]) -> None:
    """Say so in one line when the accuracy under attack of held-out images falls to less than half
    of its best: catastrophic overfitting, to which training with a single step may come."""
    if not _has_collapsed(history) or _has_collapsed(history[:-1]):
        return
    best, last = max(history, key=lambda row: row["robust"]), history[-1]
    logging.getLogger("tinyproto").warning(
        "tinyproto: the accuracy under attack fell from %.1f %% after epoch %d to %.1f %% after "
        "epoch %d: catastrophic overfitting; use more noise or more steps",
        100 * best["robust"], best["epoch"], 100 * last["robust"], last["epoch"],
    )  # fmt: skip


def _has_collapsed(history: Sequence[Mapping[str, float]]) -> bool:
    robust = [row["robust"] for row in history if "robust" in row]
    if not robust:
        return False
    best, last = max(robust), robust[-1]
    return last < COLLAPSE * best and best - last > LEAST_FALL
