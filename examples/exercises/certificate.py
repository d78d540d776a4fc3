"""Exercise 5: how far an input is from the boundary, for one prototype a class."""

import numpy as np


def certified_radius(prototypes: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """The exact L2 distance of each example to the nearest point of another class, for a classifier
    that answers with the class of the nearest prototype:

        answer(x) = argmin_c ‖x − w_c‖

    `prototypes` (C, d) has one prototype w_c for each class; x (N, d), labels y (N,). Return the
    radii (N,): 0 where the answer is not y.

    To do: the distance of x to the points that are as near to w_j as to w_y is a fraction with
    ‖x − w_j‖² − ‖x − w_y‖² in its numerator. What are these points, and what is the denominator?
    The radius is the least of these distances over the rivals j ≠ y.

    Hint: expand the squares; ‖x‖² drops out, and what is left is a hyperplane. No two prototypes
    are equal.
    """
    raise NotImplementedError("certified_radius, in certificate.py")
