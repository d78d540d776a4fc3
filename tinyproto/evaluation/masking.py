"""Signs that the gradient is masked: that attacks along it fail for another reason than robustness.

After Athalye and others (arXiv 1802.00420, section 3.1) and Carlini and others (arXiv 1902.06705,
section 4): an attack without gradients beats those with; one step beats many, or more steps are
weaker; a random start matters much; an attack without a bound does not always succeed; the gradient
vanishes. `ATTACKS` are chosen to show each of these, and any evaluation is read for those that it
can show.
"""

import re
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np

from ..attacks import Victim, apgd_targeted, fgsm, pgd, square
from ..device import Array, array_module
from .robustness_report import Report, share

TOLERANCE = 0.01
"""A share of the examples that may be chance; of Square's successes, a fifth of it."""

NO_START, NO_BOUND = ", no random start", ", no bound"


def unbounded(victim: Victim, x: Array, y: Array, *, eps: float, **options: Any) -> Array:
    """PGD-100 in a ball that holds the whole box, whatever eps is: any image may become any."""
    size = victim.hi - victim.lo
    far = size * float(np.prod(x.shape[1:])) ** 0.5 if options.get("norm") == "l2" else size
    return pgd(victim, x, y, eps=far, steps=100, **options)


def _fgsm(victim: Victim, x: Array, y: Array, *, seed: int, index: Array, **options: Any) -> Array:
    return fgsm(victim, x, y, **options)


ATTACKS: dict[str, Callable[..., Array]] = {
    "fgsm": _fgsm,
    "pgd-20": pgd,
    "pgd-20" + NO_START: partial(pgd, random_start=False),
    "pgd-100": partial(pgd, steps=100),
    "apgd-t": apgd_targeted,
    "square": partial(square, queries=1000),
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
        found.append("the scores differ from call to call: autoattack-rand averages over passes")
    shares = bool((z >= 0).all()) and bool((xp.abs(z.sum(axis=1) - 1) < 1e-5).all())
    if shares and z.shape[1] > 1:
        found.append("the scores look like probabilities, whose gradients vanish: give the logits")
    return found


def after(report: Report) -> list[str]:
    """The signs that an evaluation shows, one line each."""
    results, clean = report.results, report.clean
    found = []
    for name, result in results.items():
        flat, asked = result.flat_gradients, result.backward_passes
        if flat >= 10 and 10 * flat >= asked:
            found.append(f"{name}: the gradient was exactly 0 in {flat} of {asked} passes")
    others = [r.right for name, r in results.items() if name != "square" and r.backward_passes]
    if "square" in results and others:
        alone = int((clean & ~results["square"].right & np.logical_and.reduce(others)).sum())
        if alone > TOLERANCE / 5 * len(clean):
            found.append(f"square, without gradients, made {alone} wrong that no other attack did")
    if report.settings["chain"]:
        return found  # its attacks saw different examples: they cannot be compared
    right = {name: share(result.right) for name, result in results.items()}
    for weak, strong in _by_steps(list(results)):
        if right[strong] > right[weak] + TOLERANCE:
            found.append(f"{strong} is weaker than {weak}: {_against(right, strong, weak)}")
    for name in results:
        started = name.removesuffix(NO_START)
        if abs(right.get(started, right[name]) - right[name]) > 3 * TOLERANCE:
            found.append(f"a random start matters: {_against(right, started, name)}")
        missed = share(clean & ~np.isfinite(results[name].distance))
        if name.endswith(NO_BOUND) and missed > TOLERANCE:
            found.append(f"{name}, leaves {100 * missed:.1f} % right: it should leave none")
    return found


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


def _against(right: dict[str, float], one: str, other: str) -> str:
    return f"{100 * right[one]:.1f} % right against {100 * right[other]:.1f} %"
