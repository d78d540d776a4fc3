"""The data sets: find, download, verify and load them; nothing here trains or attacks."""

from .datasets import Dataset, load, load_outliers

__all__ = ["Dataset", "load", "load_outliers"]
