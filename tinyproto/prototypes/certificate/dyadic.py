"""Exact arithmetic for the few radii whose rounding errors are too large in float64.

A float is an integer times a power of two, and sums and products of such numbers are again such
numbers. So with Python's integers, which have any length, the rows of a polyhedron, its right-hand
sides and the lower bound of any multipliers can be computed without a single rounding, from the
parameters of the network themselves. Only the last step rounds, downwards.
"""

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Dyadic:
    """The numbers n · 2^exponent, for an array n of integers (or one integer)."""

    n: Any
    exponent: int

    @staticmethod
    def of(array: Any) -> "Dyadic":
        """Floats (finite), exactly."""
        mantissa, exponent = np.frexp(np.asarray(array, dtype=np.float64))
        integers = (mantissa * 2.0**53).astype(np.int64).astype(object)
        exponent = np.where(mantissa == 0, 0, exponent - 53)
        lowest = int(exponent[mantissa != 0].min()) if (mantissa != 0).any() else 0
        shift = np.where(mantissa == 0, 0, exponent - lowest).astype(object)
        return Dyadic(integers << shift, lowest)

    def _at(self, exponent: int) -> Any:
        """The integers n for a lower exponent."""
        return self.n << (self.exponent - exponent) if self.exponent > exponent else self.n

    def __add__(self, other: "Dyadic") -> "Dyadic":
        lowest = min(self.exponent, other.exponent)
        return Dyadic(self._at(lowest) + other._at(lowest), lowest)

    def __neg__(self) -> "Dyadic":
        return Dyadic(-self.n, self.exponent)

    def __sub__(self, other: "Dyadic") -> "Dyadic":
        return self + -other

    def __mul__(self, other: "Dyadic") -> "Dyadic":
        return Dyadic(self.n * other.n, self.exponent + other.exponent)

    def __matmul__(self, other: "Dyadic") -> "Dyadic":
        return Dyadic(self.n @ other.n, self.exponent + other.exponent)

    def __getitem__(self, at: Any) -> "Dyadic":
        return Dyadic(self.n[at], self.exponent)

    def times_power(self, exponent: int) -> "Dyadic":
        """Times 2^exponent."""
        return Dyadic(self.n, self.exponent + exponent)

    def sum(self, axis: int | None = None) -> "Dyadic":
        return Dyadic(self.n.sum(axis=axis), self.exponent)

    def fraction(self) -> Fraction:
        """One number as a fraction."""
        return scaled(Fraction(int(self.n)), self.exponent)


def scaled(value: Fraction, exponent: int) -> Fraction:
    """value · 2^exponent."""
    power = Fraction(1 << abs(exponent))
    return value * power if exponent >= 0 else value / power


def round_down(value: Fraction) -> float:
    """A float below a positive fraction; at most two units in the last place below."""
    try:
        return math.nextafter(float(value), 0.0)
    except OverflowError:
        return float(np.finfo(np.float64).max)


def root_down(value: Fraction) -> float:
    """A float below the square root of a positive fraction."""
    numerator, denominator = value.numerator, value.denominator
    shift = 128 - (numerator.bit_length() - denominator.bit_length()) // 2
    square = scaled(value, 2 * shift)  # between 2^254 and 2^258, so that its root has 128 bits
    root = math.isqrt(square.numerator // square.denominator)
    return round_down(scaled(Fraction(root), -shift))
