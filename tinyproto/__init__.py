"""tinyproto: prototype learning and adversarial robustness, from scratch.

Every gradient is derived by hand and stands beside its formula. The rooms, in the order in which
they may import one another:

    device → kernel → kernels → losses, layers → prototypes → networks → attacks → training
    → evaluation

`data`, `state` and `optimizers` know only `device`, `parameters` and `kernels`. To import the
package costs no more than importing NumPy: Numba is loaded by the first kernel that runs.
"""

__version__ = "0.1.0"
