"""Augmentation against plain definitions, its random numbers, and their frequencies."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinyproto.data.augment import crop_and_flip, elastic
from tinyproto.kernels.warp import warp
from tinyproto.random import uniform

# elastic


def images(count, height, width, seed=0):
    return np.random.default_rng(seed).random((count, height, width), np.float32)


@given(st.integers(1, 6), st.integers(1, 9), st.integers(1, 9), st.integers(0, 5))
def test_no_shift_and_no_displacement_is_the_identity(count, height, width, epoch):
    x = images(count, height, width)
    np.testing.assert_array_equal(
        elastic(x, seed=0, epoch=epoch, max_shift=0, max_displacement=0), x
    )


@given(st.integers(-3, 3), st.integers(-3, 3))
def test_a_shift_by_whole_pixels_fills_with_zeros(down, right):
    x = images(2, 6, 7)
    field = np.zeros((2, 3, 3, 2), np.float32)
    field[..., 0], field[..., 1] = down, right
    out = np.empty_like(x)
    warp(2, x, field, out)
    padded = np.pad(x, [(0, 0), (3, 3), (3, 3)])
    expected = padded[:, 3 + down : 9 + down, 3 + right : 10 + right]
    np.testing.assert_allclose(out, expected, atol=1e-6)


def test_a_linear_field_deforms_a_linear_image_exactly():
    """Bilinear interpolation reproduces linear images and linear fields."""
    row, column = np.mgrid[0:9, 0:9].astype(np.float64)
    x = (2 * row + 3 * column)[None]
    field = np.zeros((1, 3, 3, 2))
    field[0, ..., 0] = 0.05 * np.array([[0], [4], [8]])  # down by 5 % of the row
    out = np.empty_like(x)
    warp(1, x, field, out)
    expected = (2 * 1.05 * row + 3 * column)[None]
    np.testing.assert_allclose(out[:, :8, :8], expected[:, :8, :8], atol=1e-12)


@given(st.integers(5, 14), st.integers(5, 14), st.integers(2, 5), st.integers(0, 5))
def test_the_rotation_is_one_about_the_centre(height, width, points, epoch):
    """The map is linear, and is found from images that are linear in the row and the column."""
    row, column = np.mgrid[0:height, 0:width].astype(np.float64)
    largest, out = 10.0, []
    for image in (row, column):  # one at a time: both have index 0, and so the same angle
        out.append(elastic(
            image[None], seed=1, epoch=epoch, max_shift=0, max_displacement=0,
            max_rotation=largest, control_points=points,
        )[0])  # fmt: skip
    middle = np.array([height - 1, width - 1]) / 2
    position = np.stack([row, column], axis=-1) - middle
    found = np.stack(out, axis=-1) - middle
    inside = (slice(1, -1), slice(1, -1))  # near the border zeros come in
    p, q = position[inside].reshape(-1, 2), found[inside].reshape(-1, 2)
    near = np.abs(p).max(axis=1) <= min(height, width) / 4 + 0.5
    matrix, *_ = np.linalg.lstsq(p[near], q[near], rcond=None)
    np.testing.assert_allclose(p[near] @ matrix, q[near], atol=1e-6)
    np.testing.assert_allclose(matrix @ matrix.T, np.eye(2), atol=1e-6)
    assert np.linalg.det(matrix) > 0
    angle = np.degrees(np.arctan2(matrix[0, 1], matrix[0, 0]))
    assert 0 < abs(angle) <= largest


def test_rotations_are_uniform_and_of_an_image_each():
    column = np.mgrid[0:5, 0:5][1].astype(np.float64)
    x = np.repeat(column[None], 4000, axis=0)
    out = elastic(x, seed=0, epoch=0, max_shift=0, max_displacement=0, max_rotation=10.0)
    sine = out[:, 3, 2] - out[:, 2, 2]  # one pixel down from the centre
    angle = np.degrees(np.arcsin(sine))
    counts, _ = np.histogram(angle, bins=10, range=(-10, 10))
    assert counts.sum() == len(x)
    assert (np.abs(counts - 400) < 5 * np.sqrt(400)).all()


@given(st.integers(1, 7), st.integers(0, 3))
def test_elastic_depends_on_index_epoch_and_seed_only(cut, epoch):
    x = images(8, 5, 5)
    whole = elastic(x, seed=3, epoch=epoch, max_rotation=20)
    rest = elastic(x[cut:], seed=3, epoch=epoch, index=np.arange(cut, 8), max_rotation=20)
    np.testing.assert_array_equal(whole[cut:], rest)
    assert (elastic(x, seed=3, epoch=epoch + 1) != whole).any()
    assert (elastic(x, seed=4, epoch=epoch) != whole).any()


def test_values_stay_in_their_range():
    out = elastic(images(50, 28, 28), seed=0, epoch=0)
    assert out.min() >= 0
    assert out.max() <= 1


@pytest.mark.parametrize("probability", [0.0, 0.3, 1.0])
def test_a_part_of_the_images_is_deformed_and_the_rest_stays(probability):
    x = images(2000, 5, 4)
    out = elastic(x, seed=3, epoch=1, probability=probability)
    always = elastic(x, seed=3, epoch=1)
    deformed = (out == always).all(axis=(1, 2))
    np.testing.assert_array_equal(out[~deformed], x[~deformed])
    assert abs(deformed.mean() - probability) < 4 * 0.5 / np.sqrt(len(x))
    some = np.array([7, 2, 1999])
    again = elastic(x[some], seed=3, epoch=1, index=some, probability=probability)
    np.testing.assert_array_equal(again, out[some])


@pytest.mark.parametrize("probability", [-0.1, 1.1])
def test_a_probability_of_deformations_is_checked(probability):
    with pytest.raises(ValueError, match="probability"):
        elastic(images(2, 3, 3), seed=0, epoch=0, probability=probability)


# crop_and_flip


def colour(count, height, width, channels=3, dtype=np.float32):
    """Random images without zeros, so that every zero in a result is padding or cutout."""
    return np.random.default_rng(0).uniform(0.1, 1, (count, height, width, channels)).astype(dtype)


def reference(image, drawn, padding, flip, cutout):
    """The definition for one image, with five uniform numbers in [0, 1)."""
    height, width, _ = image.shape
    padded = np.pad(image, [(padding, padding), (padding, padding), (0, 0)])
    top, left = (int(u * (2 * padding + 1)) for u in drawn[:2])
    piece = padded[top : top + height, left : left + width].copy()
    if flip and drawn[2] >= 0.5:
        piece = piece[:, ::-1].copy()
    top, left = int(drawn[3] * height) - cutout // 2, int(drawn[4] * width) - cutout // 2
    piece[max(top, 0) : max(top + cutout, 0), max(left, 0) : max(left + cutout, 0)] = 0
    return piece


@given(
    shape=st.tuples(*[st.integers(low, high) for low, high in ((0, 5), (1, 7), (1, 7), (1, 4))]),
    dtype=st.sampled_from([np.float32, np.float64]),
    seed=st.integers(0, 2**32 - 1),
    padding=st.integers(0, 9),
    flip=st.booleans(),
    cutout=st.integers(0, 9),
)
def test_crop_and_flip_is_its_definition(shape, dtype, seed, padding, flip, cutout):
    x = colour(*shape, dtype)
    options = {"padding": padding, "flip": flip, "cutout": cutout}
    out = crop_and_flip(x, seed=seed, epoch=2, **options)
    drawn = uniform(5, np.arange(len(x)), seed=seed, stream="crop_and_flip", epoch=2)
    expected = [reference(*pair, **options) for pair in zip(x, drawn, strict=True)]
    np.testing.assert_array_equal(out, np.reshape(expected, shape))
    assert out.dtype == dtype


@given(st.permutations(range(9)), st.integers(1, 9), st.integers(0, 3))
def test_crop_and_flip_depends_on_index_and_epoch_only(order, batch, epoch):
    x = colour(9, 6, 5)
    name = {"seed": 3, "epoch": epoch, "cutout": 3}
    whole = crop_and_flip(x, **name)
    order = np.array(order)
    for start in range(0, 9, batch):
        index = order[start : start + batch]
        np.testing.assert_array_equal(crop_and_flip(x[index], index=index, **name), whole[index])


def test_another_epoch_or_seed_gives_other_crops():
    x = colour(100, 8, 8)
    base = crop_and_flip(x, seed=3, epoch=0)
    for name in ({"seed": 3, "epoch": 1}, {"seed": 4, "epoch": 0}):
        same = (crop_and_flip(x, **name) == base).all(axis=(1, 2, 3))
        assert same.mean() < 0.1  # by chance 1 in 162


def test_all_positions_are_equally_frequent_and_half_are_flipped():
    """The value of each pixel is its position, so that the central pixel shows the crop."""
    count, side, padding = 5000, 9, 2
    numbers = np.arange(side**2, dtype=np.float64).reshape(1, side, side, 1)
    x = np.repeat(numbers, count, axis=0)
    out = crop_and_flip(x, seed=0, epoch=0, padding=padding)
    middle = out[:, 4, 4, 0].astype(int)
    down, right = middle // side - 4, middle % side - 4
    flipped = out[:, 4, 5, 0] < out[:, 4, 4, 0]
    counts = np.histogram2d(down, right, bins=np.arange(-2.5, 3))[0]
    assert counts.sum() == count
    np.testing.assert_allclose(counts, count / 25, atol=5 * np.sqrt(count / 25))
    for part in (flipped, flipped[(down > 0) & (right < 0)]):  # independent of the crop
        assert abs(part.mean() - 0.5) < 2.5 / np.sqrt(len(part))


def test_every_pixel_is_the_centre_of_a_cutout_equally_often():
    x = np.ones((5000, 5, 4, 3), np.float32)
    zeros = crop_and_flip(x, seed=0, epoch=0, padding=0, cutout=1) == 0
    np.testing.assert_array_equal(zeros.sum(axis=(1, 2, 3)), 3)  # one pixel, in each channel
    np.testing.assert_allclose(zeros.sum(axis=0), 250, atol=5 * np.sqrt(250))


@pytest.mark.parametrize("flip", [False, True])
def test_without_padding_an_image_is_itself_or_its_mirror_image(flip):
    x = colour(50, 5, 4)
    before = x.copy()
    out = crop_and_flip(x, seed=0, epoch=0, padding=0, flip=flip)
    unchanged = (out == x).all(axis=(1, 2, 3))
    np.testing.assert_array_equal(out[~unchanged], x[~unchanged, :, ::-1])
    assert (~unchanged).any() == flip
    assert not np.shares_memory(out, x)
    np.testing.assert_array_equal(x, before)


def test_images_may_have_any_memory_layout():
    x = colour(6, 5, 4).transpose(0, 3, 1, 2).copy().transpose(0, 2, 3, 1)[::2]
    out = crop_and_flip(x, seed=0, epoch=0)
    np.testing.assert_array_equal(out, crop_and_flip(x.copy(order="C"), seed=0, epoch=0))
    grey = x[..., 0]
    out = elastic(grey, seed=0, epoch=0)
    np.testing.assert_array_equal(out, elastic(grey.copy(order="C"), seed=0, epoch=0))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"padding": -1}, "padding must be 0 or more, not -1"),
        ({"padding": 1.5}, "padding must be a whole number, 0 or more, not 1.5"),
        ({"cutout": -2}, "cutout must be 0 or more, not -2"),
        ({"images": np.ones((3, 8, 8))}, "images must have the shape (N, H, W, C), not (3, 8, 8)"),
        (
            {"index": np.arange(2)},
            "index must hold one position for each of 3 examples, shape (3,), not (2,)",
        ),
        ({"index": np.array([0, 1, -1])}, "index must hold integers of 0 or more, not -1"),
        (
            {"index": np.arange(3) + 2**32},
            "index must be in [0, 2**32), not 4294967296 … 4294967298",
        ),
        ({"seed": -1}, "seed must be in [0, 2**32), not -1"),
    ],
)
def test_wrong_arguments(change, message):
    with pytest.raises(ValueError) as caught:  # noqa: PT011 — the whole message is compared
        crop_and_flip(**{"images": colour(3, 8, 8), "seed": 0, "epoch": 0, **change})
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"images": np.ones((3, 8, 8, 1))}, r"images must have the shape \(N, H, W\), not"),
        ({"index": np.arange(2)}, r"one position for each of 3 examples, shape \(3,\), not \(2,\)"),
        ({"index": np.arange(4)}, r"shape \(3,\), not \(4,\)"),
        ({"index": np.arange(3.0)}, "index must hold integers of 0 or more, not float64"),
        ({"control_points": 1}, "control_points must be 2 or more, not 1"),
        ({"control_points": 2.5}, "control_points must be a whole number, 2 or more, not 2.5"),
        ({"max_shift": np.nan}, "max_shift must be a finite number of 0 or more, not nan"),
        ({"max_rotation": -1}, "max_rotation must be a finite number of 0 or more, not -1"),
        ({"max_displacement": -1}, "max_displacement must be a finite number of 0 or more, not -1"),
    ],
)
def test_wrong_arguments_of_elastic(change, message):
    with pytest.raises(ValueError, match=message):
        elastic(**{"images": images(3, 8, 8), "seed": 0, "epoch": 0, **change})


@given(
    st.sampled_from([elastic, crop_and_flip]),
    st.sampled_from(["u1", "i4", "i8", "f2", "f4", "f8", "g", ">f4", ">i2", "?", "c8", "U1"]),
)
def test_other_dtypes_are_refused_and_no_kernel_sees_them(function, dtype):
    x = colour(2, 5, 4) if function is crop_and_flip else images(2, 5, 4)
    x = (9 * x).astype(dtype)
    right = dtype in ("f4", "f8") or (function is crop_and_flip and dtype in ("u1", "i4", "i8"))
    if right:
        assert function(x, seed=0, epoch=0).dtype == x.dtype
    else:
        with pytest.raises(ValueError, match="images must hold float32 or float64"):
            function(x, seed=0, epoch=0)
