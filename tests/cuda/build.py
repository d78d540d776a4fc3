"""Build every kernel for real GPU architectures, with no GPU and no driver.

    python -m tests.cuda.build [--json]

prints registers, spilled bytes and shared memory of each. Needs the extra `cuda-check`.
"""

import json
import re
import sys

import numpy as np

from tests.cuda.simulate import all_kernels

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


def build(kernel, capability: tuple[int, int], dtype=np.float32) -> dict:
    """What the cubin of a kernel uses on one architecture, and its float64 instructions."""
    from cuda.core import Linker, LinkerOptions, ObjectCode

    _, *arguments = kernel.make_example(np.random.default_rng(0), dtype)
    types = signature(arguments)
    options = {"dtype": dtype, "capability": capability}
    ltoir = kernel.compile(*types, output="ltoir", **options)
    architecture = f"sm_{capability[0]}{capability[1]}"
    linker = Linker(
        ObjectCode.from_ltoir(bytes(ltoir), name=kernel.__name__),
        options=LinkerOptions(arch=architecture, link_time_optimization=True, ptxas_options="-v"),
    )
    cubin = linker.link("cubin")
    log = linker.get_info_log() or ""
    ptx = kernel.compile(*types, output="ptx", **options)
    text = ptx.decode() if isinstance(ptx, bytes) else ptx
    return {
        "architecture": architecture,
        "kernel": kernel.__name__,
        "bytes": len(cubin.code),
        "registers": int(re.search(r"Used (\d+) registers", log).group(1)),
        "spilled": sum(map(int, re.findall(r"(\d+) bytes spill", log))),
        "shared": sum(map(int, re.findall(r"(\d+) bytes smem", log))),
        "float64": len(re.findall(r"\.f64", text)),
    }


def table(rows: list[dict]) -> str:
    lines = [f"{'kernel':24s}{'':8s}{'bytes':>8s}{'registers':>11s}{'spilled':>9s}{'shared':>8s}"]
    for row in rows:
        lines.append(
            f"{row['kernel']:24s}{row['architecture']:8s}{row['bytes']:8d}"
            f"{row['registers']:11d}{row['spilled']:9d}{row['shared']:8d}"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    built = [build(k, capability) for k in all_kernels().values() for capability in CAPABILITIES]
    if "--json" in sys.argv:
        print(json.dumps(built))
    else:
        print(table(built))
        print("float64 instructions in float32 kernels:", sum(row["float64"] for row in built))
