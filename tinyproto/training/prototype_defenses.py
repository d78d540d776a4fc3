"""The defences that learn prototypes: DPNP and Adv-DPNP.

Both are reconstructed from the published descriptions (arXiv 2501.02477 and 2504.03782); the
coefficients are ours. With features h, prototypes c_j, scores z = h Cᵀ, the nearest rival n(y) of
class y, and a prime for attacked images:

    clean:        CE(z, y) + λ₊ ‖h − c_y‖² − λ₋ ‖c_y − c_n(y)‖²     moves θ and C
    adversarial:  CE(z′, y) + λ₊ ‖h′ − c_y‖²                        moves θ only
    consistency:  KL(p ‖ p′)  or  ‖h − h′‖²                         moves θ only
    total = clean + λ_adv adversarial + λ_con consistency

DPNP is the clean term alone. The gradients of each term are derived in `prototypes.dpnp`. Without
the terms λ₊ and λ₋ both defences work with any head, such as `Linear`: then its parameters take the
place of C.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from ..backend.device import Array
from ..losses import cross_entropy, kl_divergence, squared_error
from ..networks import Network
from ..parameters import Tree, without_running
from ..prototypes.dpnp import PrototypeHead, alignment, repulsion
from ..validation import check_number
from .batch import PGD_CONFIG, Batch, PGDConfig, attacked_images
from .inputs import check_batch


@dataclass
class Branch:
    """One forward pass, and the gradients that its backward pass will start from."""

    h: Array
    z: Array
    features_backward: Callable[..., Array]
    head_backward: Callable[..., Array]
    dz: Array
    """At the scores; moves the prototypes where `grads` has a slot for them."""
    dh: Array
    """At the features; reaches no prototype."""
    dz_fixed_prototypes: Array | None = None
    """At the scores, with the prototypes held fixed."""

    def add_to_scores(self, dz: Array, *, moves_prototypes: bool) -> None:
        if moves_prototypes:
            self.dz = self.dz + dz
        else:
            self.dz_fixed_prototypes = dz

    def backward(self, grads: Tree) -> None:
        dh = self.head_backward(self.dz, grads.get("head"))
        if self.dz_fixed_prototypes is not None:
            dh = dh + self.head_backward(self.dz_fixed_prototypes)
        self.features_backward(dh + self.dh, grads.get("features"))


def dpnp(
    network: Network,
    batch: Batch,
    grads: Tree,
    *,
    alignment_weight: float = 0.05,
    repulsion_weight: float = 0.05,
) -> tuple[Array, Array]:
    """DPNP: CE(z, y) + λ₊ ‖h − c_y‖² − λ₋ ‖c_y − c_n(y)‖², on clean images alone.

    Parameters
    ----------
    network : Network
        The network, with head="prototypes", in train mode.
    batch : Batch
        Images and labels.
    grads : Tree
        Where the gradients are added.
    alignment_weight, repulsion_weight : float
        λ₊ and λ₋.

    Returns
    -------
    loss : array (N,)
        The loss of each example.
    z : array (N, classes)
        The scores.

    Raises
    ------
    ValueError
        For a head without prototypes, unless λ₊ and λ₋ are 0.

    Examples
    --------
    >>> import numpy as np
    >>> from tinyproto.layers import Flatten, Linear, Sequential, initialize
    >>> from tinyproto.networks import Network
    >>> from tinyproto.parameters import zeros
    >>> from tinyproto.prototypes.dpnp import PrototypeHead
    >>> from tinyproto.training import Batch, dpnp
    >>> features = Sequential(Flatten(), Linear(12, 4))
    >>> network = initialize(Network(features, PrototypeHead(4, 3)), seed=0)
    >>> batch = Batch(np.ones((2, 2, 2, 3), dtype=np.float32), np.array([0, 1]), np.arange(2))
    >>> grads = zeros(network.params)
    >>> loss, z = dpnp(network, batch, grads)
    >>> loss.shape, z.shape, grads["head"]["prototypes"].shape
    ((2,), (2, 3), (3, 4))
    """
    _check(network, batch, alignment_weight=alignment_weight, repulsion_weight=repulsion_weight)
    branch, loss, d_prototypes = _branch(network, batch.x, batch.y, alignment_weight, 1.0)
    loss = loss + _add_to_prototypes(network, batch.y, grads, d_prototypes, repulsion_weight)
    branch.backward(grads)
    return loss, branch.z


def adv_dpnp(
    network: Network,
    batch: Batch,
    grads: Tree,
    *,
    attack: PGDConfig = PGD_CONFIG,
    alignment_weight: float = 0.05,
    repulsion_weight: float = 0.05,
    adversarial_weight: float = 4.0,
    consistency_weight: float = 1.0,
    consistency: Literal["kl", "features"] = "kl",
    clean_statistics: bool = False,
    prototype_gradients: Literal["clean", "both"] = "clean",
) -> tuple[Array, Array]:
    """Adv-DPNP: prototypes learn from clean images, features from clean and attacked ones.

    The terms are in the docstring of this module. The consistency term is differentiated through
    both passes.

    Parameters
    ----------
    network, batch, grads
        As in `dpnp`.
    attack : PGDConfig
        The attack, which maximizes CE(z′, y).
    alignment_weight, repulsion_weight, adversarial_weight, consistency_weight : float
        λ₊, λ₋, λ_adv and λ_con. The paper names no values; the defaults are those of our own search
        (docs/results.md).
    consistency : {"kl", "features"}
        KL(p ‖ p′) or ‖h − h′‖².
    clean_statistics : bool
        Whether only the clean pass updates BatchNorm's running averages.
    prototype_gradients : {"clean", "both"}
        Which branches move the prototypes: the clean one alone, as in the paper, or both.

    Returns
    -------
    loss : array (N,)
        The loss of each example.
    z : array (N, classes)
        The scores of the clean images.

    Raises
    ------
    ValueError
        For another consistency or other prototype_gradients; as `dpnp` does.

    Notes
    -----
    With prototype_gradients="both" every gradient is that of the total. To the clean term's that
    adds, with g, g′ for the gradients of KL(p ‖ p′) at z, z′:

        dC_j = mean of  λ_adv ((p′_j − 1[y = j]) h′ + 2 λ₊ 1[y = j] (c_j − h′))
                      + λ_con (g_j h + g′_j h′)

    ‖h − h′‖² has no gradient at C. The first term pulls the prototypes towards features that an
    attacker has moved, where those of different classes are nearer to each other.

    Examples
    --------
    >>> import numpy as np
    >>> from tinyproto.layers import Flatten, Linear, Sequential, initialize
    >>> from tinyproto.networks import Network
    >>> from tinyproto.parameters import zeros
    >>> from tinyproto.prototypes.dpnp import PrototypeHead
    >>> from tinyproto.training import Batch, adv_dpnp, dpnp
    >>> features = Sequential(Flatten(), Linear(12, 4))
    >>> network = initialize(Network(features, PrototypeHead(4, 3)), seed=0)
    >>> batch = Batch(np.full((2, 2, 2, 3), 0.5), np.array([0, 1]), np.arange(2))
    >>> clean, both = zeros(network.params), zeros(network.params)
    >>> _ = dpnp(network, batch, clean), adv_dpnp(network, batch, both)
    >>> bool((clean["head"]["prototypes"] == both["head"]["prototypes"]).all())
    True
    """
    if consistency not in ("kl", "features"):
        raise ValueError(f"consistency must be 'kl' or 'features', not {consistency!r}")
    if prototype_gradients not in ("clean", "both"):
        raise ValueError(
            f"prototype_gradients must be 'clean' or 'both', not {prototype_gradients!r}"
        )
    _check(
        network, batch, alignment_weight=alignment_weight, repulsion_weight=repulsion_weight,
        adversarial_weight=adversarial_weight, consistency_weight=consistency_weight,
    )  # fmt: skip
    x, y = batch.x, batch.y
    attacked = attacked_images(attack, network, batch)
    both = prototype_gradients == "both"
    clean, loss, d_prototypes = _branch(network, x, y, alignment_weight, 1.0)
    other, loss_attacked, d_attacked = _branch(
        network, attacked, y, alignment_weight, adversarial_weight
    )
    scale = consistency_weight / len(y)
    if consistency == "kl":
        difference, dz_clean, dz_attacked = kl_divergence(clean.z, other.z)
        clean.add_to_scores(dz_clean * scale, moves_prototypes=both)
        other.add_to_scores(dz_attacked * scale, moves_prototypes=both)
    else:
        difference, dh_clean, dh_attacked = squared_error(clean.h, other.h)
        clean.dh = clean.dh + dh_clean * scale
        other.dh = other.dh + dh_attacked * scale
    loss = loss + loss_attacked + consistency_weight * difference
    if both:
        d_prototypes = d_prototypes + d_attacked
    loss = loss + _add_to_prototypes(network, y, grads, d_prototypes, repulsion_weight)
    clean.backward(grads)
    reached = grads if both else {name: slot for name, slot in grads.items() if name != "head"}
    other.backward(without_running(reached) if clean_statistics else reached)
    return loss, clean.z


def _check(network: Network, batch: Batch, **weights: float) -> None:
    """Raise ValueError for negative weights, a head without the prototypes that they need, and
    labels that are none of its classes."""
    for name, weight in weights.items():
        check_number(name, weight)
    needed = [n for n in ("alignment_weight", "repulsion_weight") if weights[n]]
    if needed and not isinstance(network.head, PrototypeHead):
        raise ValueError(f"{' and '.join(needed)} need a network with head='prototypes'")
    check_batch(network, batch)


def _branch(
    network: Network, x: Array, y: Array, alignment_weight: float, scale: float
) -> tuple[Branch, Array, Array]:
    """scale · (CE(z, y) + λ₊ ‖h − c_y‖²) at x: the pass, the loss (N,), and the gradient of the
    second term at the prototypes."""
    h, features_backward = network.features(x, train=True)
    z, head_backward = network.head(h, train=True)
    loss, dz = cross_entropy(z, y)
    branch = Branch(h, z, features_backward, head_backward, dz * (scale / len(z)), 0 * h)
    if not isinstance(network.head, PrototypeHead):
        return branch, scale * loss, 0
    distance, dh, d_prototypes = alignment(h, network.head.params["prototypes"], y)
    weight = scale * alignment_weight / len(z)
    branch.dh = dh * weight
    return branch, scale * (loss + alignment_weight * distance), d_prototypes * weight


def _add_to_prototypes(
    network: Network, y: Array, grads: Tree, d_prototypes: Array, repulsion_weight: float
) -> Array:
    """Add the gradients at the prototypes, if the head has any; returns the loss of the repulsion
    (N,), or 0."""
    if not isinstance(network.head, PrototypeHead):
        return 0
    loss, d_repulsion = repulsion(network.head.params["prototypes"], y)
    if "prototypes" in grads.get("head", {}):
        grads["head"]["prototypes"] += d_prototypes + d_repulsion * (repulsion_weight / len(y))
    return repulsion_weight * loss
