"""A classifier judged by attacks, with a table, and a file from which a run goes on after a stop.

    report = evaluate(victim, x, y, "autoattack", eps=8 / 255, path="report.npz")
    print(report.text())

Examples that are wrong to begin with are wrong under every attack. What becomes of an example
depends on its place in the data set and on the seed, not on the batches.
"""

import hashlib
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from .. import state
from ..attacks import Victim
from ..attacks.autoattack import stages
from ..attacks.ball import inside, lengths
from ..attacks.region import check_labels
from ..device import Array, array_module, to_host
from ..training.progress import progress
from . import masking
from .robustness_report import ARRAYS, COSTS, Report, Result, share

Attack = Callable[..., Array]

PROBED = 16  # images whose scores tell one victim from another
ROUNDING = 1e-6  # of the box's size: how far outside ball or box an attack in float32 may land


def evaluate(
    victim: Victim,
    x: Array,
    y: Array,
    attacks: str | Mapping[str, Attack] = "autoattack",
    *,
    eps: float,
    norm: str = "linf",
    chain: bool | None = None,
    batch_size: int = 250,
    seed: int = 0,
    index: Array | None = None,
    path: str | Path | None = None,
    shown: bool = True,
) -> Report:
    """Attack x (N, …) of the labels y (N,), columns of the victim's scores.

    attacks: "autoattack", "autoattack-plus" or "autoattack-rand"; or name → attack(victim, x, y,
    eps=, norm=, seed=, index=). chain: each attack gets only what is still right after those before
    it, and the table shows what is left: AutoAttack's way, and the default for it. path: a file
    that is written after each batch, and read when it is there. shown: a bar with the accuracy so
    far, on stderr. What an attack finds farther than eps away, as FAB and Carlini and Wagner's may,
    counts for the distances alone; a millionth of the box is allowed for an attack that rounds.

    Raises ValueError for a file of another victim, other images, attacks or settings, for scores
    that are not finite, for points outside the box, and as the attacks do.
    """
    xp, count = array_module(x), len(x)
    index = xp.arange(count) if index is None else xp.asarray(index)
    if isinstance(attacks, str):
        head, _, version = attacks.partition("-")
        if head != "autoattack":
            raise ValueError(f"attacks must be 'autoattack…' or a mapping, not {attacks!r}")
        attacks, chain = stages(version or "standard"), True if chain is None else chain
    settings = {
        "eps": float(eps), "norm": norm, "chain": bool(chain), "seed": seed,
        "box": [float(victim.lo), float(victim.hi)], "examples": count,
        "attacks": {name: _describe(attack) for name, attack in attacks.items()},
        "images": _checksum(x, y, index),
    }  # fmt: skip
    probe = to_host(victim.model(x[:PROBED])[0])
    check_labels(probe, y)
    report = _load(path, settings, probe)
    if report is None:
        clean = _right(victim, x, y, batch_size)
        report = Report(clean, {}, settings, masking.before(victim, x[:batch_size]), probe)
    left = report.clean.copy()
    total = count * len(attacks)
    with progress(total, "image", title="attacking", shown=shown, lines=40) as advance:
        for name, attack in attacks.items():
            result = report.results.setdefault(name, Result.blank(report.clean))
            asked = left if chain else report.clean
            todo = np.flatnonzero(asked & ~result.done)
            advance(count - len(todo), f"{name}: {100 * share(left):.2f} % right")
            for start in range(0, len(todo), batch_size):
                places = todo[start : start + batch_size]
                _attack(victim, attack, x, y, index, places, result, eps, norm, seed)
                if path is not None:
                    _save(path, report)
                advance(len(places), f"{name}: {100 * share(left & result.right):.2f} % right")
            left &= result.right
    signs = masking.after(report)
    report.warnings += [line for line in signs if line not in report.warnings]
    return report


def _attack(
    victim: Victim,
    attack: Attack,
    x: Array,
    y: Array,
    index: Array,
    places: np.ndarray,
    result: Result,
    eps: float,
    norm: str,
    seed: int,
) -> None:
    """Attack the examples at these places, and write down what became of them."""
    xp, at = array_module(x), array_module(x).asarray(places)
    before, begun = [getattr(victim, name) for name in COSTS[1:]], time.perf_counter()
    attacked = attack(victim, x[at], y[at], eps=eps, norm=norm, seed=seed, index=index[at])
    result.seconds += time.perf_counter() - begun
    for name, count in zip(COSTS[1:], before, strict=True):
        setattr(result, name, getattr(result, name) + getattr(victim, name) - count)
    size = victim.hi - victim.lo
    slack = ROUNDING * size
    if (
        len(x)
        and not victim.lo - slack
        <= float(attacked.min())
        <= float(attacked.max())
        <= victim.hi + slack
    ):
        raise ValueError(f"an attack left the box [{victim.lo}, {victim.hi}]")
    steps = xp.rint((attacked - victim.lo) * (255 / size))
    rounded = inside(victim.lo + size / 255 * steps, attacked, victim.lo, victim.hi)
    distances = []
    for points in (attacked, rounded):
        distance = to_host(lengths(points.astype(xp.float64) - x[at], norm))
        distance[_right(victim, points, y[at], len(places))] = np.inf
        distances.append(distance)
    result.right[places] = distances[0] > eps + slack
    result.right_rounded[places] = distances[1] > eps + slack
    result.distance[places] = distances[0]
    result.done[places] = True


def _right(victim: Victim, x: Array, y: Array, batch_size: int) -> np.ndarray:
    """Which answers are right. Passes that judge are not counted: they belong to no attack."""
    judge = Victim(victim.model, lo=victim.lo, hi=victim.hi)
    found = [np.zeros(0, dtype=bool)]
    for start in range(0, len(x), batch_size):
        z, _ = judge(x[start : start + batch_size])
        found.append(to_host(z.argmax(axis=1) == y[start : start + batch_size]))
    return np.concatenate(found)


def _describe(attack: Attack) -> str:
    """An attack's name and settings, as far as they can be told."""
    given = ""
    while isinstance(attack, partial):
        given = f"{sorted(attack.keywords.items())}{given}"
        attack = attack.func
    return f"{attack.__qualname__}{given}" if hasattr(attack, "__qualname__") else repr(attack)


def _checksum(x: Array, y: Array, index: Array) -> str:
    """Of images, labels and places: a file of results belongs to these alone."""
    digest = hashlib.sha256()
    for array in (x, y, index):
        digest.update(np.ascontiguousarray(to_host(array)).tobytes())
    return digest.hexdigest()[:16]


def _save(path: str | Path, report: Report) -> None:
    arrays, costs = {"clean": report.clean, "probe": report.probe}, {}
    for name, result in report.results.items():
        arrays |= {f"{name}/{field}": getattr(result, field) for field in ARRAYS}
        costs[name] = {field: getattr(result, field) for field in COSTS}
    metadata = {"settings": report.settings, "warnings": report.warnings, "costs": costs}
    state.save(path, arrays, metadata)


def _load(path: str | Path | None, settings: dict[str, Any], probe: np.ndarray) -> Report | None:
    if path is None or not Path(path).exists():
        return None
    arrays, metadata = state.load(path)
    found = metadata.get("settings")
    if found is None:
        raise ValueError(f"{path} is no evaluation")
    other = [name for name, value in settings.items() if found.get(name) != value]
    if other:
        raise ValueError(
            f"{path} belongs to another evaluation: its {other[0]} is {found.get(other[0])!r}, "
            f"not {settings[other[0]]!r}"
        )
    steady = not any(line.startswith(masking.NOISY) for line in metadata["warnings"])
    scale = 1e-3 * float(np.abs(probe).max()) if probe.size else 0.0
    kept = arrays["probe"]
    if steady and (kept.shape != probe.shape or not np.allclose(kept, probe, 1e-3, scale)):
        raise ValueError(f"{path} belongs to another evaluation: the victim's scores are not its")
    results = {}
    for name, costs in metadata["costs"].items():
        own: dict[str, Any] = {field: arrays[f"{name}/{field}"] for field in ARRAYS}
        results[name] = Result(**own, **costs)
    return Report(arrays["clean"], results, found, metadata["warnings"], kept)
