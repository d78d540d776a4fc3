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


@given(st.integers(1, 4), st.integers(1, 5), st.integers(0, 1000))
def test_fewer_distinct_samples_than_clusters_are_said(distinct, extra, seed):
    points = np.arange(distinct, dtype=float)[:, None] * [3, -2]
    x = points[np.arange(12) % distinct]
    found = (
        rf"distinct clusters \({distinct}\) found smaller than n_clusters \({distinct + extra}\)"
    )
    with pytest.warns(UserWarning, match=found):
        centres, label, inertia = kmeans(x, distinct + extra, seed=seed)
    assert {tuple(c) for c in centres} == {tuple(p) for p in points}
    np.testing.assert_array_equal(centres[label], x)
    assert inertia == 0


@given(st.sampled_from(["f2", ">f4", "f8", "g", "i1", ">i8", "u4"]), st.integers(1, 5))
def test_numbers_of_every_dtype_have_the_means_of_float64(dtype, clusters):
    x = np.random.default_rng(0).integers(0, 99, (20, 3)).astype(dtype)
    centres, label, inertia = kmeans(x, clusters)
    expected = kmeans(x.astype(np.float64), clusters)
    assert centres.dtype == np.float64
    np.testing.assert_array_equal(centres, expected[0])
    np.testing.assert_array_equal(label, expected[1])
    assert inertia == expected[2]


@pytest.mark.parametrize(
    ("x", "options", "message"),
    [
        (np.zeros(3), {}, "Expected 2D array"),
        (np.full((3, 2), np.nan), {}, "Input x contains NaN"),
        (np.eye(3) * 1e200, {}, "squared distances overflow float64; scale the samples"),
        (np.eye(3), {"iterations": 1.5}, "iterations must be a whole number, 0 or more, not 1.5"),
        (np.eye(3), {"tolerance": np.nan}, "tolerance must be a finite number"),
        (np.eye(3), {"seed": -1}, "seed must be in"),
    ],
)
@pytest.mark.filterwarnings("ignore:overflow encountered")
def test_wrong_arguments_get_one_line(x, options, message):
    with pytest.raises(ValueError, match=message):
        kmeans(x, 2, **options)


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


@pytest.mark.parametrize("clusters", [0, -2, 4, 1.5, "2"])
def test_impossible_numbers_of_clusters(clusters):
    with pytest.raises(ValueError, match=f"clusters must be .*, not {clusters!r}"):
        kmeans(np.eye(3), clusters)
    with pytest.raises(ValueError, match=f"clusters must be .*, not {clusters!r}"):
        kmeans_plus_plus(np.eye(3), clusters)
