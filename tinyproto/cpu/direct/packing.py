"""The weights, packed into panels for the micro-kernel."""

import numpy as np

from ...backend.cpu import cpu_kernel, worker_count
from ...backend.memory import empty
from ..gemm import NR
from ..geometry import Geometry, check_array

PackedTaps = dict[tuple[int, int], np.ndarray]
"""First tap (a, b) → its panels (panels, rows, columns · in, NR): rows × columns taps."""


def prepare_weights(weight: np.ndarray, geometry: Geometry, transposed: bool) -> PackedTaps:
    """The taps for `forward`, or (transposed) for `input_gradient`, of weights (K, K, in, out).

    `forward` takes all taps together, from (0, 0) on. `input_gradient` takes, for each of the
    stride² phases, every stride-th tap from a first one on, in reverse order, with in and out
    exchanged (see `convolve`).
    """
    side, channels, out = geometry.kernel_size, geometry.input_shape[3], geometry.output_shape[3]
    check_array("weight", weight, (side, side, channels, out))
    if not transposed:
        return {(0, 0): _pack(weight, 0, 0, 1, False)}
    firsts = range(min(geometry.stride, geometry.kernel_size))
    return {(a, b): _pack(weight, a, b, geometry.stride, True) for a in firsts for b in firsts}


def _pack(weight: np.ndarray, a: int, b: int, step: int, transposed: bool) -> np.ndarray:
    """Every step-th tap from (a, b) on; channels beyond `out` are 0."""
    rows, columns = len(range(a, len(weight), step)), len(range(b, len(weight), step))
    channels, out = weight.shape[2:]
    if transposed:
        channels, out = out, channels
    panels = empty((-(-out // NR), rows, columns * channels, NR))
    _pack_taps(worker_count(weight.size * 16), weight, a, b, step, transposed, out, panels)
    return panels


@cpu_kernel
def _pack_taps(worker, workers, weight, a, b, step, transposed, out, panels):
    count, rows, run, _ = panels.shape
    channels = weight.shape[3] if transposed else weight.shape[2]
    columns = run // channels
    for i in range(worker, count * rows * columns, workers):
        p, tap = divmod(i, rows * columns)
        u, v = divmod(tap, columns)
        for c in range(channels):
            row = panels[p, u, v * channels + c]
            for n in range(NR):
                o = p * NR + n
                if o >= out:
                    row[n] = 0
                elif transposed:
                    row[n] = weight[a + (rows - 1 - u) * step, b + (columns - 1 - v) * step, o, c]
                else:
                    row[n] = weight[a + u * step, b + v * step, c, o]
