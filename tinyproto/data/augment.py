"""Augmentation of training images. Random numbers depend on (seed, epoch, index) only."""

import math

import numpy as np

from ..backend.device import Array, array_module
from ..kernels.crop import crop
from ..kernels.warp import warp
from ..random import uniform, words
from ..validation import check_count, check_index, check_number, check_shape, require

__all__ = ["crop_and_flip", "elastic"]


def elastic(
    images: Array,
    *,
    seed: int,
    epoch: int,
    index: Array | None = None,
    max_shift: float = 1.0,
    max_displacement: float = 1.5,
    max_rotation: float = 0.0,
    control_points: int = 4,
    probability: float = 1.0,
) -> Array:
    """Shift and deform images by smooth random displacement fields.

    Parameters
    ----------
    images : array (N, H, W)
        Grey images, float32 or float64.
    seed, epoch : int
        Determine the random numbers: another seed or epoch gives other ones.
    index : array (N,), optional
        Indices of the images in the data set, which also determine the random numbers; 0 … N − 1
        if not given.
    max_shift : float
        Largest shift of the whole image along each axis, in pixels.
    max_displacement : float
        Largest displacement of each control point along each axis, in pixels.
    max_rotation : float
        Largest rotation of the whole image about its centre, in degrees.
    control_points : int
        Number of control points along each axis, 2 or more.
    probability : float
        That of an image to be deformed; the others stay as they are.

    Returns
    -------
    array (N, H, W)
        New images, of the same dtype and on the same device.

    Raises
    ------
    ValueError
        For images of another shape or dtype, an index of another length, and numbers out of their
        range.

    Notes
    -----
    Shifts, displacements and rotations are uniform. Between the control points, which form a
    regular grid, the field is interpolated bilinearly, and so are the images at the places where it
    points.

    Examples
    --------
    >>> import numpy as np
    >>> from tinyproto.data import elastic
    >>> images = np.random.default_rng(0).random((5, 8, 8), np.float32)
    >>> elastic(images, seed=0, epoch=3).shape
    (5, 8, 8)
    >>> bool((elastic(images, seed=0, epoch=0, max_shift=0, max_displacement=0) == images).all())
    True
    """
    xp = array_module(images)
    check_shape("images", images, ("N", "H", "W"))
    _check_dtype(images, (np.float32, np.float64))
    check_count("control_points", control_points, 2)
    check_number("max_shift", max_shift)
    check_number("max_displacement", max_displacement)
    check_number("max_rotation", max_rotation)
    if check_number("probability", probability) > 1:
        raise ValueError(f"probability must be between 0 and 1, not {probability!r}")
    index = check_index(index, len(images), like=images)
    count = 2 + 2 * control_points**2
    drawn = 2 * uniform(count, index, seed=seed, stream="elastic", epoch=epoch, xp=xp) - 1
    grid = drawn[:, 2:].reshape(-1, control_points, control_points, 2)
    field = max_displacement * grid + max_shift * drawn[:, None, None, :2]
    if max_rotation:
        turn = 2 * uniform(1, index, seed=seed, stream="elastic rotation", epoch=epoch, xp=xp) - 1
        field += _rotation(math.radians(max_rotation) * turn[:, 0], images.shape[1:], grid.shape[1])
    if probability < 1:
        chance = uniform(1, index, seed=seed, stream="elastic probability", epoch=epoch, xp=xp)
        field *= (chance < probability)[:, :, None, None]
    images = xp.ascontiguousarray(images)
    out = xp.empty_like(images)
    warp(len(images), images, field.astype(images.dtype), out)
    return out


def _rotation(angle: Array, shape: tuple[int, ...], control_points: int) -> Array:
    """The displacements (N, g, g, 2) of a rotation about the centre of an image (H, W).

    They are linear in the position, so their bilinear interpolation is exact.
    """
    xp = array_module(angle)
    y, x = (xp.linspace(-0.5, 0.5, control_points) * (side - 1) for side in shape)
    y, x = y[None, :, None], x[None, None, :]
    sine, cosine = (f(angle)[:, None, None] for f in (xp.sin, xp.cos))
    return xp.stack([(cosine - 1) * y - sine * x, sine * y + (cosine - 1) * x], axis=-1)


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
    """Crop each image at random after padding it, flip it at random, and cut out a square.

    Parameters
    ----------
    images : array (N, H, W, C)
        Colour images: float32, float64, or integers.
    seed, epoch : int
        Determine the random numbers: another seed or epoch gives other ones.
    index : array (N,), optional
        Indices of the images in the data set, which also determine the random numbers; 0 … N − 1
        if not given.
    padding : int
        Number of zeros around the image, in pixels. A crop of the old size is then taken at one of
        (2 · padding + 1)² positions, all equally likely.
    flip : bool
        Whether to flip each image left-right with probability ½.
    cutout : int
        Side in pixels of a square that is set to 0 (DeVries and Taylor, arXiv 1708.04552). Its
        centre may be any pixel, so that a part of it may be outside. 0: no square.

    Returns
    -------
    array (N, H, W, C)
        New images, of the same dtype and on the same device.

    Raises
    ------
    ValueError
        For images of another shape or dtype, a padding or cutout that is negative or not an
        integer, and an index of another length.

    Examples
    --------
    >>> import numpy as np
    >>> from tinyproto.data import crop_and_flip
    >>> images = np.random.default_rng(0).random((5, 8, 8, 3), np.float32)
    >>> out = crop_and_flip(images, seed=0, epoch=3, cutout=2)
    >>> out.shape, bool((out == 0).any())
    ((5, 8, 8, 3), True)
    """
    xp = array_module(images)
    check_shape("images", images, ("N", "H", "W", "C"))
    _check_dtype(images, (np.float32, np.float64, np.integer))
    check_count("padding", padding, 0)
    check_count("cutout", cutout, 0)
    require(isinstance(flip, bool | np.bool_), "flip must be True or False", flip)
    count, height, width, _ = images.shape
    index = check_index(index, count, like=images)
    # A random 32-bit word times n, divided by 2³², is one of 0 … n − 1. Integers have the same bits
    # on every device.
    choices = xp.asarray([2 * padding + 1, 2 * padding + 1, 1 + flip, height, width])
    drawn = words(5, index, seed=seed, stream="crop_and_flip", epoch=epoch, xp=xp)
    lowest = xp.asarray([-padding, -padding, 0, -(cutout // 2), -(cutout // 2)])
    chosen = (drawn * choices >> 32) + lowest
    parts = chosen[:, :2], chosen[:, 2], chosen[:, 3:]
    offset, flips, hole = map(xp.ascontiguousarray, parts)
    images = xp.ascontiguousarray(images)
    out = xp.empty_like(images)
    crop(count * height, images, offset, flips, hole, cutout, out)
    return out


def _check_dtype(images: Array, allowed: tuple[type, ...]) -> None:
    """Raise ValueError unless the images have one of these types, in this machine's byte order."""
    if not issubclass(images.dtype.type, allowed) or not images.dtype.isnative:
        names = " or ".join("integers" if t is np.integer else t.__name__ for t in allowed)
        raise ValueError(f"images must hold {names}, not {images.dtype}; convert them with astype")
