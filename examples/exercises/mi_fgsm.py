"""Exercise 4: MI-FGSM, an attack with momentum (Dong and others, arXiv 1710.06081, algorithm 1)."""

import numpy as np

from tinyproto.attacks import Victim


def mi_fgsm(
    victim: Victim, x: np.ndarray, y: np.ndarray, *, eps: float, steps: int = 10, decay: float = 1.0
) -> np.ndarray:
    """Attack x (N, …) with labels y (N,) in the L∞ ball of radius eps, with T = `steps` steps of
    length α = eps/T. With g₀ = 0, x₀ = x and the decay μ,

        g_{t+1} = μ g_t + ∇L(x_t) / ‖∇L(x_t)‖₁
        x_{t+1} = x_t + α sign g_{t+1},   then back in the ball and in [victim.lo, victim.hi]

    L is the cross-entropy of the scores, and ‖·‖₁ is each example's own, over all its features.
    Return x_T. (The paper stops here; most attacks return the best point on their way.)

    Hint: `z, backward = victim(x)` and `value, dz = tinyproto.losses.cross_entropy(z, y)` give
    ∇L = backward(dz). Do not divide by 0 where a gradient is 0, and do not write to x.
    """
    raise NotImplementedError("mi_fgsm, in mi_fgsm.py")
