"""Measuring a latent space: features of clean and of attacked images, and all that they show."""

from pathlib import Path
from typing import Any

import numpy as np

from ...attacks import Victim, pgd_inner
from ...attacks.autoattack import Attack
from ...backend.device import Array, array_module, to_device, to_host
from ...networks import Network, fold
from ...progress import progress
from ...prototypes import PrototypeHead, head_vectors
from ...training.batch import load_batch
from ...training.inputs import check_examples
from ...validation import check_count, check_index, check_number, check_shape, resolve_norm
from ..attack_description import describe_attack
from ..checks import check_attacked, in_ball
from .angles import pairwise_angles, prototype_angles, simplex_angle
from .checks import check_classed
from .collapse import neural_collapse, separation, simplex_distance
from .distances import class_means, compactness, prototype_distances
from .report import Figures, GeometryReport, LatentArrays


def pgd_20(
    victim: Victim, x: Array, y: Array, *, eps: float, norm: str, seed: int, index: Array
) -> Array:
    """20 steps of eps / 4 for every image: unlike `pgd`, it moves also those that are classified
    wrongly, whose features belong to the latent space, too."""
    return pgd_inner(
        victim, x, y, eps=eps, steps=20, step_size=eps / 4, norm=norm, seed=seed, index=index
    )


def geometry_report(
    network: Network,
    x: Array,
    y: Array,
    *,
    eps: float = 8 / 255,
    norm: str = "linf",
    attack: Attack = pgd_20,
    batch_size: int = 250,
    seed: int = 0,
    index: Array | None = None,
    path: str | Path | None = None,
    verbose: bool = False,
) -> GeometryReport:
    """Measure the geometry of a latent space for clean and for attacked images, side by side.

    Parameters
    ----------
    network : Network
        Its features are h = network.features(x), and the scores of its head z = h Cᵀ, with the
        prototypes C of a `PrototypeHead`; or z = h W + b, and the columns of W, the weight vectors
        of the classes, are taken for prototypes.
    x : array (N, H, W, C)
        Images on the host: whole numbers 0 … 255, or floats in [0, 1]; of every class some.
    y : array (N,)
        Labels, the classes from 0.
    eps : float
        The radius of the attack, in units of images in [0, 1].
    norm : {"linf", "l2"}
        The norm of the ball.
    attack : callable
        attack(victim, x, y, eps=, norm=, seed=, index=), as in `tinyproto.attacks.ATTACKS`. By
        default PGD of 20 steps of eps / 4, which moves every image, classified correctly or not.
    batch_size : int
        Number of images in one pass.
    seed : int
        Seed of the attack's random numbers, in [0, 2³²).
    index : array (N,), optional
        Indices of the images in their data set, by which random numbers are drawn; 0 … N − 1 if
        not given.
    path : str or Path, optional
        File to which the report is written as JSON.
    verbose : bool
        Whether to show progress on stderr.

    Returns
    -------
    GeometryReport
        Classes are the true classes, also of attacked images. Means of classes are those of the
        same images, clean or attacked.

    Raises
    ------
    ValueError
        For a network without such a head, images or labels of another form, a class without images,
        an attack that leaves the ball or [0, 1], and features that are 0 or not finite.

    Notes
    -----
    Source: the aims, compactness and separation under attack, are those of Adv-DPNP
    (arXiv 2504.03782); neural collapse is that of Papyan, Han and Donoho (arXiv 2008.08186).

    Distances and angles to weight vectors depend on what training leaves open: the scores of
    h W + b do not change if h is multiplied and W divided by a number, or if one vector is added to
    all weight vectors. Networks with and without prototypes are compared by their class means.

    Examples
    --------
    >>> import numpy as np
    >>> from tinyproto.evaluation.geometry import geometry_report
    >>> from tinyproto.networks import compact_cnn
    >>> x = np.random.default_rng(0).random((12, 8, 8, 3), dtype=np.float32)
    >>> y = np.arange(12) % 3
    >>> report = geometry_report(compact_cnn(3, head="prototypes"), x, y, eps=8 / 255)
    >>> report.settings["vectors"], round(report.prototypes["angle, least, degrees"])
    ('prototype', 120)
    """
    vectors, bias, noun = class_vectors(network)
    x, y = check_examples(network, x, y)
    index = check_index(index, len(x), like=y)
    check_count("batch_size", batch_size)
    check_count("seed", seed, 0, (1 << 32) - 1)
    eps, norm = check_number("eps", eps), resolve_norm(norm)
    counts = np.bincount(y, minlength=len(vectors))
    if not counts.all():
        raise ValueError(f"class {int(counts.argmin())} of {len(vectors)} has no images: take more")
    network = fold(network)
    victim, found = Victim(network), []
    with progress(len(x), "image", title="attacking", verbose=verbose) as advance:
        for start in range(0, len(x), batch_size):
            part = np.arange(start, min(start + batch_size, len(x)))
            batch = load_batch(network, x, y, part)
            place = to_device(index[part], array_module(batch.x))
            moved = attack(victim, batch.x, batch.y, eps=eps, norm=norm, seed=seed, index=place)
            check_attacked(moved, batch.x, victim)
            if not bool(in_ball(moved, batch.x, victim, eps, norm).all()):
                raise ValueError(f"an attack left the ball of {norm} radius {eps}")
            found.append([to_host(network.features(images)[0]) for images in (batch.x, moved)])
            advance(len(part), "")
    arrays = latent_arrays(np.concatenate(found, axis=1), y, vectors, bias)
    name = getattr(attack, "__name__", "").replace("_", "-") or describe_attack(attack)
    settings = {
        "examples": len(x), "attack": name, "eps": eps, "norm": norm, "seed": int(seed),
        "vectors": noun,
    }  # fmt: skip
    report = report_of(arrays, bias, settings)
    if path is not None:
        report.write(path)
    return report


def class_vectors(network: Network) -> tuple[np.ndarray, np.ndarray, str]:
    """The vectors (M, d) of a head's classes, its biases (M,), and what such a vector is called.
    Raises ValueError for a network without a feature layer and such a head."""
    if not isinstance(network, Network):
        raise ValueError(
            f"a network with a feature layer and a head is needed, not {type(network).__name__}"
        )
    vectors, bias = head_vectors(network.head)
    is_prototypes = isinstance(network.head, PrototypeHead)
    return to_host(vectors), to_host(bias), "prototype" if is_prototypes else "weight vector"


def latent_arrays(
    features: np.ndarray, labels: np.ndarray, prototypes: np.ndarray, bias: Any = 0.0
) -> LatentArrays:
    """Distances, angles and movements of features.

    Parameters
    ----------
    features : array (2, N, d)
        Those of clean images, and of the same images after an attack.
    labels : array (N,)
        The true classes, indices of prototypes.
    prototypes : array (M, d)
        The vectors of the classes.
    bias : float or array (M,)
        That of the head.

    Returns
    -------
    LatentArrays

    Raises
    ------
    ValueError
        For wrong shapes, features that are 0 or not finite, or a label without a prototype.

    Examples
    --------
    >>> import numpy as np
    >>> from tinyproto.evaluation.geometry import latent_arrays
    >>> arrays = latent_arrays(np.array([[[3.0, 0]], [[0, 3]]]), np.array([0]), np.eye(2))
    >>> arrays.correct.tolist(), arrays.own_distance.round(3).tolist()
    ([[True], [False]], [[2.0], [3.162]])
    """
    check_shape("features", features, (2, "N", "d"))
    h, y, c = check_classed(features[0], labels, prototypes)
    moved, _, _ = check_classed(features[1], labels, prototypes)
    h = np.stack([h, moved])
    z = h @ c.T + bias
    each = np.arange(len(y))
    others = z[0].copy()
    others[each, y] = -np.inf
    towards = c[others.argmax(axis=1)] - c[y]
    step = h[1] - h[0]
    with np.errstate(invalid="ignore", divide="ignore"):
        lengths = np.linalg.norm(step, axis=1) * np.linalg.norm(towards, axis=1)
        cosine = (step * towards).sum(axis=1) / lengths
    own_distance, rival_distance = np.stack([prototype_distances(f, y, c) for f in h], axis=1)
    own_angle, rival_angle = np.stack([prototype_angles(f, y, c) for f in h], axis=1)
    return LatentArrays(
        y, c, h, z.argmax(axis=2) == y, own_distance, rival_distance, own_angle, rival_angle, cosine
    )


def report_of(arrays: LatentArrays, bias: np.ndarray, settings: dict[str, Any]) -> GeometryReport:
    """All measures of these arrays."""
    clean, attacked = (_measure(arrays, side, bias) for side in (0, 1))
    c = arrays.prototypes
    pairs = np.triu_indices(len(c), 1)
    angles, between = pairwise_angles(c)[pairs], _between(c)
    prototypes = {
        "angle, least, degrees": float(angles.min()),
        "angle, mean, degrees": float(angles.mean()),
        "angle in a regular simplex, degrees": simplex_angle(len(c)),
        "simplex distance, 0 for a regular simplex": simplex_distance(c),
        "distance, mean": between,
        "length, mean": float(np.linalg.norm(c, axis=1).mean()),
    }
    moved = arrays.movement
    means = class_means(arrays.features[0], arrays.labels, len(c))
    turned = arrays.cosine[np.isfinite(arrays.cosine)]
    movement = {
        "distance ‖h′ − h‖, mean": float(moved.mean()),
        "‖h′ − h‖ / ‖h‖, median": float(
            np.median(moved / np.linalg.norm(arrays.features[0], axis=1))
        ),
        "‖h′ − h‖, mean / between prototypes": float(moved.mean()) / between,
        "‖h′ − h‖, mean / between class means": float(moved.mean()) / _between(means),
        "cosine with own → rival prototype, mean": float(turned.mean()) if len(turned) else np.nan,
        "cosine of random directions, root mean square": float(c.shape[1] ** -0.5),
    }
    return GeometryReport(clean, attacked, movement, prototypes, settings, arrays)


def _measure(arrays: LatentArrays, side: int, bias: np.ndarray) -> Figures:
    """The measures of clean (side 0) or attacked images (1)."""
    h, y, c = arrays.features[side], arrays.labels, arrays.prototypes
    own, rival = arrays.own_distance[side], arrays.rival_distance[side]
    with np.errstate(divide="ignore", invalid="ignore"):
        quotient = own / rival
    values = {
        "distance to own prototype": own,
        "distance to nearest rival prototype": rival,
        "own / rival distance": quotient,
        "angle to own prototype, degrees": arrays.own_angle[side],
        "angle to nearest rival prototype, degrees": arrays.rival_angle[side],
    }
    figures = {"accuracy %": 100 * float(arrays.correct[side].mean())}
    for name, each in values.items():
        figures |= {f"{name}, median": float(np.median(each)), f"{name}, mean": float(each.mean())}
    found = compactness(h, y, class_means(h, y, len(c)))
    return figures | {
        "distance to own class mean, mean": found["compactness"],
        "distance between class means, mean": found["mean_separation"],
        "distance between class means, least": found["least_separation"],
        "compactness / separation, class means": found["compactness"] / found["mean_separation"],
        "compactness / separation, prototypes": float(own.mean()) / _between(c),
        **separation(h, y, len(c)),
        **neural_collapse(h, y, c, bias),
    }


def _between(centres: np.ndarray) -> float:
    """The mean distance between two of these."""
    return compactness(centres, np.arange(len(centres)), centres)["mean_separation"]
