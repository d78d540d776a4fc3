"""Random numbers of a table's distributions, by the inverse of the distribution function."""

from ..backend import kernel


@kernel
def quantiles(i, t, T, uniform, which, distribution, out):
    """out[i, j] = how many entries of distribution[which[i, j]] are at most uniform[i, j].

    uniform, out (N, M); which (N, M): integers; distribution (D, K): each row ascends.
    """
    for j in range(t, uniform.shape[1], T):
        row = which[i, j]
        low, high = 0, distribution.shape[1]
        while low < high:
            middle = (low + high) // 2
            if distribution[row, middle] <= uniform[i, j]:
                low = middle + 1
            else:
                high = middle
        out[i, j] = low
