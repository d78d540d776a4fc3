"""Build every kernel for real GPU architectures, with no GPU and no driver.

    python -m tests.cuda.build [--json]

prints registers, spilled bytes and shared memory of each. Needs the extra `cuda-check`.
"""

import json
import re
import struct
import sys
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from types import SimpleNamespace
from unittest import mock

import numpy as np

from tests.kernel_examples import EXAMPLES, all_kernels
from tinyproto.backend.cuda import argument_type, parameter_format
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


def code_library(kernel: Kernel, arguments: list, dtype):
    """The kernel's LLVM IR, from which numba-cuda makes PTX and LTO-IR for any architecture.

    The IR is the same for all of them; `cuda.compile` would start from Python for each, and once
    for PTX and once for LTO-IR. numba-cuda asks for the current device while it types a callee;
    the patch answers in its place.
    """
    import numba
    from numba.cuda.compiler import _compile_pyfunc_with_fixup

    loop, types = kernel.cuda_loop(dtype), (numba.int64, *signature(arguments))
    current = SimpleNamespace(compute_capability=CAPABILITIES[0])
    with mock.patch("numba.cuda.dispatcher.get_current_device", return_value=current):
        library, _ = _compile_pyfunc_with_fixup(
            loop, types, device=False, abi="numba", cc=CAPABILITIES[0]
        )
    return library


def build(name: str, dtype=np.float32) -> list[dict]:
    """What the cubin of a kernel uses on each architecture, and its float64 instructions where no
    argument is float64."""
    from cuda.core import Linker, LinkerOptions, ObjectCode

    row_count, *arguments = EXAMPLES[name](np.random.default_rng(0), dtype)
    library = code_library(all_kernels()[name], arguments, dtype)
    sums = any(getattr(a, "dtype", None) == np.float64 for a in arguments)
    rows = []
    for capability in CAPABILITIES:
        architecture = f"sm_{capability[0]}{capability[1]}"
        code = ObjectCode.from_ltoir(bytes(library.get_ltoir(cc=capability)), name=name)
        options = LinkerOptions(arch=architecture, link_time_optimization=True, ptxas_options="-v")
        linker = Linker(code, options=options)
        cubin = linker.link("cubin")
        log, ptx = linker.get_info_log() or "", library.get_asm_str(cc=capability)
        rows.append(
            {
                "architecture": architecture,
                "kernel": name,
                "bytes": len(cubin.code),
                "registers": int(re.search(r"Used (\d+) registers", log).group(1)),
                "spilled": sum(map(int, re.findall(r"(\d+) bytes spill", log))),
                "shared": sum(map(int, re.findall(r"(\d+) bytes smem", log))),
                "float64": 0 if sums else ptx.count(".f64"),
                "parameters fit": parameters_fit(ptx, [row_count, *arguments]),
            }
        )
    return rows


def parameters_fit(ptx: str, arguments: list) -> bool:
    """Whether `backend.cuda` packs the arguments as the code's parameters are declared."""
    (entry,) = re.findall(r"\.entry [^(]*\((.*?)\)", ptx, re.DOTALL)
    declared = [int(bits) // 8 for bits in re.findall(r"\.param\s+\.[a-z](\d+)", entry)]
    packed = parameter_format([argument_type(a) for a in arguments])
    return declared == [struct.calcsize(f"@{number}") for number in packed[1:]]


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
        built = [row for rows in pool.map(build, all_kernels()) for row in rows]
    if "--json" in sys.argv:
        print(json.dumps(built))
    else:
        print(table(built))
        print("float64 instructions in float32 kernels:", sum(row["float64"] for row in built))
