"""Defences: what one batch adds to the gradients. Everything else of training is shared.

    loss, z = defense(network, batch, grads, **coefficients)

adds the gradient of the batch's mean loss into `grads`, and returns the loss of each example (N,)
and the scores z (N, classes) it was taken at. Attacks are crafted in eval mode (running averages);
the passes that learn are in train mode. A pass to which a slot of `grads` is withheld does not move
what the slot belongs to.

- standard: cross-entropy.
- pgd: Madry and others, arXiv 1706.06083.
- trades: Zhang and others, arXiv 1901.08573 (β = 6, their 1/λ).
- mart: Wang and others, ICLR 2020 (λ = 5).
- dpnp, adv_dpnp: arXiv 2501.02477 and 2504.03782, reconstructed from the published description;
  the coefficients are ours.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from ..attacks import Victim, pgd_inner
from ..backend.device import Array
from ..losses import (
    boosted_cross_entropy,
    cross_entropy,
    kl_divergence,
    squared_error,
    weighted_kl,
)
from ..networks import Network, fold
from ..parameters import Tree, without_running
from ..prototypes.dpnp import PrototypeHead, alignment, repulsion

Defense = Callable[..., tuple[Array, Array]]


@dataclass(frozen=True)
class Batch:
    """Images x (N, H, W, C) in [0, 1], labels y (N,), and what names the numbers drawn for them:
    the images' places in the data set index (N,), the epoch and the seed."""

    x: Array
    y: Array
    index: Array
    epoch: int = 0
    seed: int = 0


@dataclass(frozen=True)
class Crafting:
    """How training images are attacked: radius, steps and step size, in units of x; the norm."""

    eps: float = 8 / 255
    steps: int = 10
    step_size: float = 2 / 255
    norm: str = "linf"

    def __call__(self, network: Network, batch: Batch, **options: Any) -> Array:
        """x′ for every image of the batch (options: loss, initial_noise)."""
        return pgd_inner(
            Victim(fold(network)), batch.x, batch.y, eps=self.eps, steps=self.steps,
            step_size=self.step_size, norm=self.norm, seed=batch.seed, epoch=batch.epoch,
            index=batch.index, **options,
        )  # fmt: skip


CRAFTING = Crafting()


def standard(
    network: Network, batch: Batch, grads: Tree, *, smoothing: float = 0.0
) -> tuple[Array, Array]:
    """CE(z, y), with label smoothing if wanted."""
    z, backward = network(batch.x, train=True)
    loss, dz = cross_entropy(z, batch.y, smoothing)
    backward(dz / len(z), grads)
    return loss, z


def pgd(
    network: Network, batch: Batch, grads: Tree, *, crafting: Crafting = CRAFTING
) -> tuple[Array, Array]:
    """CE(z′, y) at x′ = PGD on x: adversarial training."""
    z, backward = network(crafting(network, batch), train=True)
    loss, dz = cross_entropy(z, batch.y)
    backward(dz / len(z), grads)
    return loss, z


def trades(
    network: Network,
    batch: Batch,
    grads: Tree,
    *,
    crafting: Crafting = CRAFTING,
    beta: float = 6.0,
    jitter: float = 0.001,
) -> tuple[Array, Array]:
    """CE(z, y) + β KL(p ‖ p′), where x′ maximises that KL, from x plus a little noise."""
    still, _ = network(batch.x)

    def apart(z: Array, y: Array) -> tuple[Array, Array]:
        value, _, dz = kl_divergence(still, z)
        return value, dz

    attacked = crafting(network, batch, loss=apart, initial_noise=jitter)
    z, backward = network(batch.x, train=True)
    z_attacked, backward_attacked = network(attacked, train=True)
    loss, dz = cross_entropy(z, batch.y)
    distance, at_clean, at_attacked = kl_divergence(z, z_attacked)
    backward((dz + beta * at_clean) / len(z), grads)
    backward_attacked(beta * at_attacked / len(z), grads)
    return loss + beta * distance, z


def mart(
    network: Network,
    batch: Batch,
    grads: Tree,
    *,
    crafting: Crafting = CRAFTING,
    weight: float = 5.0,
) -> tuple[Array, Array]:
    """BCE(z′, y) + λ KL(p ‖ p′)(1 − p_y): what the network gets wrong counts for more."""
    attacked = crafting(network, batch)
    z, backward = network(batch.x, train=True)
    z_attacked, backward_attacked = network(attacked, train=True)
    loss, boosted = boosted_cross_entropy(z_attacked, batch.y)
    distance, at_clean, at_attacked = weighted_kl(z, z_attacked, batch.y)
    backward(weight * at_clean / len(z), grads)
    backward_attacked((boosted + weight * at_attacked) / len(z), grads)
    return loss + weight * distance, z


@dataclass(frozen=True)
class Branch:
    """One pass through the features and the prototypes, and the gradients gathered at it: `dz`
    moves the prototypes where the pass may, `dh` the features alone."""

    h: Array
    z: Array
    features: Callable[..., Array]
    head: Callable[..., Array]
    gathered: dict[str, Array] = field(default_factory=dict)

    def add(self, **gradients: Array) -> None:
        for name, value in gradients.items():
            self.gathered[name] = self.gathered[name] + value if name in self.gathered else value

    def back(self, grads: Tree) -> None:
        """Send all that was gathered back; the prototypes learn where grads has a slot for them."""
        dh = self.head(self.gathered["dz"], grads.get("head"))
        if "fixed" in self.gathered:  # a gradient at z that holds the prototypes fixed
            dh = dh + self.head(self.gathered["fixed"])
        self.features(dh + self.gathered["dh"], grads.get("features"))


def _branch(
    network: Network, x: Array, y: Array, attract: float, scale: float
) -> tuple[Branch, Array, Array]:
    """CE(z, y) + λ₊ ‖h − c_y‖², times `scale`, at x: the pass, the loss, and the second term's
    gradient at C."""
    head = _prototypes(network)
    h, features = network.features(x, train=True)
    z, backward = head(h, train=True)
    branch = Branch(h, z, features, backward)
    loss, dz = cross_entropy(z, y)
    near, dh, pull = alignment(h, head.params["prototypes"], y)
    branch.add(dz=dz * (scale / len(z)), dh=dh * (scale * attract / len(z)))
    return branch, scale * (loss + attract * near), pull * (scale * attract / len(z))


def dpnp(
    network: Network, batch: Batch, grads: Tree, *, attract: float = 0.05, repel: float = 0.05
) -> tuple[Array, Array]:
    """CE(z, y) + λ₊ ‖h − c_y‖² − λ₋ ‖c_y − c_n(y)‖², at clean images alone."""
    branch, loss, pull = _branch(network, batch.x, batch.y, attract, 1.0)
    loss = loss + _move_prototypes(network, batch.y, grads, pull, repel)
    branch.back(grads)
    return loss, branch.z


def adv_dpnp(
    network: Network,
    batch: Batch,
    grads: Tree,
    *,
    crafting: Crafting = CRAFTING,
    attract: float = 0.05,
    repel: float = 0.05,
    adversarial: float = 1.0,
    consistent: float = 6.0,
    consistency: str = "kl",
    clean_statistics: bool = False,
) -> tuple[Array, Array]:
    """The dual branch: prototypes learn from clean images, features from clean and attacked ones.

        clean:        CE(z, y) + λ₊ ‖h − c_y‖² − λ₋ ‖c_y − c_n(y)‖²     moves θ and C
        adversarial:  CE(z′, y) + λ₊ ‖h′ − c_y‖²                        moves θ only
        consistency:  KL(p ‖ p′)  or  ‖h − h′‖²                         moves θ only
        total = clean + λ_adv adversarial + λ_con consistency

    attract λ₊, repel λ₋, adversarial λ_adv, consistent λ_con; consistency "kl" or "features", and
    it is differentiated at both ends. clean_statistics gives BatchNorm's running averages to the
    clean pass alone. Raises ValueError for another consistency, or a head without prototypes.
    """
    if consistency not in ("kl", "features"):
        raise ValueError(f"consistency must be 'kl' or 'features', not {consistency!r}")
    attacked = crafting(network, batch)
    clean, loss, pull = _branch(network, batch.x, batch.y, attract, 1.0)
    other, loss_attacked, _ = _branch(network, attacked, batch.y, attract, adversarial)
    share = consistent / len(batch.y)
    if consistency == "kl":
        apart, at_clean, at_attacked = kl_divergence(clean.z, other.z)
        clean.add(fixed=at_clean * share)
        other.add(fixed=at_attacked * share)
    else:
        apart, at_clean, at_attacked = squared_error(clean.h, other.h)
        clean.add(dh=at_clean * share)
        other.add(dh=at_attacked * share)
    loss = loss + loss_attacked + consistent * apart
    loss = loss + _move_prototypes(network, batch.y, grads, pull, repel)
    clean.back(grads)
    features_only = {name: slot for name, slot in grads.items() if name != "head"}
    other.back(without_running(features_only) if clean_statistics else features_only)
    return loss, clean.z


def _move_prototypes(network: Network, y: Array, grads: Tree, pull: Array, repel: float) -> Array:
    """Add what alignment and repulsion do to the prototypes; the repulsion's loss (N,)."""
    apart, push = repulsion(_prototypes(network).params["prototypes"], y)
    if "prototypes" in grads.get("head", {}):
        grads["head"]["prototypes"] += pull + push * (repel / len(y))
    return repel * apart


def _prototypes(network: Network) -> PrototypeHead:
    if not isinstance(network.head, PrototypeHead):
        raise ValueError("dpnp and adv-dpnp need a network with head='prototypes'")
    return network.head


DEFENSES: dict[str, Defense] = {
    "standard": standard,
    "pgd": pgd,
    "trades": trades,
    "mart": mart,
    "dpnp": dpnp,
    "adv-dpnp": adv_dpnp,
}
