"""tinyproto: prototype learning and adversarial robustness, from scratch.

Every gradient is derived by hand and stands beside its formula. The rooms, in the order in which
they may import one another:

    device → kernel → kernels → prototypes → attacks → evaluation

`data` and `state` know only `device` and `kernels`. Importing the package costs no more than
importing NumPy: Numba is loaded by the first kernel that runs.
"""

__version__ = "0.1.0"
