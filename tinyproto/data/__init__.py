"""Data sets: find, download, verify, load and augment them."""

from .augment import crop_and_flip, elastic
from .datasets import Dataset, load, load_outliers

__all__ = ["Dataset", "crop_and_flip", "elastic", "load", "load_outliers"]
