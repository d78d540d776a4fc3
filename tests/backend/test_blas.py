"""How images are shared out to threads, and that BLAS is left as it was found."""

import os
import threading
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinyproto.backend import blas

setter, getter = blas._blas()
needs_openblas = pytest.mark.skipif(setter is None, reason="NumPy brings no OpenBLAS")


@pytest.fixture
def two_blas_threads():
    """OpenBLAS set to two threads for a test."""
    before = getter()
    setter(2)
    if getter() != 2:
        pytest.skip("OpenBLAS runs one thread whatever it is told")
    yield
    setter(before)


@given(st.integers(0, 40), st.integers(1, 12), st.integers(1, 4))
def test_the_groups_cover_all_images_whatever_the_number_of_threads(images, group, count):
    seen = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(blas, "count", lambda: count)
        blas.share(seen.append, images, group)
    starts = range(0, images, group)
    expected = [slice(start, min(start + group, images)) for start in starts]
    assert sorted(seen, key=lambda part: part.start) == expected


def test_the_work_runs_on_several_threads(monkeypatch):
    monkeypatch.setattr(blas, "count", lambda: 2)
    together = threading.Barrier(2, timeout=30)  # passed only by two parts at once
    blas.share(lambda part: together.wait(), 4, 1)
    names = set()
    blas.share(lambda part: names.add(threading.current_thread().name), 4, 1)
    assert all(name.startswith("tinyproto") for name in names)


@pytest.mark.parametrize(("images", "count"), [(3, 4), (20, 1)])
def test_one_group_or_one_thread_stays_where_it_is_called(monkeypatch, images, count):
    monkeypatch.setattr(blas, "count", lambda: count)
    names = set()
    blas.share(lambda part: names.add(threading.current_thread().name), images, 5)
    assert names == {threading.current_thread().name}


@pytest.mark.parametrize("count", [1, 2, 3])
def test_an_exception_reaches_the_caller(monkeypatch, count):
    def work(part):
        if part.start == 6:
            raise KeyError("the seventh image")

    monkeypatch.setattr(blas, "count", lambda: count)
    with pytest.raises(KeyError, match="the seventh image"):
        blas.share(work, 10, 2)
    done = []
    blas.share(done.append, 10, 2)  # and the pool works on
    assert len(done) == 5


@needs_openblas
@pytest.mark.parametrize("count", [1, 2])
def test_blas_runs_one_thread_within_and_what_it_ran_after(monkeypatch, two_blas_threads, count):
    monkeypatch.setattr(blas, "count", lambda: count)
    seen = []
    blas.share(lambda part: seen.append(getter()), 6, 2)
    assert seen == [1, 1, 1]
    assert getter() == 2

    def fails(part):
        raise KeyError(part.start)

    with pytest.raises(KeyError):
        blas.share(fails, 6, 2)
    assert getter() == 2


@needs_openblas
def test_blocks_of_one_blas_thread_nest(two_blas_threads):
    with blas.one_blas_thread():
        with blas.one_blas_thread():
            assert getter() == 1
        assert getter() == 1
    assert getter() == 2
    with pytest.raises(KeyError), blas.one_blas_thread():
        raise KeyError
    assert getter() == 2


@needs_openblas
def test_blocks_of_several_threads_overlap(two_blas_threads):
    """BLAS is restored by the last to leave, not by the first."""
    seen, errors = [], []

    def enter(wait):
        try:
            for _ in range(20):
                with blas.one_blas_thread():
                    time.sleep(wait)
                    seen.append(getter())
        except Exception as error:  # pragma: no cover
            errors.append(error)

    started = [threading.Thread(target=enter, args=(wait,)) for wait in (1e-4, 2e-4, 5e-4)]
    for thread in started:
        thread.start()
    for thread in started:
        thread.join()
    assert errors == []
    assert seen == [1] * 60
    assert getter() == 2


def test_the_number_of_threads(monkeypatch):
    monkeypatch.setenv("NUMBA_NUM_THREADS", "5")
    assert blas.count() == 5
    for nonsense in ("", "0", "many", "-2"):
        monkeypatch.setenv("NUMBA_NUM_THREADS", nonsense)
        assert 1 <= blas.count() <= (os.cpu_count() or 1)
    monkeypatch.delenv("NUMBA_NUM_THREADS")
    assert 1 <= blas.count() <= (os.cpu_count() or 1)


def test_without_openblas_nothing_is_set(monkeypatch):
    monkeypatch.setitem(blas._state, "blas", (None, None))
    seen = []
    blas.share(seen.append, 3, 1)
    assert len(seen) == 3


def test_parts_write_their_own_images(monkeypatch):
    """As layers use it: the result does not depend on the number of threads."""
    x = np.random.default_rng(0).normal(size=(11, 6, 5))
    weight = np.random.default_rng(1).normal(size=(5, 4))
    results = []
    for count in (1, 2, 3):
        monkeypatch.setattr(blas, "count", lambda: count)
        y = np.full((11, 6, 4), np.nan)
        blas.share(lambda part: np.matmul(x[part], weight, out=y[part]), 11, 3)
        results.append(y)
    np.testing.assert_array_equal(results[0], results[1])
    np.testing.assert_array_equal(results[0], results[2])
    np.testing.assert_allclose(results[0], x @ weight)
