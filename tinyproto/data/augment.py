"""Training images changed a little, by numbers keyed to (seed, epoch, place in the data set)."""

from ..device import Array, array_module
from ..kernels.random import uniform
from ..kernels.warp import warp


def elastic(
    images: Array,
    *,
    seed: int,
    epoch: int,
    index: Array | None = None,
    shift: float = 1.0,
    bend: float = 1.5,
    knots: int = 4,
) -> Array:
    """Grey images (N, H, W), each shifted and bent: a smooth displacement field, bilinear.

    shift: of the whole image, uniform in ± shift pixels along each axis.
    bend: of each of knots × knots points, uniform in ± bend pixels, interpolated in between.
    index: the images' places in the data set (N,), 0 … N − 1 unless given.
    """
    xp = array_module(images)
    index = xp.arange(len(images)) if index is None else index
    drawn = uniform(2 + 2 * knots**2, index, seed=seed, stream="elastic", epoch=epoch, xp=xp)
    drawn = 2 * drawn - 1
    field = bend * drawn[:, 2:].reshape(-1, knots, knots, 2) + shift * drawn[:, None, None, :2]
    out = xp.empty_like(images)
    warp(len(images), images, field.astype(images.dtype), out)
    return out
