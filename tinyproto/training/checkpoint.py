"""A training run in one file: all that the next step depends on, and nothing else.

Weights and running averages, the optimizer's momenta, the moving average, the best weights so far,
and where in which epoch the run stands. Schedules are functions of the step and random numbers of
their names, so neither has a state. The file is written under a name of its own and renamed.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from .. import state
from ..backend.device import Array
from ..optimizers import Average, Optimizer
from ..parameters import Tree, assign, flatten

PARAMETERS, OPTIMIZER, AVERAGE, BEST = "parameters", "optimizer", "average", "best"


@dataclass
class Place:
    """Where a run stands: `step` steps of `epoch` are done, `loss`, `correct` and `seen` are the
    epoch's sums so far; `history` has a row for each epoch that is over."""

    epoch: int = 0
    step: int = 0
    loss: float = 0.0
    correct: int = 0
    seen: int = 0
    seconds: float = 0.0
    best_score: float = -1.0
    best_epoch: int = 0
    history: list[dict[str, float]] = field(default_factory=list)


def save(
    path: str | Path,
    settings: Mapping[str, Any],
    place: Place,
    params: Tree,
    optimizer: Optimizer,
    average: Average | None,
    best: Mapping[str, Array],
) -> None:
    """Write the run. `settings` are what a run that goes on must have in common with it."""
    parts = {
        PARAMETERS: flatten(params),
        OPTIMIZER: optimizer.arrays(),
        AVERAGE: average.arrays() if average else {},
        BEST: best,
    }
    arrays = {f"{part}/{name}": a for part, found in parts.items() for name, a in found.items()}
    state.save(path, arrays, {"settings": dict(settings), "place": asdict(place)})


def load(
    path: str | Path,
    settings: Mapping[str, Any],
    params: Tree,
    optimizer: Optimizer,
    average: Average | None,
) -> tuple[Place, dict[str, Array]]:
    """Put a run back: its place and its best weights; the rest is filled in place.

    Raises ValueError, before anything is changed, for a file that is no checkpoint, or one of a run
    with other settings: the first that differs is named, with both values.
    """
    arrays, metadata = state.load(path)
    if not isinstance(metadata.get("place"), dict) or "settings" not in metadata:
        raise ValueError(f"{path} is no checkpoint of a training run")
    before = metadata["settings"]
    for name in {**before, **settings}:
        if before.get(name) != settings.get(name):
            raise ValueError(
                f"{path} is of a run with {name}={before.get(name)!r}, not {settings.get(name)!r}; "
                "start anew or give the same options"
            )
    parts: dict[str, dict[str, Array]] = {p: {} for p in (PARAMETERS, OPTIMIZER, AVERAGE, BEST)}
    for name, array in arrays.items():
        part, _, rest = name.partition("/")
        if part not in parts:
            raise ValueError(f"{path} has unknown entries: {name}")
        parts[part][rest] = array
    assign(params, parts[PARAMETERS], str(path))
    optimizer.restore(parts[OPTIMIZER], params)
    if average:
        average.restore(parts[AVERAGE])
    return Place(**metadata["place"]), parts[BEST]
