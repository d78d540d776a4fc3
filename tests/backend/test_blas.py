"""BLAS runs one thread where the package asks for it, and is then left as it was found."""

import threading
import time

import pytest

from tinyproto.backend import blas

setter, getter = blas.openblas_threads()
needs_openblas = pytest.mark.skipif(setter is None, reason="NumPy brings no OpenBLAS")


@pytest.fixture
def two_blas_threads():
    """OpenBLAS set to two threads for a test."""
    before = getter()
    setter(2)
    if getter() != 2:
        pytest.skip("OpenBLAS runs one thread whatever number is set")
    yield
    setter(before)


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


def test_without_openblas_nothing_is_set(monkeypatch):
    monkeypatch.setattr(blas, "openblas_threads", lambda: (None, None))
    with blas.one_blas_thread(), blas.one_blas_thread():
        pass
