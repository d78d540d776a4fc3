"""Accuracy under common corruptions: a table, a picture, and a file to continue a stopped run.

`tinyproto corrupt model.npz` measures a saved network. The picture needs
Matplotlib.
"""

from .measure import corruption_report
from .picture import plot_corruptions
from .report import CorruptionReport

__all__ = ["CorruptionReport", "corruption_report", "plot_corruptions"]
