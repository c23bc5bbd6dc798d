"""Presets: named schemes. The API, sweeps, the contract test and the docs all use this table. To add one, add a row."""

from __future__ import annotations

from qresearch.grammar.spec import PRESETS


def _add(name: str, text: str, doc: str) -> None:
    PRESETS.trust(name, text, doc=doc)


_add("int8-per-tensor", "int8", "symmetric 8-bit integers, one scale")
_add("int8-per-channel", "int8@row", "a scale for each output channel")
_add("int8-affine", "int8-asym", "8-bit integers with a zero point")
_add("uint8-affine", "uint8-asym", "unsigned 8-bit integers with a zero point")
_add("int4-group", "int4@32:bf16", "4-bit integers in groups of 32")
_add("int4-affine-group", "int4-asym@32:f16", "4-bit integers with a zero point for each group")
_add("int4-min-group", "int4-offset@32:f16", "4-bit integers from a free minimum, as in GGUF Q4_1")
_add("int4-signmax-group", "int4-full-signmax@32~half_up:f16", "the full range from the signed maximum, the idea of GGUF Q4_0")
_add("int4-tile", "int4@8x8", "tiles of 8 x 8")
_add("int4-tile-stochastic", "int4@8x8~stochastic", "tiles of 8 x 8, unbiased rounding")
_add("int3-clipped-rms", "int3-rms(2.5)@64", "3-bit integers clipped at 2.5 RMS")
_add("int4-clipped", "int4-quantile(0.99)@256", "4-bit integers clipped at the 99th percentile")
_add("int2-min-group", "int2-offset@16", "2-bit integers from a free minimum")
_add("int1-min-group", "int1-offset@32:f16", "1-bit codes for the least and the largest element of each block")
_add("int6-column", "int6@column", "a scale for each column")
_add("int16-per-tensor", "int16", "16-bit integers, one scale")
_add("nf4-group", "nf4@64", "NF4 as in QLoRA, before double quantization")
_add("nf4-bf16", "nf4@64:bf16", "NF4 with bfloat16 scales")
_add("nf4-double", "nf4@64:int8@256", "NF4 with double quantization")
_add("binary", "codebook(-1,1)@64:bf16", "signs, scaled by the largest magnitude")
_add("ternary", "codebook(-1,0,1)@64:bf16", "-1, 0, 1")
_add("dynamic8-group", "dynamic8@256", "the 8-bit dynamic map in blocks, as in 8-bit optimizers")
_add("dynamic8-fraction", "dynamic8e5@256", "at most 5 exponent bits, so at least 2 fraction bits")
_add("udynamic8-group", "udynamic8@256", "unsigned: second moments of optimizers")
_add("dynamic4-group", "dynamic4@64", "the 4-bit dynamic map")
_add("dynamic12-group", "dynamic12@256", "a 12-bit dynamic map")
_add("cast-f16", "f16", "a cast to IEEE binary16")
_add("cast-bf16", "bf16", "a cast to bfloat16")
_add("fp8-e4m3", "e4m3", "FP8 with one scale")
_add("fp8-e5m2", "e5m2", "FP8 of wider range, one scale")
_add("cast-e4m3", "e4m3-unit", "a saturating cast to FP8")
_add("fp8-e4m3-stochastic", "e4m3@32~stochastic", "FP8 in blocks, unbiased rounding")
_add("mxfp8-e4m3", "e4m3@32:e8m0", "OCP MXFP8 (E4M3)")
_add("mxfp8-e5m2", "e5m2@32:e8m0", "OCP MXFP8 (E5M2)")
_add("mxfp6-e3m2", "e3m2@32:e8m0", "OCP MXFP6 (E3M2)")
_add("mxfp6-e2m3", "e2m3@32:e8m0", "OCP MXFP6 (E2M3)")
_add("mxfp4", "e2m1@32:e8m0", "OCP MXFP4")
_add("nvfp4", "e2m1@16:e4m3", "NVFP4: FP8 block scales with one float32 tensor scale")
_add("e3m4-group", "e3m4@64", "an 8-bit float that no standard names")
_add("f16-group", "f16-absmax@64", "binary16 in blocks: 16-bit floats with a scale")

# Codebooks, each family from its definition.
_add("nf3-group", "nf3@64:bf16", "3-bit NormalFloat")
_add("nf8-group", "nf8@256", "8-bit NormalFloat")
_add("nf4-mirrored", "nf4(nozero)@64:bf16", "symmetric 4-bit NormalFloat without a zero")
_add("sf4-group", "sf4@64:bf16", "SF4: Student float of 5 degrees of freedom")
_add("af4-group", "af4(64)@64:bf16", "AF4 designed for blocks of 64")
_add("bof4-group", "bof4(64)@64:bf16", "BOF4, the least mean squared error for blocks of 64")
_add("bof4s-group", "bof4s(64)@64:bf16", "BOF4-S: the same with signed scales")
_add("ubof4-group", "ubof4(64)@64:bf16", "unsigned BOF4")
_add("unf4-group", "unf4@64:bf16", "unsigned NormalFloat")
_add("uaf4-group", "uaf4(64)@64:bf16", "unsigned AbnormalFloat")
_add("usf4-group", "usf4@64:bf16", "unsigned Student float")
_add("quantile8-group", "quantile8(laplace)@256", "255 quantiles of a Laplace distribution, a zero among them")
_add("uquantile4-group", "uquantile4(normal)@64", "quantiles of the magnitude of a normal number")
_add("pot4-group", "pot4@64:bf16", "powers of two")
_add("pot4-roots", "pot4(2)@64:bf16", "powers of the root of two")
_add("log4-group", "log4(2)@64:bf16", "powers of the root of two, the logarithm rounded")
_add("log8-mirrored", "log8(8,nozero)@64", "an 8-bit logarithmic number system without a zero")
_add("upot4-group", "upot4@64:bf16", "unsigned powers of two")
_add("ulog4-group", "ulog4(2)@64:bf16", "unsigned powers of the root of two, the logarithm rounded")
_add("apot4-group", "apot4@64:bf16", "APoT: sums of two powers of two")
_add("apot8-group", "apot8@256", "8-bit APoT: sums of three or four powers")
_add("uapot4-group", "uapot4@64:bf16", "unsigned APoT, for activations after a ReLU")
_add("cast-posit8", "posit8es2", "a cast to posit<8, 2>, the standard's 8-bit posit")
_add("cast-posit16", "posit16es2", "a cast to posit<16, 2>")
_add("posit6-group", "posit6es1-absmax@32:bf16", "6-bit posits in blocks")
_add("cast-takum8", "takum8", "a cast to linear takums")
_add("takum8-group", "takum8-absmax@64:bf16", "linear takums in blocks")
_add("cast-logtakum8", "logtakum8", "a cast to logarithmic takums")

_add("vq8x2-group", "vq8x2@64:bf16", "pairs in 8 bits, 4 bits for each number: k-means levels over the RMS")
_add("vq8x4-row", "vq8x4@row", "four numbers in 8 bits, 2 bits for each number")
_add("vq6x2-fitted", "vq6x2@64:bf16 + kmeans(3,bf16)", "pairs in 6 bits, with levels fitted to the array and stored")
_add(
    "vq4x2-outliers-hadamard",
    "vq4x2@32:int8@64 + outliers(0.01,bf16) + hadamard(32)",
    "pairs in 4 bits of a rotated array, with sparse outliers",
)

_add("e8p-row", "e8p@row", "E8P of QuIP#: eight numbers in 16 bits, 2 bits for each number")
_add("mx9", "smx9@16:e8m0", "MX9: pairs share a bit, 16 numbers an exponent (shared micro-exponents)")
_add("mx6", "smx6@16:e8m0", "MX6")
_add("cast-hif8", "hif8", "a cast to HiF8 of Huawei")
_add("bitnet", "int2-absmean", "ternary weights of BitNet b1.58: the scale is the mean magnitude")
_add("signs", "codebook(-1,1)-absmean@64:bf16", "signs, scaled by the mean magnitude: the least squared error")
_add("trellis2-row", "trellis2(6)@row:bf16", "a trellis of 64 states, 2 bits for each number (QTIP has 65,536 states)")

# Float formats: one row for each format without a row above.
_add("cast-tf32", "tf32", "a cast to TensorFloat-32")
_add("cast-e4m3-overflow", "e4m3-overflow-unit", "the cast of ml_dtypes and PyTorch: NaN beyond 464")
_add("cast-f16-overflow", "f16-overflow", "the cast of IEEE 754: infinity beyond 65519")
_add("fp8-e4m3fnuz", "e4m3fnuz@32", "FP8 as on AMD MI300 and Graphcore")
_add("fp8-e5m2fnuz", "e5m2fnuz@32", "FP8 of wider range as on AMD MI300 and Graphcore")
_add("fp8-e4m3b11", "e4m3b11fnuz@32", "FP8 with the bias 11")
_add("fp8-e4m3ieee", "e4m3ieee@32", "FP8 by the rules of IEEE 754")
_add("fp8-e3m4ieee", "e3m4ieee@32", "FP8 with four bits of fraction by the rules of IEEE 754")
_add("fp4-e3m0", "e3m0@32", "a sign and a power of two in four bits")
_add("ue4m3-group", "ue4m3@32", "unsigned FP8, as in the scales of NVFP4")
_add("ue5m3-group", "ue5m3@32", "unsigned FP8 of wider range, proposed for scales")
_add("p3109-8p3se", "binary8p3se@32", "IEEE P3109, three bits of significand")
_add("p3109-8p4se", "binary8p4se@32", "IEEE P3109, four bits of significand")
_add("p3109-8p3sf", "binary8p3sf@32", "IEEE P3109, finite")
_add("p3109-8p4ue", "binary8p4ue@32", "IEEE P3109, unsigned")
_add("p3109-8p4uf", "binary8p4uf@32", "IEEE P3109, unsigned and finite")
_add("p3109-6p3sf", "binary6p3sf@32", "IEEE P3109 in six bits")
_add("p3109-4p2sf", "binary4p2sf@32", "IEEE P3109 in four bits")
_add("fp4-bnb", "fp4bnb@64", "FP4 of bitsandbytes, which is not OCP E2M1")
_add("fp8-up", "e4m3@32~up", "FP8 in blocks, rounded toward plus infinity")
_add("int8-down", "int8@32~down", "8-bit integers in blocks, rounded toward minus infinity")
_add("nf4-odd", "nf4@64~odd", "NF4 rounded to odd codes")
_add("bf16-odd", "bf16~odd", "a cast to bfloat16 that is safe before a second rounding")
# --- with wrappers ---
_add("int4-hadamard", "int4@32:bf16 + hadamard(64)", "4-bit integers with a randomized Hadamard rotation (QuIP, QuaRot)")
_add("int4-orthogonal", "int4@32:bf16 + orthogonal(32)", "4-bit integers with a uniformly random rotation")
_add("int4-outliers", "int4@64:bf16 + outliers(0.01,bf16)", "one element in a hundred kept in bfloat16 (SpQR, SqueezeLLM)")
_add("int4-outliers-int8", "int4-asym@64:f16 + outliers(0.02,int8@32:bf16)", "one in fifty kept in 8-bit integers")
_add("int4-outliers-hadamard", "int4@row + outliers(0.005) + hadamard(128)", "the outliers of a rotated array, in float32")
_add("int4-dither", "int4@32:bf16 + dither", "subtractive dither: the error is independent of the signal")
_add("int4-feedback", "int4@32:bf16 + feedback", "errors passed on along the last axis: noise shaping")
_add("int4-feedback-column", "int4-asym@64:f16 + feedback(0)", "errors passed on from row to row")
_add("int8-centred", "int8@row + mean", "8-bit integers after subtracting the mean")
_add("int4-shaped-dither", "int4@64 + dither(1) + feedback", "dither with noise shaping")
_add("qlora-double", "nf4-exact@64:(dynamic8@256 + mean)", "QLoRA: NF4, with the scales minus their mean in the dynamic map")
_add("nf4-entropy", "nf4@64:bf16 + entropy", "NF4 counted at the entropy of its codes")
_add("nf4-huffman", "nf4@64:bf16 + huffman", "NF4 with Huffman-coded codes")
_add("int8-deflate", "int8@row + deflate", "8-bit integers, codes compressed with DEFLATE")
_add("int12-bz2", "int12@row + bz2", "12-bit integers in two byte planes, compressed with bzip2")
_add("int4-lzma", "int4@32:bf16 + hadamard(32) + lzma", "rotated, quantized, compressed with LZMA")
_add("q4_0", "int4-full-firstmax-exact@32~add_half:f16 + ggml_q4_0", "GGUF Q4_0, byte for byte")
_add("q4_1", "uint4-offset-exact-divided@32~add_half:f16 + ggml_q4_1", "GGUF Q4_1, byte for byte")
_add("q5_0", "int5-full-firstmax-exact@32~add_half:f16 + ggml_q5_0", "GGUF Q5_0, byte for byte")
_add("q5_1", "uint5-offset-exact-divided@32~add_half:f16 + ggml_q5_1", "GGUF Q5_1, byte for byte")
_add("q8_0", "int8-exact-divided@32~half_away:f16 + ggml_q8_0", "GGUF Q8_0, byte for byte")
_add("iq4_nl", "iq4nl-firstmax-exact-divided@32~half_up:f16 + ggml_iq4_nl", "GGUF IQ4_NL; ggml also refines the scale")
_add("iq4_nl-refined", "iq4nl-firstmax-exact@32~half_up:f16 + ggml_iq4_nl_refined", "GGUF IQ4_NL, byte for byte")
_add("iq4_xs", "iq4nl-firstmax-exact@32~half_up:int6-full@8:f16 + ggml_iq4_xs", "GGUF IQ4_XS, byte for byte")
_add("q2_k", "uint2-offset(uint4-signmax@16:f16)@16:uint4@16:f16 + ggml_q2_k", "GGUF Q2_K, byte for byte")
_add("q3_k", "int3-full@16:int6-full@16:f16 + ggml_q3_k", "GGUF Q3_K, byte for byte")
_add("q4_k", "uint4-offset(uint6-signmax@8:f16)@32:uint6@8:f16 + ggml_q4_k", "GGUF Q4_K, byte for byte")
_add("q5_k", "uint5-offset(uint6-signmax@8:f16)@32:uint6@8:f16 + ggml_q5_k", "GGUF Q5_K, byte for byte")
_add("q6_k", "int6-full@16:int8-full@16:f16 + ggml_q6_k", "GGUF Q6_K, byte for byte")
_add("tq1_0", "int2-exact@256~half_away:f16 + ggml_tq1_0", "GGUF TQ1_0: ternary, five codes per byte")
_add("tq2_0", "int2-exact@256~half_away:f16 + ggml_tq2_0", "GGUF TQ2_0: ternary, four codes per byte")
_add("gguf-mxfp4", "e2m1@32~half_toward_zero:e8m0 + ggml_mxfp4", "OCP MXFP4 as GGUF stores it, without -0")
_add(
    "gguf-nvfp4",
    "e2m1-divided@16~half_toward_zero:e4m3-unit~half_away + ggml_nvfp4",
    "NVFP4 as GGUF stores it, without a tensor scale",
)

for _bits in (2, 3, 4, 8):
    _add(f"mlx-int{_bits}", f"uint{_bits}-edge-exact-divided@64:f16", "mx.quantize on float16 weights, mode affine")
_add("awq-int4", "uint4-asym-divided@128:f16", "AWQ's group format: w = s (q - z), z in 4 bits; the range includes zero")
# Choices of scales: the rules for power-of-two scales (`power_of_two.py`), block floating point, searches (`search.py`).
for _rule in ("ceil", "round", "loground", "even", "rceil", "oas"):
    _add(f"mxfp4-{_rule}", f"e2m1-{_rule}@32:e8m0", f"MXFP4, scales by the rule {_rule}")
for _name, _element in (("mxfp8-e4m3", "e4m3"), ("mxfp8-e5m2", "e5m2"), ("mxfp6-e3m2", "e3m2"), ("mxfp6-e2m3", "e2m3")):
    for _rule in ("rceil", "even"):
        _add(f"{_name}-{_rule}", f"{_element}-{_rule}@32:e8m0", f"OCP {_name.upper()}, scales by the rule {_rule}")
_add(
    "mxfp8-e4m3-oas",
    "e4m3-oas@32:e8m0",
    "MXFP8 (E4M3), clipped by at most half a gap; differs from the rule even, since E4M3 ends at 448",
)
_add(
    "mxint8",
    "int8@32:e8m0",
    "OCP MXINT8; OCP's element is fixed point with 6 fraction bits, ours an integer, so our scale is 2^-6 times theirs",
)
_add("mxint8-rceil", "int8-rceil@32:e8m0", "MXINT8 with scales that never clip")
_add("mxfp4-search", "e2m1-among(1,2)@32:e8m0", "MXFP4 with the better of two scales: that of the floor rule, or twice that")
_add(
    "msfp12",
    "int4@16:e8m0",
    "block floating point: sign, three bits and a shared exponent, as in MSFP-12 (Darvish Rouhani et al. 2020)",
)
_add("msfp16", "int8@16:e8m0", "block floating point: sign, seven bits and a shared exponent, as in MSFP-16")
_add("bfp8-tile-rceil", "int8-rceil@8x8:e8m0", "block floating point in tiles, with scales that never clip")
_add(
    "nvfp4-4over6",
    "e2m1-among(1,1.5)@16:e4m3-absmax(1.75)",
    "NVFP4 with Four Over Six: a block's maximum is mapped to 6 or to 4 (arXiv 2512.02010)",
)
_add("nvfp4-search", "e2m1-search(2,9)@16:e4m3", "NVFP4 with the block scale of least squared error")
_add("int4-search-group", "int4-search(2)@32:bf16", "4-bit integers with the scale of least squared error")
_add(
    "int3-affine-search",
    "int3-asym-search(2.4,17)@64:f16",
    "3-bit integers with a zero point, least 2.4-norm of the error as in GPTQ's mse option",
)
_add(
    "int2-min-search", "int2-offset-search(2,17)@16:f16", "2-bit integers from a free minimum, interval of least squared error"
)
_add("int8-kl-rows", "int8-kl(512)@row", "8-bit integers calibrated by KL divergence as in TensorRT")
_add("int4-hqq-group", "int4-offset-hqq(0.7)@64:f16", "4-bit integers with HQQ's half-quadratic zero point")
