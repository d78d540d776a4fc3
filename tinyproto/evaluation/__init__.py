"""Judging what was learned: robustness under attack, pictures and reports."""

from .report import Report
from .robustness import evaluate

__all__ = ["Report", "evaluate"]
