"""The five matrices, applied to vectors of channels: products with small numbers, written out.

Bᵀ =  4  0 −5  0  1  0     G =  1/4    0     0      A =  1  0  0  0
      0 −4 −4  1  1  0         −1/6 −1/6  −1/6          1  1  1  1
      0  4 −4 −1  1  0         −1/6  1/6  −1/6          1 −1  1 −1
      0 −2 −1  2  1  0         1/24  1/12  1/6          1  2  4  8
      0  2 −1 −2  1  0         1/24 −1/12  1/6          1 −2  4 −8
      0  4  0 −5  0  1            0     0    1          0  0  0  1

The rows of p and −p share their even and odd parts.
"""

import numba
import numpy as np

from ..vector import fma

inline = numba.njit(forceinline=True, error_model="numpy")
TWO, FOUR, EIGHT, FIVE = (np.float32(n) for n in (2, 4, 8, 5))
QUARTER, SIXTH, TWELFTH, TWENTY_FOURTH = (np.float32(1 / n) for n in (4, 6, 12, 24))


@inline
def transform_image(d0, d1, d2, d3, d4, d5):
    """Bᵀ d."""
    even, odd = fma(-FOUR, d2, d4), fma(-FOUR, d1, d3)
    even_2, odd_2 = d4 - d2, d3 - d1
    return (
        fma(FOUR, d0, fma(-FIVE, d2, d4)),
        even + odd,
        even - odd,
        fma(TWO, odd_2, even_2),
        fma(-TWO, odd_2, even_2),
        fma(FOUR, d1, fma(-FIVE, d3, d5)),
    )


@inline
def gather_outputs(m0, m1, m2, m3, m4, m5):
    """Aᵀ m."""
    even, odd, even_2, odd_2 = m1 + m2, m1 - m2, m3 + m4, m3 - m4
    return (
        m0 + even + even_2,
        fma(TWO, odd_2, odd),
        fma(FOUR, even_2, even),
        fma(EIGHT, odd_2, odd) + m5,
    )


@inline
def spread_gradient(e0, e1, e2, e3):
    """A e."""
    even, odd = e0 + e2, e1 + e3
    even_2, half_odd_2 = fma(FOUR, e2, e0), fma(FOUR, e3, e1)
    return (
        e0,
        even + odd,
        even - odd,
        fma(TWO, half_odd_2, even_2),
        fma(-TWO, half_odd_2, even_2),
        e3,
    )


@inline
def transform_weights(g0, g1, g2, zero):
    """G g."""
    even = g0 + g2
    even_2 = fma(TWENTY_FOURTH, g0, fma(SIXTH, g2, zero))
    return (
        fma(QUARTER, g0, zero),
        fma(-SIXTH, even + g1, zero),
        fma(-SIXTH, even - g1, zero),
        fma(TWELFTH, g1, even_2),
        fma(-TWELFTH, g1, even_2),
        g2,
    )


@inline
def gather_weights(u0, u1, u2, u3, u4, u5, zero):
    """Gᵀ u."""
    even, odd, even_2, odd_2 = u1 + u2, u1 - u2, u3 + u4, u3 - u4
    return (
        fma(QUARTER, u0, fma(-SIXTH, even, fma(TWENTY_FOURTH, even_2, zero))),
        fma(-SIXTH, odd, fma(TWELFTH, odd_2, zero)),
        fma(-SIXTH, even, fma(SIXTH, even_2, u5)),
    )
