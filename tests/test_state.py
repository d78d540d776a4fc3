"""Files of arrays: whole or not at all, and nothing but what was saved."""

import numpy as np
import pytest

from tinyproto.state import atomic_write, load_arrays, save_arrays


def test_arrays_and_metadata_come_back(tmp_path):
    path = tmp_path / "new" / "folder" / "x.npz"
    saved = {"b/weight": np.eye(2, dtype=np.float32), "a": np.arange(3), "empty": np.zeros((0, 2))}
    save_arrays(saved, path, {"epoch": 3, "names": ["a", "é"]})
    arrays, metadata = load_arrays(path)
    assert list(arrays) == list(saved)
    for name, array in saved.items():
        assert arrays[name].dtype == array.dtype
        np.testing.assert_array_equal(arrays[name], array)
    assert metadata == {"epoch": 3, "names": ["a", "é"]}
    assert list(path.parent.iterdir()) == [path]


def test_metadata_may_be_left_out(tmp_path):
    save_arrays({}, tmp_path / "x.npz")
    assert load_arrays(tmp_path / "x.npz") == ({}, {})


def test_a_file_of_other_origin_is_refused(tmp_path):
    np.savez(tmp_path / "x.npz", a=np.ones(1))
    with pytest.raises(ValueError, match="is not a file that tinyproto saved"):
        load_arrays(tmp_path / "x.npz")


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_an_interrupted_write_leaves_the_old_file(tmp_path, error):
    path = tmp_path / "x.txt"
    path.write_text("old")

    def interrupted():
        with atomic_write(path) as temporary:
            temporary.write_text("half")
            assert path.read_text() == "old"
            raise error

    with pytest.raises(error):
        interrupted()
    assert path.read_text() == "old"
    with atomic_write(path) as temporary:
        temporary.write_text("new")
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]
