"""Models of other libraries: ONNX files, and the weights of PyTorch's modules.

`load_onnx` makes a network of this package of a CNN in an ONNX file, on which attacks run as on any
other; `save_onnx` writes one. `load_state` and `save_state` read and write the weights alone, as a
PyTorch module of the same architecture has them. Each imports what it needs when it is called, and
says what to install where that is missing.
"""

from .onnx_read import load_onnx
from .onnx_write import save_onnx
from .torch_state import load_state, save_state

__all__ = ["load_onnx", "load_state", "save_onnx", "save_state"]
