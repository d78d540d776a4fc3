"""A module of PyTorch as a victim; its gradients are autograd's."""

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain
from typing import Any

from ..attacks import Victim
from ..attacks.checks import check_output
from ..backend.device import Array, array_module, to_device, to_host
from ..optional import require_package
from ..validation import check_count


def from_torch(
    module: Any,
    *,
    lo: float = 0.0,
    hi: float = 1.0,
    channels_first: bool = True,
    device: Any = None,
    batch_size: int | None = None,
) -> Victim:
    """A victim of a module of PyTorch.

    Parameters
    ----------
    module : torch.nn.Module
        Its output must be the scores (N, C) alone: logits, not probabilities. It is put into eval
        mode for each call, and each of its parts gets its mode back afterwards. Parameters get no
        gradients: their `grad` and `requires_grad` stay as they are.
    lo, hi : float
        The bounds of an input.
    channels_first : bool
        Whether the module takes images as (N, C, H, W), as PyTorch's own layers do. The victim
        takes and returns (N, H, W, C), as everything in tinyproto does. Inputs of other numbers of
        axes, such as rows (N, d), go to the module as they are.
    device : str or torch.device, optional
        Where the inputs are put; where the module's first parameter is by default. The module
        itself is not moved.
    batch_size : int, optional
        The largest number of examples that go through the module at once, all by default. More
        than that are passed in parts, and a gradient passes each part once more, so that memory
        is never needed for more than one.

    Returns
    -------
    Victim
        Its scores and gradients are arrays of NumPy in the dtype of its inputs, float32 or float64;
        the module computes in the dtype of its own parameters. A module through which no gradient
        flows, such as a quantized one, is a victim of scores alone.

    Raises
    ------
    ImportError
        Without PyTorch: `pip install -e ".[torch]"`.
    TypeError
        For what is no torch.nn.Module.
    ValueError
        Where the victim is called, for an output that is not one tensor (N, C).

    Notes
    -----
    The forward pass keeps its graph for as long as its function for gradients is held, because an
    attack may ask for several gradients of one pass: FAB asks for one for each class.

    Examples
    --------
    >>> import torch  # doctest: +SKIP
    >>> from tinyproto.attacks import autoattack
    >>> from tinyproto.interop import from_torch
    >>> victim = from_torch(torch.nn.Linear(6, 4))  # doctest: +SKIP
    >>> attacked = autoattack(victim, x, y, eps=0.1)  # doctest: +SKIP
    """
    require_package("torch", "from_torch")
    import torch

    if not isinstance(module, torch.nn.Module):
        raise TypeError(f"from_torch takes a torch.nn.Module, not {_name(module)}")
    if batch_size is not None:
        check_count("batch_size", batch_size)

    def one_pass(x: Array) -> Any:
        """Scores, and the function for gradients unless none flows through the module."""
        xp, (where, dtype) = array_module(x), _place(module)
        # The graph begins before the change of layout, so gradients come back as x is. What the
        # module gets is a copy, which it may overwrite.
        with torch.inference_mode(False), torch.enable_grad(), _as_judged(module):
            target = where if device is None else device
            inputs = torch.tensor(to_host(x), device=target, requires_grad=True)
            seen = inputs.permute(0, 3, 1, 2) if channels_first and x.ndim == 4 else inputs
            seen = seen.clone(memory_format=torch.contiguous_format).to(dtype or seen.dtype)
            scores = module(seen)
            _check_scores(scores, len(x))
            scores = scores.to(inputs.dtype)

        def as_array(tensor: Any) -> Array:
            return to_device(tensor.detach().cpu().numpy(), xp)

        def backward(dz: Array) -> Array:
            weights = torch.tensor(to_host(dz), device=scores.device, dtype=scores.dtype)
            options = {"retain_graph": True, "materialize_grads": True}
            return as_array(torch.autograd.grad(scores, inputs, weights, **options)[0])

        return (as_array(scores), backward) if scores.requires_grad else as_array(scores)

    def model(x: Array) -> Any:
        if batch_size is None or len(x) <= batch_size:
            return one_pass(x)
        xp = array_module(x)
        parts = [slice(start, start + batch_size) for start in range(0, len(x), batch_size)]

        def backward(dz: Array) -> Array:
            return xp.concatenate([gradient(x[part], dz[part]) for part in parts])

        return xp.concatenate([scores_alone(x[part]) for part in parts]), backward

    def scores_alone(x: Array) -> Array:
        return check_output(one_pass(x), len(x))[0]

    def gradient(x: Array, dz: Array) -> Array:
        dx: Array = check_output(one_pass(x), len(x))[1](dz)
        return dx

    model.__qualname__ = type(module).__name__
    return Victim(model, lo=lo, hi=hi)


@contextmanager
def _as_judged(module: Any) -> Iterator[None]:
    """The module in eval mode and with parameters that need no gradient, for the time being."""
    modes = [(part, part.training) for part in module.modules()]
    trained = [leaf for leaf in module.parameters() if leaf.requires_grad]
    try:
        module.eval()
        for leaf in trained:
            leaf.requires_grad_(False)
        yield
    finally:
        for part, mode in modes:
            part.training = mode
        for leaf in trained:
            leaf.requires_grad_(True)


def _place(module: Any) -> tuple[Any, Any]:
    """The device of a module's first parameter, and the dtype of the first floating-point one; None
    where there is none."""
    leaves = list(chain(module.parameters(), module.buffers()))
    dtypes = [leaf.dtype for leaf in leaves if leaf.is_floating_point()]
    return (leaves[0].device if leaves else None), (dtypes[0] if dtypes else None)


def _check_scores(scores: Any, count: int) -> None:
    """Refuse an output that is not one tensor (N, C) of scores."""
    shape = getattr(scores, "shape", None)
    if shape is None:
        raise ValueError(
            f"the module must return scores (N, C), not {_name(scores)}; wrap it in a module whose "
            "forward returns the scores alone"
        )
    if len(shape) == 2 and shape[0] == count and shape[1] > 1:
        return
    one_score = "; of one score s make two, torch.stack([-s, s], dim=1)"
    single = tuple(shape) in ((count,), (count, 1))
    raise ValueError(
        f"the module must return scores ({count}, C), not {tuple(shape)}{one_score * single}"
    )


def _name(value: Any) -> str:
    return value.__name__ if isinstance(value, type) else type(value).__name__
