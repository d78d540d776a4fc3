"""Random numbers by counter: Philox4x32-10 (Salmon and others, "Parallel random numbers: as easy as
1, 2, 3", SC 2011), so that a number depends on what it is for and on nothing else.

A number is named by (seed, stream, epoch, index, restart, step, position): the seed and the stream
are the key, the rest is the counter. The same name gives the same bits on every device, for any
number of threads, any batch and any order, and after any restart.
"""

import zlib
from types import ModuleType
from typing import Any

import numpy as np

from .backend.device import Array
from .kernels.philox import random_words


def words(
    count: int,
    index: Array,
    *,
    seed: int,
    stream: str,
    epoch: int = 0,
    restart: int = 0,
    step: int = 0,
    xp: ModuleType = np,
) -> Array:
    """(len(index), count) random words in [0, 2³²), int64.

    `stream` names the use ("shuffle", "shift", …); `index` are the examples' places in the data
    set. Raises ValueError where a coordinate does not fit its bits.
    """
    for name, value, bits in (
        ("seed", seed, 32),
        ("epoch", epoch, 32),
        ("restart", restart, 16),
        ("step", step, 16),
    ):
        if not 0 <= int(value) < 1 << bits:
            raise ValueError(f"{name} must be in [0, 2**{bits}), not {value!r}")
    index = xp.asarray(index, dtype=xp.int64)
    if len(index) and not 0 <= int(index.min()) <= int(index.max()) < 1 << 32:
        raise ValueError(
            f"index must be in [0, 2**32), not {int(index.min())} … {int(index.max())}"
        )
    out = xp.empty((len(index), 4 * -(-count // 4)), dtype=xp.int64)
    counter = int(restart) << 16 | int(step)
    random_words(
        len(index), index, int(seed), zlib.crc32(stream.encode()), int(epoch), counter, out
    )
    return out[:, :count]


def uniform(
    count: int,
    index: Array,
    *,
    seed: int,
    stream: str,
    epoch: int = 0,
    restart: int = 0,
    step: int = 0,
    xp: ModuleType = np,
) -> Array:
    """(len(index), count) numbers in [0, 1), float64: the multiples of 2⁻³²."""
    drawn = words(
        count, index, seed=seed, stream=stream, epoch=epoch, restart=restart, step=step, xp=xp
    )
    return drawn.astype(xp.float64) * 2.0**-32


def permutation(n: int, *, seed: int, stream: str, epoch: int = 0, xp: ModuleType = np) -> Array:
    """A random order of 0 … n − 1: the order of n random keys of 62 bits."""
    drawn = words(2, xp.arange(n), seed=seed, stream=stream, epoch=epoch, xp=xp)
    return xp.argsort((drawn[:, 0] >> 2) << 32 | drawn[:, 1])


def normal(count: int, index: Array, *, xp: ModuleType = np, **name: Any) -> Array:
    """(len(index), count) standard normal numbers, float64, by Box and Muller (1958):
    √(−2 ln u) cos 2πv. The words are the same everywhere; ln and cos agree to rounding."""
    drawn = uniform(2 * count, index, xp=xp, **name)
    radius = xp.sqrt(-2 * xp.log(1 - drawn[:, :count]))
    return radius * xp.cos(2 * np.pi * drawn[:, count:])
