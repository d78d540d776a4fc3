"""Training in several ranks: what they agree on before the first step, and the sum of gradients."""

import zlib

import numpy as np

from ..communicator import Communicator, all_reduce_all
from ..parameters import Tree, flatten, is_running
from .checkpoint import Run


def check_ranks(
    communicator: Communicator, x: np.ndarray, y: np.ndarray, *, batch_size: int, **options: int
) -> None:
    """Raise ValueError, on all ranks, where one has other images, labels or options than rank 0, or
    would have no image of a batch."""
    if communicator.size == 1:
        return
    checksum = zlib.crc32(y.tobytes(), zlib.crc32(x.tobytes()))
    all_ranks = communicator.all_gather(np.array([checksum, batch_size, *options.values()]))
    if (all_ranks != all_ranks[0]).any():
        other = int((all_ranks != all_ranks[0]).any(axis=1).argmax())
        names = ("images or labels", "batch_size", *options)
        name = names[int((all_ranks[other] != all_ranks[0]).argmax())]
        raise ValueError(f"rank {other} has other {name} than rank 0: give the same to all ranks")
    least = min(len(x), len(x) % batch_size or batch_size)
    if least < communicator.size:
        raise ValueError(
            f"{communicator.size} ranks need as many images in each batch: the last of {len(x)} "
            f"images in batches of {batch_size} has {least}; choose another batch size"
        )


def share_run(run: Run, communicator: Communicator) -> None:
    """Put all ranks to where rank 0 is: at the beginning, or where it resumed."""
    if communicator.size == 1:
        return
    params = flatten(run.network.params)
    average = run.average.state_dict() if run.average else {}
    sent = params, run.optimizer.state, average, run.state, run.best
    params_of_0, run.optimizer.state, average, run.state, run.best = communicator.broadcast(sent)
    for path, leaf in params.items():
        leaf[...] = params_of_0[path]
    if run.average:
        run.average.load_state_dict(average)


def sum_gradients(grads: Tree, weight: float, communicator: Communicator) -> None:
    """Take the gradients from those of the mean loss of this rank's images to those of the mean
    loss of the batch, of which these images are the fraction `weight`: Σ_r w_r ∂L_r/∂θ.

    The statistics of BatchNorm are those of the batch already.
    """
    if communicator.size == 1:
        return
    slots = [slot for path, slot in flatten(grads).items() if not is_running(path)]
    summed = all_reduce_all(communicator, [slot * slot.dtype.type(weight) for slot in slots])
    for slot, total in zip(slots, summed, strict=True):
        slot[...] = total
