"""Differences of neurons: the rows of the polyhedra of `prototypes.certificate`."""

from ..backend import kernel


@kernel
def difference_sums(i, t, T, rivals, own, squares, sums):
    """sums[i, k] = Σⱼ |rivalsᵢⱼ − ownⱼₖ|, or that of the squares. A row is a rival.

    rivals (R, d), own (d, K), sums (R, K). The vector loop is over k, so that each sum is added in
    the order of j: equal inputs give equal bits in every process.
    """
    for k in range(t, own.shape[1], T):
        sums[i, k] = 0
    for j in range(own.shape[0]):
        value = rivals[i, j]
        if squares:
            for k in range(t, own.shape[1], T):
                sums[i, k] += (value - own[j, k]) * (value - own[j, k])
        else:
            for k in range(t, own.shape[1], T):
                sums[i, k] += abs(value - own[j, k])
