"""Descriptions of functions, objects and arrays, by which a run that is resumed is recognized.

A description is the same in every process: it holds no memory address and no order of a set. What
cannot be described, such as a random number generator, is named by its type and `NOT_DESCRIBED`.
"""

import dataclasses
import dis
import functools
import hashlib
import inspect
import types
from collections.abc import Callable, Mapping
from pathlib import PurePath
from typing import Any

import numpy as np

from ..backend.device import to_host
from ..optimizers import Optimizer
from ..parameters import leaves
from ..state import array_checksum

NOT_DESCRIBED = "not described"
SAMPLED_STEPS = 1000
MAX_DEPTH = 20  # of objects in objects
PLAIN = (type(None), bool, int, float, complex, str, bytes)


def describe(value: Any) -> str:
    """Describe a value: a number, a text, a container of these, an array by its checksum, a
    function by its name, defaults and code, and an object by its type and attributes."""
    return _describe(value, ())


def describe_run(
    x: Any, y: Any, params: Any, optimizer: Any, defense: Any, augment: Any, validation: Any,
    validation_attack: Any,
) -> dict[str, str]:  # fmt: skip
    """What a training run depends on beside its numbers (see `training.fit`), by name."""
    held_out = [] if validation is None else [checksum(validation[0]), _labels(validation[1])]
    return {
        "training images": checksum(x),
        "training labels": _labels(y),
        "dtype": ", ".join(sorted({str(leaf.dtype) for _, leaf in leaves(params)})),
        "optimizer": describe(optimizer),
        "defense": describe(defense),
        "augment": describe(augment),
        "validation": " ".join(held_out) or "none",
        "validation_attack": describe(validation_attack),
    }


def _labels(y: Any) -> str:
    """The checksum of labels, whatever kind of integers they are."""
    y = np.asarray(to_host(y))
    return checksum(y.astype(np.int64) if y.dtype.kind in "biu" else y)


def describe_schedule(learning_rate: Callable[[int], float], steps: int) -> str:
    """Describe a schedule by its learning rates, whatever function computes them."""
    at = np.unique(np.linspace(0, steps - 1, SAMPLED_STEPS).astype(int))
    try:
        rates = [float(learning_rate(int(step))) for step in at]
    except Exception:
        return f"<schedule {NOT_DESCRIBED}>"
    text = " ".join(f"{rate:.10g}" for rate in rates)
    ends = f"{rates[0]:.4g} … {max(rates):.4g} … {rates[-1]:.4g}"
    return f"learning rates {ends} ({_digest(text.encode())})"


def checksum(array: Any) -> str:
    """`state.array_checksum`, or for an array of objects that it has none."""
    array = np.asarray(to_host(array))
    if array.dtype.hasobject:
        return f"array of objects {NOT_DESCRIBED}"
    return array_checksum(array)


def _describe(value: Any, outer: tuple[int, ...]) -> str:
    """`outer` are the ids of the objects that this one is in."""
    name = type(value).__name__
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, PLAIN):
        return repr(value)
    if id(value) in outer or len(outer) > MAX_DEPTH:
        return _unknown(value)
    outer = (*outer, id(value))
    if isinstance(value, np.dtype | PurePath):
        return str(value)
    if isinstance(value, type | types.ModuleType):
        return value.__name__
    if isinstance(value, (list, tuple)):
        items = ", ".join(_describe(item, outer) for item in value)
        return {"tuple": f"({items})", "list": f"[{items}]"}.get(name, f"{name}({items})")
    if isinstance(value, (set, frozenset)):
        return f"{name}({', '.join(sorted(_describe(item, outer) for item in value))})"
    if isinstance(value, Mapping):
        pairs = (f"{_describe(k, outer)}: {_describe(v, outer)}" for k, v in value.items())
        return f"{name}({', '.join(sorted(pairs))})"
    if hasattr(value, "dtype") and hasattr(value, "shape"):
        return f"array({checksum(value)})"
    if isinstance(value, functools.partial):
        return _describe_call(value, outer)
    if isinstance(value, types.MethodType):
        return f"{_describe(value.__self__, outer)}.{value.__name__}"
    if isinstance(value, types.FunctionType):
        return _describe_function(value, {}, outer)
    if isinstance(value, types.BuiltinFunctionType | np.ufunc):
        return value.__name__
    return _describe_object(value, outer)


def _describe_call(value: functools.partial[Any], outer: tuple[int, ...]) -> str:
    """A partial; with no arguments it is the function itself."""
    function, bound = value.func, dict(value.keywords)
    positional = [_describe(item, outer) for item in value.args]
    if isinstance(function, types.FunctionType) and not positional:
        return _describe_function(function, bound, outer)
    keywords = [f"{name}={_describe(bound[name], outer)}" for name in sorted(bound)]
    arguments = ", ".join([*positional, *keywords])
    described = _describe(function, outer)
    return f"{described}({arguments})" if arguments else described


def _describe_function(
    function: types.FunctionType, bound: Mapping[str, Any], outer: tuple[int, ...]
) -> str:
    """Name, defaults and bound arguments; and the code, with the values that it uses from outside,
    of a function that is not in this package, whose version says the same."""
    parameters = inspect.signature(function).parameters.values()
    arguments = {p.name: p.default for p in parameters if p.default is not p.empty} | dict(bound)
    text = ", ".join(f"{name}={_describe(arguments[name], outer)}" for name in sorted(arguments))
    if (function.__module__ or "").startswith("tinyproto.") and not function.__closure__:
        return f"{function.__qualname__}({text})"
    outside = "".join(
        f", {name}={_describe(item, outer) if _is_constant(item) else _unknown(item)}"
        for name, item in _used_from_outside(function)
    )
    return f"{function.__qualname__}({text}; code {_code_digest(function.__code__)}{outside})"


def _used_from_outside(function: types.FunctionType) -> list[tuple[str, Any]]:
    """The variables of enclosing functions, and the plain global variables that are only read."""
    code, found = function.__code__, {}
    for name, cell in zip(code.co_freevars, function.__closure__ or (), strict=True):
        try:
            found[name] = cell.cell_contents
        except ValueError:  # not yet assigned
            found[name] = None
    written = {i.argval for i in dis.get_instructions(code) if i.opname == "STORE_GLOBAL"}
    for name in set(code.co_names) - written - found.keys():
        value = function.__globals__.get(name)
        if isinstance(value, PLAIN) and value is not None:
            found[name] = value
    return sorted(found.items())


def _is_constant(value: Any) -> bool:
    """Whether nothing is likely to have changed the value while the run went on."""
    if isinstance(value, (tuple, frozenset)):
        return all(map(_is_constant, value))
    functions = (types.FunctionType, types.BuiltinFunctionType, type, functools.partial)
    return isinstance(value, (*PLAIN, *functions, np.generic, types.ModuleType)) or (
        dataclasses.is_dataclass(value) and type(value).__hash__ is not None
    )


def _code_digest(code: types.CodeType) -> str:
    """Of bytecode, names and constants: neither of comments nor of the place in the file."""
    constants = (
        _code_digest(item) if isinstance(item, types.CodeType) else _describe(item, ())
        for item in code.co_consts
    )
    names = (*code.co_names, *code.co_varnames, *code.co_freevars)
    return _digest(code.co_code, *" ".join((*names, *constants)).encode().splitlines())


def _describe_object(value: Any, outer: tuple[int, ...]) -> str:
    """The type and the attributes of an object, an optimizer's without its state; and the code of
    the methods of a class that is not in this package."""
    if dataclasses.is_dataclass(value):
        attributes = {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    elif hasattr(value, "__dict__"):
        attributes = dict(vars(value))
    else:
        return _unknown(value)
    if isinstance(value, Optimizer):
        attributes.pop("state", None)
    text = ", ".join(f"{name}={_describe(attributes[name], outer)}" for name in sorted(attributes))
    kind = type(value)
    if not kind.__module__.startswith("tinyproto."):
        methods = [v.__code__ for v in vars(kind).values() if isinstance(v, types.FunctionType)]
        text += f"; code {_digest(*(_code_digest(code).encode() for code in methods))}"
    return f"{kind.__qualname__}({text})"


def _unknown(value: Any) -> str:
    return f"<{type(value).__name__} {NOT_DESCRIBED}>"


def _digest(*parts: bytes) -> str:
    digest = hashlib.blake2b(digest_size=8)
    for part in parts:
        digest.update(part)
    return digest.hexdigest()
