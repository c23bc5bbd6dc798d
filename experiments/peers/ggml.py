"""Simple block formats of GGML: compares with the bytes that the package gguf writes, and the values that it reads.

python -m experiments.peers.ggml [weights.safetensors]      (needs gguf; the weights are optional)
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

import qresearch as qr
from experiments.peers.row import comparison
from qresearch.wrapping.block_bytes import Words
from qresearch.wrapping.ggml import LAYOUTS

PRESETS = {name: f"gguf-{name}" if name in ("mxfp4", "nvfp4") else name for name in LAYOUTS}
WRITES = ("q4_0", "q4_1", "q5_0", "q5_1", "q8_0", "tq1_0", "tq2_0", "mxfp4")
"""The formats that gguf's Python code can quantize; it can read all of them."""

WIDTH = 512
_LOG2 = "gguf takes floor(log2(max)) in float32, which is one too high just below 2^k: exact exponents are taken here"
_POLICY = {
    "overflow": "a scale beyond float16 becomes an infinity there, 65504 here",
    "subnormal inputs": "float32 subnormals count as zero here",
    "tiny scales": "a scale below 2^-126 counts as zero here; an exponent below E8M0 is its least here, and wraps there",
    "zeros and signs": "the sign of a minimum that is zero: NumPy's minimum takes either zero",
    "near powers of two": _LOG2,
}


def arrays(weights: Path | None = None) -> Iterator[tuple[str, np.ndarray]]:
    """Names and float32 arrays [rows, WIDTH]: random, adversarial, real."""
    random = np.random.default_rng(0)
    normal = random.standard_normal((4096, WIDTH)).astype(np.float32)
    yield "normal", normal
    yield "heavy tails", (normal / random.uniform(0.01, 1, normal.shape)).astype(np.float32)
    yield "spread scales", (normal * np.exp2(random.uniform(-20, 12, (len(normal), 1)))).astype(np.float32)
    yield "ties", random.integers(-16, 17, normal.shape).astype(np.float32) / 2
    steps = random.integers(-15, 16, normal.shape) / 2 * (1 + random.choice([-1, 0, 1], normal.shape) * 2.0**-24)
    yield "about ties", np.concatenate([np.full((len(steps), 1), 8.0), steps[:, 1:]], 1).astype(np.float32)
    yield "zeros and signs", random.choice(np.array([0.0, -0.0, 1.0, -1.0], np.float32), normal.shape)
    yield "zero blocks", np.zeros((4, WIDTH), np.float32)
    yield "subnormal float16 scales", normal[:256] * np.float32(1e-6)
    yield "vanishing float16 scales", normal[:256] * np.float32(1e-12)
    yield (
        "near powers of two",
        np.nextafter(np.exp2(np.clip(np.round(normal[:256]), -3, 3) + 4), np.float32(0)).astype(np.float32),
    )
    yield "tiny scales", normal[:64] * np.float32(2.0**-125)
    yield "overflow", normal[:64] * np.float32(1e9)
    yield "subnormal inputs", normal[:64] * np.float32(1e-39)
    if weights is not None and weights.exists():
        from safetensors.numpy import load_file

        for name, array in load_file(weights).items():
            if array.ndim == 2 and array.shape[1] % 256 == 0:
                yield name, array.astype(np.float32)[:4096]


def compare(weights: Path | None = Path("weights/model.safetensors")) -> list[dict[str, Any]]:
    """Rows for each format and array: the bytes that both write, and the values that both read."""
    import gguf

    rows = []
    for name, preset in PRESETS.items():
        kind = gguf.GGMLQuantizationType[name.upper()]
        for what, x in arrays(weights):
            ours = qr.quantize(x, preset)
            data = np.asarray(ours.pack()["blocks"])
            if name in WRITES:
                with np.errstate(all="ignore"):
                    theirs = gguf.quants.quantize(x, kind)
                rows.append(_compared(name, f"write {what}", data, theirs, what))
                data = theirs
            again = qr.from_packed({"blocks": data}, preset, x.shape)
            with np.errstate(all="ignore"):
                read = gguf.quants.dequantize(data, kind)
            rows.append(_compared(name, f"read {what}", np.asarray(again.dequantize()), read, what))
        rows.append(_random_bytes(name, preset, kind, gguf.quants.dequantize))
    return rows


def _random_bytes(name: str, preset: str, kind: Any, dequantize: Callable[..., np.ndarray]) -> dict[str, Any]:
    """Random bytes, except that scales are finite and have the sign of the format."""
    layout = LAYOUTS[name]
    data = np.random.default_rng(1).integers(0, 256, (512, WIDTH // layout.length, layout.nbytes), np.uint8)
    start = 0
    for field in layout.fields:
        stop = start + field.size(layout.length)
        if isinstance(field, Words):
            two = field.size(layout.length) == 2
            limits = (2**14 + 2**13) if two else 0x78
            words = np.random.default_rng(2).integers(2, limits, (*data.shape[:2], (stop - start) // (2 if two else 1)))
            data[..., start:stop] = words.astype("<u2" if two else np.uint8).view(np.uint8).reshape(*data.shape[:2], -1)
        start = stop
    flat = data.reshape(len(data), -1)
    ours = qr.from_packed({"blocks": flat}, preset, (len(data), WIDTH)).dequantize()
    return _compared(name, "read random bytes", np.asarray(ours), dequantize(flat, kind), "")


def _compared(name: str, what: str, ours: np.ndarray, theirs: np.ndarray, source: str) -> dict[str, Any]:
    why = _POLICY.get(source, _LOG2 if name == "mxfp4" else "")
    return comparison(name, "gguf", what, ours, theirs, why, bits=False)


def main(arguments: list[str]) -> int:
    """Prints the rows as a table."""
    import pandas as pd

    rows = compare(*map(Path, arguments[:1]))
    print(pd.DataFrame(rows).to_string(index=False))
    return int(any(row["differing"] and not row["why"] for row in rows))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
