"""A classifier judged by attacks, with a table, and a file from which a run goes on after a stop.

    report = evaluate(victim, x, y, "autoattack", eps=8 / 255, path="report.npz")
    print(report.text())

Examples that are wrong to begin with are wrong under every attack. What becomes of an example
depends on its place in the data set and on the seed, not on the batches.
"""

import hashlib
import time
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from .. import state
from ..attacks import Victim
from ..attacks.inputs import validate_inputs, validate_labels
from ..attacks.region import clip_to_box, norms
from ..backend.device import Array, array_module, to_host
from ..progress import progress
from . import masking
from .report import ARRAYS, COSTS, Report, Result, share
from .suites import Attack, choose, current_names

PROBED = 16  # images whose scores tell one victim from another
ROUNDING = 1e-6  # of the box's size: how far outside ball or box an attack in float32 may land


def evaluate(
    victim: Victim,
    x: Array,
    y: Array,
    attacks: str | Sequence[str] | Mapping[str, Attack] = "autoattack",
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
    """Attack x (N, …) of the labels y (N,), columns of the victim's scores; images channels last.

    attacks: "autoattack", "autoattack-plus", "autoattack-rand" or "masking"; or names out of
    `attacks.ATTACKS`; or name → attack(victim, x, y, eps=, norm=, seed=, index=). chain: each
    attack gets only what is still right after those before it, and the table shows what is left:
    AutoAttack's way, and the default for it. path: a file that is written after each batch, and
    read when it is there. shown: a bar with the accuracy so far, on stderr. What an attack finds
    farther than eps away, as FAB and Carlini and Wagner's may, counts for the distances alone; a
    millionth of the box is allowed for an attack that rounds.

    Raises ValueError for a file of another victim, other images, attacks or settings, for scores
    that are not finite, for points outside the box, and as the attacks do.
    """
    if batch_size < 1:
        raise ValueError(f"batch_size must be 1 or more, not {batch_size!r}")
    y, index = validate_inputs(victim, x, y, index, eps, norm)
    chosen, in_turn = choose(attacks, norm)
    chain, count = in_turn if chain is None else chain, len(x)
    settings = {
        "eps": float(eps), "norm": norm, "chain": bool(chain), "seed": seed,
        "box": [float(victim.lo), float(victim.hi)], "examples": count,
        "attacks": {name: _describe(attack) for name, attack in chosen.items()},
        "images": _checksum(x, y, index),
    }  # fmt: skip
    probe = to_host(Victim(victim.model)(x[:PROBED])[0])
    validate_labels(probe, y)
    report = _load(path, settings, probe)
    if report is None:
        clean = _right(victim, x, y, batch_size)
        report = Report(clean, {}, settings, masking.before(victim, x[:batch_size]), probe)
    left = report.clean.copy()
    total = count * len(chosen)
    with progress(total, "image", title="attacking", shown=shown, lines=40) as advance:
        for name, attack in chosen.items():
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
    xp = array_module(x)
    at = xp.asarray(places)
    images, labels = x[at], y[at]
    before, begun = [getattr(victim, name) for name in COSTS[1:]], time.perf_counter()
    attacked = attack(victim, images, labels, eps=eps, norm=norm, seed=seed, index=index[at])
    result.seconds += time.perf_counter() - begun
    for name, count in zip(COSTS[1:], before, strict=True):
        setattr(result, name, getattr(result, name) + getattr(victim, name) - count)
    if getattr(attacked, "shape", None) != images.shape:
        raise ValueError(f"an attack must return points of shape {images.shape}")
    slack = ROUNDING * (victim.hi - victim.lo)
    least, most = float(attacked.min()), float(attacked.max())
    if not victim.lo - slack <= least <= most <= victim.hi + slack:
        raise ValueError(f"an attack left the box [{victim.lo}, {victim.hi}]")
    distance = to_host(norms(attacked.astype(xp.float64) - images, norm))
    distance[_right(victim, attacked, labels, len(places))] = np.inf
    right = distance > eps + slack
    rounded = _on_8_bits(victim, attacked, images, eps if norm == "linf" else None)
    result.right[places] = right
    result.right_rounded[places] = right | _right(victim, rounded, labels, len(places))
    result.distance[places] = distance
    result.done[places] = True


def _on_8_bits(victim: Victim, attacked: Array, x: Array, eps: float | None) -> Array:
    """The nearest images of 256 levels; of those, within eps in L∞ if there are any there."""
    xp, level = array_module(x), (victim.hi - victim.lo) / 255
    levels = xp.rint((attacked.astype(xp.float64) - victim.lo) / level)
    if eps is not None:
        lowest = xp.ceil((x.astype(xp.float64) - eps - victim.lo) / level - 1e-4)
        highest = xp.floor((x.astype(xp.float64) + eps - victim.lo) / level + 1e-4)
        levels = xp.where(lowest <= highest, xp.clip(levels, lowest, highest), levels)
    return clip_to_box(victim.lo + level * levels, x, victim.lo, victim.hi)


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
    saved = found.get("attacks", {})
    found["attacks"] = {name: current_names(text) for name, text in saved.items()}
    for name, value in settings.items():
        if found.get(name) != value:
            about = _tell_apart(name, found.get(name), value)
            raise ValueError(f"{path} belongs to another evaluation: {about}")
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


def _tell_apart(name: str, was: Any, now: Any) -> str:
    if name == "images":
        return "its images and labels are not these"
    if name == "attacks" and was is not None:
        one, other = ", ".join(was), ", ".join(now)
        return f"its attacks are {one}, not {other}" if one != other else "its attacks differ"
    return f"its {name} is {was}, not {now}"
