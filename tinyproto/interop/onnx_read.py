"""Reading an ONNX file as a network of this package."""

from pathlib import Path
from typing import Any

import numpy as np

from ..layers import Affine, Conv2D, Graph, Layer, Linear, Normalize, Sequential, simplify
from ..layers.base import without_initialization
from ..layers.checks import TINY
from ..layers.graph import INPUT, uses
from ..networks import Network
from ..optional import require_package
from ..parameters import leaves
from .onnx_operators import OPERATORS
from .onnx_value import Operator, Value

Nodes = dict[str, tuple[Layer, list[str]]]


def load_onnx(path: str | Path) -> Network:
    """Make a network of this package of the network in an ONNX file.

    Parameters
    ----------
    path : str or Path
        The file: one input, images (N, C, H, W) or rows (N, d), and one output, scores
        (N, classes).

    Returns
    -------
    Network
        It takes images as all of this package does, (N, H, W, C), and computes in float32, or in
        float64 if the file does. Its head is the last linear layer. A chain of layers is a
        `Sequential`, two branches that are added a `Residual`; a `Graph` is needed for others.

    Raises
    ------
    ValueError
        For a file that is no ONNX file, and for what the layers of this package cannot compute: the
        message names the node and its operator.
    OSError
        For a file that cannot be opened.
    ImportError
        Without the package onnx.

    Notes
    -----
    These operators are known: Conv (group 1, square kernels and strides), BatchNormalization,
    Relu, MaxPool, AveragePool, GlobalAveragePool, ReduceMean over height and width, Gemm, MatMul,
    Add, Sub, Mul and Div by constants, Add and Sum of branches, Pad, Flatten, Reshape into rows,
    Squeeze, Transpose between the two layouts of images, Identity, Dropout, Constant, and what a
    file computes of shapes. A last Softmax, whose gradients vanish, is left out, with a line on the
    logger `tinyproto`. Attacks are faster on `networks.fold(network)`.

    Examples
    --------
    >>> import numpy as np
    >>> from tinyproto import networks
    >>> from tinyproto.interop import load_onnx, save_onnx
    >>> network = networks.compact_cnn(5)
    >>> save_onnx(network, "model.onnx")
    >>> x = np.zeros((2, 32, 32, 3), np.float32)
    >>> bool(np.allclose(load_onnx("model.onnx")(x)[0], network(x)[0], atol=1e-5))
    True
    """
    require_package("onnx", "reading an ONNX file")
    model = _parse(path)
    try:
        with without_initialization():
            nodes = _nodes(model)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    except (KeyError, TypeError) as error:  # of the package onnx, for a type that there is not
        raise ValueError(f"{path} is no valid ONNX file: {error!r}") from None
    _merge_constants(nodes)
    network = _network(nodes)
    if any(leaf.dtype == np.float64 for _, leaf in leaves(network.params)):
        network.to(dtype=np.float64)
    return network


def _parse(path: str | Path) -> Any:
    """The model in a file, checked by the package onnx."""
    import onnx

    with open(path, "rb"):
        pass  # an error of the operating system stays what it is
    try:
        model = onnx.load(str(path))
        onnx.checker.check_model(model)
    except Exception as error:  # protobuf, onnx and its data files raise many different ones
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise ValueError(f"{path} is no valid ONNX file: {reason}") from None
    return model


def _nodes(model: Any) -> Nodes:
    """Our nodes for the graph of a model, the last one its output."""
    import onnx

    graph, nodes = model.graph, Nodes()
    known: dict[str, Any] = {t.name: onnx.numpy_helper.to_array(t) for t in graph.initializer}
    inputs = [entry for entry in graph.input if entry.name not in known]
    if len(inputs) != 1 or len(graph.output) != 1:
        raise ValueError(
            f"expected one input and one output, not {len(inputs)} and {len(graph.output)}"
        )
    batch, known[inputs[0].name] = _input(inputs[0], graph.node)
    output = graph.output[0].name
    taken = {name for node in graph.node for name in node.input}
    for node in graph.node:
        attributes = {a.name: _attribute(a) for a in node.attribute}
        arguments = [known.get(name) for name in node.input]
        last = output in node.output
        operator = Operator(node, attributes, arguments, nodes, batch=batch, last=last)
        if node.op_type not in OPERATORS or node.domain not in ("", "ai.onnx"):
            domain = f" of the domain {node.domain}" if node.domain not in ("", "ai.onnx") else ""
            raise operator.refuse(f"this operator{domain} is not supported")
        if taken & set(node.output[1:]) - {""}:
            raise operator.refuse("only its first output is supported")
        try:
            result = OPERATORS[node.op_type](operator)
        except (ArithmeticError, AttributeError, IndexError, TypeError, ValueError) as error:
            if str(error).startswith("node "):
                raise
            raise operator.refuse(f"cannot be read: {error}") from None
        known[node.output[0]] = result if isinstance(result, Value) else np.asarray(result)
    return _ancestors(nodes, known.get(output))


def _input(entry: Any, graph_nodes: Any) -> tuple[int | None, Value]:
    """The number of examples that a file is for, None for any, and the value of its input."""
    dimensions = entry.type.tensor_type.shape.dim
    shape = [d.dim_value if d.HasField("dim_value") else None for d in dimensions]
    if len(shape) not in (2, 4):
        raise ValueError(
            f"input {entry.name!r} must be images (N, C, H, W) or rows (N, d), not of {len(shape)} "
            "axes"
        )
    form = "image" if len(shape) == 4 else "row"
    users = [node for node in graph_nodes if entry.name in node.input]
    if form == "image" and users and all(_to_channels_first(node) for node in users):
        form = "channels last"
    return shape[0], Value(INPUT, tuple(shape[1:]), form)


def _to_channels_first(node: Any) -> bool:
    """Whether a node makes images (N, C, H, W) of images (N, H, W, C)."""
    permutations = [_attribute(a) for a in node.attribute if a.name == "perm"]
    return node.op_type == "Transpose" and permutations == [[0, 3, 1, 2]]


def _attribute(attribute: Any) -> Any:
    """An attribute, as Python's or NumPy's."""
    import onnx

    value = onnx.helper.get_attribute_value(attribute)
    if isinstance(value, onnx.TensorProto):
        return onnx.numpy_helper.to_array(value)
    return value.decode() if isinstance(value, bytes) else value


def _ancestors(nodes: Nodes, output: Any) -> Nodes:
    """The nodes that the output needs."""
    if not isinstance(output, Value) or output.node == INPUT:
        raise ValueError("the output must be computed from the input")
    if output.form not in ("row", "pooled") or output.order is not None:
        raise ValueError(f"the output must be scores (N, classes), not {output.form}")
    needed, pending = {output.node}, [output.node]
    while pending:
        new = set(nodes[pending.pop()][1]) - needed - {INPUT}
        needed |= new
        pending += new
    return {name: node for name, node in nodes.items() if name in needed}


def _merge_constants(nodes: Nodes) -> None:
    """In place: several constants in turn as one, one added to a layer as its bias, and the rest
    as `Normalize`, where no scale is below 0."""
    count = uses(nodes)
    for name, (layer, sources) in list(nodes.items()):
        before = nodes.get(sources[0])
        if type(layer) is not Affine or before is None or count[sources[0]] > 1:
            continue
        merged = _merge(before[0], layer)
        if merged is not None:
            nodes[name] = merged, nodes.pop(sources[0])[1]
    for name, (layer, sources) in nodes.items():
        if type(layer) is Affine:
            nodes[name] = _normalize(layer), sources


def _merge(before: Layer, affine: Affine) -> Layer | None:
    """One layer that computes both, if there is one."""
    if isinstance(before, Affine):
        scale = [s * t for s, t in zip(affine.scale, before.scale, strict=True)]
        shifted = zip(affine.scale, before.shift, affine.shift, strict=True)
        return Affine(scale, [s * b + c for s, b, c in shifted])
    if not isinstance(before, Linear | Conv2D) or "bias" in before.params:
        return None
    if set(affine.scale) != {1.0}:
        return None
    before.params["bias"] = np.array(affine.shift, dtype=before.params["weight"].dtype)
    return before


def _normalize(affine: Affine) -> Layer:
    """s x + t = (x + t/s)/(1/s)."""
    if not all(TINY < s < 1 / TINY for s in affine.scale):
        return affine
    std = [1 / s for s in affine.scale]
    mean = [0.0 - t / s for s, t in zip(affine.scale, affine.shift, strict=True)]
    return Normalize(*([float(f"{v:.15g}") for v in vs] for vs in (mean, std)))


def _network(nodes: Nodes) -> Network:
    """The network of our nodes: if the last is a linear layer, it is the head."""
    *_, name = nodes
    layer, sources = nodes[name]
    head: Layer = Sequential()
    features = dict(nodes)
    if isinstance(layer, Linear) and len(sources) == 1:
        del features[name]  # all others are before its source, which is the last now
        head = layer
    if not features:
        return Network(Sequential(), head)
    graph = Graph({name: (layer, *sources) for name, (layer, sources) in features.items()})
    return Network(simplify(graph), head)
