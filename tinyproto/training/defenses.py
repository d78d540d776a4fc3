"""Defences: what one batch adds to the gradients. All defences share the rest of training.

    loss, z = defense(network, batch, grads, **coefficients)

adds the gradient of the mean loss of the batch to `grads`, and returns the loss of each example
(N,) and the scores z (N, classes) at which it was computed. Attacks run in eval mode (on the
running averages); the passes that learn run in train mode. A parameter whose slot is not in the
`grads` that a backward pass gets is not moved by that pass.

To add a defence, write its step as a function and enter it in `DEFENSES`. The two that learn
prototypes are in `prototype_defenses`.
"""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, get_args

from ..backend.device import Array
from ..losses import boosted_cross_entropy, cross_entropy, kl_divergence, weighted_kl
from ..networks import Network
from ..parameters import Tree
from ..validation import check_number
from .batch import PGD_CONFIG, Batch, PGDConfig, attacked_images
from .inputs import check_batch
from .prototype_defenses import adv_dpnp, dpnp


@dataclass(frozen=True)
class Defense:
    """A defence with its traits; calling it calls its step.

    Parameters
    ----------
    step : callable
        step(network, batch, grads, **coefficients), as the functions of this module.
    adversarial : bool
        Whether it trains on attacked images; its step then has an argument `attack`.
    prototypes : bool
        Whether the network needs a head of prototypes.
    coefficients : mapping of str to str
        What each coefficient, a keyword of `step`, means.
    at_most : mapping of str to float
        The largest value of each number among them that has one; the smallest is 0.

    Examples
    --------
    >>> from tinyproto.training import DEFENSES
    >>> [name for name, defense in DEFENSES.items() if defense.prototypes]
    ['dpnp', 'adv-dpnp']
    >>> DEFENSES["trades"].coefficients
    {'beta': 'β, the weight of the KL term'}
    >>> DEFENSES["trades"].defaults()
    {'beta': 6.0}
    """

    step: Callable[..., tuple[Array, Array]]
    adversarial: bool = False
    prototypes: bool = False
    coefficients: Mapping[str, str] = field(default_factory=dict)
    at_most: Mapping[str, float] = field(default_factory=dict)

    def __call__(
        self, network: Network, batch: Batch, grads: Tree, **options: Any
    ) -> tuple[Array, Array]:
        return self.step(network, batch, grads, **options)

    def defaults(self) -> dict[str, Any]:
        """The default of each coefficient."""
        parameters = inspect.signature(self.step).parameters
        return {name: parameters[name].default for name in self.coefficients}

    def choices(self, coefficient: str) -> tuple[Any, ...]:
        """The values that a coefficient may have; none are listed where it is a number."""
        return get_args(inspect.signature(self.step).parameters[coefficient].annotation)


def standard(
    network: Network, batch: Batch, grads: Tree, *, smoothing: float = 0.0
) -> tuple[Array, Array]:
    """Standard training: cross-entropy, CE(z, y).

    Parameters
    ----------
    network : Network
        The network, in train mode.
    batch : Batch
        Images and labels.
    grads : Tree
        Where the gradients are added.
    smoothing : float
        Label smoothing, in [0, 1].

    Returns
    -------
    loss : array (N,)
        The loss of each example.
    z : array (N, classes)
        The scores.

    Raises
    ------
    ValueError
        For labels that are none of the network's classes, and for coefficients out of their range;
        before a gradient is added. So does every defence.

    Examples
    --------
    >>> import numpy as np
    >>> from tinyproto.layers import Flatten, Linear, initialize
    >>> from tinyproto.networks import Network
    >>> from tinyproto.parameters import zeros
    >>> from tinyproto.training import Batch, standard
    >>> network = initialize(Network(Flatten(), Linear(12, 3)), seed=0)
    >>> batch = Batch(np.ones((2, 2, 2, 3), dtype=np.float32), np.array([0, 1]), np.arange(2))
    >>> grads = zeros(network.params)
    >>> loss, z = standard(network, batch, grads)
    >>> loss.shape, z.shape, grads["head"]["weight"].shape
    ((2,), (2, 3), (12, 3))
    """
    check_batch(network, batch)
    z, backward = network(batch.x, train=True)
    loss, dz = cross_entropy(z, batch.y, smoothing)
    backward(dz / len(z), grads)
    return loss, z


def pgd(
    network: Network, batch: Batch, grads: Tree, *, attack: PGDConfig = PGD_CONFIG
) -> tuple[Array, Array]:
    """Adversarial training (Madry and others, arXiv 1706.06083): CE(z′, y) at x′ = PGD on x.

    Parameters
    ----------
    network, batch, grads
        As in `standard`.
    attack : PGDConfig
        The attack, which maximizes CE(z′, y).

    Returns
    -------
    loss : array (N,)
        The loss of each attacked example.
    z : array (N, classes)
        The scores of the attacked images.

    Examples
    --------
    >>> import numpy as np
    >>> from tinyproto.layers import Flatten, Linear, initialize
    >>> from tinyproto.networks import Network
    >>> from tinyproto.parameters import zeros
    >>> from tinyproto.training import Batch, pgd, standard
    >>> network = initialize(Network(Flatten(), Linear(12, 3)), seed=0)
    >>> batch = Batch(np.full((2, 2, 2, 3), 0.5), np.array([0, 1]), np.arange(2))
    >>> clean, _ = standard(network, batch, zeros(network.params))
    >>> attacked, _ = pgd(network, batch, zeros(network.params))
    >>> bool((attacked > clean).all())
    True
    """
    check_batch(network, batch)
    z, backward = network(attacked_images(attack, network, batch), train=True)
    loss, dz = cross_entropy(z, batch.y)
    backward(dz / len(z), grads)
    return loss, z


def trades(
    network: Network,
    batch: Batch,
    grads: Tree,
    *,
    attack: PGDConfig = PGD_CONFIG,
    beta: float = 6.0,
    initial_noise: float = 0.001,
) -> tuple[Array, Array]:
    """TRADES (Zhang and others, arXiv 1901.08573): CE(z, y) + β KL(p ‖ p′).

    x′ maximizes that KL divergence, and the attack starts at x plus a little normal noise: at x
    itself the gradient is 0.

    Parameters
    ----------
    network, batch, grads
        As in `standard`.
    attack : PGDConfig
        The attack.
    beta : float
        β, the weight of the KL term (1/λ in the paper).
    initial_noise : float
        The standard deviation of the noise, in units of x.

    Returns
    -------
    loss : array (N,)
        The loss of each example.
    z : array (N, classes)
        The scores of the clean images.

    Examples
    --------
    >>> import numpy as np
    >>> from tinyproto.layers import Flatten, Linear, initialize
    >>> from tinyproto.networks import Network
    >>> from tinyproto.parameters import zeros
    >>> from tinyproto.training import Batch, standard, trades
    >>> network = initialize(Network(Flatten(), Linear(12, 3)), seed=0)
    >>> batch = Batch(np.full((2, 2, 2, 3), 0.5), np.array([0, 1]), np.arange(2))
    >>> clean, _ = standard(network, batch, zeros(network.params))
    >>> loss, _ = trades(network, batch, zeros(network.params), beta=0.0)
    >>> bool((loss == clean).all())
    True
    """
    check_batch(network, batch)
    check_number("beta", beta)
    check_number("initial_noise", initial_noise)
    z_eval, _ = network(batch.x)

    def divergence(z: Array, y: Array) -> tuple[Array, Array]:
        value, _, dz = kl_divergence(z_eval, z)
        return value, dz

    attacked = attacked_images(attack, network, batch, loss=divergence, initial_noise=initial_noise)
    z, backward = network(batch.x, train=True)
    z_attacked, backward_attacked = network(attacked, train=True)
    loss, dz = cross_entropy(z, batch.y)
    kl, dz_clean, dz_attacked = kl_divergence(z, z_attacked)
    backward((dz + beta * dz_clean) / len(z), grads)
    backward_attacked(beta * dz_attacked / len(z), grads)
    return loss + beta * kl, z


def mart(
    network: Network,
    batch: Batch,
    grads: Tree,
    *,
    attack: PGDConfig = PGD_CONFIG,
    kl_weight: float = 5.0,
) -> tuple[Array, Array]:
    """MART (Wang and others, ICLR 2020): BCE(z′, y) + λ KL(p ‖ p′)(1 − p_y).

    BCE is the boosted cross-entropy; examples that the network gets wrong count for more.

    Parameters
    ----------
    network, batch, grads
        As in `standard`.
    attack : PGDConfig
        The attack, which maximizes CE(z′, y).
    kl_weight : float
        λ, the weight of the KL term.

    Returns
    -------
    loss : array (N,)
        The loss of each example.
    z : array (N, classes)
        The scores of the clean images.

    Examples
    --------
    >>> import numpy as np
    >>> from tinyproto.layers import Flatten, Linear, initialize
    >>> from tinyproto.networks import Network
    >>> from tinyproto.parameters import zeros
    >>> from tinyproto.training import Batch, mart
    >>> network = initialize(Network(Flatten(), Linear(12, 3)), seed=0)
    >>> batch = Batch(np.full((2, 2, 2, 3), 0.5), np.array([0, 1]), np.arange(2))
    >>> loss, z = mart(network, batch, zeros(network.params), kl_weight=5.0)
    >>> loss.shape, z.shape
    ((2,), (2, 3))
    """
    check_batch(network, batch)
    check_number("kl_weight", kl_weight)
    attacked = attacked_images(attack, network, batch)
    z, backward = network(batch.x, train=True)
    z_attacked, backward_attacked = network(attacked, train=True)
    boosted, dz_boosted = boosted_cross_entropy(z_attacked, batch.y)
    kl, dz_clean, dz_attacked = weighted_kl(z, z_attacked, batch.y)
    backward(kl_weight * dz_clean / len(z), grads)
    backward_attacked((dz_boosted + kl_weight * dz_attacked) / len(z), grads)
    return boosted + kl_weight * kl, z


DPNP_COEFFICIENTS = {
    "alignment_weight": "λ₊, the weight of ‖h − c_y‖², which pulls features to their prototype",
    "repulsion_weight": "λ₋, the weight of ‖c_y − c_n(y)‖², which pushes prototypes apart",
}

DEFENSES: dict[str, Defense] = {
    "standard": Defense(
        standard, coefficients={"smoothing": "label smoothing"}, at_most={"smoothing": 1.0}
    ),
    "pgd": Defense(pgd, adversarial=True),
    "trades": Defense(
        trades, adversarial=True, coefficients={"beta": "β, the weight of the KL term"}
    ),
    "mart": Defense(
        mart, adversarial=True, coefficients={"kl_weight": "λ, the weight of the KL term"}
    ),
    "dpnp": Defense(dpnp, prototypes=True, coefficients=DPNP_COEFFICIENTS),
    "adv-dpnp": Defense(
        adv_dpnp,
        adversarial=True,
        prototypes=True,
        coefficients={
            **DPNP_COEFFICIENTS,
            "adversarial_weight": "λ_adv, the weight of the adversarial branch",
            "consistency_weight": "λ_con, the weight of the consistency term",
            "consistency": "what the consistency term compares: class probabilities or features",
            "clean_statistics": "only clean images update BatchNorm's running averages",
            "prototype_gradients": "which branches move the prototypes",
        },
    ),
}
"""The defences by name."""
