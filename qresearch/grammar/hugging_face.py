"""The scheme names of compressed-tensors (vLLM, LLM Compressor, Hugging Face), for weights and activations.

As a scheme, such a name means its format for weights: `qr.scheme("W8A8")` is `int8-full@row:bf16`. The scheme for activations
is separate, since it is applied to another array: `interop.HUGGING_FACE["W8A8"].activations`.

The names fix formats: elements, groups, and how scales are stored. Each library chooses scales in its own way: for 4-bit
integers, compressed-tensors divides the largest magnitude by 7.5, we divide it by 7. Weights are [out, in]; activations are
[..., in], so a token is a row. compressed-tensors stores the scales of integers in the dtype of the model; here that is
bfloat16. Its MXFP6 is E2M3.

Reference: `compressed_tensors.quantization.quant_scheme.PRESET_SCHEMES`.
"""

from __future__ import annotations

from dataclasses import dataclass

from qresearch.base.table import Table


@dataclass(frozen=True)
class Pair:
    """The two schemes that a name means.

    Attributes:
        weights: our scheme for weights.
        activations: our scheme for activations; None if they are not quantized.
    """

    weights: str
    activations: str | None = None


HUGGING_FACE: Table[Pair] = Table("scheme of compressed-tensors", of=Pair)
"""name -> schemes of weights and activations."""

_ROWS = {
    "W4A16_ASYM": ("int4-asym@128:bf16", None),
    "W8A8": ("int8-full@row:bf16", "int8-full@row"),
    "INT8": ("int8-full@row:bf16", "int8-full@row"),
    "W4AFP8": ("int4-full@128:bf16", "e4m3@row"),
    "FP8": ("e4m3", "e4m3"),
    "FP8_DYNAMIC": ("e4m3@row", "e4m3@row"),
    "FP8_BLOCK": ("e4m3@128x128", "e4m3@128"),
    "NVFP4A16": ("e2m1@16:e4m3", None),
    "NVFP4": ("e2m1@16:e4m3", "e2m1@16:e4m3"),
    "MXFP4A16": ("e2m1@32:e8m0", None),
    "MXFP4": ("e2m1@32:e8m0", "e2m1@32:e8m0"),
    "MXFP4XFP8": ("e2m1@32:e8m0", "e4m3@128"),
    "MXFP6A16": ("e2m3@32:e8m0", None),
    "MXFP6A8": ("e2m3@32:e8m0", "e4m3@32:e8m0"),
    "MXFP8A16": ("e4m3@32:e8m0", None),
    "MXFP8": ("e4m3@32:e8m0", "e4m3@32:e8m0"),
    **{
        f"W{w}A{a}": (f"int{w}-full@128:bf16", None if a == 16 else f"int{a}-full@row")
        for w, kinds in {2: (4, 8, 16), 3: (4, 8, 16), 4: (4, 8, 16), 5: (8, 16), 6: (8, 16), 7: (8, 16), 8: (16,)}.items()
        for a in kinds
    },
}
for _name, (_weights, _activations) in _ROWS.items():
    HUGGING_FACE.add(_name, Pair(_weights, _activations), doc=f"`{_weights}`, activations {_activations or 'not quantized'}")
