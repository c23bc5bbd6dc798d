"""QLoRA's double quantization against bitsandbytes: `quantize_4bit(compress_statistics=True)` and the preset `qlora-double`.

python -m experiments.peers.double        # needs torch and bitsandbytes
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import jax.numpy as jnp
import numpy as np

import qresearch as qr
from experiments.peers.row import comparison
from qresearch.coders.qtensor import Fitted, QTensor
from qresearch.scales.params import Encoded, Params
from qresearch.wrapping.wrapper import Kept

PRESET = "qlora-double"
"""nf4-exact@64:(dynamic8@256 + mean)"""

LEVELS = "72 of their 256 levels are a float32 rounding off: their map takes its fractions in float32"
NEAREST = "their 8-bit encoder on CPU takes a neighbour of the nearest level near ties"


def compare() -> list[dict[str, Any]]:
    """A row for each array and part."""
    return [row for name, x in arrays() for row in _rows(name, x)]


def arrays() -> Iterator[tuple[str, np.ndarray]]:
    """Names and float32 vectors."""
    random = np.random.default_rng(0)
    yield "normal", random.standard_normal(2**20).astype(np.float32)
    yield "Student t(3)", random.standard_t(3, 2**20).astype(np.float32)
    yield "uniform, ragged", random.uniform(-1, 1, 64 * 1000 + 13).astype(np.float32)


def _rows(name: str, x: np.ndarray) -> Iterator[dict[str, Any]]:
    import bitsandbytes.functional as bnb
    import torch

    packed, state = bnb.quantize_4bit(torch.from_numpy(x.copy()), blocksize=64, compress_statistics=True, quant_type="nf4")
    bytes_ = packed.numpy().ravel()
    codes = np.stack([bytes_ >> 4, bytes_ & 15], -1).ravel()[: x.size]  # the high nibble first
    mean = state.offset.numpy().reshape(1)
    scale = Encoded(state.absmax.numpy().ravel(), Kept(Params(state.state2.absmax.numpy()), mean[0]))
    values = bnb.dequantize_4bit(packed, state).numpy().ravel()

    levels = ",".join(repr(float(level)) for level in state.state2.code.numpy())
    schemes = {"": PRESET, ", with their levels": f"nf4-exact@64:(codebook({levels})@256 + mean)"}
    for words, scheme in schemes.items():
        ours = qr.quantize(x, scheme)
        stored = ours.fitted.params.scale
        reasons = NEAREST if words else f"{LEVELS}; {NEAREST}"
        yield _compared(f"{name}: codes{words}", ours.codes, codes, "")
        yield _compared(f"{name}: mean of the scales{words}", np.reshape(stored.params.own, 1), mean, "")
        yield _compared(f"{name}: codes of the scales{words}", stored.codes, scale.codes, reasons)
        yield _compared(f"{name}: values{words}", ours.dequantize(), values, reasons)
        read = QTensor(jnp.asarray(codes), Fitted(Params(scale), ours.quantizer, len(ours.shape)))
        yield _compared(f"{name}: values of their bytes, read by us{words}", read.dequantize(), values, LEVELS)


def _compared(what: str, ours: Any, theirs: Any, why: str) -> dict[str, Any]:
    return comparison(PRESET, "bitsandbytes", what, ours, theirs, why, bits=False)


if __name__ == "__main__":
    import pandas as pd

    print(pd.DataFrame(compare()).to_string(index=False))
