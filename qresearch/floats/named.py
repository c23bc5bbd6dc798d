"""The tables of float formats: those with their own name, and families whose names contain the widths."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from qresearch.base.table import Table
from qresearch.floats.float_format import FloatFormat, exmy, fn, fnuz, ieee, p3109, unsigned

FORMATS: Table[FloatFormat] = Table("float format", of=FloatFormat)
FORMATS.add("f64", FloatFormat(11, 52, 2**52 - 1, True), aliases=["float64", "fp64"], doc="IEEE 754 binary64")
FORMATS.add("f32", FloatFormat(8, 23, 2**23 - 1, True), aliases=["float32", "fp32"], doc="IEEE 754 binary32")
FORMATS.add("tf32", FloatFormat(8, 10, 2**10 - 1, True), doc="TensorFloat-32: the upper 19 bits of a float32 (NVIDIA Ampere)")
FORMATS.add("f16", exmy(5, 10), aliases=["float16", "fp16", "e5m10"], doc="IEEE 754 binary16")
FORMATS.add("bf16", exmy(8, 7), aliases=["bfloat16", "e8m7"], doc="bfloat16: the upper half of binary32")
FORMATS.add("e5m2", exmy(5, 2), doc="OCP FP8 E5M2")
FORMATS.add("e4m3", exmy(4, 3), doc="OCP FP8 E4M3: no infinities, one NaN")
FORMATS.add("e3m2", exmy(3, 2), doc="OCP FP6 E3M2")
FORMATS.add("e2m3", exmy(2, 3), doc="OCP FP6 E2M3")
FORMATS.add("e2m1", exmy(2, 1), doc="OCP FP4 E2M1")
FORMATS.add("e8m0", FloatFormat(8, 0, nans=1, signed=False, zero=False), doc="OCP MX scale: powers of two, one NaN")

FAMILIES: Table[Callable[..., FloatFormat]] = Table("family of float formats")
"""Pattern of a name -> the function that makes the format from the numbers in the name."""

FAMILIES.add(
    "e{exponent}m{mantissa}",
    exmy,
    doc="sign, exponent, fraction; OCP where OCP has it, else all codes are numbers",
    examples=["e5m2", "e4m3", "e3m2", "e2m3", "e2m1", "e3m0", "e3m4"],
)
FAMILIES.add(
    "e{exponent}m{mantissa}ieee",
    ieee,
    doc="the last exponent holds infinities and NaNs, as in IEEE 754 (ml_dtypes float8_e4m3, float8_e3m4)",
    examples=["e4m3ieee", "e3m4ieee"],
)
FAMILIES.add("e{exponent}m{mantissa}fn", fn, doc="no infinities, NaN where all bits are ones", examples=["e3m4fn"])
FAMILIES.add(
    "e{exponent}m{mantissa}fnuz",
    fnuz,
    doc="no infinities, one NaN in the place of -0, bias one higher (arXiv 2206.02915; AMD MI300, Graphcore)",
    examples=["e4m3fnuz", "e5m2fnuz"],
)
FAMILIES.add(
    "e{exponent}m{mantissa}b{bias}fnuz",
    fnuz,
    doc="fnuz with a bias of its own (Sun et al. 2019, hybrid FP8, has e4m3b11)",
    examples=["e4m3b11fnuz"],
)
FAMILIES.add("ue{exponent}m{mantissa}", unsigned, doc="unsigned, NaN where all bits are ones", examples=["ue4m3", "ue5m3"])
for _signed, _extended, _tail, _words in (
    (True, True, "se", "signed, with infinities"),
    (True, False, "sf", "signed, finite"),
    (False, True, "ue", "unsigned, with infinities"),
    (False, False, "uf", "unsigned, finite"),
):
    FAMILIES.add(
        f"binary{{width}}p{{precision}}{_tail}",
        partial(p3109, signed=_signed, extended=_extended),
        doc=f"IEEE P3109, {_words}",
        examples=[f"binary8p{p}{_tail}" for p in ((3, 4) if _signed else (4,))],
    )


def find_format(name: str) -> tuple[str, FloatFormat]:
    """The canonical name and the format, by name, alias or pattern. Raises `UnknownName`, with a suggestion.

    >>> find_format("bfloat16")[0], find_format("e4m3fnuz")[1].max
    ('bf16', 240.0)
    """
    if name not in FORMATS and name in FAMILIES:
        found = FAMILIES.find(name)
        return name, found.row.value(**found.numbers)
    return FORMATS.canonical(name), FORMATS[name]
