"""Names that other libraries and papers use: what to write here, or that it is not here. Error messages quote this table."""

from __future__ import annotations

import re

from qresearch.base.table import Table

OTHER_NAMES: Table[str] = Table("other name", of=str, spelling=r"[\w{}]+")
"""Name in lower case, without signs -> a sentence, with schemes between quotes."""


def elsewhere(name: str) -> str:
    """The sentence on a name of another library as `; sentence.`, or an empty text. Case, signs and module names do not matter.

    >>> elsewhere("torch.float8_e4m3fn"), elsewhere("int4")
    ("; the float8_e4m3fn of PyTorch and ml_dtypes is 'e4m3' (as a plain cast 'e4m3-unit').", '')
    """
    plain = [re.sub(r"[\W_]", "", text.lower()) for text in (name, name.rpartition(".")[2])]
    return next((f"; {OTHER_NAMES[each]}." for each in plain if each in OTHER_NAMES), "")


_FLOATS = {
    "float8_e4m3fn": "e4m3",
    "float8_e5m2": "e5m2",
    "float8_e4m3": "e4m3ieee",
    "float8_e3m4": "e3m4ieee",
    "float8_e4m3fnuz": "e4m3fnuz",
    "float8_e5m2fnuz": "e5m2fnuz",
    "float8_e4m3b11fnuz": "e4m3b11fnuz",
    "float6_e2m3fn": "e2m3",
    "float6_e3m2fn": "e3m2",
    "float4_e2m1fn": "e2m1",
}
"""The dtypes of ml_dtypes and PyTorch, and our elements."""

_WHOLE_MODELS = {
    "GPTQ": "int4-asym@128:f16",
    "AWQ": "awq-int4",
    "SmoothQuant": "int8@row",
    "OmniQuant": "int4-asym@128:f16",
    "QuaRot": "int4@row:f16 + hadamard(64)",
    "SpinQuant": "int4@row:f16 + orthogonal(64)",
    "AdaRound": "int4@row",
    "BRECQ": "int4@row",
    "LLM.int8": "int8@row + outliers(0.01,f16)",
    "SpQR": "int4-asym@16:f16 + outliers(0.01,f16)",
    "SqueezeLLM": "int4@row + outliers(0.005,f16)",
    "PACT": "uint4",
    "DoReFa": "int4",
}
"""Methods that choose numbers with the help of a model, and a format that they store."""

_VECTORS = ("VPTQ", "EXL2")
"""Formats of vectors and trellises that are not here."""

_K_QUANTS = "GGUF's K-quants are 'q2_k', 'q3_k', 'q4_k', 'q5_k' and 'q6_k'; S, M and L are mixtures of them for a whole model"
_I_QUANTS = "of GGUF's I-quants 'iq4_nl' and 'iq4_xs' are here as schemes; interop.load_gguf reads the others too"
_TERNARY = "ternary weights are 'bitnet' or 'codebook(-1,0,1)@64:bf16', or in GGUF's blocks 'tq1_0' and 'tq2_0'"
_SENTENCES = {
    "fp8 float8 f8 hf8": "FP8 has two formats, 'e4m3' and 'e5m2'",
    "fp6 float6 f6": "FP6 has two formats, 'e2m3' and 'e3m2'",
    "fp4 float4 f4": "FP4 is 'e2m1', in blocks 'mxfp4' or 'nvfp4'; the FP4 of bitsandbytes is 'fp4bnb@64'",
    "mxfp8 mx8": "MXFP8 has two formats, 'mxfp8-e4m3' and 'mxfp8-e5m2'",
    "mxfp6": "MXFP6 has two formats, 'mxfp6-e2m3' and 'mxfp6-e3m2'",
    "mx4": "MXFP4 is 'mxfp4'",
    "mxint4": "integers with a shared exponent are 'int4@32:e8m0'",
    "nvint4": "integers in blocks as in NVFP4 are 'int4@16:e4m3'",
    "float8e8m0fnu float8e8m0": "a scale that is a power of two is 'e8m0', as in 'e2m1@32:e8m0'",
    "half": "IEEE binary16 is 'f16'",
    "brainfloat": "bfloat16 is 'bf16'",
    "fp32 single": "arrays are in float32 already; as a scale it is ':f32', as in 'int4@32'",
    "fp64 float64 f64 double": "float64 is not here: floats have at most 19 bits, such as 'f16', 'bf16' and 'tf32'",
    "tensorfloat tensorfloat32": "TensorFloat-32 is 'tf32'",
    "normalfloat": "NormalFloat is 'nf4', or 'nf3' to 'nf8'",
    "bnb4bit loadin4bit": "bitsandbytes' 4-bit formats are 'qlora-double', 'nf4@64' and 'fp4bnb@64'",
    "bnb8bit loadin8bit": "bitsandbytes' 8-bit formats are 'int8@row + outliers(0.01,f16)' and 'dynamic8@256'",
    "i{bits} s{bits} sint{bits} q2 q3 q4 q5 q6 q8": "integers are 'int4', 'int8' and so on, of 1 to 16 bits",
    "u{bits} unsigned{bits}": "unsigned integers are 'uint4-asym', 'uint8-asym' and so on, of 1 to 16 bits",
    "q2k q3k q4k q5k q6k q{bits}ks q{bits}km q{bits}kl q{bits}kxl": _K_QUANTS,
    "iq{bits}xxs iq{bits}xs iq{bits}s iq{bits}m": _I_QUANTS,
    "bitnetb158 b158 158bit twn ttq": _TERNARY,
    "bnn xnor 1bit": "signs are 'codebook(-1,1)@64:bf16'",
    "bfp bfloatblock blockfloat blockfp": "block floating point is 'int8@16:e8m0', in the named 'msfp12' and 'msfp16'",
    "hqq": "HQQ is the statistic '-hqq', as in 'int4-offset-hqq@64:f16'",
    "qlora": "the format of QLoRA is 'qlora-double'",
    "lsq lsqplus": "a learned step size is a gradient of qr.fake_quantize to the scales of qr.fit(x, 'int4@row')",
    "q81 q8k": "GGUF's Q8_1 and Q8_K, which only hold activations, are not here; 'q8_0' is",
    "lns": "logarithmic numbers are 'log8(8)@64'",
    "stochasticrounding sr": "stochastic rounding is '~stochastic', as in 'int4@32~stochastic'",
    "nearest rne rtne tiestoeven roundtonearest rtn": "to nearest, ties to even, is the default, as in 'int4@32'",
    "rtz truncate trunc": "rounding toward zero is '~toward_zero', as in 'int4@32~toward_zero'",
    "rup roundup": "rounding up is '~up', as in 'int4@32~up'",
    "rdn rounddown": "rounding down is '~down', as in 'int4@32~down'",
    "mse": "the scale of least squared error is '-search', as in 'int4-search@32'",
    "percentile": "a percentile is '-quantile', as in 'int4-quantile(0.999)@32'",
    "kldivergence kldiv": "the scale of least KL divergence is '-kl', as in 'int8-kl@row'",
    "amax max maxabs": "the largest magnitude is the default, as in 'int4-absmax@32'",
    "absmean": "the mean magnitude is not here; the nearest is '-rms', as in 'int2-rms(1)@64'",
    "affine zeropoint asymmetric": "integers with a zero point have '-asym', as in 'int8-asym'",
    "symmetric": "integers without a zero point are the default, as in 'int8'",
    "rotation rotate randomhadamard rht": "rotations are 'int4@32 + hadamard(64)' and 'int4@32 + orthogonal(64)'",
    "doublequant doublequantization": "double quantization is 'nf4@64:int8@256' or 'qlora-double'",
    **{
        name.replace("_", ""): f"the {name} of PyTorch and ml_dtypes is '{text}' (as a plain cast '{text}-unit')"
        for name, text in _FLOATS.items()
    },
    **{
        re.sub(r"\W", "", name.lower()): f"{name} needs a model and is not here; a format that it stores is '{text}'"
        for name, text in _WHOLE_MODELS.items()
    },
    "quip": "QuIP#'s codebook E8P is 'e8p' (2 bits a number), 'e8p3' and 'e8p4'; with its rotation, 'e8p@row + hadamard(64)'",
    "aqlm": "AQLM's codes are sums of vectors, as in 'aq2x6x4'; its tables are learned, here by k-means",
    "qtip": "QTIP's trellis is 'trellis2(16,3inst)', with fewer states 'trellis2(12)'",
    "exl3": "EXL3's trellis is 'trellis3(16)', or with another number of bits, 1 to 4; not its files",
    **{name.lower(): f"{name} is not here; vectors of k-means levels are, such as 'vq8x4'" for name in _VECTORS},
}
for _names, _sentence in _SENTENCES.items():
    for _name in _names.split():
        OTHER_NAMES.trust(_name, _sentence)
