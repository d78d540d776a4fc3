"""Reader of the published files of CIFAR-10-C, on small files of the same form."""

import numpy as np
import pytest

from tinyproto.data import CORRUPTIONS, load_corrupted
from tinyproto.data.damage import FormatError

IMAGES = np.random.default_rng(0).integers(0, 256, (35, 32, 32, 3), np.uint8)
LABELS = (np.arange(35) % 7).astype(np.uint8)


@pytest.fixture
def folder(tmp_path):
    for name in CORRUPTIONS:
        np.save(tmp_path / f"{name}.npy", IMAGES)
    np.save(tmp_path / "labels.npy", LABELS)
    return tmp_path


@pytest.mark.parametrize("severity", range(1, 6))
@pytest.mark.parametrize("name", ["fog", "jpeg_compression", "saturate"])
def test_a_severity_is_a_fifth_of_the_file(folder, name, severity):
    images, labels = load_corrupted(folder, name, severity)
    part = slice(7 * (severity - 1), 7 * severity)
    assert (images == IMAGES[part]).all()
    assert (labels == LABELS[part]).all()
    assert (images.dtype, labels.dtype) == (np.uint8, np.int64)


def test_images_stay_in_the_file(folder):
    images, _ = load_corrupted(str(folder), "fog", 2)
    assert isinstance(images, np.memmap)
    with pytest.raises(ValueError, match="read-only"):
        images[0] = 0


@pytest.mark.parametrize(
    ("name", "severity", "message"),
    [("rain", 1, "name must be one of gaussian_noise, "), ("fog", 0, "severity must be 1 … 5"),
     ("labels", 1, "not 'labels'"), ("../fog", 1, "name must be one of")],
)  # fmt: skip
def test_what_there_is_not(folder, name, severity, message):
    with pytest.raises(ValueError, match=message):
        load_corrupted(folder, name, severity)


def rejected(folder):
    with pytest.raises(FormatError) as error:
        load_corrupted(folder, "fog", 3)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_missing_files(folder, tmp_path):
    (folder / "labels.npy").unlink()
    assert rejected(folder).endswith("labels.npy: expected an array, .npy, found nothing")
    (folder / "fog.npy").unlink()
    assert rejected(folder).endswith("fog.npy: expected an array, .npy, found nothing")
    (folder / "fog.npy").mkdir()
    assert rejected(folder).endswith("found a folder")
    assert "found nothing" in rejected(tmp_path / "nowhere")


@pytest.mark.parametrize("kept", [0, 5, 60, 128, 1000, -1])
def test_a_file_that_was_cut_short(folder, kept):
    for name in ("fog.npy", "labels.npy"):
        whole = (folder / name).read_bytes()
        (folder / name).write_bytes(whole[:kept] if kept < len(whole) else whole[:-1])
        assert name in rejected(folder)
        (folder / name).write_bytes(whole)
    load_corrupted(folder, "fog", 3)


def test_a_file_with_something_behind_the_array(folder):
    with open(folder / "fog.npy", "ab") as file:
        file.write(b"x")
    size = 128 + IMAGES.nbytes
    assert rejected(folder).endswith(f"fog.npy: expected {size:,} bytes, found {size + 1:,}")


@pytest.mark.parametrize(
    ("images", "labels", "message"),
    [
        (IMAGES.astype(np.float32), LABELS, r"uint8 \(N, 32, 32, 3\), found float32 \(35, 32"),
        (IMAGES[:, :28], LABELS, r"uint8 \(N, 32, 32, 3\), found uint8 \(35, 28, 32, 3\)"),
        (IMAGES[0], LABELS, r"found uint8 \(32, 32, 3\)"),
        (IMAGES[:34], LABELS[:34], "for each of 5 severities, found 34"),
        (IMAGES[:0], LABELS[:0], "for each of 5 severities, found 0"),
        (IMAGES, LABELS[:7], "labels.npy: expected 35 labels, found 7"),
        (IMAGES, LABELS[:, None], r"labels.npy: expected integers \(N,\), found uint8 \(35, 1\)"),
        (IMAGES, LABELS / 2, r"labels.npy: expected integers \(N,\), found float64"),
        (IMAGES, np.array([{}] * 35), "labels.npy: expected an array, .npy, found damage"),
    ],
)
def test_arrays_of_another_form(folder, images, labels, message):
    np.save(folder / "fog.npy", images)
    np.save(folder / "labels.npy", labels, allow_pickle=True)
    with pytest.raises(FormatError, match=message):
        load_corrupted(folder, "fog", 3)


def test_other_files_are_no_arrays(folder):
    (folder / "fog.npy").write_bytes(b"PK\x03\x04 not an array" * 20)
    assert "fog.npy: expected an array, .npy, found damage" in rejected(folder)
