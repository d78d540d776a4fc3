"""What a card reaches, and what our kernels reach of it."""

from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import numpy as np
from common import median_seconds

from tinyproto.kernels import channels, im2col, pooling

IMAGES, SIDE, CHANNELS, SIZE = 128, 32, 32, 3  # of the second convolution of `compact_cnn`
Program = Callable[[], Any]


def device_name(xp: ModuleType) -> str:
    """What the device calls itself."""
    if xp is np:
        return "CPU"
    name: bytes = xp.cuda.runtime.getDeviceProperties(xp.cuda.Device().id)["name"]
    return name.decode()


def waited(run: Program, xp: ModuleType) -> Program:
    """The program, and then a wait until the device is done."""

    def call() -> None:
        run()
        if xp is not np:
            xp.cuda.Stream.null.synchronize()

    return call


def seconds(run: Program, xp: ModuleType, rounds: int, repeats: int = 10) -> float:
    """The median time of one run, of `repeats` that are started one after the other."""

    def several() -> None:
        for _ in range(repeats):
            run()

    return median_seconds({"": waited(several, xp)}, rounds)[""] / repeats


def ceilings(xp: ModuleType, quick: bool) -> Iterator[dict[str, Any]]:
    """The bytes that a copy reads and writes in a second, and the operations of a matrix
    product."""
    rounds, count = 3 if quick else 15, (1 << 24) if xp is np or quick else (1 << 28)
    source = xp.ones(count, dtype=np.float32)
    target = xp.empty_like(source)
    taken = seconds(lambda: xp.copyto(target, source), xp, rounds)
    yield {"ceiling": "copy", "GB/s": 2 * source.nbytes / taken / 1e9, "TFLOP/s": ""}
    side = 1024 if xp is np else 8192
    a = xp.asarray(np.random.default_rng(0).random((side, side), dtype=np.float32))
    taken = seconds(lambda: xp.matmul(a, a), xp, rounds, 2)
    name = f"float32 product, {side} × {side}"
    yield {"ceiling": name, "GB/s": "", "TFLOP/s": 2 * side**3 / taken / 1e12}


def kernels(xp: ModuleType, quick: bool) -> Iterator[dict[str, Any]]:
    """The bytes that each kernel must read and write, once each, in the time that it takes."""
    for name, (run, moved) in _programs(xp).items():
        taken = seconds(run, xp, 3 if quick else 15)
        yield {"kernel": name, "microseconds": 1e6 * taken, "GB/s ": moved / taken / 1e9}


def _programs(xp: ModuleType) -> dict[str, tuple[Program, int]]:
    """Kernels on the arrays of the second convolution of `compact_cnn`, and the bytes of these."""
    random = np.random.default_rng(0)
    row, window = SIDE * CHANNELS, SIDE * SIZE**2 * CHANNELS
    images = xp.asarray(random.random((IMAGES, SIDE * row), dtype=np.float32))
    columns = xp.empty((IMAGES * SIDE, window), dtype=np.float32)
    table = (SIDE, SIDE, CHANNELS, SIZE, 1, 1, xp)
    gather, scatter = im2col.im2col_table(*table), im2col.col2im_table(*table)
    rows = images.reshape(-1, 16, CHANNELS)  # as `layers.rows` divides them on a GPU
    other = xp.empty_like(rows)
    vectors = [xp.ones(CHANNELS, dtype=np.float32) for _ in range(3)]
    sums = xp.empty((3, len(rows), CHANNELS), dtype=np.float32)
    pooled = xp.empty((IMAGES, SIDE // 2, SIDE // 2, CHANNELS), dtype=np.float32)
    places = xp.empty(pooled.shape, dtype=np.uint8)
    picture, back = images.reshape(IMAGES, SIDE, SIDE, CHANNELS), images.reshape(-1, row)
    none = np.float32(-np.inf)
    single = images.nbytes
    return {
        "im2col": (
            lambda: im2col.im2col(len(columns), images, SIDE, gather, row, -row, columns),
            single + columns.nbytes,
        ),
        "col2im": (
            lambda: im2col.col2im(len(back), columns, SIDE, scatter, SIDE, 1, 1, back),
            single + columns.nbytes,
        ),
        "channel_affine": (
            lambda: channels.channel_affine(len(rows), rows, *vectors, none, other),
            2 * single,
        ),
        "channel_moments": (
            lambda: channels.channel_moments(len(rows), rows, *sums),
            single,
        ),
        "batch_norm_backward_reduce": (
            lambda: channels.batch_norm_backward_reduce(
                len(rows), rows, *vectors, none, other, sums[0], sums[1]
            ),
            2 * single,
        ),
        "max_pool": (
            lambda: pooling.max_pool(IMAGES * SIDE // 2, picture, 2, 2, pooled, places),
            single + pooled.nbytes + places.nbytes,
        ),
        "max_pool_backward": (
            lambda: pooling.max_pool_backward(IMAGES * SIDE, pooled, places, 2, 2, picture),
            single + pooled.nbytes + places.nbytes,
        ),
    }
