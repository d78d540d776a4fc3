"""Judging what was learned: robustness under attack, pictures and reports."""

from .robustness import evaluate
from .robustness_report import Report

__all__ = ["Report", "evaluate"]
