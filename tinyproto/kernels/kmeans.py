"""The two halves of Lloyd's k-means iteration: assign each sample to its nearest centre, then move
each centre to the mean of its samples."""

from ..backend import kernel, row_sum
from .winner_take_all import squared_distance


@kernel
def assign_clusters(i, t, T, x, centres, label, distance):
    """label[i] = argminₖ ‖xᵢ − cₖ‖², of equal ones the first; distance[i] = minₖ ‖xᵢ − cₖ‖².

    x (N, d), centres (K, d), label and distance (N,). A row is a sample.
    """
    best = row_sum(squared_distance(t, T, x[i], centres[0]))
    nearest = 0
    for k in range(1, centres.shape[0]):
        value = row_sum(squared_distance(t, T, x[i], centres[k]))
        if value < best:
            best = value
            nearest = k
    if t == 0:
        label[i] = nearest
        distance[i] = best


@kernel
def cluster_means(i, t, T, x, label, centres):
    """centres[i] = the mean of the samples with label i; without any, the centre stays.

    A row is a cluster.
    """
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
