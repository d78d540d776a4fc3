"""One batch of one attack: attacked here or by a worker, judged, and put into the result."""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from ..attacks import Victim
from ..attacks.box import clip_to_box, widened
from ..attacks.region import norms
from ..attacks.victim import Warned, varies
from ..backend.device import Array, array_module, to_host
from ..workers import ExecutorLike, Workers
from .checks import check_attacked, in_ball
from .report import COST_FIELDS, Result
from .suites import Attack

COUNTERS = COST_FIELDS[1:]


@dataclass(frozen=True, eq=False)
class Evaluation:
    """What stays the same for every attack and every batch."""

    victim: Victim
    attacks: Mapping[str, Attack]
    eps: float
    norm: str
    seed: int
    keep_adversarial: bool = False


class Batch(NamedTuple):
    """The positions of some examples, these examples, their labels, and their indices."""

    at: np.ndarray
    x: Array
    y: Array
    index: Array


class Found(NamedTuple):
    """What an attack found at the positions `at`, and what it cost. `adversarial` are the points
    that count against the examples that are not robust, in their order; None if not kept."""

    at: np.ndarray
    robust: np.ndarray
    robust_8bit: np.ndarray
    distance: np.ndarray
    seconds: float
    counts: dict[str, int]
    pending_warnings: list[Warned]
    adversarial: np.ndarray | None = None

    def put(self, result: Result) -> None:
        """Enter it into the result of the attack."""
        result.robust[self.at] = self.robust
        result.robust_8bit[self.at] = self.robust_8bit
        result.distance[self.at] = self.distance
        result.attacked[self.at] = True
        self.keep(result)
        result.seconds += self.seconds
        for name, count in self.counts.items():
            setattr(result, name, getattr(result, name) + count)

    def keep(self, result: Result) -> None:
        """Enter its adversarial examples, if they are kept, and nothing else."""
        if self.adversarial is not None:
            broken = self.at[~self.robust].tolist()
            result.adversarial |= dict(zip(broken, self.adversarial, strict=True))


Attackers = Callable[[str, Iterable[Batch]], Iterator[Found]]
"""attackers(name, batches): what the attack of this name finds in each batch, in any order."""


@contextmanager
def open_attackers(evaluation: Evaluation, executor: ExecutorLike | None) -> Iterator[Attackers]:
    """What attacks batches within the block: this process, or the workers of an executor."""
    if executor is None:
        yield lambda name, batches: (attack_batch(evaluation, name, batch) for batch in batches)
        return
    victim = evaluation.victim
    parts: dict[str, Any] = {f"the model, a {type(victim.model).__name__},": victim.model}
    parts |= {f"the attack {name!r}": attack for name, attack in evaluation.attacks.items()}
    with Workers(executor, attack_elsewhere, evaluation, parts) as workers:

        def share_out(name: str, batches: Iterable[Batch]) -> Iterator[Found]:
            for found in workers.run((name, batch) for batch in batches):
                victim.absorb(found.counts, found.pending_warnings)
                yield found

        yield share_out


def attack_elsewhere(evaluation: Evaluation, name: str, batch: Batch) -> Found:
    """As `attack_batch`, with a victim of its own: threads of a worker may share what they got."""
    victim = evaluation.victim.detached()
    found = attack_batch(replace(evaluation, victim=victim), name, batch)
    return found._replace(pending_warnings=victim.pending_warnings or [])


def attack_batch(evaluation: Evaluation, name: str, batch: Batch) -> Found:
    """Attack a batch, and judge what the attack returns."""
    victim, eps, norm = evaluation.victim, evaluation.eps, evaluation.norm
    at, images, labels, index = batch
    xp, attack = array_module(images), evaluation.attacks[name]
    before, begun = [getattr(victim, counter) for counter in COUNTERS], time.perf_counter()
    options = {"eps": eps, "norm": norm, "seed": evaluation.seed, "index": index}
    attacked = attack(victim, images.copy(), labels, **options)  # one that writes to x does no harm
    seconds = time.perf_counter() - begun
    counts = {c: getattr(victim, c) - n for c, n in zip(COUNTERS, before, strict=True)}
    check_attacked(attacked, images, victim)
    distance = to_host(norms(attacked.astype(xp.float64) - images, norm))
    robust = correct(victim, attacked, labels, len(at))
    distance[robust] = np.inf
    robust |= ~to_host(in_ball(attacked, images, victim, eps, norm))
    rounded = _round_to_8_bits(victim, attacked, images, eps if norm == "linf" else None)
    robust_8bit = robust | correct(victim, rounded, labels, len(at))
    kept = to_host(attacked)[~robust] if evaluation.keep_adversarial else None
    return Found(at, robust, robust_8bit, distance, seconds, counts, [], kept)


def _round_to_8_bits(victim: Victim, attacked: Array, x: Array, eps: float | None) -> Array:
    """The nearest images of 256 levels; with eps, the nearest within the L∞ ball if it has any."""
    xp, lo, hi = array_module(x), victim.lo, victim.hi
    if varies(lo, hi):
        lo, hi = widened(x, lo, hi)
        hi = xp.where(lo < hi, hi, lo + 1)  # a feature that is kept is rounded to itself
    level = (hi - lo) / 255
    levels = xp.rint((attacked.astype(xp.float64) - lo) / level)
    if eps is not None:
        lowest = xp.ceil((x.astype(xp.float64) - eps - lo) / level - 1e-4)
        highest = xp.floor((x.astype(xp.float64) + eps - lo) / level + 1e-4)
        levels = xp.where(lowest <= highest, xp.clip(levels, lowest, highest), levels)
    return clip_to_box(lo + level * levels, x, victim.lo, victim.hi)


def correct(victim: Victim, x: Array, y: Array, batch_size: int) -> np.ndarray:
    """Which examples are classified correctly. These passes are not counted as an attack's."""
    uncounted = victim.uncounted()
    found = [np.zeros(0, dtype=bool)]
    for start in range(0, len(x), batch_size):
        z, _ = uncounted(x[start : start + batch_size])
        found.append(to_host(z.argmax(axis=1) == y[start : start + batch_size]))
    return np.concatenate(found)
