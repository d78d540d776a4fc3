"""Models from elsewhere: modules of PyTorch, estimators of scikit-learn, functions, ONNX files.

    victim = from_torch(module)
    attacked = autoattack(victim, x, y, eps=8 / 255)

`from_torch`, `from_sklearn` and `from_scores` make victims of models as they are. `load_onnx` makes
a network of this package of a CNN in an ONNX file, on which attacks run as fast as on any other;
`save_onnx` writes one. `load_state` and `save_state` read and write the weights alone, as a module
of PyTorch of the same architecture has them.

Each function imports its framework when it is called, and not before; the extras `torch`, `sklearn`
and `onnx` install them. Images are (N, H, W, C) everywhere in tinyproto, whatever the model takes,
and labels are columns of the scores; `encode_labels` turns an estimator's own labels into those.
"""

from .estimators import encode_labels, from_sklearn
from .functions import from_scores
from .modules import from_torch
from .onnx_read import load_onnx
from .onnx_write import save_onnx
from .torch_state import load_state, save_state

__all__ = [
    "encode_labels",
    "from_scores",
    "from_sklearn",
    "from_torch",
    "load_onnx",
    "load_state",
    "save_onnx",
    "save_state",
]
