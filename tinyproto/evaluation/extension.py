"""A saved evaluation is extended: by attacks that it does not have yet, or by more examples.

The result of an example depends on its index and the seed only, so an evaluation that was extended
is the same as one that was run at once.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from .report import ARRAY_FIELDS, Report, Result


def extensible_settings(
    saved: Mapping[str, Any], asked: Mapping[str, Any], checksum: Callable[[int], str]
) -> dict[str, Any]:
    """The settings that a saved evaluation must have to be extended to those that are asked for.

    Parameters
    ----------
    saved, asked : mapping
        Settings of reports.
    checksum : callable
        checksum(n) is that of the first n of the examples that are asked for.

    Returns
    -------
    dict
        `asked` with the saved attacks where all of them are asked for, and with the saved number of
        examples where there are not fewer now.
    """
    needed = dict(asked)
    count, attacks = saved.get("examples"), saved.get("attacks")
    if type(count) is int and 0 <= count < asked["examples"]:
        needed |= {"examples": count, "images": checksum(count)}
    if isinstance(attacks, dict):
        ran, new = list(attacks), list(asked["attacks"])
        same = all(attacks[name] == asked["attacks"].get(name) for name in ran)
        # In a sequential evaluation, an attack must find what those before it have left.
        if same and (not asked["sequential"] or ran == new[: len(ran)]):
            needed["attacks"] = attacks
    return needed


def extend(report: Report, asked: Mapping[str, Any], correct: np.ndarray) -> Report:
    """The report with room for the examples and attacks that are asked for.

    Parameters
    ----------
    report : Report
        The saved one, of n examples and of some of the attacks.
    asked : mapping
        The new settings, of N ≥ n examples.
    correct : array (N - n,)
        Bool: which of the new examples are classified correctly.

    Returns
    -------
    Report
        Of N examples, the new ones not yet attacked.
    """
    unattacked = Result.unattacked(correct)
    for result in report.results.values():
        for name in ARRAY_FIELDS:
            both = [getattr(result, name), getattr(unattacked, name)]
            setattr(result, name, np.concatenate(both))
    both = [report.correct, correct]
    return replace(report, correct=np.concatenate(both), settings=dict(asked))
