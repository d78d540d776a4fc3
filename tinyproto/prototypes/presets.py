"""Settings of PlusMinusEDWTA for MNIST that have been measured (benchmarks/bench_accuracy.py)."""

from typing import Any

AUTHORS: dict[str, Any] = {
    "prototypes_per_class": 6,
    "epochs": 49,
    "batch_size": 1,
    "learning_rate": 0.01,
    "beta": 1.0,
    "beta_learning_rate": 1e-4,
    "decay": 0.95,
    "init": "random",
    "init_scale": 0.01,
}
"""The authors' own (arXiv 2008.08750): one sample at a time, rates × 0.95 after each epoch."""

ACCURATE: dict[str, Any] = {
    "prototypes_per_class": 80,
    "epochs": 120,
    "batch_size": 128,
    "learning_rate": 0.4 / 80**2,
    "schedule": "cosine",
    "beta": 80.0,
    "beta_learning_rate": 0.0,
    "init": "kmeans",
    "spread": 0.3,
    "epsilon": 5 / 80,
}
"""Ours, with every image shifted and bent anew each epoch (`data.augment.elastic`).

A large fixed β and prototypes that start close together (w⁻ a step from w⁺ towards the mean image)
keep α β, the length of a move, small: the positive prototypes stay digits. With β = 25 and a larger
α β the accuracy is a little higher, and more of them are no longer nearest to their own class.
"""
