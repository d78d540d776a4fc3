"""Models that ship with the package: their weights, and a card about each.

`load` makes a model from its name, or from a file that was saved; `zoo` has the cards: how a model
was trained, what it reaches, and what it is not for. Both are in `tinyproto`, too.

    model = tinyproto.load("cifar10-compact-adv-dpnp")
    print(tinyproto.zoo())

`benchmarks/ship_weights.py` writes the files in `models/` from finished training runs.
"""

from .card import Card, Figure, Zoo, zoo
from .files import find_model, load

__all__ = ["Card", "Figure", "Zoo", "find_model", "load", "zoo"]
