"""Random numbers by counter: Philox4x32-10 (Salmon and others, "Parallel random numbers: as easy as
1, 2, 3", SC 2011), so that a number depends on what it is for and on nothing else.

A number is identified by (seed, stream, epoch, index, restart, step, position): the seed and the
stream are Philox's key, the rest is its counter. The same identifiers give the same bits on every
device, for any number of threads, any batch and any order, and when training resumes after a stop.
"""

import zlib
from types import ModuleType

import numpy as np

from .backend.device import Array
from .kernels.philox import random_words

__all__ = ["normal", "permutation", "uniform", "words"]


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
    """Random words of 32 bits, `count` for each example.

    Parameters
    ----------
    count : int
        Words for each example.
    index : array (N,)
        The examples' positions in the data set, from 0 to 2³² − 1.
    seed : int
        From 0 to 2³² − 1.
    stream : str
        What the numbers are for ("shuffle", "elastic", …): each stream is independent.
    epoch : int
        From 0 to 2³² − 1.
    restart, step : int
        Of an attack, from 0 to 2¹⁶ − 1.
    xp : module
        NumPy or CuPy: where the words are made.

    Returns
    -------
    array (N, count)
        int64, from 0 to 2³² − 1.

    Raises
    ------
    ValueError
        Where seed, epoch, restart, step or an index is no integer, or out of its range.

    Examples
    --------
    An example's words do not depend on the other examples:

    >>> import numpy as np
    >>> from tinyproto.random import words
    >>> together = words(3, np.arange(5), seed=0, stream="example")
    >>> alone = words(3, np.array([4]), seed=0, stream="example")
    >>> bool((together[4] == alone[0]).all())
    True
    """
    for name, value, bits in (
        ("seed", seed, 32),
        ("epoch", epoch, 32),
        ("restart", restart, 16),
        ("step", step, 16),
    ):
        if not hasattr(value, "__index__"):
            raise ValueError(f"{name} must be an integer, not {value!r}")
        if not 0 <= int(value) < 1 << bits:
            raise ValueError(f"{name} must be in [0, 2**{bits}), not {value!r}")
    if not hasattr(count, "__index__") or count < 0:
        raise ValueError(f"count must be an integer of 0 or more, not {count!r}")
    index = xp.asarray(index)
    if index.ndim != 1 or (len(index) and index.dtype.kind not in "iu"):
        raise ValueError(
            f"index must hold integers, shape (N,), not {index.dtype} of shape {index.shape}"
        )
    index = xp.ascontiguousarray(index, dtype=xp.int64)
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
    """Random numbers, uniform in [0, 1), `count` for each example.

    Parameters
    ----------
    count : int
        Numbers for each example.
    index : array (N,)
        The examples' positions in the data set.
    seed, stream, epoch, restart, step, xp
        As in `words`.

    Returns
    -------
    array (N, count)
        float64, multiples of 2⁻³².

    Examples
    --------
    >>> import numpy as np
    >>> from tinyproto.random import uniform
    >>> u = uniform(4, np.arange(3), seed=0, stream="example")
    >>> u.shape, bool((u >= 0).all() and (u < 1).all())
    ((3, 4), True)
    """
    drawn = words(
        count, index, seed=seed, stream=stream, epoch=epoch, restart=restart, step=step, xp=xp
    )
    return drawn.astype(xp.float64) * 2.0**-32


def normal(
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
    """Standard normal random numbers, `count` for each example.

    Parameters
    ----------
    count : int
        Numbers for each example.
    index : array (N,)
        The examples' positions in the data set.
    seed, stream, epoch, restart, step, xp
        As in `words`.

    Returns
    -------
    array (N, count)
        float64.

    Notes
    -----
    By Box and Muller (1958): √(−2 ln u) cos 2πv, of two uniform numbers u in (0, 1] and v. These
    are the same bits on every device; ln and cos agree to rounding.

    Examples
    --------
    >>> import numpy as np
    >>> from tinyproto.random import normal
    >>> z = normal(10_000, np.arange(2), seed=0, stream="example")
    >>> z.shape, bool(abs(z.mean()) < 0.05), bool(abs(z.std() - 1) < 0.05)
    ((2, 10000), True, True)
    """
    drawn = uniform(
        2 * count, index, seed=seed, stream=stream, epoch=epoch, restart=restart, step=step, xp=xp
    )
    radius = xp.sqrt(-2 * xp.log(1 - drawn[:, :count]))
    return radius * xp.cos(2 * np.pi * drawn[:, count:])


def permutation(n: int, *, seed: int, stream: str, epoch: int = 0, xp: ModuleType = np) -> Array:
    """A random order of 0 … n − 1.

    Parameters
    ----------
    n : int
        How many numbers.
    seed, stream, epoch, xp
        As in `words`.

    Returns
    -------
    array (n,)
        int64: the order of n random keys of 62 bits.

    Examples
    --------
    >>> from tinyproto.random import permutation
    >>> order = permutation(5, seed=0, stream="example")
    >>> sorted(order.tolist())
    [0, 1, 2, 3, 4]
    """
    drawn = words(2, xp.arange(n), seed=seed, stream=stream, epoch=epoch, xp=xp)
    return xp.argsort((drawn[:, 0] >> 2) << 32 | drawn[:, 1])
