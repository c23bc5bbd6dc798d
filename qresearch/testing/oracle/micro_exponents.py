"""The oracle's pairs with a shared micro-exponent (section 9 of `docs/arithmetic.md`). NumPy only."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from qresearch.testing.oracle.float32 import Arithmetic
from qresearch.testing.oracle.vectors import Vectors, held


@dataclass(frozen=True, eq=False)
class MicroExponents(Vectors):
    """Pairs; `levels` are some. Build it with `micro_exponents`.

    Attributes:
        magnitude_bits: m.
    """

    magnitude_bits: int = 1

    @property
    def ends(self) -> tuple[float, float]:
        """The largest magnitude has all bits set."""
        end = (2.0**self.magnitude_bits - 1) * 2.0 ** (1 - self.magnitude_bits)
        return -end, end

    @property
    def span(self) -> tuple[np.ndarray, np.ndarray]:
        """The same in both places."""
        return np.full(2, self.ends[0]), np.full(2, self.ends[1])

    @property
    def least_distance(self) -> float:
        """The finer step."""
        return 2.0**-self.magnitude_bits

    def encode(self, groups: np.ndarray, arithmetic: Arithmetic) -> np.ndarray:
        """int64 [...]."""
        pairs = held(groups, np.float32(self.ends[1])).astype(np.float64)
        fine = (np.abs(pairs) < 1).all(-1)
        step = np.where(fine, 2.0**-self.magnitude_bits, 2.0 ** (1 - self.magnitude_bits))[..., None]
        count = np.minimum(np.rint(np.abs(pairs) / step), 2**self.magnitude_bits - 1).astype(np.int64)
        field = count + 2**self.magnitude_bits * ((pairs < 0) & (count > 0))
        base = 2 ** (self.magnitude_bits + 1)
        return field[..., 0] + base * field[..., 1] + base**2 * fine

    def decode(self, codes: np.ndarray) -> np.ndarray:
        """float32 [..., 2]."""
        base = 2 ** (self.magnitude_bits + 1)
        fields = np.stack([codes % base, codes // base % base], -1)
        step = np.where(codes // base**2 == 1, 2.0**-self.magnitude_bits, 2.0 ** (1 - self.magnitude_bits))[..., None]
        sign = np.where(fields >= base // 2, -1.0, 1.0)
        return (sign * (fields % (base // 2)) * step).astype(np.float32)


def micro_exponents(magnitude_bits: int, reach: float) -> MicroExponents:
    """The grid; its levels are those of some codes that encoding gives."""
    plain = MicroExponents(np.zeros((1, 2)), reach, magnitude_bits)
    codes = np.random.default_rng(3).integers(0, 2 ** (2 * magnitude_bits + 3), 400)
    levels = np.unique(plain.decode(codes).astype(np.float64) + 0.0, axis=0)
    return MicroExponents(levels, reach, magnitude_bits)
