"""Files of arrays: whole or not at all, and nothing but what was saved."""

import os
import stat
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tinyproto.state import (
    METADATA,
    array_checksum,
    atomic_write,
    load_arrays,
    parameters_checksum,
    save_arrays,
)

posix = pytest.mark.skipif(sys.platform == "win32", reason="permissions and links of POSIX")


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


def test_each_write_has_a_temporary_file_of_its_own(tmp_path):
    """Threads that write one file at once: it is always one of them, whole."""
    path, together = tmp_path / "x.txt", threading.Barrier(4, timeout=30)

    def write(letter):
        with atomic_write(path) as temporary:
            together.wait()
            with open(temporary, "w") as file:
                for _ in range(1000):
                    file.write(letter)
            together.wait()
        return temporary

    with ThreadPoolExecutor(4) as pool:
        temporaries = set(pool.map(write, "abcd"))
    assert len(temporaries) == 4
    assert path.read_text() in {letter * 1000 for letter in "abcd"}
    assert list(tmp_path.iterdir()) == [path]


@posix
@pytest.mark.parametrize("umask", [0o022, 0o077, 0o002])
def test_the_permissions_are_those_of_any_new_file(tmp_path, umask):
    before = os.umask(umask)
    try:
        save_arrays({}, tmp_path / "x.npz")
        (tmp_path / "y").write_text("")
    finally:
        os.umask(before)
    modes = [stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("x.npz", "y")]
    assert modes[0] == modes[1] == 0o666 & ~umask


@posix
@pytest.mark.parametrize("mode", [0o600, 0o664, 0o444])
def test_a_file_that_is_replaced_keeps_its_permissions(tmp_path, mode):
    path = tmp_path / "x.npz"
    path.write_text("old")
    path.chmod(mode)
    save_arrays({}, path)
    assert stat.S_IMODE(path.stat().st_mode) == mode
    assert load_arrays(path) == ({}, {})


@posix
def test_what_a_link_points_to_is_replaced(tmp_path):
    (tmp_path / "disk").mkdir()
    (tmp_path / "x.npz").symlink_to(tmp_path / "disk" / "large.npz")
    save_arrays({}, tmp_path / "x.npz")
    assert (tmp_path / "x.npz").is_symlink()
    assert [path.name for path in (tmp_path / "disk").iterdir()] == ["large.npz"]


def test_the_bytes_are_on_the_disk_before_the_name(tmp_path, monkeypatch):
    calls = []
    monkeypatch.setattr("os.fsync", lambda descriptor: calls.append("fsync"))
    rename = os.replace
    monkeypatch.setattr("os.replace", lambda *names: (calls.append("rename"), rename(*names)))
    save_arrays({}, tmp_path / "x.npz")
    assert calls[:2] == ["fsync", "rename"]


def test_a_folder_or_a_file_in_the_place_of_a_folder_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    (tmp_path / "folder").mkdir()
    for place, message in (
        (tmp_path / "folder", "is a folder: a file is needed"),
        (tmp_path / "file" / "x.npz", "needs a folder where there is a file"),
        (tmp_path / "file" / "deep" / "x.npz", "needs a folder where there is a file"),
    ):
        with pytest.raises(ValueError, match=message):
            save_arrays({}, place)
    if sys.platform != "win32":
        with pytest.raises(ValueError, match="is a device: a file is needed"):
            save_arrays({}, "/dev/null")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "folder"]


def test_a_folder_is_no_file(tmp_path):
    with pytest.raises(OSError, match=tmp_path.name):
        load_arrays(tmp_path)
    with pytest.raises(FileNotFoundError, match="absent"):
        load_arrays(tmp_path / "absent")


dtypes = (
    hnp.boolean_dtypes() | hnp.integer_dtypes() | hnp.unsigned_integer_dtypes()
    | hnp.floating_dtypes() | hnp.complex_number_dtypes() | hnp.unicode_string_dtypes(max_len=5)
    | hnp.byte_string_dtypes(max_len=5)
)  # fmt: skip


@given(
    array=dtypes.flatmap(lambda dtype: hnp.arrays(dtype, hnp.array_shapes(min_dims=0, min_side=0))),
    name=st.sampled_from(["file", "allow_pickle", "arr_0", "a.npy", "../x", ""])
    | st.text(max_size=9),
    fortran=st.booleans(),
)
def test_any_array_comes_back(tmp_path_factory, array, name, fortran):
    assume("\0" not in name and name != METADATA)
    path = tmp_path_factory.getbasetemp() / "any.npz"
    saved = np.asfortranarray(array) if fortran else array
    save_arrays({name: saved}, path)
    found = load_arrays(path)[0][name]
    assert found.dtype == array.dtype
    assert found.flags.writeable
    np.testing.assert_array_equal(found, array)


def test_a_network_without_parameters_has_a_checksum():
    assert parameters_checksum({}) == array_checksum(np.zeros(0))


@pytest.mark.parametrize("array", [np.zeros(1, "M8[s]"), np.zeros(1, [("a", "i4")])])
def test_what_could_not_be_loaded_is_not_saved(tmp_path, array):
    with pytest.raises(ValueError, match="cannot save 'x': its dtype is"):
        save_arrays({"x": array}, tmp_path / "x.npz")
    assert list(tmp_path.iterdir()) == []
