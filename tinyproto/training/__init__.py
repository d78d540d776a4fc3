"""Training: defences, each a small function, and the loop that they share."""

from .batch import Batch, PGDConfig
from .checkpoint import NotFinite, Stopped, TrainingState
from .defenses import DEFENSES, Defense, adv_dpnp, dpnp, mart, pgd, standard, trades
from .loop import fit
from .recipe import batch_and_learning_rate, bind_defense, hold_out, image_statistics
from .single_step import NFGSMConfig
from .validation import accuracy

__all__ = [
    "DEFENSES",
    "Batch",
    "Defense",
    "NFGSMConfig",
    "NotFinite",
    "PGDConfig",
    "Stopped",
    "TrainingState",
    "accuracy",
    "adv_dpnp",
    "batch_and_learning_rate",
    "bind_defense",
    "dpnp",
    "fit",
    "hold_out",
    "image_statistics",
    "mart",
    "pgd",
    "standard",
    "trades",
]
