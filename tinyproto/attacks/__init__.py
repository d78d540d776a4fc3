"""Attacks: functions of a victim, examples and labels that return attacked examples.

ATTACKS are those that an evaluation finds by name (`tinyproto evaluate --attack NAME`).
A new attack takes a file in this folder and, here, an import, its name in `__all__` and a line in
ATTACKS.
"""

from functools import partial
from typing import Any

from ..backend.device import Array
from ..validation import resolve_norm
from .apgd import apgd, apgd_targeted
from .autoattack import Attack, autoattack
from .average import average
from .carlini_wagner import carlini_wagner, carlini_wagner_linf
from .detector import attack_detector
from .evasion import evades
from .fab import fab
from .feature_detector import attack_feature_detector
from .hop_skip_jump import from_labels, hop_skip_jump
from .minimum_norm import minimum_norm
from .n_fgsm import n_fgsm
from .per_feature import per_feature, scaled
from .pgd import fgsm, pgd, pgd_inner
from .region import NORMS, norms
from .square import square
from .targeted import targeted
from .victim import FlatGradientWarning, Victim

__all__ = [
    "ATTACKS",
    "FlatGradientWarning",
    "Victim",
    "apgd",
    "apgd_targeted",
    "attack_detector",
    "attack_feature_detector",
    "autoattack",
    "average",
    "carlini_wagner",
    "carlini_wagner_linf",
    "evades",
    "fab",
    "fgsm",
    "from_labels",
    "hop_skip_jump",
    "minimum_norm",
    "n_fgsm",
    "norms",
    "per_feature",
    "pgd",
    "pgd_inner",
    "scaled",
    "square",
    "targeted",
]

# In ATTACKS every attack takes the same arguments; these leave out what one of them does not take.
# A saved evaluation describes its attacks by the names of these functions: do not rename them.


def _fgsm(victim: Victim, x: Array, y: Array, *, seed: int, index: Array, **options: Any) -> Array:
    return fgsm(victim, x, y, **options)


def _fab(victim: Victim, x: Array, y: Array, *, eps: float, **options: Any) -> Array:
    """Without a radius, FAB looks for the nearest point even where it is within eps."""
    return fab(victim, x, y, **options)


def _cw(
    victim: Victim, x: Array, y: Array, *, eps: float, norm: str, seed: int, index: Array,
    **options: Any,
) -> Array:  # fmt: skip
    resolve_norm(norm, ("l2",))
    return carlini_wagner(victim, x, y, **options)


def _cw_linf(victim: Victim, x: Array, y: Array, *, norm: str, **options: Any) -> Array:
    resolve_norm(norm, ("linf",))
    return carlini_wagner_linf(victim, x, y, **options)


def _apgd_nearest(victim: Victim, x: Array, y: Array, *, eps: float, **options: Any) -> Array:
    """Ten halvings leave a thousandth of the box, or of what the first success leaves of it."""
    return minimum_norm(apgd, victim, x, y, halvings=10, **options)


def _hop_skip_jump(victim: Victim, x: Array, y: Array, *, eps: float, **options: Any) -> Array:
    return hop_skip_jump(victim, x, y, **options)


ATTACKS: dict[str, Attack] = {
    "fgsm": _fgsm,
    "pgd-20": pgd,
    "pgd-100": partial(pgd, steps=100),
    "cw-linf": _cw_linf,
    "cw": _cw,
    "apgd-ce": apgd,
    "apgd-dlr": partial(apgd, loss="dlr"),
    "apgd-t": apgd_targeted,
    "fab": _fab,
    "fab-t": partial(_fab, targets=9),
    "square": square,
    "apgd-nearest": _apgd_nearest,
    "hop-skip-jump": _hop_skip_jump,
}
"""Name → attack(victim, x, y, eps=, norm=, seed=, index=)."""

_IN_L1 = ("apgd-ce", "apgd-dlr", "apgd-t", "fab", "fab-t", "square", "apgd-nearest")
ATTACK_NORMS: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(_IN_L1, NORMS),
    "cw": ("l2",),
    "cw-linf": ("linf",),
}
"""The norms of those of ATTACKS that have others than L∞ and L2."""


def norms_of(name: str) -> tuple[str, ...]:
    """The norms of one of ATTACKS."""
    return ATTACK_NORMS.get(name, ("linf", "l2"))
