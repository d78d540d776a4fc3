"""Class prototypes on a sphere that are also the weights of the last layer, and their losses.

DPNP (arXiv 2501.02477) and Adv-DPNP (arXiv 2504.03782): features h ∈ R^d, one prototype c_j for
each class with ‖c_j‖ = a, class scores z = h Cᵀ without bias. The nearest rival of class y, which
the papers call its negative prototype, is n(y) = argmin_{j≠y} ‖c_j − c_y‖. (The negative prototypes
w⁻ of ±ED-WTA are something else.) This is a reconstruction from the published description.
"""

import numpy as np

from ..backend.blas import one_blas_thread
from ..backend.device import Array, array_module
from ..layers import Backward, Layer
from ..layers.checks import TINY, check_backward, check_input, check_parameters, positive_integers
from ..layers.linear import rowwise
from ..parameters import Tree
from ..random import normal
from ..validation import check_count, check_labels, check_shape


class PrototypeHead(Layer):
    """The last layer of a DPNP network: z = h Cᵀ, where the weights C are the class prototypes.

    Parameters
    ----------
    features : int
        d, the number of features.
    classes : int
        M, the number of classes, at least 2.
    radius : float, default 3.0
        a, the length of every prototype.
    init : {"simplex", "random"}
        The initial prototypes: a regular simplex, in which all are as far apart as possible, where
        d ≥ M − 1; otherwise, and for "random", random points of the sphere.
    seed : int, default 0
        The seed of the random numbers; it also rotates the simplex.

    Raises
    ------
    ValueError
        For a bad parameter; when called, for x, the prototypes or dy of another shape.

    Notes
    -----
    `params["prototypes"]` is C (M, d). The backward pass is dh = dz C and dC = dzᵀ h. After each
    optimizer step call `project`. The radius bounds the confidence of the network: for h = c_y and
    prototypes on a simplex, p_y = 1/(1 + (M − 1) e^{−a² M/(M − 1)}).

    Examples
    --------
    >>> import numpy as np
    >>> from tinyproto.prototypes import PrototypeHead
    >>> head = PrototypeHead(features=4, classes=3)
    >>> prototypes = head.params["prototypes"]
    >>> z, backward = head(prototypes)
    >>> z.argmax(axis=1)
    array([0, 1, 2])
    >>> np.linalg.norm(prototypes, axis=1).round(3).tolist()
    [3.0, 3.0, 3.0]
    """

    def __init__(
        self,
        features: int,
        classes: int,
        *,
        radius: float = 3.0,
        init: str = "simplex",
        seed: int = 0,
    ):
        positive_integers("PrototypeHead", features=features, classes=classes)
        if classes < 2:
            raise ValueError(f"PrototypeHead: classes must be 2 or more, not {classes}")
        if not TINY < radius < 1 / TINY:
            raise ValueError(f"PrototypeHead: radius must be above 0, not {radius!r}")
        if init not in ("simplex", "random"):
            raise ValueError(f"PrototypeHead: init must be 'simplex' or 'random', not {init!r}")
        self.features, self.classes, self.radius = features, classes, radius
        self.parameter_shapes = {"prototypes": (classes, features)}
        rotated = init == "simplex" and features >= classes - 1
        rows = np.arange(features if rotated else classes)
        prototypes = normal(features, rows, seed=seed, stream="prototypes")
        if rotated:
            prototypes = simplex(classes) @ np.linalg.qr(prototypes)[0][: classes - 1]
        self.params = {"prototypes": prototypes.astype(np.float32)}
        self.project()

    def __repr__(self) -> str:
        sizes = f"features={self.features}, classes={self.classes}, radius={self.radius}"
        return f"{type(self).__name__}({sizes})"

    def __call__(self, x: Array, train: bool = False) -> tuple[Array, Backward]:
        check_input("PrototypeHead", x, 2, self.features)
        check_parameters(self, x)
        xp, shape = array_module(x), (len(x), self.classes)
        x, prototypes = xp.ascontiguousarray(x), xp.ascontiguousarray(self.params["prototypes"])

        def backward(dy: Array, grads: Tree | None = None) -> Array:
            check_backward(self, dy, shape, grads)
            dy = xp.ascontiguousarray(dy)
            if grads and "prototypes" in grads:
                with one_blas_thread():
                    grads["prototypes"] += dy.T @ x
            return rowwise(dy, prototypes)

        return rowwise(x, prototypes.T), backward

    def project(self) -> None:
        """Put the prototypes back on the sphere, in place: c_j ← a c_j/‖c_j‖."""
        prototypes = self.params["prototypes"]
        check_parameters(self, prototypes)
        xp = array_module(prototypes)
        length = xp.sqrt((prototypes.astype(xp.float64) ** 2).sum(axis=1, keepdims=True))
        prototypes *= (self.radius / xp.maximum(length, 1e-12)).astype(prototypes.dtype)


def simplex(vertices: int) -> np.ndarray:
    """The vertices of a regular simplex centred at 0.

    Parameters
    ----------
    vertices : int
        M, their number.

    Returns
    -------
    array (M, M − 1)
        Unit vectors whose cosines are all −1/(M − 1), in float64.

    Raises
    ------
    ValueError
        For fewer than one vertex.

    Notes
    -----
    The basis vectors of R^M minus their mean form one, in the hyperplane orthogonal to (1, …, 1).
    The rows returned are their coordinates in an orthonormal basis of that hyperplane.

    Examples
    --------
    >>> from tinyproto.prototypes import simplex
    >>> corners = simplex(3)
    >>> (corners @ corners.T).round(3).tolist()
    [[1.0, -0.5, -0.5], [-0.5, 1.0, -0.5], [-0.5, -0.5, 1.0]]
    """
    check_count("vertices", vertices)
    centred = np.eye(vertices) - 1 / vertices
    basis = np.linalg.svd(centred)[0][:, : vertices - 1]
    corners = centred @ basis
    return corners / np.linalg.norm(corners, axis=1, keepdims=True)


def nearest_rival(prototypes: Array) -> Array:
    """The nearest other prototype of each prototype.

    Parameters
    ----------
    prototypes : array (M, d)
        One prototype for each class.

    Returns
    -------
    array (M,)
        n(j) = argmin_{k≠j} ‖c_k − c_j‖, the smallest k where several are equally near.

    Raises
    ------
    ValueError
        For fewer than 2 prototypes, or an array of another shape.

    Examples
    --------
    >>> import numpy as np
    >>> from tinyproto.prototypes import nearest_rival
    >>> nearest_rival(np.array([[0.0, 0.0], [1.0, 0.0], [5.0, 0.0]]))
    array([1, 0, 1])
    """
    check_shape("prototypes", prototypes, ("M", "d"))
    if len(prototypes) < 2:
        raise ValueError(f"nearest_rival needs 2 prototypes or more, not {len(prototypes)}")
    xp = array_module(prototypes)
    distance = squared_distances(prototypes)
    distance[xp.arange(len(distance)), xp.arange(len(distance))] = xp.inf
    return distance.argmin(axis=1)


def squared_distances(prototypes: Array) -> Array:
    """‖c_i − c_j‖² (M, M), in float64."""
    exact = prototypes.astype(np.float64)
    return ((exact[:, None, :] - exact[None, :, :]) ** 2).sum(axis=2)


def alignment(h: Array, prototypes: Array, y: Array) -> tuple[Array, Array, Array]:
    """The alignment loss ‖h − c_y‖² of each example, and its gradients.

    Parameters
    ----------
    h : array (N, d)
        Features.
    prototypes : array (M, d)
        C, one prototype for each class.
    y : array (N,)
        The index of each example's class.

    Returns
    -------
    value : array (N,)
        The loss of each example.
    dh : array (N, d)
        2(h − c_y).
    d_prototypes : array (M, d)
        dC_j = 2 Σ_{y_i = j} (c_j − h_i), summed over the examples.

    Raises
    ------
    ValueError
        For arrays of other shapes, or labels that are not rows of the prototypes.

    Examples
    --------
    >>> import numpy as np
    >>> from tinyproto.prototypes import alignment
    >>> h, prototypes = np.array([[1.0, 2.0]]), np.array([[1.0, 0.0], [0.0, 1.0]])
    >>> value, dh, d_prototypes = alignment(h, prototypes, np.array([0]))
    >>> value.tolist(), dh.tolist()
    ([4.0], [[0.0, 4.0]])
    """
    check_shape("prototypes", prototypes, ("M", "d"))
    check_shape("h", h, ("N", prototypes.shape[1]))
    y = check_labels(y, len(h), len(prototypes), wait=False)
    difference = h - prototypes[y]
    d_prototypes = -2 * _sum_by(y, difference, len(prototypes))
    return (difference**2).sum(axis=1), 2 * difference, d_prototypes


def repulsion(prototypes: Array, y: Array) -> tuple[Array, Array]:
    """The repulsion loss −‖c_y − c_n(y)‖² of each example, and its gradient.

    Parameters
    ----------
    prototypes : array (M, d)
        C, one prototype for each class.
    y : array (N,)
        The index of each example's class.

    Returns
    -------
    value : array (N,)
        The loss of each example.
    d_prototypes : array (M, d)
        dC, summed over the examples.

    Raises
    ------
    ValueError
        For fewer than 2 prototypes, or labels that are not rows of them.

    Notes
    -----
    With v_j = c_j − c_n(j), both the prototype and its rival are pushed away from each other:

        dC_j = −2 Σ_{y_i = j} v_j + 2 Σ_{n(y_i) = j} v_{y_i}

    n is treated as constant, which is exact unless two rivals are equally near. For equally
    frequent classes and d ≥ M − 1 the optimum on the sphere is the regular simplex, with all
    cosines −1/(M − 1).

    Examples
    --------
    >>> import numpy as np
    >>> from tinyproto.prototypes import repulsion
    >>> value, d_prototypes = repulsion(np.array([[1.0, 0.0], [0.0, 1.0]]), np.array([0]))
    >>> value.tolist(), d_prototypes.tolist()
    ([-2.0], [[-2.0, 2.0], [2.0, -2.0]])
    """
    xp = array_module(prototypes)
    rival = nearest_rival(prototypes)
    y = check_labels(y, len(y), len(prototypes), wait=False)
    difference = prototypes - prototypes[rival]
    classes = xp.arange(len(prototypes))
    frequency = (y[:, None] == classes[None, :]).sum(axis=0).astype(prototypes.dtype)
    push = 2 * frequency[:, None] * difference
    return -(difference**2).sum(axis=1)[y], _sum_by(rival, push, len(prototypes)) - push


def _sum_by(label: Array, rows: Array, classes: int) -> Array:
    """The sum of the rows of each label, (classes, d)."""
    xp = array_module(rows)
    member = (xp.arange(classes)[:, None] == label[None, :]).astype(rows.dtype)
    with one_blas_thread():
        summed: Array = member @ rows
    return summed
