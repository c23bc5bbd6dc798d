"""Quantizing in two passes, first scales, then codes. Every platform supports it, and kernels replay it."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

from jax import Array

from qresearch.arithmetic.packing import pack_codes
from qresearch.coders.coder import Coder
from qresearch.scales.params import Encoded


def two_passes(quantizer: Any, x: Array) -> Encoded:
    """Codes in the shape of x, and parameters in the shape of the grid of blocks."""
    return Coder.quantize(quantizer, x)


@cache
def packing(bits: int) -> Callable[[Any, Array], Encoded] | None:
    """`two_passes` with codes packed to bytes; None for widths that kernels cannot pack. Always the same function per width."""

    def packed(quantizer: Any, x: Array) -> Encoded:
        encoded = two_passes(quantizer, x)
        return Encoded(pack_codes(encoded.codes, bits), encoded.params)

    return packed if bits in (4, 8) else None
