"""Corruptions: properties that hold for all of them, and independent definitions of their parts."""

import colorsys
import importlib.util
import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage, stats

from tinyproto.data import CORRUPTION_GROUPS, CORRUPTIONS, corrupt
from tinyproto.data.corruptions import blur, digital, noise, spatter, weather
from tinyproto.data.corruptions.catalogue import BATCH_SIZE, CATALOGUE
from tinyproto.data.corruptions.draws import Draws
from tinyproto.data.corruptions.frost_textures import TEXTURE_SIDE, frost_textures
from tinyproto.data.corruptions.linear import blur_along_line
from tinyproto.kernels.chamfer import chamfer_distance
from tinyproto.kernels.quantile import quantiles
from tinyproto.kernels.resample import resample

WITHOUT_RANDOMNESS = {
    "defocus_blur", "zoom_blur", "brightness", "contrast", "pixelate", "jpeg_compression",
    "gaussian_blur", "saturate",
}  # fmt: skip


def smooth_images(count, seed=0):
    """Images with large and small structures, like photographs."""
    random = np.random.default_rng(seed).normal(size=(count, 32, 32, 3))
    coarse = ndimage.gaussian_filter(random, (0, 4, 4, 0), mode="wrap")
    return np.clip(128 + 500 * coarse + 12 * random, 0, 255).astype(np.uint8)


IMAGES = smooth_images(7)


def test_the_names():
    assert len(CORRUPTIONS) == 19
    assert sum(CORRUPTION_GROUPS.values(), ()) == CORRUPTIONS
    assert len(set(CORRUPTIONS)) == 19
    assert [len(names) for names in CORRUPTION_GROUPS.values()] == [3, 4, 4, 4, 4]


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_an_images_result_depends_on_its_index_only(name):
    @given(order=st.permutations(range(len(IMAGES))), count=st.integers(1, len(IMAGES)))
    def check(order, count):
        some = np.array(order[:count])
        assert (corrupt(IMAGES[some], name, 4, index=some) == together[some]).all()

    together = corrupt(IMAGES, name, 4)
    check()


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_results_do_not_depend_on_the_batches(name):
    images = np.resize(IMAGES, (BATCH_SIZE + 3, 32, 32, 3))
    index = np.arange(len(images))
    whole = corrupt(images, name, 2)
    assert (corrupt(images[-5:], name, 2, index=index[-5:]) == whole[-5:]).all()


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_seed_and_severity_change_it_and_the_images_stay(name):
    before = IMAGES.copy()
    first = corrupt(IMAGES, name, 3, seed=1)
    assert first.dtype == np.uint8
    assert first.shape == IMAGES.shape
    assert (first == corrupt(IMAGES, name, 3, seed=1)).all()
    same = (first == corrupt(IMAGES, name, 3, seed=2)).all()
    assert same == (name in WITHOUT_RANDOMNESS)
    assert (first != corrupt(IMAGES, name, 4, seed=1)).any()
    assert (before == IMAGES).all()


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_images_that_are_not_contiguous(name):
    mirrored = IMAGES[:, :, ::-1]
    assert (corrupt(mirrored, name, 5) == corrupt(mirrored.copy(), name, 5)).all()


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_no_images(name):
    assert corrupt(IMAGES[:0], name, 1).shape == (0, 32, 32, 3)


@pytest.mark.parametrize("value", [0, 1, 128, 255])
@pytest.mark.parametrize(
    "name",
    [*CORRUPTION_GROUPS["blur"], "gaussian_blur", "pixelate", "elastic_transform", "contrast"],
)
def test_a_constant_image_stays_but_for_rounding(name, value):
    images = np.full((2, 32, 32, 3), value, np.uint8)
    for severity in range(1, 6):
        changed = corrupt(images, name, severity).astype(int) - value
        # Glass blur cuts fractions off twice.
        assert changed.max() <= 0
        assert changed.min() >= (-2 if name == "glass_blur" else -1)


@pytest.mark.parametrize("name", ["gaussian_noise", "shot_noise", "impulse_noise", "speckle_noise",
                                  "defocus_blur", "zoom_blur", "gaussian_blur", "fog", "brightness",
                                  "contrast", "pixelate", "jpeg_compression"])  # fmt: skip
def test_higher_severity_is_farther_from_the_image(name):
    images = smooth_images(40, seed=1)
    change = [((corrupt(images, name, s) - images.astype(float)) ** 2).mean() for s in range(1, 6)]
    assert change == sorted(change)
    assert 0 < change[0] < change[4]


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"images": IMAGES[0]}, r"images must have the shape \(N, 32, 32, 3\), not \(32, 32, 3\)"),
        ({"images": IMAGES[:, :28]}, r"images must have the shape \(N, 32, 32, 3\)"),
        ({"images": IMAGES / 255}, "images must be a NumPy array of uint8, not float64"),
        ({"name": "rain"}, "name must be one of gaussian_noise, .* not 'rain'"),
        ({"severity": 0}, "severity must be 1 … 5, not 0"),
        ({"severity": 6}, "severity must be 1 … 5, not 6"),
        ({"severity": 1.0}, "severity must be a whole number"),
        ({"seed": -1}, r"seed must be in \[0, 2\*\*32\), not -1"),
        ({"index": np.arange(2)}, "index must hold one position for each of 7 examples"),
    ],
)
def test_what_is_refused(changed, message):
    arguments = {"images": IMAGES, "name": "fog", "severity": 1} | changed
    with pytest.raises(ValueError, match=message) as error:
        corrupt(**arguments)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("module", "package", "names"),
    [
        ("scipy", "SciPy", ["gaussian_blur", "defocus_blur", "glass_blur", "spatter"]),
        ("PIL", "Pillow", ["pixelate", "jpeg_compression"]),
    ],
)
def test_a_missing_package_is_named(monkeypatch, module, package, names):
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda n: None if n == module else found(n))
    for name in names:
        with pytest.raises(ImportError, match=f"needs {package}; install it with: pip install"):
            corrupt(IMAGES, name, 1)


# Noise.


@pytest.mark.parametrize("severity", range(1, 6))
def test_noise_has_the_moments_that_it_is_defined_by(severity):
    grey = np.full((300, 32, 32, 3), 100, np.uint8)
    x, s = 100 / 255, severity - 1
    deviation = {
        "gaussian_noise": noise.GAUSSIAN[s],
        "shot_noise": np.sqrt(x / noise.SHOT[s]),
        "speckle_noise": x * noise.SPECKLE[s],
    }
    for name, expected in deviation.items():
        corruption = CATALOGUE[name]
        numbers = corruption.draw(Draws(np.arange(300), 0, name, severity), grey)
        change = corruption.apply(grey, severity, *numbers) / 255 - x
        assert change.std() == pytest.approx(expected, rel=0.005)
        assert change.mean() == pytest.approx(0, abs=0.005 * expected)
        assert abs(corrupt(grey, name, severity) / 255 - x - change).max() <= 1 / 255


@pytest.mark.parametrize("severity", range(1, 6))
def test_impulse_noise_changes_single_values(severity):
    grey = np.full((300, 32, 32, 3), 100, np.uint8)
    noisy = corrupt(grey, "impulse_noise", severity)
    assert set(np.unique(noisy)) == {0, 100, 255}
    expected = noise.IMPULSE[severity - 1] / 2
    assert (noisy == 0).mean() == pytest.approx(expected, rel=0.03)
    assert (noisy == 255).mean() == pytest.approx(expected, rel=0.03)


@pytest.mark.parametrize("photons", noise.SHOT)
def test_the_poisson_distribution(photons):
    mean = photons * np.arange(256)[:, None] / 255
    expected = stats.poisson.cdf(np.arange(photons), mean)
    assert np.allclose(noise.poisson_distribution(photons), expected, rtol=1e-10, atol=1e-13)


@given(seed=st.integers(0, 1000), length=st.integers(1, 40))
def test_quantiles(seed, length):
    random = np.random.default_rng(seed)
    table = np.sort(random.integers(0, 9, (3, length)) / 8, axis=1)
    uniform, which = random.integers(0, 8, (4, 10)) / 8, random.integers(0, 3, (4, 10))
    out = np.zeros((4, 10), np.int64)
    quantiles(4, uniform, which, table, out)
    for place in np.ndindex(out.shape):
        assert out[place] == (table[which[place]] <= uniform[place]).sum()


# Blur.


@given(
    seed=st.integers(0, 100), angle=st.floats(-180, 180), radius=st.integers(1, 15),
    sigma=st.floats(0.5, 12),
)  # fmt: skip
def test_blur_along_a_line_is_a_weighted_mean(seed, angle, radius, sigma):
    image = np.random.default_rng(seed).integers(0, 256, (1, 6, 5, 1), np.uint8)
    out = blur_along_line(image, np.array([angle]), radius, sigma)
    weight = stats.norm.pdf(np.arange(2 * radius + 1), scale=sigma)
    for row, column in np.ndindex(6, 5):
        total = 0.0
        for k, w in enumerate(weight / weight.sum()):
            y = row + np.ceil(k * np.sin(np.deg2rad(angle)) - 0.5)
            x = column + np.ceil(k * np.cos(np.deg2rad(angle)) - 0.5)
            total += w * image[0, int(np.clip(y, 0, 5)), int(np.clip(x, 0, 4)), 0]
        assert -1 < out[0, row, column, 0] - total < 0.003


def test_glass_blur_moves_one_pixel_after_the_other():
    severity = 4
    sigma, times = blur.GLASS[severity - 1]
    shift = -np.random.default_rng(0).integers(0, 2, (len(IMAGES), times, 30, 30, 2))
    found = blur.glass_blur(IMAGES, severity, shift)
    for image, shifts, result in zip(IMAGES, shift, found, strict=True):
        x = (ndimage.gaussian_filter(image / 255, (sigma, sigma, 0), mode="nearest") * 255).astype(
            np.uint8
        )
        for turn in shifts:
            for i, j in itertools.product(range(30), repeat=2):
                right, down = turn[i, j]
                x[31 - i, 31 - j] = x[31 - i + down, 31 - j + right]
        expected = ndimage.gaussian_filter(x / 255, (sigma, sigma, 0), mode="nearest") * 255
        assert np.allclose(result, expected)


def test_zoom_blur_is_the_mean_of_enlarged_images():
    severity = 2
    factors = np.arange(1, blur.ZOOM[severity - 1], 0.01)
    rows = np.arange(32)
    for image, result in zip(IMAGES, blur.zoom_blur(IMAGES, severity), strict=True):
        total = image.astype(float)
        for factor in factors:
            part = int(np.ceil(32 / factor))
            first, size = (32 - part) // 2, round(part * factor)
            places = first + (rows + (size - 32) // 2) * (part - 1) / (size - 1)
            for channel in range(3):
                y, x = np.meshgrid(places, places, indexing="ij")
                total[..., channel] += ndimage.map_coordinates(
                    image[..., channel].astype(float), [y, x], order=1, mode="nearest"
                )
        assert np.allclose(result, total / (len(factors) + 1))


# Weather.


def diamond_square(field, decay):
    """The fractal, one pixel after the other."""
    side, numbers = 32, iter(field)
    height = np.zeros((side, side))
    step, roughness = side, 100.0
    while step > 1:
        half = step // 2
        for i, j in itertools.product(range(0, side, step), repeat=2):
            corners = [height[(i + a) % side, (j + b) % side] for a in (0, step) for b in (0, step)]
            height[i + half, j + half] = np.mean(corners) + roughness**2 * next(numbers)
        for down, right in ((0, half), (half, 0)):
            for i, j in itertools.product(range(0, side, step), repeat=2):
                y, x = i + down, j + right
                around = [height[(y + a) % side, (x + b) % side]
                          for a, b in ((half, 0), (-half, 0), (0, half), (0, -half))]  # fmt: skip
                height[y, x] = np.mean(around) + roughness**2 * next(numbers)
        step, roughness = half, roughness / decay
    return (height - height.min()) / (height.max() - height.min())


@given(seed=st.integers(0, 1000), decay=st.floats(1.5, 4))
def test_the_fractal(seed, decay):
    field = np.random.default_rng(seed).uniform(-1, 1, (2, 1023))
    expected = [diamond_square(f, decay) for f in field]
    assert np.allclose(weather.fractal(32, field, decay), expected)


def test_fog_keeps_the_largest_value_and_a_black_image():
    # Where the image is white everywhere, all becomes at most white, and white where fog is thick.
    white = np.full((2, 32, 32, 3), 255, np.uint8)
    assert (corrupt(white, "fog", 3).max(axis=(1, 2, 3)) >= 254).all()
    assert not corrupt(white * 0, "fog", 3).any()


def test_snow_is_the_same_turned_by_180_degrees_on_black():
    layer = corrupt(np.zeros((5, 32, 32, 3), np.uint8), "snow", 5).astype(int)
    assert layer.std() > 10
    assert abs(layer - layer[:, ::-1, ::-1]).max() <= 1


def test_frost_textures_are_what_they_say():
    textures = frost_textures()
    assert textures.shape == (5, TEXTURE_SIDE, TEXTURE_SIDE, 3)
    assert textures.dtype == np.uint8
    # No seam where a texture meets its own copy: the step is like any other.
    x = textures.astype(float)
    steps = abs(x - np.roll(x, 1, axis=1)).mean(axis=(2, 3))
    assert (steps[:, 0] < 2 * steps.mean(axis=1)).all()


def test_frost_shows_parts_of_the_textures():
    black = np.zeros((40, 32, 32, 3), np.uint8)
    shown = corrupt(black, "frost", 1)  # 0.2 of the ice
    windows = np.lib.stride_tricks.sliding_window_view(frost_textures(), (32, 32), axis=(1, 2))
    for image in shown[:6]:
        corner = (0.2 * windows[..., :4, :4]).astype(np.uint8)
        matches = (corner == image[:4, :4].transpose(2, 0, 1)).all(axis=(3, 4, 5))
        whole = [(0.2 * windows[tuple(m)]).astype(np.uint8) for m in np.argwhere(matches)]
        assert any((w == image.transpose(2, 0, 1)).all() for w in whole)
    assert len(np.unique(shown.mean(axis=(1, 2, 3)).round(2))) > 30  # different places


# Spatter.


@given(seed=st.integers(0, 1000), fraction=st.floats(0.01, 0.3))
def test_chamfer_distance_is_the_cheapest_way(seed, fraction):
    straight, diagonal, knight = 65536, 91750, 143976
    on = np.random.default_rng(seed).random((2, 9, 7)) < fraction
    on[0, 3, 5] = True
    far = 1 << 40
    distance = np.where(on, 0, far).astype(np.int64)
    chamfer_distance(2, straight, diagonal, knight, distance)
    for found, marked in zip(distance, on, strict=True):
        for place in np.ndindex(found.shape):
            costs = [far]
            for other in np.argwhere(marked):
                long, short = sorted(abs(other - place), reverse=True)
                costs += [
                    k * knight + max(short - k, 0) * diagonal + (long - k - short) * straight
                    if long >= 2 * short
                    else (long - short) * knight + (2 * short - long) * diagonal
                    for k in [short]
                ]
            assert found[place] == min(costs)


@given(seed=st.integers(0, 1000), levels=st.integers(1, 30))
def test_equalized_levels_follow_the_distribution_function(seed, levels):
    image = np.random.default_rng(seed).integers(3, 3 + levels, (2, 8, 8)).astype(np.uint8)
    for before, after in zip(image, spatter.equalize(image), strict=True):
        if len(np.unique(before)) == 1:
            assert (after == before).all()
            continue
        lowest = (before == before.min()).sum()
        for level in np.unique(before):
            share = ((before <= level).sum() - lowest) / (64 - lowest)
            assert abs(after[before == level] - 255 * share).max() <= 0.5 + 1e-4


def test_edges_of_a_square_are_closed_and_thin():
    image = np.zeros((1, 20, 20), np.uint8)
    image[0, 5:14, 6:15] = 200
    found = spatter.edges(image)[0]
    outside, inside = (found & ~(image[0] > 0)), found & (image[0] > 0)
    assert found.sum() == (outside | inside).sum() > 25
    # What is enclosed cannot be reached from the corner by steps to the four neighbours.
    labels, _ = ndimage.label(~found)
    assert labels[0, 0] != labels[9, 10]
    # No edge is two pixels thick: no 2 × 2 pixels are all edges.
    assert not (found[1:, 1:] & found[:-1, 1:] & found[1:, :-1] & found[:-1, :-1]).any()


def test_faint_edges_need_a_strong_one():
    image = np.zeros((2, 20, 20), np.uint8)
    image[:, :, 10:] = 25  # gradient 100, between the thresholds
    image[1, :4, 10:] = 200
    found = spatter.edges(image)
    assert not found[0].any()
    assert found[1, 10:].any()


# Colours, elastic deformation.


@pytest.mark.parametrize("severity", range(1, 6))
def test_brightness_and_saturation_are_those_of_hsv(severity):
    images = IMAGES[:1].copy()
    images[0, 0, :3] = [[0, 0, 0], [70, 70, 70], [255, 255, 255]]
    factor, added = digital.SATURATE[severity - 1]
    brighter, saturated = digital.brightness(images, severity), digital.saturate(images, severity)
    for row, column in np.ndindex(32, 32):
        h, s, v = colorsys.rgb_to_hsv(*(images[0, row, column] / 255))
        raised = colorsys.hsv_to_rgb(h, s, min(v + digital.BRIGHTNESS[severity - 1], 1))
        assert np.allclose(brighter[0, row, column] / 255, raised, atol=1e-9)
        changed = colorsys.hsv_to_rgb(h, min(s * factor + added, 1), v)
        assert np.allclose(saturated[0, row, column] / 255, changed, atol=1e-9)


@given(seed=st.integers(0, 1000), repeat=st.sampled_from([0, 1]))
def test_resample_agrees_with_scipy(seed, repeat):
    random = np.random.default_rng(seed)
    images = random.random((2, 6, 5, 2))
    places = random.uniform(-12, 16, (2, 6, 5, 2))
    out = np.empty_like(images)
    resample(2, images, places, repeat, out)
    mode = "reflect" if repeat else "mirror"
    for image, where, result in zip(images, places, out, strict=True):
        for c in range(2):
            expected = ndimage.map_coordinates(
                image[..., c], where.transpose(2, 0, 1), order=1, mode=mode
            )
            assert np.allclose(result[..., c], expected)


def test_elastic_transform_moves_the_three_points():
    """A dot at one of the points that define the affine map is found where the point is moved."""
    shift = np.random.default_rng(0).uniform(-1, 1, (20, 3, 2))
    field = np.zeros((20, 2, 32, 32))
    for number, point in enumerate([[26, 26], [26, 6], [6, 6]]):  # column, row
        rows, columns = np.mgrid[:32, :32]
        dot = 255 * np.exp(-((rows - point[1]) ** 2 + (columns - point[0]) ** 2) / 4)
        images = np.repeat(dot.astype(np.uint8)[None, ..., None], 20, axis=0).repeat(3, axis=3)
        moved = digital.elastic_transform(images, 5, shift, field)[..., 0]
        mass = moved.sum(axis=(1, 2))
        found = np.stack([(moved * c).sum(axis=(1, 2)) / mass for c in (columns, rows)], axis=1)
        assert np.allclose(found, point + 0.03 * 32 * shift[:, number], atol=0.15)
