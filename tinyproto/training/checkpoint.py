"""A training run in one file: all that its next step depends on, and nothing else.

That is the weights and running averages, the state of the optimizer, the moving average of the
weights, the best weights so far, and the `TrainingState`. Learning rates are functions of the step,
and random numbers of their seed, epoch and position, so neither has a state. What else the run
depends on, its images, optimizer, schedule, defence and augmentation, is described in the settings
(see `description`). The file is written whole or not at all, and all of it is checked before a run
is changed.
"""

import json
import math
import signal
import threading
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np

from .. import __version__
from ..backend.device import Array, array_module
from ..communicator import ONE_PROCESS, Communicator
from ..networks import Network
from ..optimizers import Average, Optimizer
from ..parameters import assign, check_arrays, flatten
from ..state import load_arrays, save_arrays
from .description import NOT_DESCRIBED, describe

PARAMETERS, OPTIMIZER, AVERAGE, BEST = "parameters", "optimizer", "average", "best"


class Stopped(KeyboardInterrupt):
    """The run was asked to stop, and has written its checkpoint."""

    signal_number = signal.SIGINT


class NotFinite(FloatingPointError):
    """The loss or a weight is infinite or NaN; no checkpoint is changed."""


@dataclass
class TrainingState:
    """How far a run has got.

    Parameters
    ----------
    epoch : int
        Completed epochs.
    step : int
        Steps done in the current epoch.
    loss, correct, seen : float, int, int
        Sums over the current epoch: the losses, the correct predictions, and the examples.
    seconds : float
        Time spent in training steps.
    best_score, best_epoch : float, int
        The best validation accuracy so far, and its epoch, from 1.
    history : list of dict
        A row for each completed epoch.

    Examples
    --------
    >>> from tinyproto.training import TrainingState
    >>> state = TrainingState(step=7)
    >>> state.end_epoch({"epoch": 1, "loss": 2.3})
    >>> state.epoch, state.step, state.history
    (1, 0, [{'epoch': 1, 'loss': 2.3}])
    """

    epoch: int = 0
    step: int = 0
    loss: float = 0.0
    correct: int = 0
    seen: int = 0
    seconds: float = 0.0
    best_score: float = -1.0
    best_epoch: int = 0
    history: list[dict[str, float]] = field(default_factory=list)

    def end_epoch(self, row: dict[str, float]) -> None:
        """Add the epoch's row to the history, and start the next epoch."""
        self.history.append(row)
        self.epoch, self.step = self.epoch + 1, 0
        self.loss, self.correct, self.seen = 0.0, 0, 0


@dataclass
class Run:
    """What a checkpoint holds."""

    network: Network
    optimizer: Optimizer
    average: Average | None = None
    state: TrainingState = field(default_factory=TrainingState)
    best: Mapping[str, Array] = field(default_factory=dict)


def save_checkpoint(run: Run, path: str | Path, settings: Mapping[str, Any]) -> None:
    """Write a run. `settings`, of JSON's types, are what a run that resumes it must have in common.

    Raises NotFinite, with the file unchanged, for a weight that is infinite or NaN.
    """
    check_finite(run)
    parts = {
        PARAMETERS: flatten(run.network.params),
        OPTIMIZER: run.optimizer.state_dict(),
        AVERAGE: run.average.state_dict() if run.average else {},
        BEST: run.best,
    }
    arrays = {f"{part}/{name}": a for part, found in parts.items() for name, a in found.items()}
    metadata = {
        "version": __version__, "settings": _plain(settings), "place": asdict(run.state),
        "entries": sorted(arrays),
    }  # fmt: skip
    save_arrays(arrays, path, metadata)


def check_finite(run: Run) -> None:
    """Raise NotFinite for a weight that is infinite or NaN."""
    for name, leaf in flatten(run.network.params).items():
        if not bool(array_module(leaf).isfinite(leaf).all()):
            raise NotFinite(f"{name} is not finite; no checkpoint is changed")


def load_checkpoint(run: Run, path: str | Path, settings: Mapping[str, Any]) -> None:
    """Put a run back to where it was saved.

    Raises ValueError, before anything is changed, for a file that is not a checkpoint or is not
    whole, and for the checkpoint of a run with other settings.
    """
    arrays, metadata = load_arrays(path)
    if not isinstance(metadata.get("place"), dict) or not isinstance(
        metadata.get("settings"), dict
    ):
        raise ValueError(f"{path} is not the checkpoint of a training run")
    _compare_settings(metadata, _plain(settings), path)
    if metadata.get("entries") != sorted(arrays):
        raise ValueError(f"{path} is not whole: it does not hold the entries that it lists")
    parts: dict[str, dict[str, Array]] = {p: {} for p in (PARAMETERS, OPTIMIZER, AVERAGE, BEST)}
    for name, array in arrays.items():
        part, _, rest = name.partition("/")
        if part not in parts:
            raise ValueError(f"{path} has unknown entries: {name}")
        parts[part][rest] = array
    state = _read_state(metadata["place"], settings, str(path))
    params = run.network.params
    check_arrays(params, parts[PARAMETERS], str(path), values=True)
    if state.best_epoch:
        check_arrays(params, parts[BEST], f"{path}: the best weights", values=True)
    elif parts[BEST]:
        raise ValueError(f"{path} holds the best weights of an epoch, and the run completed none")
    if run.optimizer.state_names and not parts[OPTIMIZER] and state.epoch + state.step:
        raise ValueError(f"{path} misses the state of the optimizer")
    old_state = run.optimizer.state
    try:
        run.optimizer.load_state_dict(parts[OPTIMIZER], params)
        if run.average:
            averaged = {f"average/{name}": leaf for name, leaf in flatten(params).items()}
            own = {**averaged, "updates": np.array(0)}
            check_arrays(own, parts[AVERAGE], "the average", values=True)
            run.average.load_state_dict(parts[AVERAGE])
    except ValueError as error:
        run.optimizer.state = old_state
        raise ValueError(f"{path}: {error}") from None
    assign(params, parts[PARAMETERS], str(path))
    run.state, run.best = state, parts[BEST]


def _read_state(place: Mapping[str, Any], settings: Mapping[str, Any], path: str) -> TrainingState:
    """The state of a run with these settings. Raises ValueError for fields that are missing,
    unknown, or hold what such a run cannot have reached."""
    known = {field.name: field.type for field in fields(TrainingState)}
    if different := sorted(place.keys() ^ known.keys()):
        raise ValueError(
            f"{path} is of another version of tinyproto: its state of training differs in "
            f"{', '.join(different)}"
        )
    for name, kind in known.items():
        value, types = place[name], (int,) if kind is int else (int, float)
        if kind in (int, float) and not (type(value) in types and math.isfinite(value)):
            raise ValueError(f"{path}: {name} must be a number, not {value!r}")
    state, epochs, images = TrainingState(**place), settings["epochs"], settings["images"]
    history = state.history if isinstance(state.history, list) else []
    rows = [row for row in history if isinstance(row, dict)]
    steps = -(-images // settings["batch_size"])
    seen = min(state.step * settings["batch_size"], images)
    reached = (
        0 <= state.epoch <= epochs and 0 <= state.step <= (0 if state.epoch == epochs else steps)
        and state.seen == seen and 0 <= state.correct <= seen and state.seconds >= 0
        and rows == state.history
        and [row.get("epoch") for row in rows] == list(range(1, state.epoch + 1))
        and all(type(value) in (int, float) for row in rows for value in row.values())
        and (0 < state.best_epoch <= state.epoch if rows else state.best_epoch == 0)
    )  # fmt: skip
    if reached and rows:
        monitored = rows[state.best_epoch - 1].get(settings["monitor"], 0.0)
        reached = state.best_score == monitored
    if not reached:
        raise ValueError(
            f"{path} says epoch {state.epoch}, step {state.step}, {state.seen} images, "
            f"{len(rows)} rows, best epoch {state.best_epoch} of {state.best_score}, which no run "
            f"of {epochs} epochs of {steps} steps reaches"
        )
    return state


def _plain(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings as they are once they have been written and read."""

    def other(value: Any) -> Any:
        return value.item() if isinstance(value, np.generic) else describe(value)

    plain: dict[str, Any] = json.loads(json.dumps(dict(settings), default=other))
    return plain


def _compare_settings(
    metadata: Mapping[str, Any], own: Mapping[str, Any], path: str | Path
) -> None:
    """Raise ValueError for the first setting that differs, or for settings of other names, as
    another method or an earlier version of tinyproto has them; and warn of those that cannot be
    compared."""
    saved, version = metadata["settings"], metadata.get("version")
    what_to_do = "to train from the beginning, do not resume"
    if version != __version__:
        writer = f"tinyproto {version}" if version else "an earlier version of tinyproto"
        what_to_do += f" ({writer} wrote it, this is {__version__})"
    unknown = [
        name
        for name in saved.keys() & own.keys()
        if any(NOT_DESCRIBED in str(value) for value in (saved[name], own[name]))
    ]
    for name in saved:
        if name not in own or saved[name] == own[name]:
            continue
        if any(str(s[name]).startswith("<") and name in unknown for s in (saved, own)):
            continue  # nothing is known of one of them
        raise ValueError(
            f"{path} is of a run with {name}={saved[name]!r}, not {own[name]!r}; "
            f"to resume, give the same options; {what_to_do}"
        )
    others = sorted(saved.keys() ^ own.keys())
    if others:
        raise ValueError(
            f"{path} is of another kind of run or of an earlier version of tinyproto, "
            f"whose settings have other names ({', '.join(others)}); {what_to_do}"
        )
    for name in sorted(unknown):
        warnings.warn(
            f"resuming from {path} without knowing whether its {name} was the same: "
            f"{saved[name]} then, {own[name]} now",
            stacklevel=4,
        )


@dataclass
class Checkpointer:
    """Writes a run to `path`, if there is one, from rank 0: every so many steps, after each epoch,
    and before the run stops. Raises NotFinite then, with a path or without."""

    run: Run
    path: str | Path | None
    settings: Mapping[str, Any]
    every: int
    stop_requested: Callable[[], int]
    communicator: Communicator = ONE_PROCESS

    def save(self) -> None:
        if self.path and self.communicator.rank == 0:
            save_checkpoint(self.run, self.path, self.settings)
        else:
            check_finite(self.run)  # all ranks have the same weights, and raise the same error

    def after_step(self, *, last: bool) -> None:
        """Raises Stopped where that was requested; the last step of an epoch is saved with it."""
        stop = self._stop_signal()
        if stop or (not last and self.run.state.step % self.every == 0):
            self.save()
        if stop:
            self._stop(stop)

    def after_epoch(self) -> None:
        """Raises Stopped where that was requested."""
        self.save()
        if stop := self._stop_signal():
            self._stop(stop)

    def _stop_signal(self) -> int:
        """That of any rank: all stop at the same step."""
        return int(self.communicator.all_gather(np.array([self.stop_requested()])).max())

    def _stop(self, number: int) -> None:
        state = self.run.state
        step = f"{state.epoch + 1}, step {state.step}" if state.step else f"{state.epoch}"
        stop = Stopped(f"stopped after epoch {step}")
        stop.signal_number = signal.Signals(number)
        raise stop


@contextmanager
def catch_stop_signals() -> Iterator[Callable[[], int]]:
    """A function that returns the number of SIGTERM or Ctrl-C once it has come, and 0 before; a
    second one interrupts at once."""
    if threading.current_thread() is not threading.main_thread():
        yield lambda: 0
        return
    requested = 0

    def handle(number: int, frame: Any) -> None:
        nonlocal requested
        if requested:
            raise KeyboardInterrupt
        requested = number

    before = {s: signal.signal(s, handle) for s in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: requested
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
