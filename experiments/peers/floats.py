"""Float formats: gfloat and ml_dtypes. Compares the value of every code, and rounding in every mode.

gfloat rounds in float64, with a given rounding and saturation; ml_dtypes casts float32 to nearest even and never saturates.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import jax.numpy as jnp
import numpy as np

import qresearch as qr
from experiments.peers.inputs import every
from experiments.peers.row import agreeing, comparison
from qresearch.floats.float_format import FloatFormat
from qresearch.floats.named import find_format

NAMES: tuple[str, ...] = ("f16", "bf16", "tf32", "e5m2", "e4m3", "e3m2", "e2m3", "e2m1", "e8m0")
NAMES += ("e4m3fnuz", "e5m2fnuz", "e4m3b11fnuz", "e4m3ieee", "e3m4ieee", "ue4m3", "ue5m3", "e3m0")
P3109 = tuple(
    f"binary{k}p{p}{tail}" for k in (4, 6, 8) for p in range(1, k) for tail in ("se", "sf", "ue", "uf") if (k, p) != (8, 1)
)

ROUNDINGS = {
    "even": "TiesToEven",
    "half_away": "TiesToAway",
    "toward_zero": "TowardZero",
    "up": "TowardPositive",
    "down": "TowardNegative",
}
"""Our roundings -> gfloat's."""

ML_DTYPES = {
    "f16": "float16",
    "bf16": "bfloat16",
    "e5m2": "float8_e5m2",
    "e4m3": "float8_e4m3fn",
    "e4m3fnuz": "float8_e4m3fnuz",
    "e5m2fnuz": "float8_e5m2fnuz",
    "e4m3b11fnuz": "float8_e4m3b11fnuz",
    "e4m3ieee": "float8_e4m3",
    "e3m4ieee": "float8_e3m4",
    "e3m2": "float6_e3m2fn",
    "e2m3": "float6_e2m3fn",
    "e2m1": "float4_e2m1fn",
    "e8m0": "float8_e8m0fnu",
}
"""Our names -> those of NumPy and ml_dtypes."""


def compare() -> list[dict[str, Any]]:
    """A row for each format, rounding and kind of input."""
    import gfloat

    return [*_with_gfloat(), *_stochastic(gfloat), *_with_ml_dtypes()]


def _with_gfloat() -> Iterator[dict[str, Any]]:
    import gfloat
    import gfloat.formats

    for name in (*NAMES, *P3109):
        form = find_format(name)[1]
        theirs = _info(gfloat, name, form)
        codes = np.arange(2**form.bits)
        yield _compared(name, "gfloat", "the number of every code", _decoded(name, codes), gfloat.decode_ndarray(theirs, codes))
        found = [_rounded(gfloat, name, form, theirs, *each) for each in ROUNDINGS.items()]
        ours, wanted, x = _joined(found)
        yield _compared(name, "gfloat", f"values, saturating, {', '.join(ROUNDINGS)}", ours, wanted, x, "all")


def _rounded(gfloat: Any, name: str, form: FloatFormat, theirs: Any, rounding: str, mode: str) -> Any:
    """Our values, theirs, and the inputs, as vectors."""
    x = _inputs(form)
    wanted = gfloat.round_ndarray(theirs, x.astype(np.float64), gfloat.RoundMode[mode], sat=True)
    return np.asarray(qr.quantize(x, f"{name}-unit~{rounding}").dequantize()), wanted, x


def _stochastic(gfloat: Any) -> Iterator[dict[str, Any]]:
    """Stochastic rounding with four random bits: every gap of a format, in sixteenths, with every value of the bits.

    gfloat rounds away from zero if a fraction, rounded to n bits, plus n random bits r reaches 2^n. We do if u is below the
    fraction, which is the same for `u = (2^n - 1 - r) / 2^n`. Its roundings `Fast` and `Fastest` are biased on purpose.
    """
    for name in (*NAMES, *P3109):
        form = find_format(name)[1]
        levels = np.unique(form.values[np.isfinite(form.values)]) if form.bits <= 8 else np.zeros(0)
        levels = levels[(np.abs(levels) >= 2.0**-120) | (levels == 0)]
        if levels.size < 2:
            continue
        low, parts, bits = (each.ravel() for each in np.meshgrid(levels[:-1], np.arange(16) / 16, np.arange(16), indexing="ij"))
        gap = np.repeat(np.diff(levels), 256)
        x = (low + parts * gap).astype(np.float32)
        y, u = (np.resize(each, 2**16) for each in (x, ((15 - bits) / 16).astype(np.float32)))
        element = qr.build(f"{name}-unit~stochastic").element
        ours = np.asarray(element.decode(element.encode_drawn(jnp.asarray(y), jnp.asarray(u))))[: x.size]
        info = _info(gfloat, name, form)
        for mode in ("Stochastic", "StochasticOdd"):
            wanted = gfloat.round_ndarray(
                info, x.astype(np.float64), gfloat.RoundMode[mode], sat=True, srbits=bits.astype(np.int64), srnumbits=4
            )
            yield _compared(name, "gfloat", f"values, {mode} with 4 bits", ours, wanted, x, "all gaps, fractions and bits")


def _joined(found: list[Any]) -> list[Any]:
    return [np.concatenate(each) for each in zip(*found)]


def _with_ml_dtypes() -> Iterator[dict[str, Any]]:
    import ml_dtypes

    for name, kind in ML_DTYPES.items():
        form = find_format(name)[1]
        theirs = np.dtype(getattr(np, kind, None) or getattr(ml_dtypes, kind))
        codes = np.arange(2**form.bits).astype(f"uint{8 * theirs.itemsize}")
        yield _compared(
            name, "ml_dtypes", "the number of every code", _decoded(name, codes), codes.view(theirs).astype(np.float32)
        )
        overflows = form.infinity or form.nan_code is not None
        scheme = f"{name}-{'overflow-' if overflows else ''}unit~even"
        x = _inputs(form)
        with np.errstate(over="ignore", invalid="ignore"):
            wanted = x.astype(theirs).astype(np.float32)
        got = np.asarray(qr.quantize(x, scheme).dequantize())
        yield _compared(name, "ml_dtypes", "values, even", got, wanted, x, "all")


def _inputs(form: FloatFormat) -> np.ndarray:
    """float32: finite inputs for a format: the shared ones, and the thresholds of the format.

    For unsigned formats none is negative, because the result is a matter of convention (ours is the least number).
    """
    levels = form.values if form.bits <= 16 else np.array([form.value(c) for c in range(0, 2**form.bits, 37)])
    finite = levels[np.isfinite(levels)]
    x = np.concatenate(list(every(finite[np.abs(finite) < 3e38]).values()))
    return x[np.isfinite(x) & (form.signed | ~np.signbit(x))]


def _decoded(name: str, codes: np.ndarray) -> np.ndarray:
    element = qr.build(f"{name}-unit").element
    return np.asarray(element.decode(codes.astype(element.code_dtype)))


def _compared(form: str, peer: str, what: str, ours: Any, theirs: Any, x: Any = None, inputs: str = "") -> dict[str, Any]:
    """A comparison, with the reason for the differences if there is only one."""
    a, b = np.asarray(ours, np.float32), np.asarray(theirs).astype(np.float32)
    different = ~agreeing(a, b)
    why = _why(form, x[different]) if x is not None and different.any() else ""
    return comparison(form, peer, what, a, b, why, inputs)


def _why(form: str, x: np.ndarray) -> str:
    """The reason for all differences; empty if one of them has none."""
    tiny = np.abs(x) < 2.0**-126
    if tiny.all():
        return "float32 subnormals, which XLA flushes (docs/arithmetic.md)"
    if form == "e8m0" and (tiny | (np.frexp(x)[0] == 0.75)).all():
        return "ties: ours go to the even code, those of ml_dtypes up; and numbers below 2^-126, where ours become 2^-127"
    return ""


def _info(gfloat: Any, name: str, form: FloatFormat) -> Any:
    """The format in gfloat. It has P3109 and OCP formats; others are described field by field."""
    own: dict[str, Callable[[], Any] | Any] = {
        "f16": "binary16",
        "bf16": "bfloat16",
        "e5m2": "ocp_e5m2",
        "e4m3": "ocp_e4m3",
        "e3m2": "ocp_e3m2",
        "e2m3": "ocp_e2m3",
        "e2m1": "ocp_e2m1",
        "e8m0": "ocp_e8m0",
    }
    if name in own:
        return getattr(gfloat.formats, f"format_info_{own[name]}")
    if name.startswith("binary"):
        width, rest = name.removeprefix("binary").split("p")
        signedness = gfloat.Signedness.Signed if rest[-2] == "s" else gfloat.Signedness.Unsigned
        domain = gfloat.Domain.Extended if rest[-1] == "e" else gfloat.Domain.Finite
        return gfloat.formats.format_info_p3109(int(width), int(rest[:-2]), signedness, domain)
    return gfloat.FormatInfo(
        name,
        form.bits,
        form.mantissa + 1,
        bias=form.bias,
        is_signed=form.signed,
        domain=gfloat.Domain.Extended if form.infinity else gfloat.Domain.Finite,
        has_nz=form.signed and form.negative_zero,
        num_high_nans=form.nans,
        has_subnormals=form.zero,
        is_twos_complement=False,
    )
