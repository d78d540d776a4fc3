"""Forward passes of networks from ONNX files, compared with inference engines.

    python benchmarks/bench_onnx_forward.py [--networks NAME …] [--quick] [--json FILE]

PyTorch's modules are exported by torch.onnx.export. Ours runs what `load_onnx` reads, folded; ONNX
Runtime and OpenVINO run the file; JAX runs a function of the same folded weights, jitted; PyTorch
runs the module, its BatchNorm folded, in channels_last, eager and compiled, and its faster mode
counts. Each gets images in the layout that it takes, in float32, and computes in float32. All must
give the same scores before any is timed. They are timed in turn: at batch 1 each runs 20 times in a
row.

Each number of threads is a process of its own, bound to as many cores, because XLA's threads are
counted when it starts; all others are also told the number. An engine that is not installed is left
out, with a line: `pip install onnxruntime openvino jax`. Needs torch and onnx.
"""

import importlib.util
import json
import logging
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import jax_peer
import numpy as np
import torch_peer as peer
from common import argument_parser, median_seconds, report
from onnx_rows import ENGINES, check_scores, forward_row
from torch_peer import torch
from torch_resnet import as_module, export

from tinyproto import networks
from tinyproto.backend import cpu
from tinyproto.evaluation.command import run_command
from tinyproto.interop import load_onnx
from tinyproto.networks import Network

THREADS, BATCHES, IN_A_ROW = (1, 2), (1, 128), 20
BUILDERS: dict[str, Callable[[], Network]] = {
    "compact_cnn": lambda: networks.compact_cnn(head="prototypes"),
    "resnet18": lambda: networks.resnet18(feature_width=None),
}
PYTORCH = ("channels_last", "compiled")
Run = Callable[[], np.ndarray]


def ours(network: Network, path: Path, x: np.ndarray, threads: int) -> Run:
    folded = networks.fold(load_onnx(path))
    return lambda: folded(x)[0]


def pytorch(network: Network, path: Path, x: np.ndarray, threads: int, mode: str) -> Run:
    module = peer.module(networks.fold(network)).eval().requires_grad_(False)
    module = module.to(memory_format=torch.channels_last)
    image = peer.images(x).contiguous(memory_format=torch.channels_last)
    if mode == "compiled":
        module = torch.compile(module)

    def run() -> np.ndarray:
        with torch.inference_mode():
            z: np.ndarray = module(image).numpy()
        return z

    return run


def onnx_runtime(network: Network, path: Path, x: np.ndarray, threads: int) -> Run:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    # Its threads wait busily for more work during a run, and not after it, when others are timed.
    options.add_session_config_entry("session.force_spinning_stop", "1")
    session = onnxruntime.InferenceSession(
        str(path), options, providers=["CPUExecutionProvider"]
    )  # fmt: skip
    image = channels_first(x)
    return lambda: session.run(None, {"x": image})[0]


def openvino(network: Network, path: Path, x: np.ndarray, threads: int) -> Run:
    import openvino as ov

    core = ov.Core()
    model = core.read_model(str(path))
    model.reshape({"x": [len(x), 3, 32, 32]})  # a fixed shape is its faster mode
    settings = {  # without the last one it computes in bfloat16 where the processor can
        "INFERENCE_NUM_THREADS": threads,
        "NUM_STREAMS": 1,
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_PRECISION_HINT": "f32",
    }
    request = core.compile_model(model, "CPU", settings).create_infer_request()
    request.set_input_tensor(ov.Tensor(channels_first(x)))

    def run() -> np.ndarray:
        request.infer()
        z: np.ndarray = request.get_output_tensor().data
        return z

    return run


def xla(network: Network, path: Path, x: np.ndarray, threads: int) -> Run:
    import jax

    folded = networks.fold(network)
    compiled, weights = jax.jit(jax_peer.function(folded)), jax_peer.weights(folded)
    image = jax.numpy.asarray(x)
    return lambda: np.asarray(compiled(weights, image).block_until_ready())


def channels_first(x: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(x.transpose(0, 3, 1, 2))


def contenders(
    network: Network, path: Path, x: np.ndarray, threads: int
) -> tuple[dict[str, Run], list[str]]:
    """The runs by name, all of which give the same scores, and lines about those left out."""
    makers: dict[str, Callable[..., Run]] = {
        "ours": ours,
        **{f"PyTorch, {mode}": partial(pytorch, mode=mode) for mode in PYTORCH},
        "ONNX Runtime": onnx_runtime, "OpenVINO": openvino, "JAX": xla,
    }  # fmt: skip
    with torch.no_grad():
        expected = as_module(network)(peer.images(x)).numpy()
    runs, lines = {}, []
    for name, make in makers.items():
        package = ENGINES.get(name, "torch")
        if name != "ours" and importlib.util.find_spec(package) is None:
            lines.append(f"{name} left out: pip install {package}")
            continue
        try:
            run = make(network, path, x, threads)
            z = np.array(run())
        except Exception as error:  # an engine that cannot do it is left out, whatever it raises
            if name == "ours":
                raise
            reason = (str(error).strip() or type(error).__name__).splitlines()[0][:100]
            lines.append(f"{name} left out: {reason}")
            continue
        check_scores(name, z, expected)
        runs[name] = run
    return runs, lines


def measure(names: list[str], threads: int, rounds: int) -> dict[str, Any]:
    """The rows of one number of threads, in a process that was started for it."""
    cpu.load_numba().set_num_threads(threads)
    torch.set_num_threads(threads)
    logging.disable(logging.WARNING)
    rows, notes = [], []
    for name in names:
        network = BUILDERS[name]()
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "model.onnx"
            export(as_module(network), path)
            for batch in BATCHES:
                x = np.random.default_rng(0).random((batch, 32, 32, 3), dtype=np.float32)
                runs, lines = contenders(network, path, x, threads)
                notes += lines
                count = IN_A_ROW if batch == 1 else 1
                several = {who: repeated(run, count) for who, run in runs.items()}
                seconds = median_seconds(several, rounds)
                rows.append(
                    forward_row(name, batch, threads, {n: s / count for n, s in seconds.items()})
                )
                print(rows[-1], flush=True)
    return {"rows": rows, "notes": list(dict.fromkeys(notes))}


def repeated(run: Run, count: int) -> Callable[[], Any]:
    """As one call: `count` of them."""
    return lambda: [run() for _ in range(count)]


def in_a_process(threads: int, arguments: list[str]) -> dict[str, Any]:
    """What `measure` returns, from a process of so many threads on as many cores."""
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    if cores and len(cores) < threads:
        raise ValueError(f"{threads} threads need as many cores, and there are {len(cores)}")
    names = ("OMP_NUM_THREADS", "NUMBA_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NPROC")
    environment = {**os.environ, **dict.fromkeys(names, str(threads)), "JAX_PLATFORMS": "cpu"}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rows.json"
        command = [sys.executable, __file__, *arguments, "--one", str(threads), "--json", str(path)]
        bind = (lambda: os.sched_setaffinity(0, cores[:threads])) if cores else None
        status = subprocess.run(command, env=environment, preexec_fn=bind).returncode
        if status:
            raise SystemExit(status)
        found: dict[str, Any] = json.loads(path.read_text())
    return found


def main() -> None:
    parser = argument_parser(__doc__, data=False)
    parser.add_argument("--networks", nargs="+", choices=BUILDERS, default=list(BUILDERS))
    parser.add_argument("--one", type=int, help="only this number of threads, in this process")
    chosen = parser.parse_args()
    if chosen.one:
        found = measure(chosen.networks, chosen.one, 2 if chosen.quick else 15)
        chosen.json.write_text(json.dumps(found))
        return
    arguments = ["--networks", *chosen.networks, *(["--quick"] if chosen.quick else [])]
    parts = [in_a_process(threads, arguments) for threads in THREADS]
    rows = [row for part in parts for row in part["rows"]]
    rows.sort(key=lambda row: (list(BUILDERS).index(row["network"]), row["batch"], row["threads"]))
    installed = {e: p for e, p in ENGINES.items() if importlib.util.find_spec(p) is not None}
    notes = [", ".join(f"{engine} {version(package)}" for engine, package in installed.items())]
    notes += dict.fromkeys(line for part in parts for line in part["notes"])
    report(rows, chosen.json, "; ".join(notes))


if __name__ == "__main__":
    run_command(main)
