"""Philox4x32-10 (Salmon and others, "Parallel random numbers: as easy as 1, 2, 3", SC 2011): random
numbers as a function of a counter and a key, without a state."""

from ..backend import kernel, routine


@routine
def multiply(a, b):
    """(high, low): the two words of 32 bits of the product of two words, in 63 bits.

    One factor is split in halves, so that every partial product is below 2⁴⁹: signed integers of
    any device, and Python's own in the simulator, give the same words.
    """
    low = (a & 0xFFFF) * b
    high = (a >> 16) * b + (low >> 16)
    return high >> 16, ((high & 0xFFFF) << 16) | (low & 0xFFFF)


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
    """out[i, 4b … 4b + 3] = Philox of the counter (b, index[i], c2, c3) and the key (k0, k1).

    index (N,), out (N, 4 · blocks) int64. Row i is an example, block b one call of Philox.
    """
    for b in range(t, out.shape[1] // 4, T):
        w0, w1, w2, w3 = philox(b, index[i], c2, c3, k0, k1)
        out[i, 4 * b] = w0
        out[i, 4 * b + 1] = w1
        out[i, 4 * b + 2] = w2
        out[i, 4 * b + 3] = w3
