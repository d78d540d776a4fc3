"""Square Attack (Andriushchenko and others, arXiv 1912.00049): random search, without gradients.

Each query tries one change in a square window of the image and keeps it if the margin
z_y − max_{k≠y} z_k falls. The windows shrink as queries are used up. In L∞ the window of each
channel is set to the ball's upper or lower face (algorithm 2); in L2 what the perturbation has in a
second window is moved into the first, in the shape of two opposite bumps (algorithm 3).
"""

import math
from typing import Any

from ..backend.device import Array, array_module
from ..losses import margin
from ..random import uniform
from .inputs import initially_correct, validate_inputs
from .region import Radius, expand_like, flatten, linf_bounds, normalize_l2, per_example, project_l2
from .victim import Victim

HALVED_AFTER = (10, 50, 200, 500, 1000, 2000, 4000, 6000, 8000)
"""The queries after which the share of pixels in a window is halved: the authors' for a budget of
10,000, which AutoAttack takes for its 5,000 as they are."""


def square(
    victim: Victim,
    x: Array,
    y: Array,
    *,
    eps: Radius,
    norm: str = "linf",
    queries: int = 5000,
    share: float = 0.8,
    seed: int = 0,
    index: Array | None = None,
) -> Array:
    """x moved by no more than eps to lower the margin of the labels y (N,), columns of z, in so
    many forward passes. x: images, channels last, (N, H, W, C), or grey ones (N, H, W); (N, d) are
    taken as rows of pixels, where squares are only stretches: images are attacked better as images.

    share: of the pixels in the first windows. seed, index: as in `pgd`; each example has windows of
    its own. Returns points in the ball and in the box, wrong ones where they were found; an example
    that is wrong to begin with is left alone. Raises ValueError as `pgd` does, and for images with
    their channels first.
    """
    y, index = validate_inputs(victim, x, y, index, eps, norm, queries=queries)
    attacked, left, _ = initially_correct(victim, x, y)
    radii = per_example(eps, x)
    if len(left) == 0 or not radii.any():
        return attacked
    images = _as_images(x[left])
    search = (_Linf if norm == "linf" else _L2)(images, radii[left], victim, seed, index[left])
    best, labels = search.start(), y[left]
    lowest, right = _margins(victim, best.reshape(-1, *x.shape[1:]), labels)
    for query in range(1, queries):
        places = array_module(x).flatnonzero(right)
        if len(places) == 0:
            break
        halvings = sum(query > end for end in HALVED_AFTER)
        moved = search.change(places, best[places], query, share / 2**halvings)
        value, still = _margins(victim, moved.reshape(-1, *x.shape[1:]), labels[places])
        better = (value < lowest[places]) | ~still
        kept = places[better]
        best[kept], lowest[kept], right[kept] = moved[better], value[better], still[better]
    attacked[left] = best.reshape(-1, *x.shape[1:])
    return attacked


def _as_images(x: Array) -> Array:
    """(N, H, W, C), of images, of grey images (N, H, W), or of rows of pixels (N, d)."""
    if x.ndim == 4 and x.shape[1] in (1, 3) and x.shape[3] > 4:
        raise ValueError(f"square takes images (N, H, W, C), and {x.shape} has its channels first")
    if x.ndim == 4:
        return x
    return x[..., None] if x.ndim == 3 else flatten(x)[:, None, :, None]


def _margins(victim: Victim, point: Array, y: Array) -> tuple[Array, Array]:
    """z_y − max z_k, and whether the answer is right."""
    z, _ = victim(point)
    return -margin(z, y)[0], z.argmax(axis=1) == y


class _Search:
    """The images x (n, H, W, C), and random numbers of its own for each of them and each query."""

    def __init__(self, x: Array, eps: Array, victim: Victim, seed: int, index: Array):
        self.x, self.eps, self.seed, self.index = x, eps, seed, index
        self.lo, self.hi, self.xp = victim.lo, victim.hi, array_module(x)

    def draw(self, places: Array, count: int, query: int, what: str) -> Array:
        """(len(places), count) numbers in [0, 1)."""
        name: dict[str, Any] = {"seed": self.seed, "stream": f"square {what}", "epoch": query}
        return uniform(count, self.index[places], xp=self.xp, **name)

    def signs(self, places: Array, count: int, query: int, what: str) -> Array:
        return self.xp.where(self.draw(places, count, query, what) < 0.5, -1.0, 1.0)

    def side(self, share: float, least: int, odd: bool = False) -> tuple[int, int]:
        """Rows and columns of a window with so large a share of the pixels."""
        _, height, width, _ = self.x.shape
        row = height == 1  # no image, but a row of pixels
        wanted = max(least, round(share * width if row else math.sqrt(share * height * width)))
        wanted += odd and wanted % 2 == 0
        wanted = min(wanted, width if row else min(height, width))
        return (1 if row else wanted), wanted

    def window(
        self, places: Array, side: tuple[int, int], query: int, what: str
    ) -> tuple[Array, Array]:
        """The rows (n, rows, 1) and columns (n, 1, columns) of a random window in each image."""
        xp, corner = self.xp, self.draw(places, 2, query, what)
        top, left = (
            (corner[:, axis] * (self.x.shape[1 + axis] - side[axis] + 1)).astype(xp.int64)
            for axis in (0, 1)
        )
        rows, columns = xp.arange(side[0]), xp.arange(side[1])
        return (top[:, None] + rows)[:, :, None], (left[:, None] + columns)[:, None, :]


class _Linf(_Search):
    def __init__(self, x: Array, eps: Array, victim: Victim, seed: int, index: Array):
        super().__init__(x, eps, victim, seed, index)
        self.low, self.high = linf_bounds(x, eps, self.lo, self.hi)

    def start(self) -> Array:
        """Stripes: a sign for each column and channel."""
        count, _, width, channels = self.x.shape
        drawn = self.signs(self.xp.arange(count), width * channels, 0, "stripes")
        sign = drawn.reshape(count, 1, width, channels)
        return self.xp.where(sign > 0, self.high, self.low)

    def change(self, places: Array, best: Array, query: int, share: float) -> Array:
        """`best` with one sign for each channel in a window."""
        xp = self.xp
        window = self.window(places, self.side(share, 1), query, "window")
        sign = self.signs(places, best.shape[3], query, "sign")[:, None, None, :]
        here = (places[:, None, None], *window)
        moved = best.copy()
        there = (xp.arange(len(places))[:, None, None], *window)
        moved[there] = xp.where(sign > 0, self.high[here], self.low[here])
        return moved


class _L2(_Search):
    def start(self) -> Array:
        """Tiles with bumps, each with a sign for each channel, stretched to the radius."""
        xp, (count, height, width, channels) = self.xp, self.x.shape
        side = max(1, (min(height, width) if height > 1 else width) // 5)
        rows = min(side, height)
        down, across = height // rows, width // side
        top, left = (height - down * rows) // 2, (width - across * side) // 2
        places = xp.arange(count)
        sign = self.signs(places, down * across * channels, 0, "tiles")
        sign = sign.reshape(count, down, 1, across, 1, channels)
        turn = self.draw(places, down * across, 0, "turn").reshape(count, down, 1, across, 1, 1)
        bump, turned = (b[None, None, :, None, :, None] for b in self.bumps(rows, side))
        tiles = sign * xp.where(turn < 0.5, bump, turned)
        delta = xp.zeros(self.x.shape)
        delta[:, top : top + down * rows, left : left + across * side] = tiles.reshape(
            count, down * rows, across * side, channels
        )
        return self.stretched(places, delta)

    def change(self, places: Array, best: Array, query: int, share: float) -> Array:
        """`best` with a new bump in one window, paid for with what a second one held."""
        xp, channels = self.xp, best.shape[3]
        delta = best.astype(xp.float64) - self.x[places]
        side = self.side(share, 3, odd=True)
        rows = xp.arange(len(places))[:, None, None]
        first = (rows, *self.window(places, side, query, "window"))
        second = (rows, *self.window(places, side, query, "second window"))
        covered = xp.zeros(delta.shape[:3], dtype=bool)
        covered[first] = covered[second] = True
        held = ((delta * covered[..., None]) ** 2).sum(axis=(1, 2))
        used = (delta**2).sum(axis=(1, 2, 3))
        spare = xp.maximum(self.eps[places] ** 2 - used, 0)[:, None] / channels
        turn = self.draw(places, 1, query, "turn")[:, :, None, None]
        bump, turned = (b[None, :, :, None] for b in self.bumps(*side))
        bump = xp.where(turn < 0.5, bump, turned)
        sign = self.signs(places, channels, query, "sign")[:, None, None, :]
        new = _unit(bump * sign + _unit(delta[first]))
        delta[second] = 0
        delta[first] = new * xp.sqrt(spare + held)[:, None, None, :]
        return self.stretched(places, delta)

    def stretched(self, places: Array, delta: Array) -> Array:
        """x plus the perturbation, stretched to the radius, in the box."""
        x, eps = self.x[places], self.eps[places]
        moved = x + expand_like(eps, x) * normalize_l2(delta)
        return project_l2(x, moved, eps, self.lo, self.hi)

    def bumps(self, rows: int, columns: int) -> tuple[Array, Array]:
        """(rows, columns), of norm 1: a hill beside a hollow; and, of a square, on end."""
        xp = self.xp
        if rows == 1:
            half = columns // 2
            parts, axis = [self.hill(1, half), -self.hill(1, columns - half)], 1
        else:
            half = rows // 2
            parts, axis = [self.hill(half, columns), -self.hill(rows - half, columns)], 0
        shape = xp.concatenate(parts, axis=axis)
        shape = shape / max(float(xp.sqrt((shape**2).sum())), 1e-12)
        return shape, shape.T if rows == columns else shape

    def hill(self, rows: int, columns: int) -> Array:
        """Rectangles on one another, the k-th of height 1/k², of norm 1."""
        hill = self.xp.zeros((rows, columns))
        top, left = rows // 2, columns // 2
        for k in range(max(top, left) + 1):
            r, c = max(top - k, 0), max(left - k, 0)
            hill[r : top + k + 1, c : left + k + 1] += 1 / (k + 1) ** 2
        return hill / max(float(self.xp.sqrt((hill**2).sum())), 1e-12)


def _unit(window: Array) -> Array:
    """(n, rows, columns, channels): each channel of each window scaled to norm 1."""
    length = array_module(window).sqrt((window**2).sum(axis=(1, 2), keepdims=True))
    return window / (1e-12 + length)
