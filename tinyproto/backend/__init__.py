"""Where arrays are and how code runs: the device, the kernels' compilers, the CPU's threads and
memory. Importing it imports neither Numba nor CuPy."""

from .blas import one_blas_thread
from .cpu import cpu_kernel, worker_count
from .device import (
    Array,
    DeviceError,
    aligned_copy,
    array_module,
    cuda_unavailable_reason,
    select_device,
    to_device,
    to_host,
)
from .kernel import kernel
from .memory import empty, empty_cache, empty_like
from .routines import routine, row_max, row_sum, sync

__all__ = [
    "Array",
    "DeviceError",
    "aligned_copy",
    "array_module",
    "cpu_kernel",
    "cuda_unavailable_reason",
    "empty",
    "empty_cache",
    "empty_like",
    "kernel",
    "one_blas_thread",
    "routine",
    "row_max",
    "row_sum",
    "select_device",
    "sync",
    "to_device",
    "to_host",
    "worker_count",
]
