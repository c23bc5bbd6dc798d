"""The oracle: `docs/arithmetic.md` once more, in NumPy and Python integers, sharing no arithmetic with the library.

It is written for clarity, not for speed: blocks are loops over slices, float formats are enumerated from their definition,
and every comparison that decides a code is exact. It takes only random numbers from JAX.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from qresearch.testing.oracle import fit as fitting
from qresearch.testing.oracle import nearest, wrapping
from qresearch.testing.oracle.blocks import grouped, of_groups, spread
from qresearch.testing.oracle.coder import OracleCoder
from qresearch.testing.oracle.decode import OracleParams, clipped, decode, on_grid
from qresearch.testing.oracle.description import Block, Description
from qresearch.testing.oracle.fit import drawn
from qresearch.testing.oracle.float32 import FLUSHING, Arithmetic
from qresearch.testing.oracle.grids import Floats, Vectors
from qresearch.testing.oracle.reading import describe


@dataclass(frozen=True, eq=False)
class OracleResult:
    """What the definition yields for an array.

    Attributes:
        codes: int64, the shape of the array; one for each group, where a code stands for several numbers.
        scale: float32, one number a block, as stored; None where the scheme has no scale.
        offset: the zero point (int64) or the stored minimum (float32), one a block; None for symmetric schemes.
        values: float32, the dequantized array.
    """

    codes: np.ndarray
    scale: np.ndarray | None
    offset: np.ndarray | None
    values: np.ndarray


def quantize(x: Any, scheme: Any, key: Any = None, weights: Any = None, keeps_subnormals: bool = False) -> OracleResult:
    """Quantizes an array by the definition.

    Args:
        x: floats, any shape.
        scheme: a text, a Spec, a Quantizer or a `Description`.
        key: a JAX key, if a rounding is stochastic.
        weights: of the statistics, broadcastable to `x`.
        keeps_subnormals: whether the modelled processor does (XLA on CPU does not).

    Raises:
        NotDescribed: if the definition does not know a part of the scheme.
    """
    arithmetic = Arithmetic(keeps_subnormals)
    description = describe(scheme)
    coder = coder_of(description, arithmetic)
    with np.errstate(over="ignore"):
        x = np.asarray(x).astype(np.float32)
    params = coder.fit(x, key, weights)
    codes = coder.encode(x, params, drawn(description, key, x.shape))
    _, blocks = coder.core(params)
    return OracleResult(codes, blocks and blocks.stored, blocks and blocks.offset, coder.decode(codes, params, x.shape))


def coder_of(scheme: Description, arithmetic: Arithmetic = FLUSHING) -> OracleCoder:
    """The scheme with its wrappers as one coder: fit, encode, decode, clipped, gradient."""
    coder: OracleCoder = Plain(replace(scheme, wrappers=()), arithmetic)
    for each in scheme.wrappers:
        coder = wrapping.wrap(each, coder, arithmetic, coder_of)
    return coder


@dataclass(frozen=True, eq=False)
class Plain(OracleCoder):
    """A scheme without wrappers. Its parameters are `OracleParams`, None for a cast."""

    scheme: Description
    arithmetic: Arithmetic

    def fit(self, x: np.ndarray, key: Any, weights: Any) -> OracleParams | None:
        """Section 1."""
        return None if self.scheme.unit else fit(x, self.scheme, key, weights, self.arithmetic)

    def encode(self, x: np.ndarray, params: Any, u: np.ndarray | None) -> np.ndarray:
        """Sections 2 and 3; `unit` encodes numbers as they are."""
        y, shift = on_grid(x, self.scheme, params, self.arithmetic)
        scheme = self.scheme
        if isinstance(scheme.grid, Vectors):
            return of_groups(scheme.grid.encode(grouped(y, scheme.block), self.arithmetic), scheme.block)
        codes = nearest.encode(y, scheme.grid, scheme.rounding, shift, u, scheme.unit, self.arithmetic)
        if scheme.minus_zero or not isinstance(scheme.grid, Floats):
            return codes
        return np.where(codes == scheme.grid.codes_per_sign, 0, codes)

    def decode(self, codes: np.ndarray, params: Any, shape: tuple[int, ...]) -> np.ndarray:
        """Section 4."""
        return decode(codes, self.scheme, params, shape, self.arithmetic)

    def clipped(self, x: np.ndarray, params: Any) -> np.ndarray:
        """Section 5."""
        return clipped(x, self.scheme, params)

    def piece(self, params: Any, shape: tuple[int, ...], where: Any) -> tuple[OracleCoder, Any]:
        """Elements at `where`, each a block of its own; `ValueError` where a code stands for several."""
        if self.scheme.group > 1:
            raise ValueError(f"codes stand for groups of {self.scheme.group} numbers, which cannot be encoded one by one")
        if params is None:
            return self, None
        each = [params.encoding, params.stored, params.offset]
        cut: list[Any] = [None if a is None else spread(a, self.scheme.block, shape)[where] for a in each]
        return replace(self, scheme=replace(self.scheme, block=Block(()))), OracleParams(*cut)


def fit(
    x: np.ndarray, scheme: Description, key: Any = None, weights: Any = None, arithmetic: Arithmetic = FLUSHING
) -> OracleParams:
    """Scales and offsets of every block: section 1."""
    return fitting.fit(x, scheme, key, weights, arithmetic, coder_of)
