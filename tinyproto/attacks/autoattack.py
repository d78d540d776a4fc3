"""AutoAttack (Croce and Hein, arXiv 2003.01690): attacks in turn, each on what is still right.

    standard: APGD on cross-entropy, APGD towards nine classes on the targeted DLR loss, FAB towards
              nine classes, Square with 5,000 queries
    plus:     APGD on cross-entropy and on DLR, FAB without a target, with five restarts each;
              Square; APGD and FAB towards nine classes
    rand:     APGD on cross-entropy and on DLR, each gradient averaged over 20 passes: for victims
              that answer at random

Of fewer than ten classes all wrong ones are aimed at; what takes DLR's place where it is not
defined stands in `apgd`.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from ..backend.device import Array, array_module
from .apgd import apgd, apgd_targeted
from .fab import fab
from .inputs import initially_correct, validate_inputs
from .region import Radius, expand_like, norms, per_example
from .square import square
from .victim import Victim

Attack = Callable[..., Array]
VERSIONS = {
    "standard": ("apgd-ce", "apgd-t", "fab-t", "square"),
    "plus": ("apgd-ce", "apgd-dlr", "fab", "square", "apgd-t", "fab-t"),
    "rand": ("apgd-ce", "apgd-dlr"),
}


def autoattack(
    victim: Victim,
    x: Array,
    y: Array,
    *,
    eps: Radius,
    norm: str = "linf",
    version: str | Sequence[str] = "standard",
    seed: int = 0,
    index: Array | None = None,
) -> Array:
    """x (N, …) of the labels y (N,), columns of z, as the first stage left it that made it wrong.

    version: "standard", "plus" or "rand", or names of stages. seed, index: as in `pgd`. An example
    that no stage makes wrong, or that is wrong to begin with, is left alone. Raises ValueError as
    `pgd` does, and for an unknown version or stage. `evaluation.robustness.evaluate` does the same
    in batches, goes on after a stop, and tells what each stage did.
    """
    y, index = validate_inputs(victim, x, y, index, eps, norm)
    chosen, radii = stages(version), per_example(eps, x)
    attacked, left, _ = initially_correct(victim, x, y)
    for attack in chosen.values():
        if len(left) == 0 or not radii.any():
            break
        options = {"eps": radii[left], "norm": norm, "seed": seed, "index": index[left]}
        moved = attack(victim, x[left], y[left], **options)
        wrong = victim(moved)[0].argmax(axis=1) != y[left]
        attacked[left[wrong]] = moved[wrong]
        left = left[~wrong]
    return attacked


def stages(version: str | Sequence[str] = "standard") -> dict[str, Attack]:
    """name → attack(victim, x, y, eps=, norm=, seed=, index=), in order. `version` is one of
    VERSIONS, or names of stages. Raises ValueError for another."""
    names = VERSIONS.get(version) if isinstance(version, str) else tuple(version)
    if names is None:
        raise ValueError(f"version must be one of {', '.join(VERSIONS)}, not {version!r}")
    restarts = 5 if version == "plus" else 1
    eot = 20 if version == "rand" else 1
    known: dict[str, Attack] = {
        "apgd-ce": partial(apgd, restarts=restarts, eot=eot),
        "apgd-dlr": partial(apgd, loss="dlr", restarts=restarts, eot=eot),
        "apgd-t": apgd_targeted,
        "fab": partial(fab_inside, restarts=restarts),
        "fab-t": partial(fab_inside, targets=9),
        "square": square,
    }
    unknown = [name for name in names if name not in known]
    if unknown:
        raise ValueError(f"unknown stage {unknown[0]!r}; there are {', '.join(known)}")
    return {name: known[name] for name in names}


def fab_inside(
    victim: Victim, x: Array, y: Array, *, eps: Radius, norm: str = "linf", **options: Any
) -> Array:
    """FAB's nearest wrong points where they lie in the ball, else x. `options`: those of `fab`."""
    found = fab(victim, x, y, norm=norm, eps=eps, **options)
    xp = array_module(x)
    near = norms(found.astype(xp.float64) - x, norm) <= per_example(eps, x)
    return xp.where(expand_like(near, x), found, x)
