"""Square Attack: random search without gradients.

Each query changes the image in one square window and keeps the change if the margin
z_y − max_{k≠y} z_k falls. The windows shrink as queries are used up: p, the fraction of the pixels
in a window, is halved on a schedule. In L∞ each channel of a window is set to the upper or the
lower bound of the ball (algorithm 2); in L2 the energy that the perturbation has in a second window
is moved to the first, in the shape η of two opposite peaks (algorithm 3). L1 does as L2, with sums
of absolute values for energies, peaks that fall off faster, and the exact projection (`l1`).

Source: Andriushchenko and others, arXiv 1912.00049; for L1 Croce and Hein, arXiv 2103.01208,
section 5, and the authors' code.
"""

import math
from typing import Any

from ..backend.device import Array, array_module
from ..losses import margin
from ..random import uniform
from ..validation import check_number
from .inputs import initially_correct, validate_inputs
from .region import NORMS, Radius, Region, expand_like, flatten, normalize_l2
from .victim import Victim

P_HALVINGS = (10, 50, 200, 500, 1000, 2000, 4000, 6000, 8000)
"""The queries after which p is halved: the authors' for a budget of 10,000, which AutoAttack uses
unchanged for its 5,000."""


def square(
    victim: Victim,
    x: Array,
    y: Array,
    *,
    eps: Radius,
    norm: str | float = "linf",
    queries: int = 5000,
    p_init: float = 0.8,
    seed: int = 0,
    index: Array | None = None,
) -> Array:
    """Square Attack: random search for a smaller margin, with forward passes alone.

    Parameters
    ----------
    victim : Victim
        The model under attack; its gradient is not used.
    x : array
        Images in [victim.lo, victim.hi] with their channels last (N, H, W, C), or grey ones
        (N, H, W). Rows of pixels (N, d) are possible, but their windows are only intervals: images
        are attacked better as images.
    y : array (N,)
        Labels: columns of the scores z.
    eps : float or array (N,)
        The radius of the ball, in the units of x; ∞ is the box.
    norm : {"linf", "l2", "l1"}
        The norm of the ball. "L2", 2 and `np.inf` are understood too.
    queries : int
        The number of forward passes for each example.
    p_init : float
        The fraction of the pixels in the first windows.
    seed : int
        The seed of the random windows and signs.
    index : array (N,), optional
        The positions of the examples in the data set, 0 … N − 1 by default. Each example has
        random windows of its own, whatever the batch.

    Returns
    -------
    array, like x
        Points in the ball and in [victim.lo, victim.hi], misclassified ones where they were found.
        An example that is misclassified to begin with is not changed.

    Raises
    ------
    ValueError
        As `pgd` does, and for images with their channels first.

    Examples
    --------
    >>> import numpy as np
    >>> from tinyproto.attacks import Victim, square
    >>> W = np.repeat([[1.0, -1.0], [-1.0, 1.0]], 8, axis=0)
    >>> def model(x):
    ...     return x.reshape(-1, 16) @ W, lambda dz: (dz @ W.T).reshape(x.shape)
    >>> victim = Victim(model)
    >>> x = np.repeat([0.6, 0.5], 8).reshape(1, 4, 4, 1)
    >>> attacked = square(victim, x, np.array([0]), eps=0.125, queries=200)
    >>> victim(attacked)[0].argmax(axis=1)
    array([1])
    >>> victim.backward_passes
    0
    """
    x, y, index, radii, norm = validate_inputs(
        victim, x, y, index, eps, norm, NORMS, seed=seed, queries=queries
    )
    check_number("p_init", p_init, most=1)
    adversarial, remaining, _ = initially_correct(victim, x, y)
    if len(remaining) == 0 or not radii.any():
        return adversarial
    labels = y[remaining]
    region = Region(x[remaining], radii[remaining], norm, victim)
    region = region.reshape(_as_images(region.x).shape[1:])
    search = SAMPLERS[norm](region, seed, index[remaining])
    best = search.initialize()
    lowest, correct = _margins(victim, best.reshape(-1, *x.shape[1:]), labels)
    for query in range(1, queries):
        active = array_module(x).flatnonzero(correct)
        if len(active) == 0:
            break
        moved = search.propose(active, best[active], query, p_selection(p_init, query))
        value, still_correct = _margins(victim, moved.reshape(-1, *x.shape[1:]), labels[active])
        better = (value < lowest[active]) | ~still_correct
        accepted = active[better]
        best[accepted], lowest[accepted] = moved[better], value[better]
        correct[accepted] = still_correct[better]
    adversarial[remaining] = best.reshape(-1, *x.shape[1:])
    return adversarial


def p_selection(p_init: float, query: int) -> float:
    """p, the fraction of the pixels in the window of this query."""
    return p_init / 2 ** sum(query > end for end in P_HALVINGS)


def _as_images(x: Array) -> Array:
    """(N, H, W, C), of images, of grey images (N, H, W), or of rows of pixels (N, d)."""
    if x.ndim == 4 and x.shape[1] in (1, 3) and x.shape[3] > 4:
        raise ValueError(f"square takes images (N, H, W, C), and {x.shape} has its channels first")
    if x.ndim == 4:
        return x
    return x[..., None] if x.ndim == 3 else flatten(x)[:, None, :, None]


def _margins(victim: Victim, points: Array, y: Array) -> tuple[Array, Array]:
    """z_y − max_{k≠y} z_k, and whether the points are classified correctly."""
    z, _ = victim(points)
    return -margin(z, y)[0], z.argmax(axis=1) == y


class _Sampler:
    """The sampling distribution: random windows and signs for each image and each query.

    In the methods, `examples` (n,) are indices of images."""

    def __init__(self, region: Region, seed: int, index: Array):
        self.region, self.x, self.seed, self.index = region, region.x, seed, index
        self.xp = array_module(region.x)

    def uniform(self, examples: Array, count: int, query: int, what: str) -> Array:
        """(n, count) numbers in [0, 1), which depend on seed, position, query and `what`."""
        key: dict[str, Any] = {"seed": self.seed, "stream": f"square {what}", "epoch": query}
        return uniform(count, self.index[examples], xp=self.xp, **key)

    def signs(self, examples: Array, count: int, query: int, what: str) -> Array:
        """(n, count) random signs."""
        return self.xp.where(self.uniform(examples, count, query, what) < 0.5, -1.0, 1.0)

    def window_size(self, p: float, smallest: int, odd: bool = False) -> tuple[int, int]:
        """Rows and columns of a window that holds the fraction p of the pixels."""
        _, height, width, _ = self.x.shape
        one_row = height == 1  # not an image, but a row of pixels
        side = max(smallest, round(p * width if one_row else math.sqrt(p * height * width)))
        side += odd and side % 2 == 0
        side = min(side, width if one_row else min(height, width))
        return (1 if one_row else side), side

    def window(
        self, examples: Array, size: tuple[int, int], query: int, what: str
    ) -> tuple[Array, Array]:
        """The rows (n, rows, 1) and columns (n, 1, columns) of a random window in each image."""
        xp, corner = self.xp, self.uniform(examples, 2, query, what)
        top, left = (
            (corner[:, axis] * (self.x.shape[1 + axis] - size[axis] + 1)).astype(xp.int64)
            for axis in (0, 1)
        )
        rows, columns = xp.arange(size[0]), xp.arange(size[1])
        return (top[:, None] + rows)[:, :, None], (left[:, None] + columns)[:, None, :]


class _SquareLinf(_Sampler):
    def initialize(self) -> Array:
        """Vertical stripes: x ± eps with a random sign for each column and channel."""
        count, _, width, channels = self.x.shape
        drawn = self.signs(self.xp.arange(count), width * channels, 0, "stripes")
        sign = drawn.reshape(count, 1, width, channels)
        return self.xp.where(sign > 0, self.region.high, self.region.low)

    def propose(self, examples: Array, best: Array, query: int, p: float) -> Array:
        """`best` with x ± eps in a window, with one random sign for each channel."""
        xp = self.xp
        window = self.window(examples, self.window_size(p, 1), query, "window")
        sign = self.signs(examples, best.shape[3], query, "sign")[:, None, None, :]
        of_image = (examples[:, None, None], *window)
        of_best = (xp.arange(len(examples))[:, None, None], *window)
        moved = best.copy()
        moved[of_best] = xp.where(sign > 0, self.region.high[of_image], self.region.low[of_image])
        return moved


class _SquareL2(_Sampler):
    order = 2
    """The energy of a perturbation is the sum of this power of its absolute values."""

    fall_off = 2
    """The k-th rectangle of a peak has the height k to the minus this power."""

    def initialize(self) -> Array:
        """A grid of tiles with η in each, with a random sign for each tile and channel, scaled to
        the radius."""
        xp, (count, height, width, channels) = self.xp, self.x.shape
        side = max(1, (min(height, width) if height > 1 else width) // 5)
        rows = min(side, height)
        down, across = height // rows, width // side
        top, left = (height - down * rows) // 2, (width - across * side) // 2
        examples = xp.arange(count)
        sign = self.signs(examples, down * across * channels, 0, "tiles")
        sign = sign.reshape(count, down, 1, across, 1, channels)
        turn = self.uniform(examples, down * across, 0, "turn").reshape(
            count, down, 1, across, 1, 1
        )
        eta, transposed = (e[None, None, :, None, :, None] for e in self.eta(rows, side))
        tiles = sign * xp.where(turn < 0.5, eta, transposed)
        delta = xp.zeros(self.x.shape)
        delta[:, top : top + down * rows, left : left + across * side] = tiles.reshape(
            count, down * rows, across * side, channels
        )
        return self.scale_to_radius(examples, delta)

    def propose(self, examples: Array, best: Array, query: int, p: float) -> Array:
        """`best` with η added in one window, with the energy of a second window, which is cleared,
        and what the ball has left."""
        xp, channels = self.xp, best.shape[3]
        delta = best.astype(xp.float64) - self.x[examples]
        size = self.window_size(p, 3, odd=True)
        rows = xp.arange(len(examples))[:, None, None]
        first = (rows, *self.window(examples, size, query, "window"))
        second = (rows, *self.window(examples, size, query, "second window"))
        covered = xp.zeros(delta.shape[:3], dtype=bool)
        covered[first] = covered[second] = True
        energy = self.energy(delta * covered[..., None], (1, 2))
        total = self.energy(delta, (1, 2, 3))
        radius = self.region.eps[examples] ** self.order
        unused = xp.maximum(radius - total, 0)[:, None] / channels
        turn = self.uniform(examples, 1, query, "turn")[:, :, None, None]
        eta, transposed = (e[None, :, :, None] for e in self.eta(*size))
        eta = xp.where(turn < 0.5, eta, transposed)
        sign = self.signs(examples, channels, query, "sign")[:, None, None, :]
        new = self.normalize(eta * sign + self.normalize(delta[first]))
        delta[second] = 0
        delta[first] = new * self.length(unused + energy)[:, None, None, :]
        return self.scale_to_radius(examples, delta)

    def energy(self, delta: Array, axis: tuple[int, ...], keepdims: bool = False) -> Array:
        magnitude: Array = abs(delta)
        return (magnitude**self.order).sum(axis=axis, keepdims=keepdims)

    def length(self, energy: Array) -> Array:
        """The norm of each channel of the new window."""
        return self.xp.sqrt(energy)

    def normalize(self, window: Array) -> Array:
        """(n, rows, columns, channels): each channel of each window scaled to norm 1."""
        return window / (1e-12 + self.energy(window, (1, 2), True) ** (1 / self.order))

    def scale_to_radius(self, examples: Array, delta: Array) -> Array:
        """x plus the perturbation scaled to norm eps, in the box."""
        x, eps = self.x[examples], self.region.eps[examples]
        return self.region.project(examples, x + expand_like(eps, x) * normalize_l2(delta))

    def eta(self, rows: int, columns: int) -> tuple[Array, Array]:
        """η (rows, columns), of norm 1: a positive peak beside a negative one; and its transpose,
        if it is a square."""
        xp = self.xp
        if rows == 1:
            half = columns // 2
            parts, axis = [self.peak(1, half), -self.peak(1, columns - half)], 1
        else:
            half = rows // 2
            parts, axis = [self.peak(half, columns), -self.peak(rows - half, columns)], 0
        eta = xp.concatenate(parts, axis=axis)
        eta = eta / max(float(self.energy(eta, (0, 1))) ** (1 / self.order), 1e-12)
        return eta, eta.T if rows == columns else eta

    def peak(self, rows: int, columns: int) -> Array:
        """A sum of concentric rectangles, the k-th of height 1/k² (equation 2), of norm 1."""
        peak = self.xp.zeros((rows, columns))
        top, left = rows // 2, columns // 2
        for k in range(max(top, left) + 1):
            r, c = max(top - k, 0), max(left - k, 0)
            peak[r : top + k + 1, c : left + k + 1] += 1 / (k + 1) ** self.fall_off
        return peak / max(float(self.energy(peak, (0, 1))) ** (1 / self.order), 1e-12)


class _SquareL1(_SquareL2):
    order, fall_off = 1, 4

    def length(self, energy: Array) -> Array:
        return energy * self.x.shape[3]  # as the authors have it; the projection cuts it off

    def scale_to_radius(self, examples: Array, delta: Array) -> Array:
        return self.region.project(examples, self.x[examples] + delta)


SAMPLERS: dict[str, type[_SquareLinf] | type[_SquareL2]] = {
    "linf": _SquareLinf,
    "l2": _SquareL2,
    "l1": _SquareL1,
}
