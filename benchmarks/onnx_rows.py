"""The rows of the benchmarks of ONNX files, and the comparison of scores, without the peers."""

from typing import Any

import numpy as np

ENGINES = {"PyTorch": "torch", "ONNX Runtime": "onnxruntime", "OpenVINO": "openvino", "JAX": "jax"}
"""The columns of the table after ours, and the packages that they need."""


def check_scores(name: str, z: np.ndarray, expected: np.ndarray) -> None:
    """Raises ValueError where they are not the same, up to the rounding of float32."""
    if z.shape != expected.shape or not np.abs(z - expected).max() <= 1e-4 * np.abs(expected).max():
        raise ValueError(f"{name} computes other scores than the module of PyTorch")


def autoattack_row(
    name: str, eps: str, clean: float, found: dict[str, list[dict[str, Any]]]
) -> dict[str, Any]:
    """The blocks of both sides, "ours" and "pyautoattack", together; `clean` is the accuracy of the
    module without an attack, in percent."""
    robust = {side: np.concatenate([b["robust"] for b in some]) for side, some in found.items()}
    ours, theirs = (robust[side] for side in ("ours", "pyautoattack"))
    seconds, passes = (
        {side: sum(block[what] for block in some) for side, some in found.items()}
        for what in ("seconds", "passes")
    )
    return {
        "network": name,
        "eps": eps,
        "images": len(ours),
        "clean accuracy %": clean,
        "ours, accuracy %": 100 * float(ours.mean()),
        "pyautoattack, accuracy %": 100 * float(theirs.mean()),
        "images that differ": int((ours != theirs).sum()),
        "ours, s": seconds["ours"],
        "pyautoattack, s": seconds["pyautoattack"],
        "ours / pyautoattack": seconds["ours"] / seconds["pyautoattack"],
        "ours, passes": passes["ours"],
        "pyautoattack, passes": passes["pyautoattack"],
    }


def forward_row(name: str, batch: int, threads: int, seconds: dict[str, float]) -> dict[str, Any]:
    """The row of the table, of times by contender."""
    best: dict[str, float] = {}
    for contender, value in seconds.items():
        engine = contender.partition(",")[0]
        best[engine] = min(value, best.get(engine, np.inf))
    others = {engine: best[engine] for engine in ENGINES if engine in best}
    fastest = min(others, key=lambda engine: others[engine])
    return {
        "network": name, "batch": batch, "threads": threads, "ours, ms": 1e3 * best["ours"],
        **{f"{e}, ms": 1e3 * best[e] if e in best else "" for e in ENGINES},
        "fastest of the others": fastest, "ours / fastest": best["ours"] / others[fastest],
    }  # fmt: skip
