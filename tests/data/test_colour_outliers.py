"""Outliers in colour: the digits are in the middle, the noise is as described, all is uint8."""

import numpy as np
import pytest

from tinyproto.data import colour_outliers, corrupt, load, load_outliers


@pytest.fixture(scope="module")
def test_images():
    return load("cifar10", download=False).x_test[:40]


def test_grey_images_are_in_the_middle(test_images):
    found = colour_outliers(test_images, count=30, corruptions=())
    digits = load("mnist", download=False).x_test[:30]
    expected = np.pad(digits, [(0, 0), (2, 2), (2, 2)])
    for channel in range(3):
        np.testing.assert_array_equal(found["MNIST"][..., channel], expected)
    known = {"MNIST", "uniform noise", "Gaussian noise"}
    if "fashion" in load_outliers():
        known.add("Fashion-MNIST")
        middle = found["Fashion-MNIST"][:, 2:-2, 2:-2, 0]
        np.testing.assert_array_equal(middle, load_outliers()["fashion"][:30])
    assert set(found) == known
    for images in found.values():
        assert images.dtype == np.uint8
        assert images.shape == (30, 32, 32, 3)


def test_noise_has_its_distribution_and_its_seed(test_images):
    found = colour_outliers(test_images, count=40, corruptions=())
    uniform, normal = (found[f"{name} noise"].astype(float) for name in ("uniform", "Gaussian"))
    counts = np.bincount(found["uniform noise"].ravel(), minlength=256)
    assert counts.min() > 0.8 * counts.mean()
    assert counts.max() < 1.2 * counts.mean()
    assert normal.mean() == pytest.approx(127, abs=0.5)
    assert normal.std() == pytest.approx(61.4, abs=0.4)  # 64, cut off at ±2 standard deviations
    fewer = colour_outliers(test_images, count=3, corruptions=())
    np.testing.assert_array_equal(fewer["Gaussian noise"], found["Gaussian noise"][:3])
    other = colour_outliers(test_images, count=40, corruptions=(), seed=1)
    assert (other["uniform noise"] != uniform).any()


def test_corrupted_images_are_those_of_corrupt(test_images):
    pytest.importorskip("scipy")
    pytest.importorskip("PIL")
    found = colour_outliers(test_images, count=10, corruptions=("fog", "contrast"), severity=3)
    for name in ("fog", "contrast"):
        expected = corrupt(test_images[:10], name, 3, seed=0)
        np.testing.assert_array_equal(found[f"{name}, severity 3"], expected)


def test_wrong_arguments_get_one_line(test_images, tmp_path):
    with pytest.raises(ValueError, match="count must be 1 or more"):
        colour_outliers(test_images, count=0)
    with pytest.raises(ValueError, match="corruptions must be a tuple of names, not 'fog'"):
        colour_outliers(test_images, corruptions="fog")
    with pytest.raises(FileNotFoundError):
        colour_outliers(test_images, directory=tmp_path / "nowhere")
