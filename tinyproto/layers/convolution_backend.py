"""What computes a convolution: the interface of the three modules that can, and which is chosen.

`layers.im2col` works for every dtype and device; `cpu.direct` and `cpu.winograd` are made for
float32 on the CPU.
"""

from contextlib import suppress
from functools import cache
from typing import Any, Protocol

import numpy as np

from ..backend.device import Array, array_module
from ..cpu.geometry import FLOAT32, Geometry
from . import im2col

MIN_WINOGRAD_CHANNELS = 16
"""With fewer input channels, Winograd's transforms cost more than its products save."""


class ConvolutionBackend(Protocol):
    """A module that computes convolutions. All arrays are contiguous and of one dtype."""

    __name__: str

    def prepare_weights(self, weight: Array, geometry: Geometry, transposed: bool) -> Any:
        """The weights (kernel_size, kernel_size, in, out) in the form that `forward` takes, or
        (transposed) in the form that `input_gradient` takes. Depends on no shape of an image."""

    def forward(
        self, x: Array, weights: Any, bias: Array | None, geometry: Geometry, relu: bool
    ) -> Array:
        """y; with `relu`, max(y, 0)."""

    def input_gradient(
        self, dy: Array, weights: Any, geometry: Geometry, relu_mask: Array | None
    ) -> Array:
        """dx. With a relu_mask (like dy), dy counts as 0 where the mask is not above 0."""

    def weight_gradient(
        self, x: Array, dy: Array, geometry: Geometry, relu_mask: Array | None
    ) -> tuple[Array, Array]:
        """dW and db. With a relu_mask (like dy), dy counts as 0 where the mask is not above 0."""


def select_backend(
    x: Array, weight: Array, stride: int, padding: int, channels: int
) -> ConvolutionBackend:
    """The module for a pass; `channels` are those of its input (for dW, the fewer of in and out).

    The choice does not depend on the batch size: an image gives the same bits in any batch.
    """
    if array_module(x) is not np or not x.dtype == weight.dtype == FLOAT32:
        return im2col
    direct, winograd = fast_backends()
    enough = channels >= MIN_WINOGRAD_CHANNELS
    if len(weight) == 3 and stride == 1 and padding <= 2 and enough:
        return winograd
    return direct


@cache
def fast_backends() -> tuple[Any, Any]:
    """`cpu.direct` and `cpu.winograd`, imported when they are first needed: they import Numba."""
    from ..cpu import direct, winograd

    return direct, winograd


WeightCache = dict[tuple[str, bool], tuple[Array, Any]]
"""(name of the backend, transposed) → a weight array, and what `prepare_weights` made of it."""


def prepared_weights(
    backend: ConvolutionBackend,
    weight: Array,
    geometry: Geometry,
    transposed: bool,
    cache: WeightCache | None,
) -> Any:
    """`backend.prepare_weights`, or with a cache what it returned for the same array before, which
    is read-only since: a change in place would not reach what was made of it."""
    key = backend.__name__, transposed
    if cache is not None and key in cache and cache[key][0] is weight:
        return cache[key][1]
    prepared = backend.prepare_weights(weight, geometry, transposed)
    if cache is not None:
        cache[key] = weight, prepared
        if backend is not im2col:  # which makes a view
            weight.flags.writeable = False
    return prepared


def forget_weights(cache: WeightCache) -> None:
    """Empty a cache; the weights in it may be changed in place again."""
    for weight, _ in cache.values():
        if array_module(weight) is np:
            with suppress(ValueError):  # of read-only memory
                weight.flags.writeable = True
    cache.clear()
