"""Two networks judged by the same images: the difference of their accuracies, with its interval.

Images are easy or hard for both networks alike, so the difference is known better than the two
intervals of the accuracies say. Of n images, let b be those that only the first network classifies
correctly, and c those that only the second does. Then d = (b − c)/n, and the interval of Agresti
and Min (Statistics in Medicine 24, 2005, p. 729: half an image is added to each of the four cells
of the table of both answers, n + 2 in all) is

    d′ ± 1.96 √((b + c + 1)/(n + 2) − d′²) / √(n + 2)      with  d′ = (b − c)/(n + 2).

It covers the choice of the images. What another seed of the training would change is not in it.
"""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

OUTCOMES = "outcomes"
NORMAL_QUANTILE = 1.959964  # of 97.5 %


class Difference(NamedTuple):
    """The accuracy of one network less that of another, in percentage points, and the ends of its
    95 % interval."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:+.1f} ({self.low:+.1f} – {self.high:+.1f})"


def pack(right: np.ndarray) -> str:
    """Which images are classified correctly, Bool (N,), as text: eight in two hexadecimal
    digits."""
    return np.packbits(right).tobytes().hex()


def unpack(text: str, count: int) -> np.ndarray:
    """The array that `pack` was given, of `count` images."""
    return np.unpackbits(np.frombuffer(bytes.fromhex(text), np.uint8), count=count).astype(bool)


def difference(one: Mapping[str, Any], other: Mapping[str, Any], key: str) -> Difference:
    """The difference of two figures of judged.json, such as those under AutoAttack. Raises
    ValueError for different images."""
    n = one["images"]
    if other["images"] != n:
        raise ValueError(f"{key}: {n:,} and {other['images']:,} images cannot be paired")
    first, second = (unpack(figure[OUTCOMES][key], n) for figure in (one, other))
    b, c = int((first & ~second).sum()), int((second & ~first).sum())
    centre = (b - c) / (n + 2)
    width = NORMAL_QUANTILE * math.sqrt(((b + c + 1) / (n + 2) - centre**2) / (n + 2))
    low, high = max(-1.0, centre - width), min(1.0, centre + width)
    return Difference(100 * (b - c) / n, 100 * low, 100 * high)
