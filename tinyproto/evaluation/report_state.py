"""A report from the arrays and metadata of a state file, of which nothing is believed unchecked."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from .report import ARRAY_FIELDS, COST_FIELDS, Report, Result


def read_report(
    arrays: Mapping[str, np.ndarray],
    metadata: Mapping[str, Any],
    settings: dict[str, Any],
    source: str,
) -> Report:
    """The report of an evaluation with these settings, which are those in the file.

    Raises ValueError for entries that are missing, unknown, of another shape or dtype, or that hold
    values that no attack gives.
    """
    costs, warnings = metadata.get("costs"), metadata.get("warnings")
    if not isinstance(costs, dict) or not costs.keys() <= settings["attacks"].keys():
        raise ValueError(f"{source}: expected the costs of its attacks, found {costs!r}")
    if not isinstance(warnings, list) or not all(isinstance(line, str) for line in warnings):
        raise ValueError(f"{source}: expected a list of warnings, found {warnings!r}")
    names = {"correct", "fingerprint"} | {f"{name}/{of}" for name in costs for of in ARRAY_FIELDS}
    for verb, found in (("misses", names - arrays.keys()), ("has unknown", arrays.keys() - names)):
        if found:
            raise ValueError(f"{source} {verb} entries: {', '.join(sorted(found))}")
    shape = (settings["examples"],)
    for name in names - {"fingerprint"}:
        kind = "f" if name.endswith("/distance") else "b"
        if arrays[name].shape != shape or arrays[name].dtype.kind != kind:
            what = "floating-point numbers" if kind == "f" else "booleans"
            raise ValueError(
                f"{source}: {name} must hold {what} of shape {shape}, not "
                f"{arrays[name].dtype} of shape {arrays[name].shape}"
            )
    if arrays["fingerprint"].dtype.kind != "f":
        raise ValueError(
            f"{source}: fingerprint holds no scores, but {arrays['fingerprint'].dtype}"
        )
    results = {name: _read_result(name, arrays, costs[name], source) for name in costs}
    return Report(arrays["correct"], results, settings, warnings, arrays["fingerprint"])


def _read_result(name: str, arrays: Mapping[str, np.ndarray], costs: Any, source: str) -> Result:
    """The result of one attack. Raises ValueError for costs that are no numbers of 0 or more, and
    for an example whose fields contradict one another."""
    if not isinstance(costs, dict) or costs.keys() != set(COST_FIELDS):
        raise ValueError(f"{source}: the costs of {name} must be {', '.join(COST_FIELDS)}")
    for field, cost in costs.items():
        kinds = (int, float) if field == "seconds" else (int,)
        if type(cost) not in kinds or not 0 <= cost < math.inf:
            raise ValueError(f"{source}: {field} of {name} must be 0 or more, not {cost!r}")
    fields: dict[str, Any] = {of: arrays[f"{name}/{of}"] for of in ARRAY_FIELDS}
    result = Result(**fields, **costs)
    correct, attacked = arrays["correct"], result.attacked
    wrong = (
        (attacked & ~correct)
        | (result.robust & ~correct)
        | (result.robust & ~result.robust_8bit)
        | (~attacked & ((result.robust != correct) | np.isfinite(result.distance)))
        | ~(result.distance >= 0)
    )
    if wrong.any():
        raise ValueError(f"{source}: what it says of {name} and example {wrong.argmax()} cannot be")
    return result
