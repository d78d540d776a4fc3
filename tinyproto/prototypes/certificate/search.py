"""The search over the rivals for the nearest point of another class.

The rivals are taken in the order of a lower bound that costs little: what the rows of the own
neurons with the highest scores give alone. A block of them gets the bound of all rows; those left
in the box are tried with one row inside it; and only for the rest, mostly one or two, is the
distance to the polyhedron computed. What is skipped has a proven bound of at least the radius, so
that neither the order nor the blocks change the proof.
"""

import numpy as np

from ...backend.blas import one_blas_thread
from .real_network import RealNetwork
from .rival_distance import Found, Neighbourhood, Task
from .rows import Rows

HIGHEST = 8  # own neurons whose rows give the first bound
BLOCK = 32  # rivals whose rows are looked at together


class Search:
    """A network, the class `owner` of each neuron, a norm and a box."""

    def __init__(
        self, real: RealNetwork, owner: np.ndarray, norm: str, box: tuple[float, float],
        overshoot: float,
    ):  # fmt: skip
        self.real, self.owner = real, owner
        self.task = Task(real, norm, box, overshoot)
        self._rows: dict[int, Rows] = {}  # by predicted class

    def rows(self, predicted: int) -> Rows:
        """Those of the predicted class. They are kept."""
        if predicted not in self._rows:
            own, rivals = (np.flatnonzero((self.owner == predicted) == same) for same in (1, 0))
            self._rows[predicted] = Rows(self.real, own, rivals, self.task.norm)
        return self._rows[predicted]

    def radii(
        self, x: np.ndarray, label: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """The radius (N,) of each x (N, d) and its nearest δ (N, d); 0 where the class predicted is
        not the `label` (N,). Every x is computed by itself."""
        radius, delta = np.zeros(len(x)), np.zeros_like(x)
        with one_blas_thread():
            for i in range(len(x)):
                score, error = (part[0] for part in self.real.scores(x[i : i + 1]))
                predicted = int(self.owner[score.argmax()])
                if label is None or predicted == label[i]:
                    radius[i], delta[i] = self.nearest(x[i], score, error, predicted)
        return radius, delta

    def nearest(
        self, x: np.ndarray, score: np.ndarray, error: np.ndarray, predicted: int
    ) -> tuple[float, np.ndarray]:
        """The least distance to all rivals' polyhedra, and the nearest δ, for one input."""
        rows, overshoot = self.rows(predicted), self.task.overshoot_scaled
        around = Neighbourhood(self.task, rows, x, score, error)
        highest = np.argsort(-score[rows.own], kind="stable")[:HIGHEST]
        bounds = rows.lower_bounds(score, error, overshoot, own=highest)
        order = np.argsort(bounds, kind="stable")
        radius, nearest = np.inf, Found(np.inf, np.zeros_like(x), np.inf, 0)
        for start in range(0, len(order), BLOCK):
            block = order[start : start + BLOCK]
            block = block[bounds[block] < radius]
            if not len(block):
                break  # and no later one has a smaller bound
            bounds[block] = rows.lower_bounds(score, error, overshoot, rivals=block)
            block = block[np.argsort(bounds[block], kind="stable")]
            block = around.not_farther(block[bounds[block] < radius], radius)
            while len(block):
                i, block = block[0], block[1:]
                found = around.distance(i, radius)
                nearest = min(nearest, found, key=lambda found: found.length)
                lower = max(found.lower, float(bounds[i]))
                if lower < radius:
                    radius = lower
                    block = around.not_farther(block[bounds[block] < radius], radius)
        return radius, around.reaching(nearest)
