"""The three matrices, as five transforms of vectors of channels, written out.

Bᵀ =  4  0 −5  0  1  0     G =  1/4    0     0      A =  1  0  0  0
      0 −4 −4  1  1  0         −1/6 −1/6  −1/6          1  1  1  1
      0  4 −4 −1  1  0         −1/6  1/6  −1/6          1 −1  1 −1
      0 −2 −1  2  1  0         1/24  1/12  1/6          1  2  4  8
      0  2 −1 −2  1  0         1/24 −1/12  1/6          1 −2  4 −8
      0  4  0 −5  0  1            0     0    1          0  0  0  1

The rows of p and −p share their even and odd parts.
"""

import numpy as np

from ..vector import fma, inline, load, splat, store

TWO, FOUR, EIGHT, FIVE = (np.float32(n) for n in (2, 4, 8, 5))
QUARTER, SIXTH, TWELFTH, TWENTY_FOURTH = (np.float32(1 / n) for n in (4, 6, 12, 24))


@inline
def load_four(at, step):
    return load(at), load(at + step), load(at + 2 * step), load(at + 3 * step)


@inline
def load_six(at, step):
    return (
        load(at),
        load(at + step),
        load(at + 2 * step),
        load(at + 3 * step),
        load(at + 4 * step),
        load(at + 5 * step),
    )


@inline
def store_six(values, at, step):
    store(values[0], at)
    store(values[1], at + step)
    store(values[2], at + 2 * step)
    store(values[3], at + 3 * step)
    store(values[4], at + 4 * step)
    store(values[5], at + 5 * step)


@inline
def transform_image(d):
    """Bᵀ d."""
    even, odd = fma(-FOUR, d[2], d[4]), fma(-FOUR, d[1], d[3])
    even_2, odd_2 = d[4] - d[2], d[3] - d[1]
    return (
        fma(FOUR, d[0], fma(-FIVE, d[2], d[4])),
        even + odd,
        even - odd,
        fma(TWO, odd_2, even_2),
        fma(-TWO, odd_2, even_2),
        fma(FOUR, d[1], fma(-FIVE, d[3], d[5])),
    )


@inline
def gather_outputs(m):
    """Aᵀ m."""
    even, odd, even_2, odd_2 = m[1] + m[2], m[1] - m[2], m[3] + m[4], m[3] - m[4]
    return (
        m[0] + even + even_2,
        fma(TWO, odd_2, odd),
        fma(FOUR, even_2, even),
        fma(EIGHT, odd_2, odd) + m[5],
    )


@inline
def spread_gradient(e):
    """A e."""
    even, odd = e[0] + e[2], e[1] + e[3]
    even_2, half_odd_2 = fma(FOUR, e[2], e[0]), fma(FOUR, e[3], e[1])
    return (
        e[0],
        even + odd,
        even - odd,
        fma(TWO, half_odd_2, even_2),
        fma(-TWO, half_odd_2, even_2),
        e[3],
    )


@inline
def transform_weights(g0, g1, g2):
    """G g."""
    zero = splat(np.float32(0))
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
def gather_weights(u):
    """Gᵀ u."""
    zero = splat(np.float32(0))
    even, odd, even_2, odd_2 = u[1] + u[2], u[1] - u[2], u[3] + u[4], u[3] - u[4]
    return (
        fma(QUARTER, u[0], fma(-SIXTH, even, fma(TWENTY_FOURTH, even_2, zero))),
        fma(-SIXTH, odd, fma(TWELFTH, odd_2, zero)),
        fma(-SIXTH, even, fma(SIXTH, even_2, u[5])),
    )
