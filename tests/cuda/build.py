"""Build every kernel for real GPU architectures, with no GPU and no driver.

    python -m tests.cuda.build [--json]

prints registers, spilled bytes and shared memory of each. Needs the extra `cuda-check`.
"""

import json
import re
import sys
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from types import SimpleNamespace
from unittest import mock

import numpy as np

from tests.kernel_examples import EXAMPLES, all_kernels
from tinyproto.backend.kernel import Kernel

CAPABILITIES = ((8, 0), (9, 0), (12, 0))


def signature(arguments: list) -> list:
    """The Numba types of an example's arguments."""
    import numba

    return [
        numba.types.Array(numba.from_dtype(a.dtype), a.ndim, "C")
        if isinstance(a, np.ndarray)
        else numba.typeof(a)
        for a in arguments
    ]


def code_library(kernel: Kernel, arguments: list, dtype, capability: tuple[int, int]):
    """The kernel's LLVM IR for a compute capability, from which numba-cuda makes PTX and LTO-IR.

    `cuda.compile` would start from Python once for each of the two. numba-cuda asks for the current
    device while it types a callee; the patch answers in its place.
    """
    import numba
    from numba.cuda.compiler import _compile_pyfunc_with_fixup

    loop = kernel.cuda_loop(dtype)
    current = SimpleNamespace(compute_capability=capability)
    with mock.patch("numba.cuda.dispatcher.get_current_device", return_value=current):
        types = (numba.int64, *signature(arguments))
        library, _ = _compile_pyfunc_with_fixup(
            loop, types, device=False, abi="numba", cc=capability
        )
    return library


def build(name: str, capability: tuple[int, int], dtype=np.float32) -> dict:
    """What the cubin of a kernel uses on one architecture, and its float64 instructions."""
    from cuda.core import Linker, LinkerOptions, ObjectCode

    _, *arguments = EXAMPLES[name](np.random.default_rng(0), dtype)
    library = code_library(all_kernels()[name], arguments, dtype, capability)
    architecture = f"sm_{capability[0]}{capability[1]}"
    linker = Linker(
        ObjectCode.from_ltoir(bytes(library.get_ltoir(cc=capability)), name=name),
        options=LinkerOptions(arch=architecture, link_time_optimization=True, ptxas_options="-v"),
    )
    cubin = linker.link("cubin")
    log = linker.get_info_log() or ""
    return {
        "architecture": architecture,
        "kernel": name,
        "bytes": len(cubin.code),
        "registers": int(re.search(r"Used (\d+) registers", log).group(1)),
        "spilled": sum(map(int, re.findall(r"(\d+) bytes spill", log))),
        "shared": sum(map(int, re.findall(r"(\d+) bytes smem", log))),
        "float64": len(re.findall(r"\.f64", library.get_asm_str(cc=capability))),
    }


def build_all(name: str) -> list[dict]:
    return [build(name, capability) for capability in CAPABILITIES]


def table(rows: list[dict]) -> str:
    lines = [f"{'kernel':30s}{'':8s}{'bytes':>8s}{'registers':>11s}{'spilled':>9s}{'shared':>8s}"]
    for row in rows:
        lines.append(
            f"{row['kernel']:30s}{row['architecture']:8s}{row['bytes']:8d}"
            f"{row['registers']:11d}{row['spilled']:9d}{row['shared']:8d}"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    with ProcessPoolExecutor(2, get_context("spawn")) as pool:
        built = [row for rows in pool.map(build_all, all_kernels()) for row in rows]
    if "--json" in sys.argv:
        print(json.dumps(built))
    else:
        print(table(built))
        print("float64 instructions in float32 kernels:", sum(row["float64"] for row in built))
