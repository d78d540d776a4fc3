r"""3 × 3 convolutions with a quarter of the multiplications (Winograd; Lavin and Gray, 1509.09308).

**One row.** Four outputs of a filter with three taps, y_i = Σ_j g_j d_{i+j}, take 12 products when
they are computed one by one. Six are enough. Read the taps as a polynomial g(t) = g₀ + g₁t + g₂t²,
and four numbers e as e(t) = e₀ + e₁t + e₂t² + e₃t³: their product has degree 5, so it is known from
its values at six points, and a value of a product is a product of values:

    (g e)(p) = g(p) e(p)        p = 0, a, −a, b, −b, ∞        (∞: the leading coefficients)

Let G (6 × 3) and A (6 × 4) be the matrices that evaluate at these points (the row of p is 1, p, p²
in G and 1, p, p², p³ in A; that of ∞ is 0 … 0, 1), and C (6 × 6) the one that interpolates:

    g e = C [(G g) ⊙ (A e)] = C diag(G g) A e.

So C diag(G g) A is the matrix of e ↦ g e, which has g_{k−i} in row k and column i. Its transpose,
with g_{k−i} in row i and column k, is the filter, since Σ_k g_{k−i} d_k = Σ_j g_j d_{i+j}; and the
transpose of a product is the product of the transposes in reverse. With B = C,

    y = Aᵀ diag(G g) Bᵀ d = Aᵀ [(G g) ⊙ (Bᵀ d)].

Scaling a row of Bᵀ and dividing the same row of G by it changes nothing, so the fractions are put
into G, which meets only the weights. The points are ours to choose, and ±5/8 and ±3/2 are.

**An image.** Apply this to the rows and then to the columns of a tile of 6 × 6 pixels: 4 × 4
outputs from 6 · 6 = 36 products, instead of 16 · 9 = 144. With channels, each of the 36 products
becomes a sum over them: 36 matrix products, tiles × in times in × out, all the multiplications
that are left,

    V = Bᵀ d B      U = G g Gᵀ      M_f = V_f U_f  (f = 1 … 36)      y = Aᵀ M A.

**Backwards.** dx is the same convolution of dy with the weights turned by 180°, in and out
exchanged, and 2 − P pixels of padding for P. dW, by the chain rule through the formula above,

    dM = A dy Aᵀ        dU_f = V_fᵀ dM_f        dW = Gᵀ dU G,

summed over tiles.

**Where the accuracy goes.** Bᵀ takes differences of pixels, Aᵀ weighs products by up to b³: what
cancels leaves its rounding behind, the more the further the points lie from 1 on either side. With
the points 0, ±1, ±2, ∞, which make integers of Bᵀ and Aᵀ and are the ones mostly used, the rounding
of an output is about four times that of direct sums; 5/8 and 3/2, whose reciprocals nearly are each
other, halve it for the same work. An infinity spoils all of every tile that sees it; and outputs
that direct sums would give the same bits, of equal windows, may differ in the last ones.

`transforms` holds the matrices, `tiles` takes images apart and puts them together,
`convolve` and `weights` are the two passes.
"""

from .convolve import forward, input_gradient
from .weights import weight_gradient

__all__ = ["forward", "input_gradient", "weight_gradient"]
