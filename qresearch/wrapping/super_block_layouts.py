"""The super-blocks of K-quants and IQ4_XS as data: where the bits lie, and how the scales are chosen."""

from __future__ import annotations

from qresearch.wrapping.block_bytes import Bits, BlockLayout, Words
from qresearch.wrapping.ggml_fits import Steps
from qresearch.wrapping.small_fields import Run, Runs
from qresearch.wrapping.super_blocks import FromLevels, Procedure, Signed, WithMinimum

_D, _DMIN = Words("scale"), Words("offset")
_PAIRS = Runs(16, (Run("scales", 0, 16, 0, 4), Run("mins", 0, 16, 0, 4, place=4)))
_SIX_BITS = Runs(
    12,
    tuple(
        run
        for part, first, place in (("scales", 0, 0), ("mins", 4, 4))
        for run in (
            Run(part, 0, 4, first, 6),
            Run(part, 4, 4, 8, 4, place=place),
            Run(part, 4, 4, first, 2, first=4, place=6),
        )
    ),
)
_SIX_BITS_OF_16 = Runs(
    12,
    (
        Run("scales", 0, 8, 0, 4),
        Run("scales", 8, 8, 0, 4, place=4),
        *(Run("scales", 4 * k, 4, 8, 2, first=4, place=2 * k) for k in range(4)),
    ),
)
_HIGH_THEN_LOW = Runs(
    6,
    (
        *(Run("scales", k, 2, 0, 2, first=4, place=2 * k, step=4) for k in range(4)),
        *(Run("scales", k, 4, 2, 4, place=4 * k, step=2) for k in range(2)),
    ),
)
_BYTES = Runs(16, (Run("scales", 0, 16, 0, 8),))

LAYOUTS = {
    "iq4_xs": BlockLayout(256, (_D, _HIGH_THEN_LOW, Bits(4, stride=16))),
    "q2_k": BlockLayout(256, (_PAIRS, Bits(2, stride=32), _D, _DMIN)),
    "q3_k": BlockLayout(256, (Bits(1, stride=32, first=2), Bits(2, stride=32), _SIX_BITS_OF_16, _D), excess=4),
    "q4_k": BlockLayout(256, (_D, _DMIN, _SIX_BITS, Bits(4, stride=32))),
    "q5_k": BlockLayout(256, (_D, _DMIN, _SIX_BITS, Bits(1, stride=32, first=4), Bits(4, stride=32))),
    "q6_k": BlockLayout(256, (Bits(4, stride=64), Bits(2, stride=32, first=4), _BYTES, _D), excess=32),
}
"""The name of a type in ggml -> how its super-blocks are stored."""

SCALE_EXCESS = {"q3_k": 32, "iq4_xs": 32}
"""What is added to the scale of a sub-block, so that it is stored unsigned."""

IQ4_LEVELS = (-127.0, -104.0, -83.0, -65.0, -49.0, -35.0, -22.0, -10.0, 1.0, 13.0, 25.0, 38.0, 53.0, 69.0, 89.0, 113.0)
"""The levels of IQ4_NL and IQ4_XS."""

PROCEDURES: dict[str, Procedure] = {
    "iq4_xs": FromLevels(IQ4_LEVELS, 32, 256),
    "q2_k": WithMinimum(16, 3, 15, Steps(-0.5, 0.1, 15, magnitude=True)),
    "q3_k": Signed(4, 32, descends=True),
    "q4_k": WithMinimum(32, 15, 63, Steps(-1, 0.1, 20)),
    "q5_k": WithMinimum(32, 31, 63, Steps(-0.5, 0.1, 15)),
    "q6_k": Signed(32, 128, descends=False),
}
"""The name of a type in ggml -> how its scales are chosen."""
