"""Round trips of files and tensors: GGUF files with gguf, tensors with torch, names of schemes with compressed-tensors."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np

import qresearch as qr
from experiments.peers.row import comparison
from qresearch import interop
from qresearch.interop.gguf_file import PRESETS

X = np.random.default_rng(0).standard_normal((64, 512)).astype(np.float32)
CASTS = ("e4m3", "e5m2", "e8m0", "f16", "bf16")


def compare() -> list[dict[str, Any]]:
    """Rows for our files read by gguf, files of gguf read by us, our bytes in torch, and names of schemes."""
    return [*_ours_in_gguf(), *_gguf_in_ours(), *_torch(), *_names()]


def _ours_in_gguf() -> list[dict[str, Any]]:
    import gguf

    made = {name: qr.quantize(X, preset) for name, preset in PRESETS.items()}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "ours.gguf"
        interop.save_gguf(path, {**made, "plain": X})
        read = {each.name: each for each in gguf.GGUFReader(path).tensors}
        again = interop.load_gguf(path)
        rows = [comparison("f32", "gguf", "a file of ours, read by us", again["plain"], X, bits=False)]
        for name, q in made.items():
            theirs = gguf.quants.dequantize(np.array(read[name].data), read[name].tensor_type)
            rows.append(comparison(name, "gguf", "a file of ours, read by gguf", q.dequantize(), theirs, bits=False))
            rows.append(
                comparison(name, "gguf", "a file of ours, read by us", _values(again[name]), q.dequantize(), bits=False)
            )
    return rows


def _gguf_in_ours() -> list[dict[str, Any]]:
    import gguf

    kinds = [
        gguf.GGMLQuantizationType[name.upper()] for name in ("q4_0", "q4_1", "q5_0", "q5_1", "q8_0", "tq1_0", "tq2_0", "mxfp4")
    ]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "theirs.gguf"
        writer = gguf.GGUFWriter(str(path), "test")
        for kind in kinds:
            writer.add_tensor(kind.name, gguf.quants.quantize(X, kind), raw_dtype=kind)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
        found = interop.load_gguf(path)
    rows = []
    for kind in kinds:
        theirs = gguf.quants.dequantize(gguf.quants.quantize(X, kind), kind)
        rows.append(
            comparison(kind.name.lower(), "gguf", "a file of gguf's, read by us", _values(found[kind.name]), theirs, bits=False)
        )
    return rows


def _torch() -> list[dict[str, Any]]:
    import torch

    rows = []
    for name in CASTS:
        q = qr.quantize(np.abs(X), name if name in ("e8m0", "f16", "bf16") else f"{name}-unit")
        part = interop.to_torch(q)["codes"]
        numbers = part.data.view(getattr(torch, part.dtype)).to(torch.float32).numpy()
        rows.append(comparison(name, "torch", f"our bytes as torch.{part.dtype}", q.dequantize(), numbers, bits=False))
    return rows


def _names() -> list[dict[str, Any]]:
    from compressed_tensors.quantization.quant_scheme import PRESET_SCHEMES

    theirs = set(PRESET_SCHEMES) - {"UNQUANTIZED"}
    known = theirs & set(interop.HUGGING_FACE)
    row = {
        "format": "-",
        "peer": "compressed-tensors",
        "what": "names of schemes",
        "compared": len(theirs),
        "equal": len(known),
    }
    return [row | {"differing": len(theirs) - len(known), "why": ", ".join(sorted(theirs - known))}]


def _values(q: Any) -> Any:
    return q.dequantize()


if __name__ == "__main__":
    import pandas as pd

    print(pd.DataFrame(compare()).to_string(index=False))
