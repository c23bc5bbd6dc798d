"""MLX: compares `mx.quantize` and `mx.dequantize` on the CPU, in all modes, with our presets.

    python -m experiments.peers --only mlx_quantize        # needs mlx[cpu]

Codes, scales, biases and values of weights in float32, float16 and bfloat16. MLX decodes in the dtype of the weights, we decode
in float32; this reason is checked number by number.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import ml_dtypes
import numpy as np

import qresearch as qr
from experiments.peers import inputs
from experiments.peers.row import agreeing, counted

COLUMNS = 128
DTYPES = {"float32": np.float32, "float16": np.float16, "bfloat16": ml_dtypes.bfloat16}
STORED = {"float32": "", "float16": ":f16", "bfloat16": ":bf16"}
MODES = {"mxfp4": ("e2m1-rceil@32:e8m0", 32), "mxfp8": ("e4m3-rceil@32:e8m0", 32), "nvfp4": ("e2m1@16:e4m3-unit", 16)}
"""Mode -> our scheme and its block length. MLX's NVFP4 has no tensor scale unless one is given."""

TWICE = "both by definition: MLX decodes in the dtype of the weights, two roundings to it; ours are rounded to float32"
ZEROS = "both right: of a block of zeros MLX stores the scale 1, we the least one"
TIES = (
    "another definition: MLX's code for CPUs takes the first of the nearest levels, a tie goes toward zero and -0 becomes 0; "
    "its kernel for GPUs (by its source, fp4.h) rounds ties to even and keeps -0, as we do"
)


def compare() -> list[dict[str, Any]]:
    """Rows of the mode affine for each dtype and width, then of the float modes."""
    import mlx.core as mx

    rows = [row for dtype in DTYPES for bits in (2, 3, 4, 5, 6, 8) for row in _affine(mx, dtype, bits)]
    return [{"peer": "mlx", **row} for row in [*rows, *_floats(mx)]]


def _inputs(dtype: str) -> Iterator[tuple[str, np.ndarray]]:
    """Names and float32 arrays [rows, COLUMNS] of numbers that the dtype can represent."""
    for name, x in inputs.every(np.arange(16)).items():
        with np.errstate(over="ignore"):
            rounded = x.astype(DTYPES[dtype]).astype(np.float32)
        yield name, inputs.matrix(np.where(np.isfinite(rounded), rounded, 0).astype(np.float32), COLUMNS)


def _affine(mx: Any, dtype: str, bits: int) -> Iterator[dict[str, Any]]:
    group = {2: 32, 3: 64, 4: 64, 5: 128, 6: 64, 8: 64}[bits]
    text = f"uint{bits}-edge{'-exact' if STORED[dtype] else ''}-divided@{group}{STORED[dtype]}"
    for name, x in _inputs(dtype):
        w, scales, biases = mx.quantize(mx.array(x).astype(getattr(mx, dtype)), group_size=group, bits=bits)
        back = _numpy(mx, mx.dequantize(w, scales, biases, group_size=group, bits=bits))
        q = qr.quantize(x, text)
        about = {"format": text, "inputs": name}
        yield about | {"what": f"codes, {dtype}", **counted(q.codes, codes(np.array(w), bits))}
        yield about | {"what": f"scales, {dtype}", **counted(q.scales, _numpy(mx, scales))}
        biases = _numpy(mx, biases) + np.float32(0)  # MLX gives a zero bias the sign of the largest element
        yield about | {"what": f"biases, {dtype}", **counted(np.asarray(q.offsets) + np.float32(0), biases)}
        values = np.asarray(q.dequantize())
        why = TWICE if agreeing(_decoded(q, DTYPES[dtype], group) + np.float32(0), back + np.float32(0)).all() else ""
        yield about | {"what": f"values, {dtype}", **counted(values + np.float32(0), back + np.float32(0)), "why": why}


def codes(words: np.ndarray, bits: int) -> np.ndarray:
    """int64 [rows, COLUMNS]: the codes in MLX's words, the first in the lowest bits."""
    lowest_first = np.unpackbits(np.ascontiguousarray(words).view(np.uint8), axis=1, bitorder="little")
    return lowest_first.reshape(len(words), -1, bits) @ (1 << np.arange(bits))


def _decoded(q: Any, dtype: Any, group: int) -> np.ndarray:
    """float32: our codes, scales and biases, decoded in a dtype, each operation rounded."""
    scale, bias = (np.repeat(np.asarray(each), group, 1).astype(dtype) for each in (q.scales, q.offsets))
    with np.errstate(all="ignore"):
        return ((np.asarray(q.codes).astype(dtype) * scale).astype(dtype) + bias).astype(np.float32)


def _floats(mx: Any) -> Iterator[dict[str, Any]]:
    for mode, (text, length) in MODES.items():
        for name, x in _inputs("float32"):
            if mode == "nvfp4":  # beyond the largest scale, 448, distances are equal in float32
                x = np.where(np.abs(x) <= 448 * 6, x, np.float32(0))
            packed = mx.quantize(mx.array(x), mode=mode)
            w, scales = map(np.array, packed)
            q = qr.quantize(x, text)
            about, ours = {"format": text, "inputs": name}, np.asarray(q.pack()["scale"]["codes"])
            zeros = (x.reshape(len(x), -1, length) == 0).all(-1)
            why = ZEROS if not (ours != scales)[~zeros].any() else ""
            yield about | {"what": f"scales, mode {mode}", **counted(ours, scales), "why": why}
            theirs = codes(w, 8 if mode == "mxfp8" else 4)
            why = TIES if np.array_equal(_first_level(x, text), theirs) else ""
            yield about | {"what": f"codes, mode {mode}", **counted(q.codes, theirs), "why": why}
            same = theirs == np.asarray(q.codes)
            back = _numpy(mx, mx.dequantize(*packed, mode=mode))
            yield about | {"what": f"values of equal codes, {mode}", **counted(np.asarray(q.dequantize())[same], back[same])}


def _first_level(x: np.ndarray, text: str) -> np.ndarray:
    """Our codes, but with ties toward zero and without minus zero."""
    found = np.asarray(qr.quantize(x, text.replace(":", "~half_toward_zero:")).codes)
    return np.where(found == 8, 0, found)


def _numpy(mx: Any, array: Any) -> np.ndarray:
    return np.array(array.astype(mx.float32))
