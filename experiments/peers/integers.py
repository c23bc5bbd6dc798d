"""What is compared for integer formats, block by block, and the reasons for which two correct implementations may differ.

A reason is checked in NumPy, on every number of both sides.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

import qresearch as qr
from experiments.peers import inputs

F32 = np.float32

FORMATS = {
    "int8": ("int8@row", None),
    "int8@row": ("int8@row", 256),
    "int4@32": ("int4@row", 32),
    "int8-asym": ("int8-asym@row", None),
    "int8-asym@row": ("int8-asym@row", 256),
    "uint8-asym": ("uint8-asym@row", None),
    "int4-asym@32": ("int4-asym@row", 32),
}
"""Format -> the scheme on a matrix whose rows are the blocks, and the length of a row (None: all in one)."""


@dataclass(frozen=True)
class Blocks:
    """What we make of some blocks: what a peer is given, and what it is compared with. A block a row.

    Attributes:
        format: by name.
        x: float32 [blocks, length].
        codes: int32 [blocks, length].
        values: float32 [blocks, length].
        scale: float32 [blocks, 1].
        zero: int32 [blocks, 1]; zeros in symmetric formats.
        least: the least code.
        most: the largest.
    """

    format: str
    x: np.ndarray
    codes: np.ndarray
    values: np.ndarray
    scale: np.ndarray
    zero: np.ndarray
    least: int
    most: int

    @property
    def asymmetric(self) -> bool:
        """Whether there is a zero point."""
        return "asym" in self.format

    @property
    def inverse(self) -> np.ndarray:
        """float32: the reciprocal of the scales, rounded."""
        return F32(1) / self.scale

    def code(self, y: np.ndarray) -> np.ndarray:
        """int32: numbers in units of the scale -> codes, ties to even, before the zero point is added."""
        return np.clip(np.rint(y) + self.zero, self.least, self.most).astype(np.int32)


def blocks(name: str) -> Iterator[tuple[str, Blocks]]:
    """Each input, quantized by a format."""
    text, length = FORMATS[name]
    grid = qr.build(text).element.grid
    least, most = (int(end) for end in grid.ends)
    for source, x in inputs.every(np.arange(least, most + 1)).items():
        if length is None and source == "powers":
            x = x[np.abs(x) < 2.0**10]  # one scale for 200 octaves would leave nothing but zeros
        rows = inputs.matrix(x, length or len(x))
        q = qr.quantize(rows, text)
        zero = np.zeros_like(q.scales, np.int32) if q.offsets is None else np.array(q.offsets, np.int32)
        codes, values = np.asarray(q.codes, np.int32), np.asarray(q.dequantize())
        # torch warns of arrays that cannot be written to, as those of JAX are: a copy of the scales can be.
        yield source, Blocks(name, rows, codes, values, np.array(q.scales), zero, least, most)


@dataclass(frozen=True)
class Check:
    """One function of a peer.

    Attributes:
        peer: the package.
        what: what is compared.
        theirs: `Blocks -> array`, by the peer.
        ours: `Blocks -> array`.
        reasons: `(Blocks, theirs) -> bool`, with the words that hold if it is true for all blocks.
        formats: the formats that the peer has.
    """

    peer: str
    what: str
    theirs: Callable[[Blocks], np.ndarray]
    ours: Callable[[Blocks], np.ndarray]
    reasons: tuple[tuple[Callable[[Blocks, np.ndarray], bool], str], ...] = ()
    formats: tuple[str, ...] = tuple(FORMATS)


def codes_of(b: Blocks) -> np.ndarray:
    """Our codes."""
    return b.codes


def values_of(b: Blocks) -> np.ndarray:
    """Our values."""
    return b.values


def scales_of(b: Blocks) -> np.ndarray:
    """Our scales."""
    return b.scale


def zeros_of(b: Blocks) -> np.ndarray:
    """Our zero points."""
    return b.zero


def sides(b: Blocks, theirs: np.ndarray) -> np.ndarray:
    """Int [2]: among the codes that differ, how many of theirs and of ours are what the exact quotient gives, in float64."""
    exact, differ = b.code(b.x.astype(np.float64) / b.scale), theirs != b.codes
    return np.array([(theirs == exact)[differ].sum(), (b.codes == exact)[differ].sum()])


def _width(b: Blocks) -> np.ndarray:
    """float32 [blocks, 1]: absmax, or the length of the interval that includes zero; the scale is proportional to it."""
    low, high = np.minimum(b.x.min(1, keepdims=True), 0), np.maximum(b.x.max(1, keepdims=True), 0)
    return high - low if b.asymmetric else np.maximum(-low, high)


def _divided_scale(b: Blocks, theirs: np.ndarray) -> bool:
    """Theirs is the quotient, ours within an ulp of it."""
    quotient = _width(b) / F32(b.most - b.least if b.asymmetric else b.most)
    return np.array_equal(theirs, quotient) and bool((np.abs(b.scale - quotient) <= np.spacing(quotient)).all())


def _wider_scale(b: Blocks, theirs: np.ndarray) -> bool:
    """Theirs spans half a step more on either side."""
    steps = F32(2 ** (int(b.most).bit_length() + 1) - 1) / F32(2)
    return np.array_equal(theirs, _width(b) / steps)


def _divided_zero(b: Blocks, theirs: np.ndarray) -> bool:
    """Both follow their own definition from the lower end of the interval."""
    low = np.minimum(b.x.min(1, keepdims=True), 0)
    own = _width(b) / F32(b.most - b.least)
    steps, products = np.rint(low / own), np.rint(low * b.inverse)
    agree = np.array_equal(theirs, np.clip(b.least - steps, b.least, b.most).astype(np.int32))
    return agree and np.array_equal(b.zero, np.clip(b.least - products, b.least, b.most).astype(np.int32))


def _rounded_sum_zero(b: Blocks, theirs: np.ndarray) -> bool:
    """Theirs rounds `least - low / scale` as a whole."""
    low = np.minimum(b.x.min(1, keepdims=True), 0)
    steps = low / (_width(b) / F32(b.most - b.least))
    return np.array_equal(theirs, np.rint(np.clip(F32(b.least) - steps, b.least, b.most)).astype(np.int32))


def _by_definition(b: Blocks) -> bool:
    return np.array_equal(b.codes, b.code(b.x * b.inverse))


def divided_codes(b: Blocks, theirs: np.ndarray) -> bool:
    """Ours rounds the product with the reciprocal, theirs the quotient."""
    return _by_definition(b) and np.array_equal(theirs, b.code(b.x / b.scale))


def _summed_codes(b: Blocks, theirs: np.ndarray) -> bool:
    """Theirs adds the zero point to the quotient before it rounds."""
    total = np.clip(b.x / b.scale + b.zero.astype(F32), b.least, b.most)
    return _by_definition(b) and np.array_equal(theirs, np.rint(total).astype(np.int32))


def _summed_products(b: Blocks, theirs: np.ndarray) -> bool:
    """Theirs adds the zero point to the product in one fused operation, then rounds."""
    total = np.clip((b.x.astype(np.float64) * b.inverse + b.zero).astype(F32), b.least, b.most)
    return _by_definition(b) and np.array_equal(theirs, np.rint(total).astype(np.int32))


SCALE = (
    (
        _divided_scale,
        "both by definition: the peer divides, we multiply by the constant's reciprocal: at most an ulp beside the quotient",
    ),
)
WIDER = (
    (
        _wider_scale,
        "another definition: the peer's scale is absmax / (qmax + 1/2), so that +absmax clips; ours maps absmax to qmax",
    ),
)
ZERO = (
    (_divided_zero, "both by definition: the peer rounds min / s with its own s, we min * (1 / s) with ours, an ulp apart"),
    (
        _rounded_sum_zero,
        "both by definition: the peer rounds qmin - min / s as one number, we round min / s: they part at ties",
    ),
)
CODES = (
    (divided_codes, "both by definition: the peer rounds x / s, we x * (1 / s), as torch and ggml do: they part beside a tie"),
    (
        _summed_codes,
        "both by definition: the peer rounds x / s + z as one sum, we x * (1 / s) and add z then: they part at a tie",
    ),
    (
        _summed_products,
        "both by definition: the peer rounds x * (1 / s) + z, fused, which drops bits; we add z to the rounded product",
    ),
)

SYMMETRIC = tuple(name for name in FORMATS if "asym" not in name)
ASYMMETRIC = tuple(name for name in FORMATS if "asym" in name)
