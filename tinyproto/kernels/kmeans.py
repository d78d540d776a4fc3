"""The two halves of Lloyd's k-means step: assign every sample, then average every cluster."""

from ..backend import kernel, row_sum
from .winner_take_all import squared_distance


@kernel
def nearest(i, t, T, x, centres, label, distance):
    """label[i] = argminₖ ‖xᵢ − cₖ‖², the lowest k of a tie; distance[i] = that ‖xᵢ − cₖ‖²."""
    best = row_sum(squared_distance(t, T, x[i], centres[0]))
    winner = 0
    for k in range(1, centres.shape[0]):
        value = row_sum(squared_distance(t, T, x[i], centres[k]))
        if value < best:
            best = value
            winner = k
    if t == 0:
        label[i] = winner
        distance[i] = best


@kernel
def cluster_means(i, t, T, x, label, centres):
    """centres[i] = the mean of the samples labelled i; an empty cluster keeps its centre."""
    count = 0
    for n in range(x.shape[0]):
        if label[n] == i:
            count += 1
    if count > 0:
        size = x.dtype.type(count)
        for j in range(t, x.shape[1], T):
            centres[i, j] = 0
        for n in range(x.shape[0]):
            if label[n] == i:
                for j in range(t, x.shape[1], T):
                    centres[i, j] += x[n, j]
        for j in range(t, x.shape[1], T):
            centres[i, j] /= size
