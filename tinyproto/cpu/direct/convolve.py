"""y = max(x * W + bias, minimum), and dx.

**dx.** Pixel r of x takes part in output h through tap a where h S − P + a = r. Let r = r₀ + S i.
The taps that can are a = a₀ + S u, a₀ = (r₀ + P) mod S, and h = i + e − u with e = (r₀ + P − a₀)/S.
So the pixels of one phase r₀ are a convolution of stride 1: of dy, with every S-th tap from a₀ on,
in reverse, the first of them at h = i + e − (taps − 1). Rows and columns have S phases each.
"""

import numpy as np

from ...backend.cpu import cpu_kernel, worker_count
from ...backend.memory import empty
from ..gemm import PANEL, product
from ..simd import WIDTH, address, at_least, compiled, load, load_some, nothing, splat, store_some
from .strips import GROUP_BYTES, STRIP_BYTES, copy_strip


def forward(
    x: np.ndarray,
    weight: np.ndarray,
    bias: np.ndarray | None,
    stride: int,
    padding: int,
    shape: tuple[int, ...],
    relu: bool,
    weight_cache: object = None,
) -> np.ndarray:
    """y, of that shape, of x (N, H, W, in), float32, contiguous. weight (K, K, in, out), bias
    (out,); relu: max(y, 0)."""
    y = empty(shape)
    taps = _pack(weight, 0, 0, 1, False)
    where = np.array([stride, -padding, -padding, 1, 0, 0, *shape[1:3]])
    _run(x, None, taps, bias, relu, where, y)
    return y


def input_gradient(
    dy: np.ndarray,
    weight: np.ndarray,
    stride: int,
    padding: int,
    shape: tuple[int, ...],
    relu_mask: np.ndarray | None,
    weight_cache: object = None,
) -> np.ndarray:
    """dx, of that shape; with a relu_mask (like dy), dy counts only where it is above 0."""
    dx = empty(shape)
    size = len(weight)
    if size < stride:
        dx[...] = 0  # some pixels are under no window
    for row in range(min(stride, shape[1])):
        for column in range(min(stride, shape[2])):
            a, b = (row + padding) % stride, (column + padding) % stride
            if a >= size or b >= size:
                continue
            taps = _pack(weight, a, b, stride, True)
            top = (row + padding - a) // stride - taps.shape[1] + 1
            left = (column + padding - b) // stride - taps.shape[2] // dy.shape[3] + 1
            down, across = -(-(shape[1] - row) // stride), -(-(shape[2] - column) // stride)
            where = np.array([1, top, left, stride, row, column, down, across])
            _run(dy, relu_mask, taps, None, False, where, dx)
    return dx


def _pack(weight: np.ndarray, a: int, b: int, step: int, transposed: bool) -> np.ndarray:
    """Every step-th tap from (a, b) on, (panels, rows, columns · in, PANEL), zeros at the end;
    transposed: the taps in reverse, in and out exchanged."""
    rows, columns = len(range(a, len(weight), step)), len(range(b, len(weight), step))
    channels, out = weight.shape[2:]
    if transposed:
        channels, out = out, channels
    panels = empty((-(-out // PANEL), rows, columns * channels, PANEL))
    _gather_taps(worker_count(weight.size * 16), weight, a, b, step, transposed, out, panels)
    return panels


@cpu_kernel
def _gather_taps(worker, workers, weight, a, b, step, transposed, out, panels):
    count, rows, run, _ = panels.shape
    channels = weight.shape[3] if transposed else weight.shape[2]
    columns = run // channels
    for i in range(worker, count * rows * columns, workers):
        p, tap = divmod(i, rows * columns)
        u, v = divmod(tap, columns)
        for c in range(channels):
            row = panels[p, u, v * channels + c]
            for n in range(PANEL):
                o = p * PANEL + n
                if o >= out:
                    row[n] = 0
                elif transposed:
                    row[n] = weight[a + (rows - 1 - u) * step, b + (columns - 1 - v) * step, o, c]
                else:
                    row[n] = weight[a + u * step, b + v * step, c, o]


def _run(
    x: np.ndarray,
    relu_mask: np.ndarray | None,
    taps: np.ndarray,
    bias: np.ndarray | None,
    relu: bool,
    where: np.ndarray,
    y: np.ndarray,
) -> None:
    """Choose the strips and go. `where` is (stride, top, left) at x, then (stride, row, column) at
    y, and how many outputs there are down and across."""
    if y.size == 0:
        return
    stride, _, _, _, _, _, down, across = (int(n) for n in where)
    channels, out, rows = x.shape[3], y.shape[3], taps.shape[1]
    columns = (across - 1) * stride + taps.shape[2] // channels
    line = columns * channels * 4
    lines = min(down, max(1, (STRIP_BYTES // line - rows) // stride + 1))
    strip = (((lines - 1) * stride + rows) * line + 63) // 64 * 64
    threads = worker_count(2 * y.size * taps[0].size // PANEL)
    every = len(x) * -(-down // lines)
    strips = max(1, min(GROUP_BYTES // strip, -(-every // threads)))
    room = strips * strip // 4 + across * PANEL
    _convolve(
        threads,
        x,
        nothing if relu_mask is None else relu_mask,
        taps,
        np.zeros(out, dtype=np.float32) if bias is None else bias,
        np.float32(0 if relu else -np.inf),
        where,
        lines,
        strips,
        y,
        empty((threads, room)),
    )


@cpu_kernel
def _convolve(worker, workers, x, relu_mask, taps, bias, minimum, where, lines, strips, y, scratch):
    stride, top, left, apart, row, column, down, across = where
    panels, rows, run, _ = taps.shape
    channels = x.shape[3]
    columns = (across - 1) * stride + run // channels
    line = columns * channels * 4
    strip = (((lines - 1) * stride + rows) * line + 63) // 64 * 64
    sums = address(scratch[worker])
    copies = sums + across * PANEL * 4
    in_image = (down + lines - 1) // lines
    every = len(x) * in_image
    for start in range(worker * strips, every, workers * strips):
        count = min(strips, every - start)
        for z in range(count):
            n, i = divmod(start + z, in_image)
            high = min(lines, down - i * lines)
            copy_strip(
                x, relu_mask, n, top + i * lines * stride, left, (high - 1) * stride + rows, columns,
                copies + z * strip,
            )  # fmt: skip
        for p in range(panels):
            b = address(taps) + p * rows * run * PANEL * 4
            for z in range(count):
                n, i = divmod(start + z, in_image)
                for h in range(min(lines, down - i * lines)):
                    a = copies + z * strip + h * stride * line
                    product(
                        across, y.shape[3] - p * PANEL, a, stride * channels * 4, rows, line,
                        run, 4, b, run * PANEL * 4, PANEL * 4, sums, PANEL * 4,
                    )  # fmt: skip
                    _finish(
                        sums, across, p * PANEL, bias, minimum, n,
                        row + (i * lines + h) * apart, column, apart, y,
                    )  # fmt: skip


@compiled
def _finish(sums, across, first, bias, minimum, n, row, column, apart, y):
    """Write one panel of a row of outputs."""
    _, height, width, out = y.shape
    least = splat(minimum)
    for c in range(first, min(out, first + PANEL), WIDTH):
        left_over = out - c
        offset = load_some(address(bias) + c * 4, left_over)
        at = address(y) + (((n * height + row) * width + column) * out + c) * 4
        for w in range(across):
            value = at_least(load(sums + (w * PANEL + c - first) * 4) + offset, least)
            store_some(value, at + w * apart * out * 4, left_over)
