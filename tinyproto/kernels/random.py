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

from ..device import Array
from ..kernel import kernel, routine

WORD = 0xFFFFFFFF


@routine
def multiply(a, b):
    """High and low word of the 64-bit product of two words, without leaving 63 bits.

    Halving one factor keeps every partial product below 2⁴⁹, so signed integers of any target,
    and Python's own in the simulator, give the same words.
    """
    low = (a & 0xFFFF) * b
    middle = (a >> 16) * b + (low >> 16)
    return middle >> 16, ((middle & 0xFFFF) << 16) | (low & 0xFFFF)


@routine
def philox(c0, c1, c2, c3, k0, k1):
    """Ten rounds of Philox4x32: four random words from a counter of four words and a key of two."""
    for _ in range(10):
        high0, low0 = multiply(0xD2511F53, c0)
        high1, low1 = multiply(0xCD9E8D57, c2)
        c0, c1, c2, c3 = high1 ^ c1 ^ k0, low1, high0 ^ c3 ^ k1, low0
        k0 = (k0 + 0x9E3779B9) & 0xFFFFFFFF
        k1 = (k1 + 0xBB67AE85) & 0xFFFFFFFF
    return c0, c1, c2, c3


@kernel
def random_words(i, t, T, index, k0, k1, c2, c3, out):
    """out[i, 4b … 4b+3] = philox of the counter (b, index[i], c2, c3). out (N, 4·blocks) int64."""
    for b in range(t, out.shape[1] // 4, T):
        a0, a1, a2, a3 = philox(b, index[i], c2, c3, k0, k1)
        out[i, 4 * b] = a0
        out[i, 4 * b + 1] = a1
        out[i, 4 * b + 2] = a2
        out[i, 4 * b + 3] = a3


@random_words.example
def _random_words(random, dtype):
    return 3, np.arange(3), 7, 11, 13, 17, np.zeros((3, 8), np.int64)


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
