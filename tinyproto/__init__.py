"""tinyproto: prototype learning and adversarial robustness, from scratch.

Every gradient is derived by hand, beside the code that computes it. Imports go one way:

    backend → cpu, kernels → random → losses, layers → prototypes → networks → attacks → training
    → evaluation

`parameters`, `state`, `optimizers`, `schedules` and `data` import no models. Importing the package
costs no more than importing NumPy: Numba is loaded when the first kernel runs.
"""

__version__ = "0.1.0"
