"""Numba's cache: whatever is wrong with it costs time, never an exception or a wrong number."""

import errno
import logging
import os
import shutil
import subprocess
import sys
import warnings
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tinyproto.backend import cpu
from tinyproto.backend.cpu import cpu_kernel

numba = cpu.load_numba()
cache = sys.modules["tinyproto.backend.cache"]


def _fill(worker, workers, x, value):
    for i in range(worker, len(x), workers):
        x[i] = value


def fill(dtype=np.float64):
    """Compile the kernel, or load it, and run it. Returns what Numba made."""
    kernel, x = cpu_kernel(_fill), np.zeros(5, dtype)
    kernel(1, x, dtype(3))
    np.testing.assert_array_equal(x, 3)
    (compiled,) = kernel._compiled.values()
    return compiled.function


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A new cache, in which warnings and the notice have not been given."""
    monkeypatch.setattr(numba.config, "CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(cache, "_warned", False)
    cache.tell_that_kernels_are_compiled.cache_clear()
    return tmp_path


@pytest.fixture
def silent():
    """Within the test, a warning is an error."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def files(folder, suffix):
    return sorted(folder.rglob(f"*{suffix}"))


def fill_with_one_warning():
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert [fill().cache_hits, fill(np.float32).cache_hits] == [0, 0]
    (message,) = [str(warning.message) for warning in caught]
    assert message.startswith("Numba's cache of compiled kernels")
    assert "\n" not in message
    return message


def test_a_kernel_is_compiled_once(folder, silent):
    assert [fill().cache_hits for _ in range(3)] == [0, 1, 1]
    assert [fill(np.float32).cache_hits for _ in range(2)] == [0, 1]


def _scaling(scale):
    def scaled(worker, workers, x):
        for i in range(worker, len(x), workers):
            x[i] *= scale

    return cpu_kernel(scaled)


def test_values_that_a_body_captures_are_not_mixed_up(folder, silent):
    for scale in (2.0, 3.0, 2.0):
        x = np.ones(3)
        _scaling(scale)(1, x)
        assert (x == scale).all()


def test_no_folder_can_be_written(folder, monkeypatch):
    monkeypatch.setattr("numba.core.caching.CacheImpl._locator_classes", [])
    assert "no locator available" in fill_with_one_warning()


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EROFS, errno.EACCES, errno.EDQUOT])
def test_a_file_cannot_be_written(folder, monkeypatch, code):
    def refuse(*_):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr("numba.core.caching.IndexDataCacheFile._open_for_write", refuse)
    assert os.strerror(code) in fill_with_one_warning()


def test_a_file_cannot_be_written_to_its_end(folder):
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, before[1]))
    try:
        fill_with_one_warning()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert not files(folder, "tmp.*")
    assert [fill().cache_hits for _ in range(2)] == [0, 1]


def test_a_folder_that_is_deleted_is_made_again(folder, silent):
    fill()
    shutil.rmtree(folder)
    assert [fill().cache_hits for _ in range(2)] == [0, 1]


@pytest.mark.parametrize("suffix", [".nbi", ".nbc"])
def test_a_file_that_cannot_be_read(folder, suffix):
    """A folder is in its place: so it is for an administrator too, who may read every file."""
    fill()
    (path,) = files(folder, suffix)
    path.unlink()
    path.mkdir()
    fill_with_one_warning()


DAMAGES = {
    "empty": lambda data: b"",
    "half": lambda data: data[: len(data) // 2],
    "without its last byte": lambda data: data[:-1],
    "zeros": lambda data: bytes(len(data)),
    "random": lambda data: np.random.default_rng(0).bytes(len(data)),
    "a bit of its middle": lambda data: flip(data, 4 * len(data)),
}


def flip(data, bit):
    changed = bytearray(data)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


@pytest.mark.parametrize("suffix", [".nbi", ".nbc"])
@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_file_is_replaced(folder, suffix, damage):
    fill()
    (path,) = files(folder, suffix)
    path.write_bytes(DAMAGES[damage](path.read_bytes()))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert fill().cache_hits == 0
    assert len(caught) <= 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert fill().cache_hits == 1


def test_no_damage_is_believed(folder, monkeypatch):
    """What is loaded is what was stored, or nothing: 300 truncations, bits and bytes."""
    function = fill()
    store, context = function._cache, function._targetdescr.target_context
    key = store.cache._index_key(function._sig, context.codegen())
    stored = store.cache._cache_file.files.load(key)[2]
    paths = files(folder, ".nbi") + files(folder, ".nbc")
    contents = [path.read_bytes() for path in paths]
    seen = {"refused": 0, "loaded": 0}

    def load_bytes():
        with monkeypatch.context() as patch, suppress(Exception):
            patch.setattr(cache, "pickle", SimpleNamespace(loads=lambda data: data))
            return store.cache._cache_file.load(key)

    @settings(max_examples=300)
    @given(st.integers(0, 1), st.data())
    def check(index, data):
        content = contents[index]
        kind = data.draw(st.sampled_from(["bit", "bytes", "truncated", "longer"]))
        place = data.draw(st.integers(0, len(content) - 1))
        new = data.draw(st.binary(min_size=1, max_size=9))
        damaged = {
            "bit": flip(content, 8 * place + data.draw(st.integers(0, 7))),
            "bytes": content[:place] + new + content[place + len(new) :],
            "truncated": content[:place],
            "longer": content[:place] + new + content[place:],
        }[kind]
        for path, written in zip(paths, contents, strict=True):
            path.write_bytes(written)
        paths[index].write_bytes(damaged)
        loaded = load_bytes()
        assert loaded in (None, stored)
        seen["refused" if loaded is None else "loaded"] += 1
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            store.load_overload(function._sig, context)

    check()
    assert seen["refused"] > 100


def test_a_file_of_another_kernel_is_not_loaded(folder, silent):
    """Two processes that compile at the same time may give their kernels one name."""
    fill(np.float64), fill(np.int64)
    first, second = files(folder, ".nbc")
    shutil.copy(first, second)
    assert fill(np.int64).cache_hits == 0
    assert [fill(dtype).cache_hits for dtype in (np.float64, np.int64)] == [1, 1]


def test_another_version_of_numba(folder, silent, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(numba, "__version__", "0.1")
        fill()
    assert [fill().cache_hits for _ in range(2)] == [0, 1]


def test_the_notice_is_given_once_and_only_while_something_compiles(folder, capfd, monkeypatch):
    monkeypatch.setattr(logging.getLogger("tinyproto"), "propagate", False)  # to pytest's handlers
    fill()
    fill(np.float32)
    assert capfd.readouterr().err.count("tinyproto: compiling kernels") == 1
    cache.tell_that_kernels_are_compiled.cache_clear()
    fill()
    assert capfd.readouterr().err == ""


def test_the_notice_can_be_silenced(folder, caplog):
    with caplog.at_level(logging.ERROR, "tinyproto"):
        fill()
    assert caplog.records == []


def run(program, folder, **options):
    return subprocess.Popen(
        [sys.executable, *program],
        env={**os.environ, "NUMBA_CACHE_DIR": str(folder)},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options,
    )  # fmt: skip


def test_a_wrong_option_compiles_nothing(tmp_path):
    example = Path(__file__).parents[2] / "examples" / "mnist_ed_wta.py"
    process = run([str(example), "--dataset", "foo"], tmp_path)
    errors = process.communicate()[1]
    assert process.returncode == 2
    assert "compiling" not in errors
    assert not list(tmp_path.iterdir())


PROGRAM = """
import sys, zlib
import numpy as np
from tinyproto.data.augment import elastic
images = np.random.default_rng(0).random((20, 28, 28)).astype(sys.argv[1])
print(zlib.crc32(elastic(images, seed=0, epoch=0).tobytes()))
"""


@pytest.mark.slow
def test_processes_that_compile_at_once(tmp_path):
    """Compiled code and code that comes from the cache, in which they write, give the same bits."""
    dtypes = ["float32", "float64", "float32"]

    def run_all(at_once):
        outputs = []
        for some in [dtypes] if at_once else [[dtype] for dtype in dtypes]:
            processes = [run(["-W", "error", "-c", PROGRAM, dtype], tmp_path) for dtype in some]
            outputs += [process.communicate() for process in processes]
            assert [process.returncode for process in processes] == [0] * len(some), outputs
        return [printed for printed, _ in outputs], "".join(errors for _, errors in outputs)

    bits, _ = run_all(at_once=True)
    assert bits[0] == bits[2]
    assert run_all(at_once=True)[0] == bits
    run_all(at_once=False)  # the index of a file is that of the last to write: one may be missing
    assert run_all(at_once=False) == (bits, "")
