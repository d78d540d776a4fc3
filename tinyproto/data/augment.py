"""Training images changed a little, by numbers keyed to (seed, epoch, place in the data set)."""

from numbers import Integral

from ..backend.device import Array, array_module
from ..kernels.crop import crop
from ..kernels.warp import warp
from ..random import uniform, words


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
    images = xp.ascontiguousarray(images)
    index = xp.arange(len(images)) if index is None else index
    drawn = uniform(2 + 2 * knots**2, index, seed=seed, stream="elastic", epoch=epoch, xp=xp)
    drawn = 2 * drawn - 1
    field = bend * drawn[:, 2:].reshape(-1, knots, knots, 2) + shift * drawn[:, None, None, :2]
    out = xp.empty_like(images)
    warp(len(images), images, field.astype(images.dtype), out)
    return out


def crop_and_flip(
    images: Array,
    *,
    seed: int,
    epoch: int,
    index: Array | None = None,
    padding: int = 4,
    flip: bool = True,
    cutout: int = 0,
) -> Array:
    """Colour images (N, H, W, C), each moved by whole pixels, mirrored or not, with a hole or not.

    padding: zeros put around the image, in pixels; a piece of the old size is then cut out at one
        of the (2 · padding + 1)² places, all equally likely.
    flip: whether to mirror the piece left-right with probability ½.
    cutout: the side in pixels of a square that is set to 0 in the result; its centre may be any
        pixel, so that it may lie in part outside (DeVries and Taylor, arXiv 1708.04552).
    index: the images' places in the data set (N,), 0 … N − 1 unless given.

    Returns new images of the same shape and dtype, on the same device.
    Raises ValueError for images of another shape, a padding or cutout that is negative or broken,
    and an index that does not go with the images.
    """
    xp = array_module(images)
    if images.ndim != 4:
        raise ValueError(f"images must be (N, H, W, C), not {images.shape}")
    for name, value in (("padding", padding), ("cutout", cutout)):
        if not (isinstance(value, Integral) and value >= 0):
            raise ValueError(f"{name} must be a whole number, 0 or more, not {value!r}")
    images = xp.ascontiguousarray(images)
    count, height, width, _ = images.shape
    index = xp.arange(count) if index is None else xp.asarray(index)
    if index.shape != (count,):
        raise ValueError(f"index must be ({count},), a place for each image, not {index.shape}")
    # A random word times n, over 2³², is one of n numbers: whole arithmetic, the same everywhere.
    choices = xp.asarray([2 * padding + 1, 2 * padding + 1, 1 + flip, height, width])
    drawn = words(5, index, seed=seed, stream="crop_and_flip", epoch=epoch, xp=xp)
    first = xp.asarray([-padding, -padding, 0, -(cutout // 2), -(cutout // 2)])
    chosen = (drawn * choices >> 32) + first
    parts = chosen[:, :2], chosen[:, 2], chosen[:, 3:]
    offset, flips, hole = map(xp.ascontiguousarray, parts)
    out = xp.empty_like(images)
    crop(count * height, images, offset, flips, hole, cutout, out)
    return out
