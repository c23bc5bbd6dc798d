"""Dynamic-exponent maps: a run of zeros encodes the exponent, so each number divides its bits between exponent and fraction.

After the sign come zeros, a one that ends them, and a linear fraction in the remaining bits. Dettmers, "8-Bit Approximations
for Parallelism in Deep Learning" (arXiv 1511.04561); the form here, with exact 0 and 1, is that of "8-bit Optimizers via
Block-wise Quantization" (arXiv 2110.02861).
"""

from __future__ import annotations

import numpy as np

from qresearch.element.levels.book import check_width


def dynamic_map(bits: int, exponent: int | None = None, signed: bool = True) -> np.ndarray:
    """The levels of a dynamic map, float64 [2^bits], ascending.

    Exponent i, from 0 to n - 1, covers [0.1, 1] * 10^(i - n + 1) with the midpoints of equal steps. There are 2^(i + r) steps
    for each sign, where r = bits - 1 - n bits always belong to the fraction; without a sign there are twice that many. Zero
    and one take two more codes. For r > 0 some codes remain; they are the midpoints of equal steps that divide [0.1, 1] again.

    Args:
        bits: the width of a code, 2 to 16.
        exponent: n, the longest exponent, 1 to `bits - 1`; `bits - 1` by default.
        signed: whether one bit is the sign.

    Raises:
        ValueError: for any other width or exponent.

    >>> levels = dynamic_map(8)
    >>> len(levels), float(levels[-1]), round(float(levels[0]), 8), f"{min(levels[levels > 0]):.1e}"
    (256, 1.0, -0.99296875, '5.5e-07')
    """
    name = f"{'' if signed else 'u'}dynamic{bits}"
    check_exponent(name if exponent is None else f"{name}e{exponent}", bits, exponent)
    n = bits - 1 if exponent is None else exponent
    signs = 2 if signed else 1
    steps = [2 ** (i + bits - 1 - n) * 2 // signs for i in range(n)]
    magnitudes = [_middles(count) * 10.0 ** (i - n + 1) for i, count in enumerate(steps)]
    spare = (2**bits - 2) // signs - sum(steps)
    positive = np.concatenate([*magnitudes, _middles(spare)])
    return np.sort(np.concatenate([-positive if signed else positive[:0], positive, [0.0, 1.0]]))


def check_exponent(name: str, bits: int, exponent: int | None = None) -> None:
    """Raises `ValueError` for a width or a longest exponent that a dynamic map cannot have."""
    check_width(name, bits)
    if exponent is not None and not 1 <= exponent <= bits - 1:
        raise ValueError(f"{name}: the longest exponent must be 1 to {bits - 1} bits, not {exponent}")


def _middles(count: int) -> np.ndarray:
    """The midpoints of `count` equal steps that divide [0.1, 1]."""
    edges = np.linspace(0.1, 1, count + 1)
    return (edges[:-1] + edges[1:]) / 2
