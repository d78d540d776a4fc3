"""k-means: Lloyd's conditions, the inertia beside scikit-learn's, edge cases."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinyproto.prototypes import kmeans, kmeans_plus_plus


@given(st.integers(1, 40), st.integers(1, 5), st.integers(1, 8), st.integers(0, 1000))
def test_it_converges_to_a_fixed_point(samples, features, clusters, seed):
    clusters = min(clusters, samples)
    x = np.random.default_rng(seed).normal(size=(samples, features))
    centres, label, inertia = kmeans(x, clusters, seed=seed, tolerance=0.0)
    distance = ((x[:, None] - centres) ** 2).sum(axis=2)
    np.testing.assert_array_equal(label, distance.argmin(axis=1))
    np.testing.assert_allclose(inertia, distance.min(axis=1).sum(), rtol=1e-10, atol=1e-12)
    for k in range(clusters):
        if (label == k).any():
            np.testing.assert_allclose(centres[k], x[label == k].mean(axis=0), atol=1e-10)


@given(st.integers(2, 6), st.integers(0, 1000))
def test_kmeans_plus_plus_chooses_distinct_samples(clusters, seed):
    x = np.random.default_rng(seed).normal(size=(20, 3))
    centres = kmeans_plus_plus(x, clusters, seed=seed)
    chosen = [np.flatnonzero((x == c).all(axis=1)) for c in centres]
    assert all(len(c) == 1 for c in chosen)
    assert len({int(c[0]) for c in chosen}) == clusters


def test_equal_samples_are_accepted():
    centres, _, inertia = kmeans(np.ones((9, 2)), 3)
    np.testing.assert_array_equal(centres, np.ones((3, 2)))
    assert inertia == 0


def test_the_inertia_is_near_that_of_scikit_learn():
    cluster = pytest.importorskip("sklearn.cluster")
    random = np.random.default_rng(0)
    x = random.normal(size=(500, 8)) + 6 * random.normal(size=(10, 8))[np.arange(500) % 10]
    ours = np.median([kmeans(x, 10, seed=s)[2] for s in range(15)])
    theirs = [
        cluster.KMeans(10, init="k-means++", n_init=1, random_state=s).fit(x).inertia_
        for s in range(15)
    ]
    assert ours <= 1.25 * np.median(theirs)


@pytest.mark.parametrize("clusters", [0, -2, 4])
def test_impossible_numbers_of_clusters(clusters):
    with pytest.raises(ValueError, match=f"between 1 and the 3 samples, not {clusters}"):
        kmeans(np.eye(3), clusters)
