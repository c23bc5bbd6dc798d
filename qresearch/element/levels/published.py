"""Published codebooks: tables of levels, each with its source. A row added here is an element in the API, sweeps and tests."""

from __future__ import annotations

from qresearch.base.table import Table

CODEBOOKS: Table[tuple[float, ...]] = Table("codebook")

CODEBOOKS.add(
    "iq4nl",
    (-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113),
    doc="the non-linear 4-bit levels of ggml's IQ4_NL, in units of the least, -127 (`kvalues_iq4nl`); none is zero",
)
_NF4 = (
    -1.0, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453,
    -0.28444138169288635, -0.18477343022823334, -0.09105003625154495, 0.0,
    0.07958029955625534, 0.16093020141124725, 0.24611230194568634, 0.33791524171829224,
    0.44070982933044434, 0.5626170039176941, 0.7229568362236023, 1.0,
)  # fmt: skip
CODEBOOKS.add(
    "nf4",
    _NF4,
    doc="4-bit NormalFloat: quantiles of the normal distribution with an exact zero (QLoRA, arXiv 2305.14314, appendix E)",
)

_FP4 = (0.0, 0.0625, 2.0, 3.0, 4.0, 6.0, 8.0, 12.0)
CODEBOOKS.add(
    "fp4bnb",
    tuple(sorted({sign * level / 12 for level in _FP4 for sign in (-1, 1)})),
    doc="FP4 of bitsandbytes (its 4-bit kernels): 0, 1/16, 2, 3, 4, 6, 8, 12 over 12, and a sign; not OCP E2M1",
)
