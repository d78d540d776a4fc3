"""The filter transform: U = G g Gᵀ, from the weights."""

import numpy as np

from ...backend.cpu import cpu_kernel, worker_count
from ...backend.memory import empty
from ..gemm import NR
from ..geometry import Geometry, check_array
from ..simd import BYTES, WIDTH, address, load_up_to, padded, store
from .layout import CACHE_LINE
from .transforms import filter_transform, load_three, store_six

TAPS, HALF = 9, 18
"""Vectors of scratch memory: the taps g of WIDTH filters, and then G g."""


def prepare_weights(weight: np.ndarray, geometry: Geometry, transposed: bool) -> np.ndarray:
    """U for `forward`, or (transposed) for `input_gradient`, of weights (3, 3, in, out).

    U (36, …) holds a plane for each frequency: panels of NR outputs, in each a row of NR numbers
    for each input. Transposed: the weights rotated by 180°, with in and out exchanged.
    """
    channels, out = geometry.input_shape[3], geometry.output_shape[3]
    check_array("weight", weight, (3, 3, channels, out))
    if transposed:
        channels, out = out, channels
    U = empty((36, -(-out // NR) * channels * NR + CACHE_LINE // 4))
    threads = worker_count(36 * channels * out * 8)
    scratch = np.zeros((threads, (TAPS + HALF) * WIDTH), dtype=np.float32)
    _transform_filters(threads, weight, transposed, U, scratch)
    return U


@cpu_kernel
def _transform_filters(worker, workers, weight, transposed, U, scratch):
    """A worker takes pairs of a vector of outputs and an input channel k in turn."""
    out, channels = weight.shape[2:] if transposed else (weight.shape[3], weight.shape[2])
    taps, rotated = address(scratch[worker]), scratch[worker]
    half = taps + TAPS * BYTES
    plane = U.shape[1] * 4
    for pair in range(worker, padded(out) // WIDTH * channels, workers):
        vector, k = divmod(pair, channels)
        first = vector * WIDTH
        for a in range(3):
            for b in range(3):
                tap = 3 * a + b
                if transposed:
                    for c in range(min(WIDTH, out - first)):
                        rotated[tap * WIDTH + c] = weight[2 - a, 2 - b, first + c, k]
                else:
                    source = address(weight) + ((tap * channels + k) * out + first) * 4
                    store(load_up_to(source, out - first), taps + tap * BYTES)
        for b in range(3):
            column = load_three(taps + b * BYTES, 3 * BYTES)
            store_six(filter_transform(column), half + b * BYTES, 3 * BYTES)
        panel, position = divmod(first, NR)
        target = address(U) + ((panel * channels + k) * NR + position) * 4
        for i in range(6):
            row = load_three(half + 3 * i * BYTES, BYTES)
            store_six(filter_transform(row), target + 6 * i * plane, plane)
