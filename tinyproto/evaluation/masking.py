"""Signs that the gradient is masked: that attacks along it fail for another reason than robustness.

After Athalye and others (arXiv 1802.00420, section 3.1) and Carlini and others (arXiv 1902.06705,
section 4): an attack without gradients beats those with; one step beats many, or more steps are
weaker; a random start matters much; an attack without a bound does not always succeed; the gradient
vanishes. `ATTACKS` are chosen to show each of these, and any evaluation is read for those that it
can show.
"""

import re
from collections.abc import Callable, Mapping
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np

from .. import attacks
from ..attacks import Victim, apgd_targeted, pgd, square
from ..attacks.victim import flat_gradient_message
from ..backend.device import Array, array_module
from .report import NO_BOUND, Report, Result, share

TOLERANCE = 0.01
"""A share of the examples that is not worth a warning; of Square's successes, a fifth of it."""

NOISY = "the scores differ from call to call"
NO_START = ", no random start"


def unbounded(victim: Victim, x: Array, y: Array, *, eps: float, **options: Any) -> Array:
    """PGD-100 in a ball that holds the whole box, whatever eps is: any image may become any."""
    size = victim.hi - victim.lo
    far = size * float(np.prod(x.shape[1:])) ** 0.5 if options.get("norm") == "l2" else size
    return pgd(victim, x, y, eps=far, steps=100, **options)


ATTACKS: dict[str, Callable[..., Array]] = {
    "fgsm": attacks.ATTACKS["fgsm"],
    "pgd-20": pgd,
    "pgd-20" + NO_START: partial(pgd, random_start=False),
    "pgd-100": partial(pgd, steps=100),
    "apgd-t": apgd_targeted,
    "square-1000": partial(square, queries=1000),
    "pgd-100" + NO_BOUND: unbounded,
}


def before(victim: Victim, x: Array) -> list[str]:
    """What looks odd about the scores of x (N, …), before any attack. Two passes."""
    if len(x) == 0:
        return []
    xp = array_module(x)
    z, again = victim.model(x)[0], victim.model(x)[0]
    found = []
    if not bool(xp.allclose(z, again, rtol=1e-3, atol=1e-5 * float(xp.abs(z).max()))):
        found.append(f"{NOISY}: autoattack-rand averages over passes")
    shares = bool((z >= 0).all()) and bool((xp.abs(z.sum(axis=1) - 1) < 1e-5).all())
    if shares and z.shape[1] > 1:
        found.append("the scores look like probabilities, whose gradients vanish: give the logits")
    return found


def after(report: Report) -> list[str]:
    """The signs that an evaluation shows, one line each."""
    results, clean, found = report.results, report.clean, []
    for name, result in results.items():
        told = flat_gradient_message(result.flat_gradients, result.backward_passes)
        if told:
            found.append(f"{name}: {told}")
    along = [r for r in results.values() if r.backward_passes]
    for name, result in results.items():
        if not name.startswith("square") or not along:
            continue
        alone = ~result.right & clean & np.logical_and.reduce([r.right for r in along])
        alone &= np.logical_or.reduce([r.done for r in along])
        if alone.sum() > max(2, TOLERANCE / 5 * len(clean)):
            found.append(
                f"{name}, without gradients, made {alone.sum()} wrong that attacks along the "
                "gradient had left right"
            )
    if report.settings["chain"]:
        return found  # its attacks saw different examples: they cannot be compared
    for weak, strong in _by_steps(list(results)):
        if _gap(results[strong], results[weak]) > TOLERANCE:
            found.append(f"{strong} is weaker than {weak}: {_against(results, strong, weak)}")
    for name, result in results.items():
        started = name.removesuffix(NO_START)
        if abs(_gap(results.get(started, result), result)) > 3 * TOLERANCE:
            found.append(f"a random start matters: {_against(results, started, name)}")
        missed = share(clean & ~np.isfinite(result.distance))
        if name.endswith(NO_BOUND) and missed > TOLERANCE:
            found.append(f"{name}, leaves {100 * missed:.1f} % right: it should leave none")
    return found


def _gap(one: Result, other: Result) -> float:
    """How many more examples withstand one attack than the other, as a share; 0 where it may be
    chance: below two standard deviations of the examples on which the two differ."""
    gap = int(one.right.sum()) - int(other.right.sum())
    chance = 2 * float((one.right != other.right).sum()) ** 0.5
    return gap / len(one.right) if abs(gap) > chance else 0.0


def _by_steps(names: list[str]) -> list[tuple[str, str]]:
    """Pairs of the same attack with few steps and with the next more: "pgd-20", "pgd-100"."""
    steps: dict[str, list[tuple[int, str]]] = {}
    for name in names:
        match = re.fullmatch(r"(.+)-(\d+)", "pgd-1" if name == "fgsm" else name)
        if match:
            steps.setdefault(match[1], []).append((int(match[2]), name))
    return [
        (few[1], more[1]) for runs in map(sorted, steps.values()) for few, more in pairwise(runs)
    ]


def _against(results: Mapping[str, Result], one: str, other: str) -> str:
    one_right, other_right = (100 * share(results[name].right) for name in (one, other))
    return f"{one_right:.1f} % right against {other_right:.1f} %"
