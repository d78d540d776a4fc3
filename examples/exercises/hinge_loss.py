"""Exercise 3: the hinge loss of several classes (Crammer and Singer, JMLR 2, 2001)."""

import numpy as np


def hinge_loss(z: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The hinge loss of each example, and its gradient at the scores:

        value = max(0, 1 + max_{j≠y} z_j − z_y)

    An example whose label leads by 1 or more costs nothing.

    To do: value (N,) and dz (N, C), in the dtype of the scores z (N, C), for labels y (N,). A loss
    does not divide by the batch, and changes neither z nor y.

    Hint: where value > 0 it is a difference of two scores plus 1. The other entries of dz are 0.
    """
    raise NotImplementedError("hinge_loss, in hinge_loss.py")
