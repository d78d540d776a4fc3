"""The loop that all defences share: epochs, progress, validation, checkpoints, resuming.

A run that is stopped anywhere and resumed ends with the same bits as one that was not stopped: what
a step does depends only on the checkpoint and on random numbers that are functions of the seed, the
epoch, and the position in the data set.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from ..backend.device import Array, to_host
from ..communicator import ONE_PROCESS, Communicator, failing_together, spreading
from ..networks import Network
from ..optimizers import SGD, Average, Optimizer
from ..parameters import Tree, assign, flatten, zeros
from ..progress import progress
from ..random import permutation
from ..schedules import Schedule, one_cycle
from ..validation import check_shape
from .batch import Augment, Batch, PGDConfig, load_batch
from .checkpoint import (
    Checkpointer,
    NotFinite,
    Run,
    Stopped,
    TrainingState,
    catch_stop_signals,
    load_checkpoint,
)
from .description import describe_run, describe_schedule
from .inputs import Images, check_examples, check_options
from .ranks import check_ranks, share_run, sum_gradients
from .single_step import warn_of_collapse
from .validation import validate


def fit(
    network: Network,
    defense: Callable[[Network, Batch, Tree], tuple[Array, Array]],
    x: np.ndarray,
    y: np.ndarray,
    *,
    epochs: int,
    batch_size: int = 128,
    optimizer: Optimizer | None = None,
    schedule: Callable[[int], Schedule] = lambda steps: one_cycle(0.1, steps),
    average: float | None = None,
    augment: Augment | None = None,
    validation: Images | None = None,
    validation_attack: PGDConfig | None = None,
    monitor: str = "clean",
    seed: int = 0,
    checkpoint: str | Path | None = None,
    checkpoint_every: int = 200,
    resume: bool = False,
    settings: Mapping[str, Any] | None = None,
    verbose: bool = True,
    callback: Callable[[Network, dict[str, float]], Any] | None = None,
    communicator: Communicator = ONE_PROCESS,
) -> list[dict[str, float]]:
    """Train a network, in place, on the device where it is.

    Parameters
    ----------
    network : Network
        The network. At the end it has the weights of the best epoch, or those of the last where
        there is no validation.
    defense : callable
        defense(network, batch, grads): one of `DEFENSES`, its coefficients bound by
        functools.partial.
    x : array (N, H, W, C)
        Training images on the host: whole numbers 0 … 255, or floats in [0, 1].
    y : array (N,)
        Labels on the host, the classes from 0.
    epochs, batch_size : int
        Passes over the images, and images in a step; 1 or more.
    optimizer : Optimizer, optional
        By default SGD().
    schedule : callable
        Takes the number of all steps and returns a schedule (see `schedules`).
    average : float, optional
        The decay of a moving average of the weights (see `optimizers.Average`), in [0, 1). The
        averaged weights are then validated, and are those of the network at the end.
    augment : callable, optional
        augment(images, seed=…, epoch=…, index=…), such as `data.augment.crop_and_flip`.
    validation : tuple of arrays, optional
        Held-out images and labels for the accuracy after each epoch.
    validation_attack : PGDConfig, optional
        Measures the accuracy under PGD, too.
    monitor : {"clean", "robust"}
        The validation accuracy by which the best epoch is chosen.
    seed : int
        The seed of all random numbers.
    checkpoint : str or Path, optional
        A file that is written every `checkpoint_every` steps, after each epoch, and when the
        process is asked to stop (SIGTERM or Ctrl-C).
    checkpoint_every : int
        Steps from one checkpoint to the next, 1 or more.
    resume : bool
        Whether to continue from the checkpoint if there is one.
    settings : mapping, optional
        What else a run must have in common with the checkpoint that it resumes, by names of its
        own. (It must have in common anyway: the images and labels, the network's settings and
        dtype, the optimizer, schedule, defence, augmentation and validation, epochs, batch size,
        seed, average and monitor.)
    verbose : bool
        Whether to show a progress bar.
    callback : callable, optional
        callback(network, row) is called after each epoch, on every rank.
    communicator : Communicator, optional
        Several ranks train as one: `communicator.MPICommunicator()`, with the same arguments on
        each. A batch is spread over them.

    Returns
    -------
    list of dict
        A row for each epoch: epoch (from 1), loss and train (the accuracy) over the training
        images, measured in the training steps, seconds so far, learning_rate, and, with validation,
        the accuracies clean and robust.

    Raises
    ------
    ValueError, TypeError
        For a bad argument, images or labels that the network cannot learn, or the checkpoint of
        another run; before anything is changed. For fewer images in a batch than there are ranks,
        and ranks with other images or options.
    NotFinite
        When the loss or a weight is infinite or NaN.
    Stopped
        When the process was asked to stop, after the checkpoint was written.

    Notes
    -----
    With R ranks of the same kind of processor, the weights have the same bits on all of them and in
    every run; they are those of one process up to the order of sums, for any R. Only rank 0 writes
    the checkpoint, and reads it: a run may be resumed with another number of ranks. A rank that
    fails ends all.

    Examples
    --------
    >>> import numpy as np
    >>> from tinyproto.layers import Flatten, Linear, Sequential, initialize
    >>> from tinyproto.networks import Network
    >>> from tinyproto.training import fit, standard
    >>> x = np.random.default_rng(0).integers(0, 256, (8, 8, 8, 3), dtype=np.uint8)
    >>> y = np.arange(8) % 2
    >>> network = Network(Sequential(Flatten(), Linear(192, 4)), Linear(4, 2))
    >>> history = fit(
    ...     initialize(network, seed=0), standard, x, y, epochs=20, batch_size=4, verbose=False
    ... )
    >>> history[-1]["loss"] < history[0]["loss"], history[-1]["train"]
    (True, 1.0)
    """
    check_options(
        network, defense, schedule, optimizer, augment, validation, validation_attack, monitor,
        seed=seed, epochs=epochs, batch_size=batch_size, checkpoint_every=checkpoint_every,
    )  # fmt: skip
    x, y = check_examples(network, x, y)
    if not len(x):
        raise ValueError("x holds no images")
    if validation is not None:
        names = "the validation images", "the validation labels"
        validation = check_examples(network, *validation, names)
        if not len(validation[0]):
            raise ValueError("there are no validation images: leave validation out")
    steps = -(-len(x) // batch_size)
    check_ranks(communicator, x, y, epochs=epochs, batch_size=batch_size, seed=seed)
    learning_rate = schedule(steps * epochs)
    averaged = Average(network.params, average) if average is not None else None
    run = Run(network, optimizer or SGD(), averaged)
    common = {
        **(settings or {}), "network": network.settings, "epochs": epochs, "seed": seed,
        "batch_size": batch_size, "images": len(x), "average": average, "monitor": monitor,
    }  # fmt: skip
    if checkpoint:
        if Path(checkpoint).is_dir():
            raise ValueError(f"checkpoint {checkpoint} is a folder: a file is needed")
        common |= describe_run(
            x, y, network.params, run.optimizer, defense, augment, validation, validation_attack
        )
        common["schedule"] = describe_schedule(learning_rate, steps * epochs)
    with failing_together(communicator):
        if checkpoint and resume and communicator.rank == 0 and Path(checkpoint).exists():
            load_checkpoint(run, checkpoint, common)
        share_run(run, communicator)
    state, total, verbose = run.state, epochs * len(x), verbose and communicator.rank == 0
    done = min(state.epoch * len(x) + state.seen, total)
    with (
        failing_together(communicator, Stopped, NotFinite),
        catch_stop_signals() as stop_requested,
        progress(total, "image", initial=done, verbose=verbose, max_lines=4 * epochs) as advance,
    ):
        checkpointer = Checkpointer(
            run, checkpoint, common, checkpoint_every, stop_requested, communicator
        )
        while state.epoch < epochs:
            order = permutation(len(x), seed=seed, stream="shuffle", epoch=state.epoch)
            while state.step < steps:
                index = order[state.step * batch_size : (state.step + 1) * batch_size]
                rate = learning_rate(state.epoch * steps + state.step)
                with _timed(state):
                    own = communicator.shard(index)
                    batch = load_batch(
                        network, x, y, own, augment=augment, seed=seed, epoch=state.epoch
                    )
                    _train_step(run, defense, batch, rate, communicator, len(index))
                advance(len(index), _describe(state))
                checkpointer.after_step(last=state.step == steps)
            rate = learning_rate((state.epoch + 1) * steps - 1)
            _end_epoch(run, validation, validation_attack, monitor, rate, verbose, communicator)
            checkpointer.after_epoch()
            if callback is not None:
                callback(network, state.history[-1])
    assign(network.params, run.best, "the best weights")
    return state.history


def _train_step(
    run: Run,
    defense: Callable[[Network, Batch, Tree], tuple[Array, Array]],
    batch: Batch,
    learning_rate: float,
    communicator: Communicator,
    count: int,
) -> None:
    """Learn from a batch of `count` images, of which this rank has `batch`."""
    network, state = run.network, run.state
    grads: Tree = zeros(network.params)
    with spreading(communicator):
        loss, z = defense(network, batch, grads)
    check_shape("the loss that the defense returns", loss, (len(batch.y),))
    check_shape("the scores that the defense returns", z, (len(batch.y), "C"))
    right = int((z.argmax(axis=1) == batch.y).sum())
    sums = np.array([float(loss.sum(dtype=np.float64)), right])
    total, correct = communicator.all_reduce(sums).tolist()
    if not np.isfinite(total):
        raise NotFinite(
            f"the loss is not finite ({total}) in epoch {batch.epoch + 1}; "
            "a lower learning rate may help. No checkpoint is changed"
        )
    sum_gradients(grads, len(batch.y) / count, communicator)
    run.optimizer.step(network.params, grads, learning_rate)
    network.project()
    if run.average:
        run.average.update(network.params)
    state.step += 1
    state.seen += count
    state.loss += total
    state.correct += int(correct)


def _end_epoch(
    run: Run,
    validation: Images | None,
    validation_attack: PGDConfig | None,
    monitor: str,
    learning_rate: float,
    verbose: bool,
    communicator: Communicator,
) -> None:
    """Validate, store the weights if they are the best so far, and write the epoch's row."""
    state = run.state
    row = {
        "epoch": state.epoch + 1,
        "loss": state.loss / state.seen,
        "train": state.correct / state.seen,
        "seconds": state.seconds,
    }
    with _averaged_weights(run):
        if validation is not None:
            row |= validate(run.network, *validation, validation_attack, verbose, communicator)
        if validation is None or row[monitor] > state.best_score:
            state.best_score = row.get(monitor, 0.0)
            state.best_epoch = state.epoch + 1
            params = flatten(run.network.params)
            run.best = {path: to_host(leaf).copy() for path, leaf in params.items()}
    row["learning_rate"] = learning_rate
    state.end_epoch(row)
    if communicator.rank == 0:
        warn_of_collapse(state.history)


def _describe(state: TrainingState) -> str:
    """The text beside the progress bar."""
    text = f"epoch {state.epoch + 1}, step {state.step}, loss {state.loss / state.seen:.3f}"
    if state.history:
        last = state.history[-1]
        text += "".join(f", {key} {last[key]:.1%}" for key in ("clean", "robust") if key in last)
    return text


@contextmanager
def _timed(state: TrainingState) -> Iterator[None]:
    """Adds the time of a block to the run's; an error in it ends the run."""
    started = time.perf_counter()
    yield
    state.seconds += time.perf_counter() - started


@contextmanager
def _averaged_weights(run: Run) -> Iterator[None]:
    """Within the block the network has the averaged weights, if there are any."""
    if run.average is None:
        yield
        return
    own = {path: leaf.copy() for path, leaf in flatten(run.network.params).items()}
    run.average.copy_to(run.network.params)
    run.network.project()
    try:
        yield
    finally:
        assign(run.network.params, own, "the weights")
