"""Attacks by name; all are called as attack(victim, x, y, eps=, norm=, seed=, index=)."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ..attacks import ATTACKS, norms_of
from ..attacks.autoattack import Attack, attacks_to_run
from . import masking

LISTS = ("autoattack", "autoattack-plus", "autoattack-rand", "masking")
RENAMED = {"'eot'": "'eot_iter'", "fab_inside": "fab_in_ball"}
"""Names in the descriptions of attacks in older state files, and the names now."""

FORM = "attacks must be names, or functions by name, {'name': attack}"


def choose(
    attacks: str | Sequence[str] | Mapping[str, Attack], norm: str
) -> tuple[dict[str, Attack], bool]:
    """The attacks by name; and whether they are sequential: whether each attacks only the examples
    that are robust against those before it. Raises ValueError for unknown names, and for attacks
    that are not for this norm, and for anything but names and functions."""
    if isinstance(attacks, Mapping):
        for name, attack in attacks.items():
            if not isinstance(name, str) or not callable(attack):
                raise ValueError(f"{FORM}, not {name!r}: {attack!r}")
        if attacks:
            return dict(attacks), False
    one = isinstance(attacks, str) or not isinstance(attacks, Iterable)
    names: list[Any] = [attacks] if one else [*attacks]
    for name in names or [attacks]:
        if not isinstance(name, str):
            raise ValueError(f"{FORM}, not {name!r}")
    if names == ["masking"]:
        if norm == "l1":
            raise ValueError("attacks 'masking' are for norm 'linf' or 'l2', not 'l1'")
        return dict(masking.ATTACKS), False
    if len(names) == 1 and names[0].partition("-")[0] == "autoattack":
        return attacks_to_run(names[0].partition("-")[2] or "standard", norm), True
    for name in names:
        if name not in ATTACKS:
            reason = "cannot be combined with others" if name in LISTS else "is unknown"
            known = f"{', '.join(LISTS)}, or some of {', '.join(ATTACKS)}"
            raise ValueError(f"attack {name!r} {reason}; there are {known}")
        if norm not in norms_of(name):
            known = " or ".join(map(repr, norms_of(name)))
            raise ValueError(f"attack {name!r} is for norm {known}, not {norm!r}")
    return {name: ATTACKS[name] for name in names}, False


def current_names(description: str) -> str:
    """The description of an attack in a saved evaluation, with the names that are used now."""
    for before, now in RENAMED.items():
        description = description.replace(before, now)
    return description
