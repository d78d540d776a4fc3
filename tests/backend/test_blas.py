"""BLAS runs one thread where the package asks for it, and is then left as it was found."""

import threading
import time
import warnings
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import numpy as np
import pytest
import threadpoolctl

from tinyproto.backend import blas

look_for_libraries = blas.blas_libraries.__wrapped__


class FakeBlas:
    """A BLAS as threadpoolctl shows it, whose number of threads is one, or each thread's own."""

    user_api = "blas"

    def __init__(self, per_thread=False, filepath="/opt/blas.so"):
        self.filepath = filepath
        self.state = threading.local() if per_thread else SimpleNamespace()

    def get_num_threads(self):
        return getattr(self.state, "count", 2)

    def set_num_threads(self, count):
        self.state.count = count


class FirstThreadOnly(FakeBlas):
    """As OpenBLAS in threadpoolctl 3.8: the first thread that sets it is the only one that may."""

    owner = None

    def clear_controlling_thread(self, force=False):
        self.owner = None

    def set_num_threads(self, count):
        self.owner = self.owner or threading.current_thread()
        if self.owner is threading.current_thread():
            super().set_num_threads(count)


def use(monkeypatch, *controllers):
    """Let threadpoolctl find these libraries."""
    found = SimpleNamespace(lib_controllers=list(controllers))
    monkeypatch.setattr(threadpoolctl, "ThreadpoolController", lambda: found)
    libraries = look_for_libraries()
    monkeypatch.setattr(blas, "blas_libraries", lambda: libraries)
    return libraries


@pytest.fixture(params=["real", "shared", "per thread", "first thread only"])
def library(request, monkeypatch):
    """NumPy's own BLAS, or another, set to two threads for a test."""
    if request.param == "real":
        if not blas.numpy_blas():
            pytest.skip("threadpoolctl finds no BLAS")
        found = blas.numpy_blas()[0]
        before = found.get_num_threads()
        set_threads = blas._setter(found)
        set_threads(2)
        if found.get_num_threads() != 2:
            pytest.skip("BLAS runs one thread whatever number is set")
        yield found
        set_threads(before)
    else:
        made = FirstThreadOnly() if "first" in request.param else FakeBlas("per" in request.param)
        shared, per_thread = use(monkeypatch, made)
        assert len(per_thread) == ("per" in request.param)
        assert len(shared) + len(per_thread) == 1
        assert made.get_num_threads() == 2
        yield made


def test_blocks_of_one_blas_thread_nest(library):
    with blas.one_blas_thread():
        with blas.one_blas_thread():
            assert library.get_num_threads() == 1
        assert library.get_num_threads() == 1
    assert library.get_num_threads() == 2
    with pytest.raises(KeyError), blas.one_blas_thread():
        raise KeyError
    assert library.get_num_threads() == 2


def test_blocks_of_several_threads_overlap(library):
    """BLAS is restored by the last to leave, not by the first."""
    seen, errors = [], []

    def enter(wait):
        try:
            for _ in range(20):
                with blas.one_blas_thread():
                    time.sleep(wait)
                    seen.append(library.get_num_threads())
        except Exception as error:  # pragma: no cover
            errors.append(error)

    with blas.one_blas_thread():
        pass  # the main thread is the first to set the number
    started = [threading.Thread(target=enter, args=(wait,)) for wait in (1e-4, 2e-4, 5e-4)]
    for thread in started:
        thread.start()
    for thread in started:
        thread.join()
    assert errors == []
    assert seen == [1] * 60
    assert library.get_num_threads() == 2
    assert blas._depths == {}


def test_a_thread_of_ones_own_is_left_as_it_was(monkeypatch):
    """What a thread has set for itself is restored in that thread, while another is inside."""
    library = FakeBlas(per_thread=True)
    use(monkeypatch, library)
    seen = []

    def enter():
        library.set_num_threads(3)
        with blas.one_blas_thread():
            seen.append(library.get_num_threads())
        seen.append(library.get_num_threads())

    with blas.one_blas_thread():
        thread = threading.Thread(target=enter)
        thread.start()
        thread.join()
        assert library.get_num_threads() == 1
    assert seen == [1, 3]


def test_the_thread_that_set_it_first_does_not_matter(monkeypatch):
    library = FirstThreadOnly()
    use(monkeypatch, library)
    library.set_num_threads(2)  # other code, in this thread

    def enter():
        with blas.one_blas_thread():
            return library.get_num_threads()

    with ThreadPoolExecutor(1) as executor:
        assert executor.submit(enter).result() == 1
        library.set_num_threads(3)  # other code, while that thread lives
        assert library.get_num_threads() == 3


def test_only_the_blas_of_numpy_is_set(monkeypatch):
    own = FakeBlas(filepath=str(blas.Path(np.__file__).resolve().parent / ".libs" / "blas.so"))
    other, openmp = FakeBlas(), FakeBlas()
    openmp.user_api = "openmp"
    use(monkeypatch, openmp, other, own)
    with blas.one_blas_thread():
        assert [each.get_num_threads() for each in (own, other, openmp)] == [1, 2, 2]
    use(monkeypatch, openmp, other)
    with blas.one_blas_thread():
        assert [each.get_num_threads() for each in (other, openmp)] == [1, 2]


@pytest.mark.parametrize(
    ("name", "variable", "other"),
    [
        ("accelerate", "VECLIB_MAXIMUM_THREADS", "OMP_NUM_THREADS"),
        ("flexiblas", "OMP_NUM_THREADS", "VECLIB_MAXIMUM_THREADS"),
    ],
)
def test_a_blas_that_cannot_be_set_is_warned_of(monkeypatch, name, variable, other):
    config = {"Build Dependencies": {"blas": {"name": name}}}
    monkeypatch.setattr(np, "show_config", lambda mode: config)
    monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv(other, "1")
    with pytest.warns(RuntimeWarning, match=f"NumPy's BLAS .{name}.*set {variable}=1") as caught:
        use(monkeypatch)
    with blas.one_blas_thread(), blas.one_blas_thread():
        pass
    assert len(caught) == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        monkeypatch.setenv(variable, "1")
        blas._warn_of_blas()
        config["Build Dependencies"]["blas"]["name"] = "none"
        monkeypatch.delenv(variable)
        blas._warn_of_blas()


def test_the_libraries_are_looked_for_once(monkeypatch):
    assert blas.blas_libraries() is blas.blas_libraries()
