"""The matrices Bᵀ, G and Aᵀ, and the transposes of G and Aᵀ, as functions of vectors of channels.

With the points 0, ±a, ±b, ∞ and M(t) = t (t² − a²)(t² − b²), a row of Bᵀ holds the coefficients of
M(t)/(t − p), that of ∞ those of M; G's row of p is 1, p, p² over M′(p), and A's 1, p, p², p³:

Bᵀ = a²b²   0  −a²−b²   0    1  0     M′(0) = a²b²
       0 −ab²    −b²    a    1  0     M′(±a) = 2a²(a² − b²)
       0  ab²    −b²   −a    1  0     M′(±b) = 2b²(b² − a²)
       0 −a²b    −a²    b    1  0
       0  a²b    −a²   −b    1  0
       0 a²b²     0  −a²−b²  0  1

The rows of p and −p have the same even part and opposite odd parts, so these are computed once.
"""

import numpy as np

from ..simd import fma, inline, load, splat, store

a, b = 5 / 8, 3 / 2
"""The points. All entries of Bᵀ are exact in float32."""

_at_0, _at_a = 1 / (a * a * b * b), 1 / (2 * a * a * (a * a - b * b))
_at_b = 1 / (2 * b * b * (b * b - a * a))
A, B, A2, B2, A3, B3 = map(np.float32, (a, b, a**2, b**2, a**3, b**3))
A2B2, A2_B2 = map(np.float32, (a**2 * b**2, a**2 + b**2))
G0, GA, GA1, GA2 = map(np.float32, (_at_0, _at_a, _at_a * a, _at_a * a**2))
GB, GB1, GB2 = map(np.float32, (_at_b, _at_b * b, _at_b * b**2))


@inline
def load_three(at, step):
    return load(at), load(at + step), load(at + 2 * step)


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
def input_transform(d):
    """Bᵀ d."""
    even_a, odd_a = fma(-B2, d[2], d[4]), fma(-B2, d[1], d[3])
    even_b, odd_b = fma(-A2, d[2], d[4]), fma(-A2, d[1], d[3])
    return (
        fma(A2B2, d[0], fma(-A2_B2, d[2], d[4])),
        fma(A, odd_a, even_a),
        fma(-A, odd_a, even_a),
        fma(B, odd_b, even_b),
        fma(-B, odd_b, even_b),
        fma(A2B2, d[1], fma(-A2_B2, d[3], d[5])),
    )


@inline
def output_transform(m):
    """Aᵀ m."""
    even_a, odd_a, even_b, odd_b = m[1] + m[2], m[1] - m[2], m[3] + m[4], m[3] - m[4]
    zero = splat(np.float32(0))
    return (
        m[0] + even_a + even_b,
        fma(B, odd_b, fma(A, odd_a, zero)),
        fma(B2, even_b, fma(A2, even_a, zero)),
        fma(B3, odd_b, fma(A3, odd_a, m[5])),
    )


@inline
def output_transform_transposed(e):
    """A e: the backward pass of `output_transform`."""
    even_a, odd_a = fma(A2, e[2], e[0]), fma(A2, e[3], e[1])
    even_b, odd_b = fma(B2, e[2], e[0]), fma(B2, e[3], e[1])
    return (
        e[0],
        fma(A, odd_a, even_a),
        fma(-A, odd_a, even_a),
        fma(B, odd_b, even_b),
        fma(-B, odd_b, even_b),
        e[3],
    )


@inline
def filter_transform(g):
    """G g."""
    zero = splat(np.float32(0))
    even_a = fma(GA, g[0], fma(GA2, g[2], zero))
    even_b = fma(GB, g[0], fma(GB2, g[2], zero))
    return (
        fma(G0, g[0], zero),
        fma(GA1, g[1], even_a),
        fma(-GA1, g[1], even_a),
        fma(GB1, g[1], even_b),
        fma(-GB1, g[1], even_b),
        g[2],
    )


@inline
def filter_transform_transposed(u):
    """Gᵀ u: the backward pass of `filter_transform`."""
    even_a, odd_a, even_b, odd_b = u[1] + u[2], u[1] - u[2], u[3] + u[4], u[3] - u[4]
    zero = splat(np.float32(0))
    return (
        fma(G0, u[0], fma(GA, even_a, fma(GB, even_b, zero))),
        fma(GA1, odd_a, fma(GB1, odd_b, zero)),
        fma(GA2, even_a, fma(GB2, even_b, u[5])),
    )
