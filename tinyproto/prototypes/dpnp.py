"""Class prototypes on a sphere that are also the classifier's weights, and what moves them.

DPNP (arXiv 2501.02477) and Adv-DPNP (arXiv 2504.03782): features h ∈ R^d, one prototype c_j a class
with ‖c_j‖ = a, class scores z = h Cᵀ with no bias. The negative prototype of class y is its nearest
rival n(y) = argmin_{j≠y} ‖c_j − c_y‖. This is a reconstruction from the published description.
"""

import numpy as np

from ..backend.blas import one_blas_thread
from ..backend.device import Array, array_module
from ..layers import Backward, Layer
from ..layers.base import check_input, positive_integers
from ..layers.linear import rowwise
from ..parameters import Tree
from ..random import normal


class PrototypeHead(Layer):
    """z = h Cᵀ for h (N, d): the prototypes C (classes, d) are the weights. dh = dz C, dC = dzᵀ h.

    Parameter: prototypes. They start as a regular simplex (all as far apart as can be) where d ≥
    classes − 1 and start="simplex", else at random places on the sphere. `project` puts them back
    on the sphere of this radius; call it after each step. a sets how sure the network can be: with
    h = c_y on a simplex of M, p_y = 1/(1 + (M − 1) e^{−a² M/(M − 1)}).
    """

    def __init__(
        self,
        features: int,
        classes: int,
        *,
        radius: float = 3.0,
        start: str = "simplex",
        seed: int = 0,
    ):
        positive_integers("PrototypeHead", features=features, classes=classes)
        if classes < 2:
            raise ValueError(f"PrototypeHead: classes must be 2 or more, not {classes}")
        if not 0 < radius < np.inf:
            raise ValueError(f"PrototypeHead: radius must be above 0, not {radius!r}")
        if start not in ("simplex", "random"):
            raise ValueError(f"PrototypeHead: start must be 'simplex' or 'random', not {start!r}")
        self.radius = radius
        drawn = normal(features, np.arange(max(classes, features)), seed=seed, stream="prototypes")
        if start == "simplex" and features >= classes - 1:
            placed = simplex(classes) @ np.linalg.qr(drawn[:features])[0][: classes - 1]
        else:
            placed = drawn[:classes]
        self.params = {"prototypes": placed.astype(np.float32)}
        self.project()

    def __call__(self, x: Array, train: bool = False) -> tuple[Array, Backward]:
        prototypes = self.params["prototypes"]
        check_input("PrototypeHead", x, 2, prototypes.shape[1])

        def backward(dy: Array, grads: Tree | None = None) -> Array:
            if grads and "prototypes" in grads:
                with one_blas_thread():
                    grads["prototypes"] += dy.T @ x
            return rowwise(dy, prototypes)

        return rowwise(x, prototypes.T), backward

    def project(self) -> None:
        """c_j ← a c_j/‖c_j‖, in place."""
        prototypes = self.params["prototypes"]
        xp = array_module(prototypes)
        length = xp.sqrt((prototypes.astype(xp.float64) ** 2).sum(axis=1, keepdims=True))
        prototypes *= (self.radius / xp.maximum(length, 1e-12)).astype(prototypes.dtype)


def simplex(vertices: int) -> np.ndarray:
    """A regular simplex about 0, (vertices, vertices − 1), unit vectors whose cosines are all
    −1/(vertices − 1). The centred basis vectors of R^M are one, in the plane across (1, …, 1); an
    orthonormal basis of that plane gives their coordinates."""
    centred = np.eye(vertices) - 1 / vertices
    basis = np.linalg.svd(centred)[0][:, : vertices - 1]
    corners = centred @ basis
    return corners / np.linalg.norm(corners, axis=1, keepdims=True)


def nearest_rival(prototypes: Array) -> Array:
    """n (classes,): for each prototype the nearest other one, the first of a tie."""
    xp = array_module(prototypes)
    distance = squared_distances(prototypes)
    distance[xp.arange(len(distance)), xp.arange(len(distance))] = xp.inf
    return distance.argmin(axis=1)


def squared_distances(prototypes: Array) -> Array:
    """‖c_i − c_j‖² (classes, classes), in float64."""
    exact = prototypes.astype(np.float64)
    return ((exact[:, None, :] - exact[None, :, :]) ** 2).sum(axis=2)


def alignment(h: Array, prototypes: Array, y: Array) -> tuple[Array, Array, Array]:
    """‖h − c_y‖² of each example: the value (N,), dh = 2(h − c_y) (N, d), and
    dC_j = 2 Σ_{y_i = j} (c_j − h_i) (classes, d), summed over the examples."""
    gap = h - prototypes[y]
    return (gap**2).sum(axis=1), 2 * gap, -2 * _sum_by(y, gap, len(prototypes))


def repulsion(prototypes: Array, y: Array) -> tuple[Array, Array]:
    """−‖c_y − c_n(y)‖² of each example: the value (N,), and, with gap_j = c_j − c_n(j),

        dC_j = −2 Σ_{y_i = j} gap_j + 2 Σ_{n(y_i) = j} gap_{y_i},

    summed over the examples (classes, d): both ends are pushed. n(y) is taken as it stands, which
    is exact save where two rivals are equally near. For equally frequent classes and d ≥ M − 1 the
    optimum on the sphere is the regular simplex, cos = −1/(M − 1).
    """
    xp = array_module(prototypes)
    rival = nearest_rival(prototypes)
    gap = prototypes - prototypes[rival]
    own = xp.arange(len(prototypes))
    frequency = (y[:, None] == own[None, :]).sum(axis=0).astype(prototypes.dtype)
    push = 2 * frequency[:, None] * gap
    return -(gap**2).sum(axis=1)[y], _sum_by(rival, push, len(prototypes)) - push


def _sum_by(label: Array, rows: Array, classes: int) -> Array:
    """Σ of the rows of each label, (classes, d)."""
    xp = array_module(rows)
    member = (xp.arange(classes)[:, None] == label[None, :]).astype(rows.dtype)
    with one_blas_thread():
        summed: Array = member @ rows
    return summed
