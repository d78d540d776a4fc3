"""The random numbers of one corruption, for each image."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...random import normal, uniform

Floats = NDArray[np.floating]
Images = NDArray[np.uint8]


@dataclass(frozen=True)
class Draws:
    """Random numbers that depend on the seed, the corruption's name, the severity and each image's
    index in the data set; `step` tells the several arrays of one corruption apart."""

    index: NDArray[np.integer]
    seed: int
    name: str
    severity: int

    def uniform(self, *shape: int, step: int = 0) -> Floats:
        """Uniform in [0, 1), of the shape (N, *shape)."""
        drawn = uniform(
            math.prod(shape), self.index, seed=self.seed, stream=f"corruption {self.name}",
            epoch=self.severity, step=step,
        )  # fmt: skip
        return drawn.reshape(len(self.index), *shape)

    def normal(self, *shape: int, step: int = 0) -> Floats:
        """Standard normal, of the shape (N, *shape)."""
        drawn = normal(
            math.prod(shape), self.index, seed=self.seed, stream=f"corruption {self.name}",
            epoch=self.severity, step=step,
        )  # fmt: skip
        return drawn.reshape(len(self.index), *shape)
