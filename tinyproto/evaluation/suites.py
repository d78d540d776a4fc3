"""Attacks by name; all are called as attack(victim, x, y, eps=, norm=, seed=, index=)."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from ..attacks import (
    Victim,
    apgd,
    apgd_targeted,
    carlini_wagner,
    carlini_wagner_linf,
    fab,
    square,
)
from ..attacks.autoattack import Attack, stages
from ..backend.device import Array
from . import masking


def _fab(victim: Victim, x: Array, y: Array, *, eps: float, **options: Any) -> Array:
    """FAB without a radius: points beyond eps count for the distances."""
    return fab(victim, x, y, **options)


def _cw(victim: Victim, x: Array, y: Array, **_: Any) -> Array:
    return carlini_wagner(victim, x, y)


def _cw_linf(victim: Victim, x: Array, y: Array, *, norm: str, **options: Any) -> Array:
    return carlini_wagner_linf(victim, x, y, **options)


ATTACKS: dict[str, Attack] = {
    **{name: masking.ATTACKS[name] for name in ("fgsm", "pgd-20", "pgd-100")},
    "cw-linf": _cw_linf,
    "cw": _cw,
    "apgd-ce": apgd,
    "apgd-dlr": partial(apgd, loss="dlr"),
    "apgd-t": apgd_targeted,
    "fab": _fab,
    "fab-t": partial(_fab, targets=9),
    "square": square,
}
LISTS = ("autoattack", "autoattack-plus", "autoattack-rand", "masking")
ONLY = {"cw": "l2", "cw-linf": "linf"}


def choose(
    attacks: str | Sequence[str] | Mapping[str, Attack], norm: str
) -> tuple[dict[str, Attack], bool]:
    """The attacks by name; and whether they are sequential: whether each attacks only the examples
    that are robust against those before it. Raises ValueError for unknown names, and for attacks
    that are not for this norm."""
    if isinstance(attacks, Mapping):
        return dict(attacks), False
    names = [attacks] if isinstance(attacks, str) else list(attacks)
    if names == ["masking"]:
        return dict(masking.ATTACKS), False
    if len(names) == 1 and names[0].partition("-")[0] == "autoattack":
        return stages(names[0].partition("-")[2] or "standard"), True
    for name in names:
        if name not in ATTACKS:
            reason = "cannot be combined with others" if name in LISTS else "is unknown"
            known = f"{', '.join(LISTS)}, or some of {', '.join(ATTACKS)}"
            raise ValueError(f"attack {name!r} {reason}; there are {known}")
        if ONLY.get(name, norm) != norm:
            raise ValueError(f"attack {name!r} is for norm {ONLY[name]!r}, not {norm!r}")
    return {name: ATTACKS[name] for name in names}, False
