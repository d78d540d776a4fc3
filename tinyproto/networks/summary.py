"""A table of the layers of a network, the shapes of their outputs and their parameters."""

from ..backend.device import Array, array_module
from ..layers import FlipAverage, Graph, Layer, Residual, Sequential
from ..layers.graph import INPUT, sum_of
from ..parameters import count, leaves

Row = tuple[str, str, str]


class Table(str):
    """A text that an interactive session shows as `print` does."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


def summarize(layer: Layer, title: str, input_shape: tuple[int, ...]) -> Table:
    """The table, under a title, for examples of a shape: an example of zeros is passed through."""
    params = [leaf for _, leaf in leaves(layer.params)]
    xp = array_module(*params)
    x = xp.zeros((1, *input_shape), dtype=params[0].dtype if params else "float32")
    rows: list[Row] = [("layer", "output", "parameters"), ("input", _shape(x), "")]
    _add_rows(rows, layer, x, "")
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [f"{a:{widths[0]}}  {b:{widths[1]}}  {c:>{widths[2]}}".rstrip() for a, b, c in rows]
    rule = "-" * (sum(widths) + 4)
    total = f"{count(layer.params):,}"
    lines += [rule, f"{'total':{widths[0]}}  {'':{widths[1]}}  {total:>{widths[2]}}"]
    return Table("\n".join([title, rule, lines[0], rule, *lines[1:]]))


def _add_rows(rows: list[Row], layer: Layer, x: Array, indent: str) -> Array:
    """Append the rows of a layer and of those in it; returns its output."""
    if type(layer) is Sequential:
        for part in layer.layers:
            x = _add_rows(rows, part, x, indent)
        return x
    if type(layer) is Residual:
        first = len(rows)
        y = _add_rows(rows, layer.body, x, indent + "  ")
        rows.insert(first, (f"{indent}Residual", _shape(y), ""))
        if layer.shortcut:
            rows.append((f"{indent}  shortcut:", "", ""))
            _add_rows(rows, layer.shortcut, x, indent + "  ")
        return y
    if type(layer) is FlipAverage:
        rows.append((f"{indent}FlipAverage of:", "", ""))
        return _add_rows(rows, layer.body, x, indent + "  ")
    if type(layer) is Graph:
        values, first = {INPUT: x}, len(rows)
        for node, (part, *sources) in layer.nodes.items():
            rows.append((f"{indent}  {node} of {' + '.join(sources)}:", "", ""))
            total = sum_of(node, sources, values)
            values[node] = _add_rows(rows, part, total, indent + "    ")
        rows.insert(first, (f"{indent}Graph", _shape(values[node]), ""))
        return values[node]
    y, _ = layer(x)
    name = repr(layer) if "\n" not in repr(layer) else type(layer).__name__
    number = count(layer.params)
    rows.append((indent + name, _shape(y), f"{number:,}" if number else ""))
    return y


def _shape(x: Array) -> str:
    """Such as "(N, 32, 32, 3)"."""
    return f"({', '.join(['N', *map(str, x.shape[1:])])})"
