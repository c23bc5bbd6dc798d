"""The table of contests. A new one is a row."""

from __future__ import annotations

import fnmatch
from dataclasses import replace

from experiments.bench.contests import array_sides, ours, torch_sides, vector_sides
from experiments.bench.contests.contest import Bars, Contest

_DECODING = [
    Contest(
        "decode dynamic8@256",
        "values from codes and scales",
        ours.decode("dynamic8@256"),
        "bitsandbytes",
        "dequantize_blockwise, of its own codes",
        torch_sides.decode_dynamic(256),
        Bars(bar=1.1, share_aim=0.9),
        ours.FROM_BYTES,
        curve=True,
    ),
    Contest(
        "decode nf4@64, packed",
        "values from bytes of two codes, and scales",
        ours.decode_packed("nf4@64"),
        "bitsandbytes",
        "dequantize_4bit, of its own codes",
        torch_sides.decode_nf4(64),
        Bars(bar=1.1, share_aim=0.9),
        ours.FROM_BYTES,
        curve=True,
    ),
]

CONTESTS: list[Contest] = [
    Contest(
        "encode dynamic8@256",
        "scales and codes of the 8-bit dynamic map, B = 256",
        ours.encode("dynamic8@256"),
        "bitsandbytes",
        "quantize_blockwise; not exactly nearest",
        torch_sides.encode_dynamic(256),
        Bars(bar=2.5, aim=4),
        ours.TO_BYTES,
        curve=True,
    ),
    Contest(
        "encode nf4@64, packed",
        "scales and codes of NF4, B = 64, two codes to a byte",
        ours.encode_packed("nf4@64"),
        "bitsandbytes",
        "quantize_4bit",
        torch_sides.encode_nf4(64),
        Bars(bar=6, aim=10),
        ours.TO_BYTES,
        curve=True,
    ),
    *_DECODING,
    *[replace(each, name=f"{each.name}, kept", kept=True) for each in _DECODING],
    *[
        Contest(
            f"encode {name}, packed",
            f"the bytes of GGUF's {name.upper()}",
            ours.encode_packed(name),
            "ggml-compiler",
            f"quantize_{name[:-1]}K of ggml, in C, one core",
            array_sides.ggml_quantize(name),
            bars,
            ours.TO_BYTES,
        )
        for name, bars in {"q4_k": Bars(bar=1), "q3_k": Bars()}.items()
    ],
    Contest(
        "encode int8@64",
        "scales and codes of 8-bit integers, B = 64",
        ours.encode("int8@64"),
        "torch",
        "eager: absmax, times the reciprocal, round, clamp, cast",
        torch_sides.int8_absmax(64),
        Bars(bar=8, share=0.5, share_aim=0.8),
        ours.TO_BYTES,
        curve=True,
    ),
    Contest(
        "error of nf4@64",
        "RMS error of quantizing and dequantizing in a 4-bit codebook, B = 64",
        ours.rms_error("nf4@64"),
        "torch",
        "eager: absmax, bucketize, gather, RMSE",
        torch_sides.rms_error("nf4", 64),
        Bars(bar=13, aim=25),
        ours.TO_BYTES,
        curve=True,
    ),
    Contest(
        "error of dynamic8@64",
        "RMS error of quantizing and dequantizing in an 8-bit codebook, B = 64",
        ours.rms_error("dynamic8@64"),
        "torch",
        "eager: absmax, bucketize, gather, RMSE",
        torch_sides.rms_error("dynamic8", 64),
        Bars(bar=12),
        ours.TO_BYTES,
        curve=True,
    ),
    Contest(
        "error of e4m3@32",
        "RMS error of quantizing and dequantizing in E4M3, B = 32",
        ours.rms_error("e4m3@32"),
        "torch",
        "eager: absmax, casts to float8_e4m3fn and back, RMSE",
        torch_sides.float8_error(32),
        limit=ours.TO_BYTES,
    ),
    *[
        Contest(
            f"cast to {name}",
            "float32 to the bit strings of the format",
            ours.encode(f"{name}-unit"),
            "ml_dtypes",
            f"astype({dtype}), one core",
            array_sides.ml_dtypes_cast(dtype),
            Bars(bar=3),
            ours.TO_BYTES,
            curve=name == "e4m3",
        )
        for name, dtype in {
            "e4m3": "float8_e4m3fn",
            "e5m2": "float8_e5m2",
            "e2m3": "float6_e2m3fn",
            "e3m2": "float6_e3m2fn",
            "e2m1": "float4_e2m1fn",
        }.items()
    ],
    *[
        Contest(
            f"encode {count} levels",
            "codes of the nearest of so many quantiles of the normal distribution",
            ours.nearest_of(count),
            "numpy",
            "np.searchsorted in the middles, one core",
            array_sides.searchsorted(count),
            Bars(bar=1),
            ours.TO_WORDS,
            most=22,
        )
        for count in (2**10, 2**12, 2**14, 2**16)
    ],
    Contest(
        "T10: encode dynamic8@4096",
        "scales and codes of the 8-bit dynamic map, B = 4096",
        ours.encode("dynamic8@4096"),
        "bitsandbytes",
        "quantize_blockwise; not exactly nearest",
        torch_sides.encode_dynamic(4096),
        limit=ours.TO_BYTES,
    ),
    Contest(
        "T10: beside brute force",
        "scales and codes of the 8-bit dynamic map, B = 4096",
        ours.encode("dynamic8@4096"),
        "jax",
        "compares every number with all 256 levels, on a sixteenth of them",
        array_sides.brute_force("dynamic8", 4096, 16),
        limit=ours.TO_BYTES,
    ),
    Contest(
        "fit of 16 levels",
        "Lloyd-Max from prefix sums of sorted numbers",
        ours.lloyd_max(16),
        "torch",
        "Lloyd's loop until no level moves by 1e-5, on one of 64 numbers",
        torch_sides.lloyd_loop(16, 64),
    ),
    Contest(
        "encode e8p",
        "codes of the nearest of E8P's 65,536 vectors of eight numbers",
        ours.encode("e8p-unit"),
        "torch",
        "a matrix product with all of them, on one of 2048 numbers",
        vector_sides.e8p_all_words(2048),
        Bars(bar=20),
        most=24,
    ),
    Contest(
        "decode e8p",
        "vectors of eight numbers from words",
        ours.decode("e8p-unit"),
        "torch",
        "a gather from a table of all vectors",
        vector_sides.e8p_decode(),
        Bars(bar=1),
        most=24,
    ),
    Contest(
        "encode trellis2(12)",
        "the best paths through 2^12 states, two passes",
        ours.encode("trellis2(12)-unit"),
        "torch",
        "eager: the same search, all tiles at once, on one of 8 numbers",
        vector_sides.viterbi(2, 12, 8),
        Bars(bar=1),
        most=18,
    ),
]


def contests(only: str = "*") -> list[Contest]:
    """All contests whose names match a pattern (`encode*`)."""
    return [contest for contest in CONTESTS if fnmatch.fnmatch(contest.name, only)]
