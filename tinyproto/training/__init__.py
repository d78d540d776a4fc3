"""Training: defences, each a small function, and the loop that they share."""

from .defenses import DEFENSES, Batch, Crafting
from .loop import NotFinite, Stopped, evaluate, fit

__all__ = ["DEFENSES", "Batch", "Crafting", "NotFinite", "Stopped", "evaluate", "fit"]
