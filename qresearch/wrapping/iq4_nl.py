"""IQ4_NL with the scale that llama.cpp searches for: `qr.quantize(x, "iq4_nl-refined")`, with or without an importance matrix.

`iq4_nl` takes the scale from the number of largest magnitude. The wrapper here tries 16 scales and takes the one of least
weighted squared error, as `quantize_iq4_nl` in `ggml-quants.c` of https://github.com/ggml-org/ggml does.
"""

from __future__ import annotations

import jax.numpy as jnp
from jax import Array

from qresearch.base.part import part
from qresearch.coders.coder import Coder
from qresearch.scales.params import Params
from qresearch.wrapping.ggml import GGML, ggml
from qresearch.wrapping.super_block_layouts import IQ4_LEVELS
from qresearch.wrapping.super_blocks import FromLevels, finite, row_blocks
from qresearch.wrapping.table import WRAPPERS

_PROCEDURE = FromLevels(IQ4_LEVELS, 32, 32)


@part
class RefinedIQ4NL(GGML):
    """The blocks of IQ4_NL with a searched scale."""

    def fit(self, x: Array, weights: Array | None = None, key: Array | None = None) -> Params:
        """The scales of an array; `weights` is the importance matrix, float32, not negative, broadcast to x."""
        if weights is not None:
            weights = row_blocks(jnp.broadcast_to(weights, x.shape), 32).T
        found = _PROCEDURE.fit(row_blocks(finite(x), 32).T, weights)
        scale = found.d.reshape(self.layout(x.shape).grid)
        return self.inner.adapt(x, Params(self.inner.scaling.scale.store(scale, None, 0), None, scale))


def refined(inner: Coder) -> RefinedIQ4NL:
    """Stores a quantizer in the blocks of IQ4_NL. Raises `ValueError` if it is not the one that the preset has."""
    plain = ggml("iq4_nl", inner)
    if not plain.inner.scaling.exact:
        raise ValueError("ggml_iq4_nl_refined encodes with the scale before it is stored; write the preset 'iq4_nl-refined'")
    return RefinedIQ4NL(plain.inner, plain.stored, plain.name)


WRAPPERS.add(
    "ggml_iq4_nl_refined",
    refined,
    doc="the scales and bytes of ggml's IQ4_NL: the best of 16 scales",
    examples=["ggml_iq4_nl_refined"],
)
