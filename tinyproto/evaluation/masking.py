"""Checks for gradient masking: attacks that fail for another reason than that the victim is robust.

A gradient is masked when it exists but does not lead to adversarial examples. The checks follow
Athalye and others (arXiv 1802.00420, section 3.1) and Carlini and others (arXiv 1902.06705,
section 4). Each of these observations suggests a masked gradient:

- an attack that uses no gradient succeeds more often than attacks that use it;
- one step succeeds more often than many, or fewer steps more often than more;
- the result depends strongly on a random start;
- an attack without a bound does not always succeed;
- the gradient vanishes.

`ATTACKS` are chosen so that each can be observed; any other evaluation is checked for those that
its attacks can show.
"""

import re
from collections.abc import Callable, Mapping
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np

from .. import attacks
from ..attacks import Victim, apgd_targeted, pgd, square
from ..attacks.victim import PROBABILITIES, flat_gradient_message, look_like_probabilities
from ..backend.device import Array, array_module
from .report import UNBOUNDED, Report, Result, fraction

TOLERANCE = 0.01
"""Differences in accuracy up to this give no warning; for the attack without gradients, a fifth."""

NOISY = "the scores differ from call to call"
MIXED = "an example's scores depend on the others of its batch: is the model in train mode?"
NO_START = ", no random start"


def unbounded(victim: Victim, x: Array, y: Array, *, eps: float, **options: Any) -> Array:
    """PGD-100 in a ball that contains the whole box, whatever eps is."""
    return pgd(victim, x, y, eps=np.inf, steps=100, **options)


ATTACKS: dict[str, Callable[..., Array]] = {
    "fgsm": attacks.ATTACKS["fgsm"],
    "pgd-20": pgd,
    "pgd-20" + NO_START: partial(pgd, random_start=False),
    "pgd-100": partial(pgd, steps=100),
    "apgd-t": apgd_targeted,
    "square-1000": partial(square, queries=1000),
    "pgd-100" + UNBOUNDED: unbounded,
}


def check_scores(victim: Victim, x: Array) -> list[str]:
    """Warnings about the victim's scores of x (N, …), before any attack; costs two
    passes."""
    if len(x) == 0:
        return []
    xp, uncounted = array_module(x), victim.uncounted()
    z, again, alone = (uncounted(part)[0] for part in (x, x, x[:1]))
    tolerance = {"rtol": 1e-3, "atol": 1e-5 * float(xp.abs(z).max())}
    found = []
    if not bool(xp.allclose(z, again, **tolerance)):
        found.append(f"{NOISY}: autoattack-rand averages over passes")
    elif not bool(xp.allclose(z[:1], alone, **tolerance)):
        found.append(MIXED)
    if look_like_probabilities(z):
        found.append(PROBABILITIES)
    return found


def check_results(report: Report) -> list[str]:
    """Warnings about the results of a finished evaluation, one line each."""
    results, correct = report.results, report.correct
    found = []
    for name, result in results.items():
        warning = flat_gradient_message(result.flat_gradients, result.backward_passes)
        if warning:
            found.append(f"{name}: {warning}")
    found += _check_gradient_free(results, correct)
    if report.settings["sequential"]:
        return found  # its attacks saw different examples: they cannot be compared
    for weak, strong in _by_steps(list(results)):
        if _robustness_gain(results[strong], results[weak]) > TOLERANCE:
            found.append(f"{strong} is weaker than {weak}: {_compare(results, strong, weak)}")
    for name, result in results.items():
        started = name.removesuffix(NO_START)
        if abs(_robustness_gain(results.get(started, result), result)) > 3 * TOLERANCE:
            found.append(f"a random start matters: {_compare(results, started, name)}")
        missed = fraction(correct & ~np.isfinite(result.distance))
        if name.endswith(UNBOUNDED) and missed > TOLERANCE:
            found.append(f"{name}: accuracy {100 * missed:.1f} %, where 0 % is expected")
    return found


def verdict(report: Report) -> str:
    """What a finished evaluation with all of `ATTACKS` shows, in words; "" for any other."""
    if not set(ATTACKS) <= set(report.results) or report.settings["sequential"]:
        return ""
    if not report.correct.any():
        return "nothing can be said about masked gradients: no example is classified correctly"
    signs = count_signs(report)
    if not signs:
        count, but = int(report.correct.sum()), ", but see the warning" if report.warnings else ""
        return f"{len(ATTACKS)} attacks on {count} examples show no sign of masked gradients{but}"
    return (
        f"{signs} {'sign' if signs == 1 else 'signs'} of masked gradients: the victim may be less "
        "robust than these accuracies say; attack it in other ways, too"
    )


def count_signs(report: Report) -> int:
    """How many of the warnings are signs of masked gradients: not those of scores that depend on
    more than the example, with which every figure is in doubt."""
    return sum(not line.startswith((NOISY, MIXED)) for line in report.warnings)


def _check_gradient_free(results: Mapping[str, Result], correct: np.ndarray) -> list[str]:
    """Does Square succeed where all the attacks that use gradients failed?"""
    with_gradients = [r for r in results.values() if r.backward_passes]
    found = []
    for name, result in results.items():
        if not name.startswith("square") or not with_gradients:
            continue
        only = ~result.robust & correct & np.logical_and.reduce([r.robust for r in with_gradients])
        only &= np.logical_or.reduce([r.attacked for r in with_gradients])
        if only.sum() > max(2, TOLERANCE / 5 * len(correct)):
            found.append(
                f"{name}, which uses no gradients, succeeded on {only.sum()} examples on which "
                "attacks that use them failed"
            )
    return found


def _robustness_gain(one: Result, other: Result) -> float:
    """Accuracy under one attack minus that under the other. 0 where it may be chance: below two
    standard deviations of the number of examples on which the two differ."""
    difference = int(one.robust.sum()) - int(other.robust.sum())
    chance = 2 * float((one.robust != other.robust).sum()) ** 0.5
    return difference / len(one.robust) if abs(difference) > chance else 0.0


def _by_steps(names: list[str]) -> list[tuple[str, str]]:
    """Pairs of names of one attack with fewer and with more steps, such as "pgd-20", "pgd-100"."""
    steps: dict[str, list[tuple[int, str]]] = {}
    for name in names:
        match = re.fullmatch(r"(.+)-(\d+)", "pgd-1" if name == "fgsm" else name)
        if match:
            steps.setdefault(match[1], []).append((int(match[2]), name))
    return [
        (few[1], more[1]) for runs in map(sorted, steps.values()) for few, more in pairwise(runs)
    ]


def _compare(results: Mapping[str, Result], one: str, other: str) -> str:
    first, second = (100 * fraction(results[name].robust) for name in (one, other))
    return f"accuracy {first:.1f} % against {second:.1f} %"
