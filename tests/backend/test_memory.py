"""Memory is reused, and only when no array refers to it any more."""

import gc
import threading
from collections import OrderedDict

import numpy as np
import pytest

from tinyproto.backend import memory

LARGE = (256, 1024)


@pytest.fixture(autouse=True)
def empty_cache():
    gc.collect()
    memory.empty_cache()
    yield
    memory.empty_cache()


def address(array):
    return array.ctypes.data


def test_the_memory_of_a_deleted_array_is_reused():
    array = memory.empty(LARGE)
    before = address(array)
    del array
    assert address(memory.empty((128, 2048))) == before
    assert address(memory.empty(LARGE, np.float64)) != before  # of another size


def test_a_view_keeps_the_memory():
    array = memory.empty(LARGE)
    before, view = address(array), array.reshape(-1)[5:7].view(np.int32)
    del array
    assert address(memory.empty(LARGE)) != before
    del view
    assert before in {address(a) for a in [memory.empty(LARGE) for _ in range(2)]}


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
    assert all(address(memory.empty((size,))) % 64 == 0 for size in (20_000, 31_234, 700_001))


def test_empty_like():
    x = np.zeros((4, 5), np.float64)
    assert memory.empty_like(x).dtype == np.float64
    assert memory.empty_like(x).shape == (4, 5)
    assert memory.empty_like(x, (200, 300)).shape == (200, 300)


def test_unused_memory_is_limited(monkeypatch):
    monkeypatch.setattr(memory, "MAX_UNUSED_BYTES", 3 << 20)
    arrays = [memory.empty(LARGE) for _ in range(6)]
    arrays.clear()
    assert 1 << 20 < memory._unused_bytes <= 3 << 20
    memory.empty_cache()
    assert memory._unused_bytes == 0


def test_sizes_unused_for_longest_are_freed_first(monkeypatch):
    monkeypatch.setattr(memory, "MAX_UNUSED_BYTES", 3 << 20)
    old = [memory.empty(LARGE) for _ in range(3)]
    old.clear()
    array = memory.empty((300, 1024))
    before = address(array)
    del array
    assert address(memory.empty((300, 1024))) == before


def test_a_block_that_comes_back_while_another_is_taken(monkeypatch):
    """As when the garbage collector runs then: from Python 3.12 on, after any call."""

    class Collecting(OrderedDict):
        def get(self, *key):
            blocks = super().get(*key)
            collected.clear()
            return blocks

    monkeypatch.setattr(memory, "_unused_blocks", Collecting())
    collected: list[np.ndarray] = []
    spare = [memory.empty(LARGE) for _ in range(4)]
    for _ in range(3):
        collected.append(spare.pop())
        spare.append(memory.empty(LARGE))
    alive = spare + [memory.empty(LARGE) for _ in range(8)]
    assert len({address(array) for array in alive}) == len(alive)
    kept = sum(block.nbytes for blocks in memory._unused_blocks.values() for block in blocks)
    assert memory._unused_bytes == kept


def test_threads_get_arrays_of_their_own():
    def work(name):
        for turn in range(200):
            array = memory.empty((40_000 + 10_000 * (turn % 3),))
            array[...] = name
            if not (array == name).all():
                failed.append(name)

    failed: list[int] = []
    threads = [threading.Thread(target=work, args=(name,)) for name in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed
