"""Networks that branch: layers that take the outputs of layers before them.

Write v for the value of a node: v_n = layer_n(Σ v_s), over its sources s, which are nodes before it
or the input. Each use of a value adds to the gradient at it, so with g_n = ∂L/∂v_n,

    g_s = Σ_{n that take s} J_nᵀ g_n,

J_nᵀ g_n being the backward pass of layer n. Taken in reverse order, a node comes after all that use
it, and g_n is complete when its turn comes.
"""

from collections import Counter
from collections.abc import Mapping
from typing import Any

from ..backend.device import Array
from ..parameters import Tree
from .base import Backward, Layer
from .checks import check_backward, check_branches, check_floats
from .containers import Residual, Sequential, add_values, nested

INPUT = "input"
"""What the sources of a node call the input of the graph."""

Nodes = Mapping[str, tuple[Any, ...]]
"""name ↦ (layer, source, …), in the order of computation."""


class Graph(Layer):
    """Layers that take the outputs of layers before them: a network that branches.

    A node applies its layer to the sum of its sources. The output of the last node is y. A chain of
    layers is written shorter as a `Sequential`, two branches of one value as a `Residual`;
    `simplify` finds both.

    Parameters
    ----------
    nodes : mapping of str to tuple
        name ↦ (layer, source, …), in the order of computation. A source is the name of a node
        before it, or "input".

    Attributes
    ----------
    nodes : dict
    params : dict
        The parameters of a node are `params[name]`, if it has any.

    Raises
    ------
    ValueError
        For nodes of another form, for a source that is no node before it, and for an output that no
        node takes; when called, if the sources of a node differ in shape.

    Examples
    --------
    >>> import numpy as np
    >>> from tinyproto.layers import Graph, Linear, ReLU
    >>> graph = Graph(
    ...     {
    ...         "first": (Linear(4, 4), "input"),
    ...         "second": (ReLU(), "first", "input"),
    ...         "last": (Linear(4, 2), "second", "first", "input"),
    ...     }
    ... )
    >>> y, backward = graph(np.ones((3, 4), np.float32))
    >>> y.shape, backward(y).shape
    ((3, 2), (3, 4))
    >>> graph
    Graph(
      (first of input): Linear(4, 4)
      (second of first + input): ReLU()
      (last of second + first + input): Linear(4, 2)
    )
    """

    def __init__(self, nodes: Nodes):
        check_nodes(nodes)
        self.nodes = {name: tuple(node) for name, node in nodes.items()}
        self.params = {n: layer.params for n, (layer, *_) in self.nodes.items() if layer.params}

    def __repr__(self) -> str:
        named = {
            f"{name} of {' + '.join(sources)}": layer
            for name, (layer, *sources) in self.nodes.items()
        }
        return nested(self, named)

    def __call__(self, x: Array, train: bool = False) -> tuple[Array, Backward]:
        check_floats("Graph", "x", x)
        if x.ndim == 0:
            raise ValueError("Graph expects x of shape (N, …), not ()")
        check_branches(self, {name: layer for name, (layer, *_) in self.nodes.items()})
        values, passes = {INPUT: x}, []
        for name, (layer, *sources) in self.nodes.items():
            values[name], backward = layer(sum_of(name, sources, values), train)
            passes.append((name, sources, backward))
        y = values.pop(name)

        def backward_all(dy: Array, grads: Tree | None = None) -> Array:
            check_backward(self, dy, y.shape, grads)
            gradients = {passes[-1][0]: dy}
            for name, sources, backward in reversed(passes):
                gradient = backward(gradients.pop(name), grads.get(name) if grads else None)
                for source in sources:
                    before = gradients.get(source)
                    gradients[source] = gradient if before is None else add_values(before, gradient)
            return gradients[INPUT]

        return y, backward_all


def sum_of(name: str, sources: list[str], values: Mapping[str, Array]) -> Array:
    """The sum of the sources of a node. Raises ValueError unless they have one shape."""
    total = values[sources[0]]
    for source in sources[1:]:
        if values[source].shape != total.shape:
            first = f"{sources[0]} of shape {total.shape}"
            other = f"{source} of shape {values[source].shape}"
            raise ValueError(f"Graph: node {name!r} cannot add {first} and {other}")
        total = add_values(total, values[source])
    return total


def check_nodes(nodes: Any) -> None:
    """Raise ValueError for what are no nodes of a `Graph`, naming the first that is wrong."""
    if not isinstance(nodes, Mapping) or not nodes:
        raise ValueError(f"Graph expects a mapping of one node or more, not {nodes!r}")
    known, used = {INPUT}, set()
    for name, node in nodes.items():
        if not isinstance(name, str) or not name or "/" in name or name == INPUT:
            raise ValueError(f"Graph: {name!r} is no name for a node")
        if not isinstance(node, tuple | list) or len(node) < 2 or not isinstance(node[0], Layer):
            raise ValueError(f"Graph: node {name!r} must be (layer, source, …), not {node!r}")
        for source in node[1:]:
            if source not in known:
                raise ValueError(
                    f"Graph: node {name!r} takes {source!r}, which is no node before it"
                )
            used.add(source)
        known.add(name)
    for name in list(nodes)[:-1]:
        if name not in used:
            raise ValueError(f"Graph: no node takes the output of {name!r}")


def simplify(graph: Graph) -> Layer:
    """The same function of the same layers, with as few nodes as possible.

    A node whose output one node alone takes, which takes nothing else, becomes one `Sequential`
    with it. Two branches from one value to one sum become a `Residual`. This is repeated until
    nothing changes, and a graph of one node is left out (Valdes, Tarjan and Lawler 1982 call what
    is so reduced series-parallel).

    Parameters
    ----------
    graph : Graph

    Returns
    -------
    Layer
        The layers of `graph` themselves, in a `Sequential`, a `Residual`, or a smaller `Graph`
        where the branches are not of this form.

    Examples
    --------
    >>> from tinyproto.layers import BatchNorm, Conv2D, Graph, ReLU, simplify
    >>> nodes = {
    ...     "conv": (Conv2D(4, 4, 3, padding=1), "input"),
    ...     "norm": (BatchNorm(4), "conv"),
    ...     "relu": (ReLU(), "norm", "input"),
    ... }
    >>> simplify(Graph(nodes))
    Sequential(
      (0): Residual(
        (body): Sequential(
          (0): Conv2D(4, 4, kernel_size=3, padding=1)
          (1): BatchNorm(4)
        )
      )
      (1): ReLU()
    )
    """
    nodes = {name: (layer, sources) for name, (layer, *sources) in graph.nodes.items()}
    while _join_chain(nodes) or _join_branches(nodes):
        pass
    last, taken = next(reversed(nodes.values()))
    if len(nodes) == len(taken) == 1:
        return last
    return Graph({name: (layer, *sources) for name, (layer, sources) in nodes.items()})


_Nodes = dict[str, tuple[Layer, list[str]]]


def uses(nodes: _Nodes) -> Counter[str]:
    """How often each value is taken."""
    return Counter(source for _, sources in nodes.values() for source in sources)


def _join_chain(nodes: _Nodes) -> bool:
    """Join all chains, in place; whether there was any."""
    count, found = uses(nodes), False
    for name, (layer, sources) in list(nodes.items()):
        if len(sources) == 1 and sources[0] != INPUT and count[sources[0]] == 1:
            before, sources_before = nodes.pop(sources[0])
            nodes[name] = chain(before, layer), sources_before
            found = True
    return found


def _join_branches(nodes: _Nodes) -> bool:
    """Join two branches from one value to one sum, in place; whether there were any."""
    count = uses(nodes)

    def origin(source: str) -> str | None:
        """The value that a branch starts from, if nothing else takes what is on it."""
        if source == INPUT or count[source] > 1 or len(nodes[source][1]) > 1:
            return None
        return nodes[source][1][0]

    for _, sources in nodes.values():
        branches = {source: start for source in sources if (start := origin(source))}
        for body, start in branches.items():
            others = [s for s, other in branches.items() if other == start and s != body]
            shortcut = start if start in sources else others[0] if others else None
            if shortcut is None:
                continue
            layer = None if shortcut == start else nodes.pop(shortcut)[0]
            sources.remove(shortcut)
            nodes[body] = Residual(nodes[body][0], layer), [start]
            return True
    return False


def chain(*layers: Layer) -> Layer:
    """The layers one after the other, those of a `Sequential` among them not nested; a single one
    as it is."""
    flat: list[Layer] = []
    for layer in layers:
        flat += layer.layers if type(layer) is Sequential else [layer]
    return flat[0] if len(flat) == 1 else Sequential(*flat)
