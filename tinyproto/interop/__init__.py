"""Models from elsewhere as victims: a module of PyTorch, an estimator of scikit-learn, a function.

    victim = from_torch(module)
    attacked = autoattack(victim, x, y, eps=8 / 255)

Each function imports its framework when it is called, and not before; the extras `torch` and
`sklearn` install them. Images are (N, H, W, C) everywhere in tinyproto, whatever the model takes,
and labels are columns of the scores; `encode_labels` turns an estimator's own labels into those.
"""

from .estimators import encode_labels, from_sklearn
from .functions import from_scores
from .modules import from_torch

__all__ = ["encode_labels", "from_scores", "from_sklearn", "from_torch"]
