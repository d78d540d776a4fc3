"""A strict stand-in for CuPy on NumPy: what the real wheel refuses, it refuses.

It has the names and keywords that the installed CuPy has and no others, its arrays stay "on the
device" (no implicit conversion to NumPy, no mixing of the two), and copies to the host are calls.
Needs CuPy's wheel, which can be imported with no driver. `install()` replaces CuPy by it.
"""

import inspect
import sys
import types

import cupy as real
import numpy as np

UFUNC_KEYWORDS = {"out", "dtype", "casting", "order"}  # a cupy.ufunc has no `where`


class ndarray:
    """A "device" array: NumPy's, out of reach."""

    __slots__ = ("host",)

    def __init__(self, host):
        self.host = host

    def __array__(self, *_, **__):
        raise TypeError("Implicit conversion to a NumPy array is not allowed. Use `.get()`")

    def get(self):
        return self.host.copy()

    def item(self):
        return self.host.item()

    def __float__(self):
        return float(self.host.item())

    def __int__(self):
        return int(self.host.item())

    def __bool__(self):
        return bool(self.host)

    def __len__(self):
        return len(self.host)

    def __iter__(self):
        return (self[i] for i in range(len(self)))

    def __getitem__(self, key):
        return wrap(self.host[unwrap(key)])

    def __setitem__(self, key, value):
        self.host[unwrap(key)] = unwrap(value)

    def __array_ufunc__(self, ufunc, method, *arguments, **keywords):
        if method != "__call__":
            raise TypeError(f"ufunc.{method} via NumPy is not supported")
        return getattr(module, ufunc.__name__)(*arguments, **keywords)

    def __array_function__(self, function, _, arguments, keywords):
        return getattr(module, function.__name__)(*arguments, **keywords)

    def __getattr__(self, name):
        if not hasattr(real.ndarray, name):
            raise AttributeError(f"cupy.ndarray has no attribute {name!r}")
        found = getattr(self.host, name)
        if callable(found):
            return lambda *a, **k: wrap(found(*unwrap(a), **unwrap(k)))
        return wrap(found)


def unwrap(value):
    """The NumPy array of each "device" array in a value; an array of NumPy's is refused."""
    if isinstance(value, ndarray):
        return value.host
    if isinstance(value, np.ndarray) and value.ndim:
        raise TypeError(f"Unsupported type {type(value)}")
    if isinstance(value, tuple | list):
        return type(value)(unwrap(v) for v in value)
    if isinstance(value, dict):
        return {k: unwrap(v) for k, v in value.items()}
    return value


def wrap(value):
    if isinstance(value, np.ndarray | np.generic):
        return ndarray(np.asarray(value))
    if isinstance(value, tuple) and any(isinstance(v, np.ndarray) for v in value):
        return tuple(wrap(v) for v in value)
    return value


def _operator(name):
    def apply(self, *others):
        result = getattr(self.host, name)(*unwrap(others))
        if name.startswith("__i") and name != "__invert__":
            return self
        return result if result is NotImplemented else wrap(result)

    return apply


for operator in [
    "add",
    "sub",
    "mul",
    "truediv",
    "floordiv",
    "mod",
    "pow",
    "matmul",
    "and",
    "or",
    "xor",
    "lshift",
    "rshift",
]:
    for prefix in ("", "r", "i"):
        setattr(ndarray, f"__{prefix}{operator}__", _operator(f"__{prefix}{operator}__"))
for operator in ["lt", "le", "gt", "ge", "eq", "ne", "neg", "abs", "invert"]:
    setattr(ndarray, f"__{operator}__", _operator(f"__{operator}__"))


def _function(name):
    there, here = getattr(real, name), getattr(np, name)
    try:
        signature = inspect.signature(there)
    except (TypeError, ValueError):
        signature = None

    def call(*arguments, **keywords):
        if isinstance(there, real.ufunc):
            if set(keywords) - UFUNC_KEYWORDS:
                raise TypeError(f"cupy.{name} has no keywords {set(keywords) - UFUNC_KEYWORDS}")
        elif signature is not None:
            signature.bind(*arguments, **keywords)
        return wrap(here(*unwrap(arguments), **unwrap(keywords)))

    return call


class _Module(types.ModuleType):
    def __getattr__(self, name):
        if not hasattr(real, name):
            raise AttributeError(f"module 'cupy' has no attribute {name!r}")
        found = getattr(real, name)
        if isinstance(found, type | int | float | None):
            return found
        return _function(name)


def _asarray(value, dtype=None, order=None):
    return ndarray(np.array(getattr(value, "host", value), dtype=dtype))


module = _Module("cupy")
module.ndarray = ndarray
module.asarray = module.array = _asarray
module.ascontiguousarray = _asarray
module.cuda = types.SimpleNamespace(runtime=types.SimpleNamespace(getDeviceCount=lambda: 1))
module.__spec__ = real.__spec__


def install():
    """Be `cupy`, and let kernels take the arrays: in the simulator, two lanes in two blocks."""
    from tests.cuda.simulate import prepare_simulator
    from tinyproto.backend.kernel import Kernel

    prepare_simulator()
    launch = Kernel.launch

    def simulated(self, rows, *arguments, **_):
        launch(self, rows, *(getattr(a, "host", a) for a in arguments), lanes=2, blocks=2)

    Kernel.launch = simulated
    sys.modules["cupy"] = module
