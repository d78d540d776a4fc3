"""Memory that is used again, and only when nobody can see it any more."""

import gc
import threading

import numpy as np
import pytest

from tinyproto.backend import memory

LARGE = (256, 1024)


@pytest.fixture(autouse=True)
def clean():
    gc.collect()
    memory.clear()
    yield
    memory.clear()


def place(array):
    return array.ctypes.data


def test_the_memory_of_an_array_that_is_gone_is_used_again():
    array = memory.empty(LARGE)
    before = place(array)
    del array
    assert place(memory.empty((128, 2048))) == before
    assert place(memory.empty(LARGE, np.float64)) != before  # of another size


def test_a_view_keeps_the_memory():
    array = memory.empty(LARGE)
    before, view = place(array), array.reshape(-1)[5:7].view(np.int32)
    del array
    assert place(memory.empty(LARGE)) != before
    del view
    assert before in {place(a) for a in [memory.empty(LARGE) for _ in range(2)]}


def test_arrays_in_use_share_nothing():
    arrays = [memory.empty(LARGE) for _ in range(5)]
    for i, array in enumerate(arrays):
        array[...] = i
    assert [array.min() for array in arrays] == [array.max() for array in arrays]
    assert [array.max() for array in arrays] == list(range(5))


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.uint8])
@pytest.mark.parametrize("shape", [(), (0, 5), (3,), (70_001,), (5, 7, 11, 999)])
def test_shape_and_dtype(shape, dtype):
    array = memory.empty(shape, dtype)
    assert array.shape == shape
    assert array.dtype == dtype
    assert array.flags.c_contiguous
    assert array.flags.writeable
    array[...] = 3
    assert (array == 3).all()


def test_large_arrays_start_on_a_cache_line():
    assert all(place(memory.empty((size,))) % 64 == 0 for size in (20_000, 31_234, 700_001))


def test_like_is_like():
    x = np.zeros((4, 5), np.float64)
    assert memory.empty_like(x).dtype == np.float64
    assert memory.empty_like(x).shape == (4, 5)
    assert memory.empty_like(x, (200, 300)).shape == (200, 300)


def test_no_more_than_so_much_lies_unused(monkeypatch):
    monkeypatch.setattr(memory, "MOST_FREE_BYTES", 3 << 20)
    arrays = [memory.empty(LARGE) for _ in range(6)]
    arrays.clear()
    assert 1 << 20 < memory._unused <= 3 << 20
    memory.clear()
    assert memory._unused == 0


def test_new_sizes_drive_out_old_ones(monkeypatch):
    monkeypatch.setattr(memory, "MOST_FREE_BYTES", 3 << 20)
    old = [memory.empty(LARGE) for _ in range(3)]
    old.clear()
    array = memory.empty((300, 1024))
    before = place(array)
    del array
    assert place(memory.empty((300, 1024))) == before


def test_threads_get_arrays_of_their_own():
    def work(name):
        for turn in range(200):
            array = memory.empty((40_000 + 10_000 * (turn % 3),))
            array[...] = name
            if not (array == name).all():
                failed.append(name)

    failed: list[int] = []
    crew = [threading.Thread(target=work, args=(name,)) for name in range(4)]
    for thread in crew:
        thread.start()
    for thread in crew:
        thread.join()
    assert not failed
