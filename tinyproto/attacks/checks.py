"""What a victim refuses: models that are no functions of arrays, and what they must not return.

Each refusal is one sentence that says what to write instead.
"""

from numbers import Real
from typing import Any, NoReturn

import numpy as np

from ..backend.device import Array, array_module, to_host
from ..validation import has_shape

WRAP = {
    "torch": "victim = tinyproto.interop.from_torch(model)",
}
WRAP["tensorflow"] = WRAP["keras"] = (
    "def model(x): return np.asarray(module(x)), with a function for gradients beside it where "
    "the attack needs one"
)
"""How a model of another library becomes a victim."""


def check_model(model: Any) -> None:
    """Refuse a model that is no function of arrays.

    Raises
    ------
    TypeError
        For a module of PyTorch or Keras, an estimator of scikit-learn, and what cannot be called.
    """
    owner = type(getattr(model, "__self__", model))  # of a method, such as module.forward
    libraries = {base.__module__.partition(".")[0] for base in owner.__mro__}
    for library, wrap in WRAP.items():
        if library in libraries:
            raise TypeError(
                f"the model must be a function z, backward = model(x) of arrays, not "
                f"{owner.__name__} of {library}; write {wrap}"
            )
    if callable(model):
        return
    advice = "; of an estimator, write victim = tinyproto.interop.from_sklearn(model)"
    raise TypeError(
        f"the model must be a function z, backward = model(x), not {owner.__name__}"
        f"{advice if hasattr(model, 'predict') else ''}"
    )


def check_bound(name: str, value: Any) -> float | np.ndarray:
    """A bound of the box as a float, or as an array, float64, of one bound for each feature.

    Raises
    ------
    ValueError
        For what is neither a number nor an array of numbers.
    """
    if not is_array(value) and (not isinstance(value, Real) or isinstance(value, bool)):
        raise ValueError(f"{name} must be a number or an array, not {value!r}")
    bound = to_host(value) if is_array(value) else np.asarray(value)
    if bound.dtype.kind not in "iuf":
        raise ValueError(f"{name} must hold numbers, not {bound.dtype}")
    return bound.astype(np.float64) if bound.ndim else float(bound)


def check_keep(keep: Any) -> np.ndarray | None:
    """Which features no attack changes: an array of bool like one example; None for none.

    Raises
    ------
    ValueError
        For anything else.
    """
    if keep is None:
        return None
    if not is_array(keep) or keep.dtype != np.bool_:
        found = keep.dtype if is_array(keep) else repr(keep)
        raise ValueError(f"keep must be an array of bool like one example, not {found}")
    return to_host(keep)


def check_shapes(**arrays: Any) -> None:
    """Refuse arrays, by name, that do not broadcast with one another.

    Raises
    ------
    ValueError
        With the shapes.
    """
    shapes = {name: array.shape for name, array in arrays.items() if is_array(array)}
    try:
        np.broadcast_shapes(*shapes.values())
    except ValueError:
        found = ", ".join(f"{name} {shape}" for name, shape in shapes.items())
        raise ValueError(f"lo, hi and keep must broadcast with one example, not {found}") from None


def check_output(output: Any, count: int) -> tuple[Array, Any]:
    """The scores (N, C), and the function for gradients, that a model returned for N examples.

    Raises
    ------
    ValueError
        For anything else. The function for gradients of a model that returned scores alone raises
        ValueError where it is called.
    """
    z, backward = output if isinstance(output, tuple) and len(output) == 2 else (output, None)
    if isinstance(z, tuple) or (backward is not None and not callable(backward)):
        found = f"({', '.join(map(_type_name, output))})"
        raise ValueError(
            "the victim must return a pair: scores, and a function for gradients, or scores "
            f"alone, not {found}"
        )
    check_numbers("scores", z, (count, "C"))
    return z, backward or _no_gradient


def _no_gradient(dz: Array) -> NoReturn:
    raise ValueError(
        "the victim returns scores without a function for gradients, which this attack needs: "
        "attack it by square, or let the model return z, backward"
    )


def check_numbers(what: str, array: Any, shape: tuple[int | str, ...]) -> None:
    """Refuse what is not an array of finite floating-point numbers of this shape; a letter means
    any length."""
    what = f"the victim's {what}"
    if not has_shape(array.shape if is_array(array) else None, shape):
        raise ValueError(f"{what} must be an array ({', '.join(map(str, shape))}), {_found(array)}")
    if array.dtype.kind != "f":
        raise ValueError(f"{what} must be floating-point numbers, not {array.dtype}")
    if not bool(array_module(array).isfinite(array).all()):
        raise ValueError(f"{what} must be finite, not NaN or infinite")


def _found(array: Any) -> str:
    if not is_array(array):
        return f"not {_type_name(array)}{conversion('it', array)}"
    one_score = "; of one score s make two, np.stack([-s, s], axis=1)" if array.ndim == 1 else ""
    return f"not {array.shape}{one_score}"


def is_array(value: Any) -> bool:
    """Whether this is an array of NumPy or CuPy."""
    return isinstance(value, np.ndarray) or array_module(value) is not np


def require_array(name: str, value: Any) -> None:
    """Refuse what is no array of NumPy or CuPy.

    Raises
    ------
    ValueError
        With what turns it into one.
    """
    if not is_array(value):
        raise ValueError(
            f"{name} must be an array, not {_type_name(value)}{conversion(name, value)}"
        )


def conversion(name: str, value: Any) -> str:
    """How a tensor of PyTorch, or anything else like an array, becomes an array of NumPy."""
    if _type_name(value).startswith("torch."):
        return f"; use {name}.detach().cpu().numpy()"
    return f"; use np.asarray({name})" if hasattr(value, "__len__") else ""


def _type_name(value: Any) -> str:
    """The name of a type, after that of its library."""
    kind = type(value)
    library = kind.__module__.partition(".")[0]
    return kind.__name__ if library == "builtins" else f"{library}.{kind.__name__}"
