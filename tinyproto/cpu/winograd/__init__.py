r"""3 × 3 convolutions with a quarter of the multiplications: Winograd's F(4 × 4, 3 × 3).

The algorithm and its names (V, U, M; input, filter and output transform) are those of Lavin and
Gray, "Fast Algorithms for Convolutional Neural Networks", arXiv 1509.09308.

**One row.** Four outputs of a filter with three taps, y_i = Σ_j g_j d_{i+j}, take 12 products when
each is computed by itself. Six are enough. Read the taps as a polynomial g(t) = g₀ + g₁t + g₂t²,
and four numbers e as e(t) = e₀ + e₁t + e₂t² + e₃t³. Their product has degree 5, so its values at
six points determine it, and a value of the product is the product of two values:

    (g e)(p) = g(p) e(p)        p = 0, a, −a, b, −b, ∞        (∞: the leading coefficients)

Let G (6 × 3) and A (6 × 4) be the matrices that evaluate at these points (the row of p is 1, p, p²
in G and 1, p, p², p³ in A; that of ∞ is 0 … 0, 1), and C (6 × 6) the one that interpolates:

    g e = C [(G g) ⊙ (A e)] = C diag(G g) A e.

So C diag(G g) A is the matrix of e ↦ g e, which has g_{k−i} in row k and column i. Its transpose,
with g_{k−i} in row i and column k, is the filter, since Σ_k g_{k−i} d_k = Σ_j g_j d_{i+j}; and the
transpose of a product is the product of the transposes in reverse. With B = C,

    y = Aᵀ diag(G g) Bᵀ d = Aᵀ [(G g) ⊙ (Bᵀ d)].

Scaling a row of Bᵀ and dividing the same row of G by the same number changes nothing, so all
fractions are moved into G, which is applied to the weights alone. The points can be chosen freely;
here they are ±5/8 and ±3/2.

**An image.** Apply this to the rows and then to the columns of a tile of 6 × 6 pixels: 4 × 4
outputs from 6 · 6 = 36 products, instead of 16 · 9 = 144. Neighbouring tiles overlap by two pixels.
With channels, each of the 36 products becomes a sum over the input channels. Over all tiles that is
one matrix product, (tiles × in) times (in × out), for each of the 36 positions f in a tile, which
are called frequencies:

    V = Bᵀ d B      U = G g Gᵀ      M_f = V_f U_f  (f = 0 … 35)      y = Aᵀ M A.

**Backward.** dx is the same convolution of dy, with the weights rotated by 180°, in and out
exchanged, and a padding of 2 − P where the forward pass had P. dW follows by the chain rule through
the formula above,

    dM = A dy Aᵀ        dU_f = V_fᵀ dM_f        dW = Gᵀ dU G,

summed over tiles.

**Accuracy.** Bᵀ takes differences of pixels, Aᵀ multiplies by up to b³, and G divides by products
of differences of the points: where large terms cancel, their rounding errors stay, and they grow as
the points move away from 1 in either direction or towards each other. With the usual points
0, ±1, ±2, ∞, which make Bᵀ and Aᵀ integer, the error of an output over 64 input channels is about
four times that of a direct sum (ten times over one channel); 5/8 and 3/2, nearly reciprocal to each
other, halve it for the same work. An infinity in x spoils every output of the tiles that contain
it, and two equal windows may give outputs that differ in the last bits, where a direct sum gives
equal ones.

`transforms` holds the matrices; `filters` computes U; `tiles` computes V and, from M, y; `layout`
says where V and M are in memory; `convolve` is the forward pass and dx, `weights` is dW.
"""

from .convolve import forward, input_gradient
from .filters import prepare_weights
from .weights import weight_gradient

__all__ = ["forward", "input_gradient", "prepare_weights", "weight_gradient"]
