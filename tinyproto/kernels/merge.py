"""What `kernels.channels` found of each row, merged for each channel.

Row i of these kernels is a channel. Their results, and with them all sums, are float64.
"""

from ..backend import kernel, row_sum


@kernel
def merge_moments(i, t, T, mean, variance, means, rests, squares, pixels):
    """mean[i] and variance[i] of channel i, from what `channel_moments` found of each row, of
    `pixels` pixels each.

    Source: Chan, Golub and LeVeque (1979). Σ (x − μ)² = Σ_r (Σ_p (x − μ_r)² + P (μ_r − μ)²), with
    μ_r = means[r] + rests[r] / P. The results, and with them all sums, are float64.
    """
    total = mean.dtype.type(0)
    for r in range(t, means.shape[0], T):
        total += means[r, i] + rests[r, i] / mean.dtype.type(pixels)
    centre = row_sum(total) / means.shape[0]
    square = mean.dtype.type(0)
    for r in range(t, means.shape[0], T):
        difference = means[r, i] + rests[r, i] / mean.dtype.type(pixels) - centre
        square += squares[r, i] + pixels * difference * difference
    square = row_sum(square)
    if t == 0:
        mean[i] = centre
        variance[i] = square / (pixels * means.shape[0])


@kernel
def merge_gradients(i, t, T, d_scale, d_shift, inverse, product, total):
    """d_scale[i] = inverse[i] Σ_r product[r, i] and d_shift[i] = Σ_r total[r, i] of channel i.

    The results, and with them both sums, are float64.
    """
    products, sums = d_scale.dtype.type(0), d_scale.dtype.type(0)
    for r in range(t, product.shape[0], T):
        products += product[r, i]
        sums += total[r, i]
    products = row_sum(products)
    sums = row_sum(sums)
    if t == 0:
        d_scale[i] = inverse[i] * products
        d_shift[i] = sums
