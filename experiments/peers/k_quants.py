"""K-quants, IQ4_NL and IQ4_XS: compares with the bytes that ggml's own C code writes, and the values that it reads.

python -m experiments.peers.k_quants [weights.safetensors]      (needs ggml-compiler; the weights are optional)
"""

from __future__ import annotations

import ctypes
import importlib.util
import sys
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np

import qresearch as qr
from experiments.peers.ggml import WIDTH, arrays
from experiments.peers.row import comparison, version
from qresearch.scales.params import Encoded
from qresearch.wrapping.ggml import LAYOUTS as PLAIN
from qresearch.wrapping.super_block_layouts import LAYOUTS

PEER = "ggml-compiler"
ROWS = 256
PRESETS = {name: name for name in LAYOUTS} | {"iq4_nl": "iq4_nl-refined"}
_ZERO_SCALE = "codes of sub-blocks whose scale is stored as zero: zero here, those of the search there; they decode to the same"
_SUBNORMAL = "numbers of the search that are subnormal count as zero here; equal if the processor flushes them there too"
_POLICY = {
    "overflow": "a scale beyond float16 becomes an infinity there, 65504 here",
    "tiny scales": "an inverse scale overflows float32: infinity times zero is rounded to an arbitrary integer there",
}
"""The reason of what still differs then, where that is expected."""


@lru_cache
def library() -> ctypes.CDLL:
    """The C library of the package. Raises `ImportError` if it is not installed."""
    found = importlib.util.find_spec("ggml_compiler")
    if found is None or found.origin is None:
        raise ImportError("ggml-compiler is not installed", name=PEER)
    return ctypes.CDLL(str(Path(found.origin).parent / "lib" / "libggml_compiler_rt.so"))


def _called(name: str) -> str:
    """The name of a type in C: q4_k -> q4_K."""
    return name.removesuffix("k") + "K" if name.endswith("_k") else name


def _layout(name: str) -> Any:
    return LAYOUTS.get(name) or PLAIN[name]


def quantize(name: str, x: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray:
    """uint8 [rows, bytes of a row], from float32 [rows, columns] and the importance of the columns or None."""
    rows, columns = x.shape
    layout = _layout(name)
    x, data = np.ascontiguousarray(x, np.float32), np.zeros((rows, columns // layout.length * layout.nbytes), np.uint8)
    weights = None if weights is None else np.ascontiguousarray(weights, np.float32)
    function = library()[f"quantize_{_called(name)}"]
    function.restype, pointer, count = ctypes.c_size_t, ctypes.c_void_p, ctypes.c_int64
    function.argtypes = [pointer, pointer, count, count, pointer]
    given = None if weights is None else weights.ctypes.data
    written = function(x.ctypes.data, data.ctypes.data, rows, columns, given)
    assert written == data.size
    return data


def dequantize(name: str, data: np.ndarray, columns: int) -> np.ndarray:
    """float32 [rows, columns], from uint8 [rows, bytes of a row]."""
    data, values = np.ascontiguousarray(data), np.zeros((len(data), columns), np.float32)
    function = library()[f"dequantize_row_{_called(name)}"]
    function.restype, function.argtypes = None, [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64]
    function(data.ctypes.data, values.ctypes.data, values.size)
    return values


def compare(weights: Path | None = Path("weights/model.safetensors")) -> list[dict[str, Any]]:
    """Rows for each type: bytes with and without an importance matrix, the values that both read."""
    library()
    return [row for name, preset in PRESETS.items() for row in _of_type(name, preset, weights)]


def _of_type(name: str, preset: str, weights: Path | None) -> Iterator[dict[str, Any]]:
    importance = np.random.default_rng(2).uniform(0, 3, WIDTH).astype(np.float32)
    for what, given in arrays(weights):
        x = np.resize(given[:ROWS, :WIDTH], (ROWS, WIDTH))  # of one shape, so that each type is compiled once
        for kind, matrix in (("write", None), ("write by importance,", importance)):
            ours = qr.quantize(x, preset, weights=matrix)
            data, theirs = np.asarray(ours.pack()["blocks"]), quantize(name, x, matrix)
            yield _row(name, f"{kind} {what}", data, theirs, _reason(name, preset, what, x, matrix, ours))
        again = qr.from_packed({"blocks": theirs}, preset, x.shape).dequantize()
        yield _row(name, f"read {what}", np.asarray(again), dequantize(name, theirs, WIDTH), _POLICY.get(what, ""))


def _reason(name: str, preset: str, what: str, x: np.ndarray, weights: np.ndarray | None, ours: qr.QTensor) -> str:
    """Why bytes differ, found by repeating the comparison without what may be the cause."""
    import torch

    data = np.asarray(ours.pack()["blocks"])
    if (data == _with_codes_of(ours, quantize(name, x, weights), preset)).all():
        return _ZERO_SCALE
    torch.set_flush_denormal(True)
    flushed = quantize(name, x, weights)
    torch.set_flush_denormal(False)
    return _SUBNORMAL if (data == _with_codes_of(ours, flushed, preset)).all() else _POLICY.get(what, "")


def _with_codes_of(ours: qr.QTensor, theirs: np.ndarray, preset: str) -> np.ndarray:
    """Their bytes, with our codes in the sub-blocks whose scale is stored as zero."""
    read = qr.from_packed({"blocks": theirs}, preset, ours.shape)
    scales = np.asarray(read.scales)
    zero = np.repeat(scales == 0, ours.shape[-1] // scales.shape[-1], axis=-1)
    codes = np.where(zero, np.asarray(ours.codes), np.asarray(read.codes))
    encoded = Encoded(jnp.asarray(codes), read.fitted.params)
    return np.asarray(read.quantizer.packer.pack(encoded)["blocks"])


def _row(name: str, what: str, ours: np.ndarray, theirs: np.ndarray, why: str) -> dict[str, Any]:
    return comparison(name, PEER, what, ours, theirs, why, bits=False) | {"version": version(PEER)}


def main(arguments: list[str]) -> int:
    """Prints the rows as a table."""
    import pandas as pd

    rows = compare(*map(Path, arguments[:1]))
    print(pd.DataFrame(rows).to_string(index=False))
    return int(any(row["differing"] and not row["why"] for row in rows))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
