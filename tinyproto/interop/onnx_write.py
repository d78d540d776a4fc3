"""Writing a network of this package as an ONNX file: the file. `onnx_nodes` writes the layers."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ..backend.device import array_module
from ..layers import Layer
from ..optional import require_package
from ..parameters import leaves
from ..prototypes.base import WinnerTakeAll
from ..state import atomic_write
from .onnx_nodes import Nodes, write, write_winner_take_all

OPSET, IR_VERSION = 17, 8
"""The version of the operators, and that of the form of the file which was current with it."""

LIMIT = 2**31
"""No file holds as many bytes."""


def save_onnx(
    model: Layer | WinnerTakeAll,
    path: str | Path,
    *,
    input_shape: Sequence[int] = (32, 32, 3),
) -> None:
    """Write a network of this package to an ONNX file, in eval mode.

    Parameters
    ----------
    model : Network, Layer or WinnerTakeAll
        A network of the package's layers, in float32 or float64, also a folded one; or a fitted
        winner-take-all network of prototypes, written as the linear functions of its neurons
        (`linear`) and their largest for each class. Those of `EDWTA` leave out a term that all
        classes share.
    path : str or Path
        The file, written whole or not at all.
    input_shape : sequence of int
        The shape of one image as this package has it, (H, W, C), or (d,) for rows. A
        winner-take-all network takes rows, and knows their length.

    Raises
    ------
    ValueError
        For a shape that the network cannot take, for a layer of a class that is not the package's,
        and for 2 GB of weights or more.
    ImportError
        Without the package onnx.

    Notes
    -----
    The file takes images as ONNX has them, x (N, C, H, W), or rows (N, d), for any number N of
    examples, and gives the scores z (N, classes). Its operators are those of opset 17.

    Examples
    --------
    >>> from tinyproto.interop import load_onnx, save_onnx
    >>> from tinyproto.networks import compact_cnn
    >>> save_onnx(compact_cnn(head="prototypes"), "model.onnx", input_shape=(32, 32, 3))
    >>> load_onnx("model.onnx").head
    Linear(64, 10, bias=False)
    """
    require_package("onnx", "writing an ONNX file")
    from onnx import helper

    nodes = Nodes()
    if isinstance(model, WinnerTakeAll):
        model.check_is_fitted()
        shape: tuple[int, ...] = (model.n_features_in_,)
        dtype, classes = write_winner_take_all(nodes, model)
    else:
        shape = tuple(input_shape)
        dtype, classes = _write_layer(nodes, model, shape)
    kind = helper.np_dtype_to_tensor_dtype(dtype)
    channels_first = shape[-1:] + shape[:-1]
    graph = helper.make_graph(
        nodes.finished("z"),
        "tinyproto",
        [helper.make_tensor_value_info("x", kind, ["N", *channels_first])],
        [helper.make_tensor_value_info("z", kind, ["N", classes])],
        nodes.constants,
    )
    file = helper.make_model(
        graph,
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name="tinyproto",
    )
    if file.ByteSize() >= LIMIT:
        raise ValueError(f"an ONNX file holds less than 2 GB, not {file.ByteSize() / 1e9:.1f}")
    with atomic_write(path) as temporary:
        temporary.write_bytes(file.SerializeToString())


def _write_layer(nodes: Nodes, layer: Layer, shape: tuple[int, ...]) -> tuple[np.dtype, int]:
    """Write a layer or a network; its dtype and number of classes."""
    params = [leaf for _, leaf in leaves(layer.params)]
    dtypes = {leaf.dtype for leaf in params} or {np.dtype(np.float32)}
    if len(dtypes) > 1:
        raise ValueError("the parameters must have one dtype; see `Network.to`")
    dtype = dtypes.pop()
    x = array_module(*params).zeros((1, *shape), dtype=dtype)
    z = write(nodes, layer, "", ("x", x))[1]
    if z.ndim != 2:
        raise ValueError(f"the network must give scores (N, classes), not {('N', *z.shape[1:])}")
    return dtype, z.shape[1]
