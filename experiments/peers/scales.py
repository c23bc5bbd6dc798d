"""Choices of scale: torchao's MX and NVFP4, compressed-tensors' MX scales, torchao's HQQ, pychop's calibration.

python -m experiments.peers --only scales       # needs torch, torchao, compressed-tensors and pychop

A reason is given only if it holds for every difference.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

import qresearch as qr
from experiments.peers.row import comparison

RULES = {"FLOOR": "floor", "CEIL": "ceil", "EVEN": "even", "RCEIL": "rceil"}
"""torchao's name of a rule -> ours."""

SIGNIFICANDS = (1, 1.25, 2**0.5, 1.5, 1.75, 1.8125, 1.875, 1.9375, 1.96875, 1.9921875)
"""Significands at which the rules differ for some element."""

LOG2 = "ours is exact; torchao rounds log2(max / largest) to float32, and beside a power of two it becomes that power"
CLOSE = "both by definition: quotients and reciprocals are rounded in another order, and each lies within 2^-21 of a tie"
ONE_BIT = "another threshold: theirs rounds to E2M1's one fraction bit for FP8 too (1.75), ours to E4M3's three (1.9375)"
LEAST = "torchao clamps block scales at E4M3's least normal number, 2^-6; ours may be subnormal"


def compare() -> list[dict[str, Any]]:
    """The rows of all comparisons; a missing package is one row that says so."""
    rows: list[dict[str, Any]] = []
    for peer in (_mx, _nvfp4, _compressed_tensors, _hqq, _pychop):
        try:
            rows += peer()
        except ImportError as error:
            rows.append(comparison("scales", peer.__name__[1:], "all", [], [], f"not compared: {error}"))
    return rows


def sources() -> Iterator[tuple[str, np.ndarray]]:
    """Names and float32 arrays [rows, 256]: random; block maxima at, below and above every threshold; similar to weights."""
    random = np.random.default_rng(0)
    yield "normal", random.standard_normal((256, 256)).astype(np.float32)
    tops = np.array([np.ldexp(s, k) for k in range(-30, 31) for s in SIGNIFICANDS], np.float32)
    tops = np.concatenate([np.nextafter(tops, np.float32(0)), tops, np.nextafter(tops, np.float32(np.inf))])
    tops = np.resize(tops, 8 * -(-tops.size // 8))
    blocks = random.uniform(-1, 1, (tops.size, 32)).astype(np.float32) * tops[:, None]
    blocks[:, 0] = tops * random.choice([-1, 1], tops.size)
    blocks[::5, 1:] = np.ldexp(random.choice([-1.5, -0.75, 0.0, 0.25, 1.0, 1.25], blocks[::5, 1:].shape), -1) * tops[::5, None]
    yield "thresholds", np.where(np.abs(blocks) > tops[:, None], tops[:, None], blocks).astype(np.float32).reshape(-1, 256)
    channels = np.exp(random.standard_normal((1, 256)) / 2)
    yield "like weights", (0.02 * random.standard_t(4, (256, 256)) * channels).astype(np.float32)


def _stored(q: qr.QTensor) -> np.ndarray:
    return np.asarray(q.fitted.params.scale.codes)


# --- torchao: MX ------------------------------------------------------------------------------------------------------


def _mx() -> list[dict[str, Any]]:
    import torch
    from torchao.prototype.mx_formats.config import ScaleCalculationMode
    from torchao.prototype.mx_formats.constants import DTYPE_FP6_E2M3, DTYPE_FP6_E3M2
    from torchao.prototype.mx_formats.kernels import unpack_uint4
    from torchao.prototype.mx_formats.mx_tensor import to_dtype, to_mx

    elements = {
        "e4m3": torch.float8_e4m3fn,
        "e5m2": torch.float8_e5m2,
        "e2m3": DTYPE_FP6_E2M3,
        "e3m2": DTYPE_FP6_E3M2,
        "e2m1": torch.float4_e2m1fn_x2,
    }

    def theirs(x: np.ndarray, element: str, mode: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        scale, data = to_mx(torch.from_numpy(x.copy()), elements[element], 32, ScaleCalculationMode[mode])
        values = to_dtype(data, scale, elements[element], 32, torch.float32).numpy().reshape(x.shape)
        codes = unpack_uint4(data) if element == "e2m1" else data.view(torch.uint8)
        return scale.view(torch.uint8).numpy(), codes.numpy().reshape(x.shape), values

    rows = []
    for element in elements:
        for mode, rule in RULES.items():
            text = f"{element}@32:e8m0" if rule == "floor" else f"{element}-{rule}@32:e8m0"
            for name, x in sources():
                q, (scale, codes, values) = qr.quantize(x, text), theirs(x, element, mode)
                why = LOG2 if mode == "RCEIL" and _exact(x, _stored(q), element) and _only_there(q, scale, codes) else ""
                for what, a, b in (
                    ("scales", _stored(q), scale),
                    ("codes", np.asarray(q.codes), codes),
                    ("values", np.asarray(q.dequantize()), values),
                ):
                    rows.append(comparison(text, "torchao", f"{what}, to_mx {mode}", a, b, why, name))
    return rows


def _exact(x: np.ndarray, scales: np.ndarray, element: str) -> bool:
    """Whether every scale is the least power of two that does not clip, in float64."""
    largest = np.abs(x).reshape(x.shape[0], -1, 32).max(-1).astype(np.float64)
    reach = qr.build(f"{element}-unit").element.grid.reach
    s = np.exp2(scales.astype(np.float64) - 127)
    return bool(((largest <= reach * s) & ((largest > reach * s / 2) | (scales == 0))).all())


def _only_there(q: qr.QTensor, scales: np.ndarray, codes: np.ndarray) -> bool:
    """Whether codes differ only in blocks with different scales."""
    apart = np.repeat(_stored(q) != scales, 32, axis=1)
    return bool((np.asarray(q.codes) == codes)[~apart].all())


# --- torchao: NVFP4 ---------------------------------------------------------------------------------------------------


def _nvfp4() -> list[dict[str, Any]]:
    import torch
    from torchao.prototype.mx_formats.kernels import unpack_uint4
    from torchao.prototype.mx_formats.nvfp4_tensor import nvfp4_quantize, per_tensor_amax_to_scale

    rows, text = [], "e2m1@16:e4m3"
    for name, x in sources():
        tensor = torch.from_numpy(x.copy())
        outer = per_tensor_amax_to_scale(tensor.abs().max())
        scale, data = nvfp4_quantize(tensor, 16, outer)
        scale, codes = scale.view(torch.uint8).numpy(), unpack_uint4(data).numpy().reshape(x.shape)
        q = qr.quantize(x, text)
        ours = np.asarray(q.fitted.params.scale.params.scale)
        near = abs(float(ours.reshape(())) / float(outer) - 1) <= 2.0**-22
        why = "both by definition: amax / 2688 is one division, ours two products, by 1/6 and by 1/448" if near else ""
        rows.append(comparison(text, "torchao", "tensor scale", ours.reshape(1), outer.numpy().reshape(1), why, name))
        why = _why_block_scales(x, _stored(q), scale, float(outer))
        rows.append(comparison(text, "torchao", "block scales, nvfp4_quantize", _stored(q), scale, why, name))
        same = np.repeat(_stored(q) == scale, 16, axis=1)
        why = CLOSE if _close_codes(x, q, codes, same) else ""
        rows.append(
            comparison(
                text, "torchao", "codes, where the block scale is the same", np.asarray(q.codes)[same], codes[same], why, name
            )
        )
    return rows


def _why_block_scales(x: np.ndarray, ours: np.ndarray, theirs: np.ndarray, outer: float) -> str:
    """The reason: a tie of E4M3 is near, or the scale is below its least normal number (code 8)."""
    exact = np.abs(x).reshape(x.shape[0], -1, 16).max(-1).astype(np.float64) / 6 / outer
    apart = ours != theirs
    low = apart & (theirs == 8) & (exact < 2.0**-6)
    values = np.asarray(qr.build("e4m3-unit").element.grid.bit_patterns, np.float64)
    middle = (values[ours] + values[theirs]) / 2
    close = apart & (np.abs(exact - middle) <= 2.0**-21 * middle)
    return (
        "; ".join(words for words, here in ((LEAST, low), (CLOSE, close)) if here.any()) if (low | close)[apart].all() else ""
    )


def _close_codes(x: np.ndarray, q: qr.QTensor, theirs: np.ndarray, same: np.ndarray) -> bool:
    values = np.asarray(qr.build("e2m1-unit").element.grid.bit_patterns, np.float64)
    middle = (values[np.asarray(q.codes)] + values[theirs]) / 2
    y = x.astype(np.float64) / np.repeat(np.asarray(q.scales, np.float64), 16, axis=1)
    apart = same & (np.asarray(q.codes) != theirs)
    return bool((np.abs(y - middle) <= 2.0**-20 * np.abs(middle))[apart].all())


# --- compressed-tensors -----------------------------------------------------------------------------------------------


def _compressed_tensors() -> list[dict[str, Any]]:
    import torch
    from compressed_tensors.quantization.utils.mxfp_utils import generate_mx_scales

    rows = []
    for bits, element in ((4, "e2m1"), (6, "e2m3"), (8, "e4m3")):
        for name, x in sources():
            largest = np.abs(x).reshape(x.shape[0], -1, 32).max(-1)
            theirs = generate_mx_scales(torch.from_numpy(largest), bits).numpy()
            ours = _stored(qr.quantize(x, f"{element}-even@32:e8m0"))
            why = ""
            if bits == 8:
                significand = 2 * np.frexp(largest[ours != theirs])[0]
                if ((significand >= 1.75) & (significand < 1.9375)).all():
                    why = ONE_BIT
            rows.append(
                comparison(
                    f"{element}-even@32:e8m0", "compressed-tensors", "scales, generate_mx_scales", ours, theirs, why, name
                )
            )
    return rows


# --- searches: libraries try different candidates, so errors are compared -----------------------------------------------


def _not_worse(
    format: str, peer: str, what: str, ours: np.ndarray, theirs: np.ndarray, why: str, inputs: str
) -> dict[str, Any]:
    """A row that counts where our error is at most theirs, up to an ulp or two of the sum."""
    fine = ours <= theirs * (1 + 1e-6)
    return comparison(format, peer, f"{what}: ours is not larger", fine, np.ones_like(fine), why, inputs)


def _hqq() -> list[dict[str, Any]]:
    import torch
    from torchao.quantization.quant_primitives import _choose_qparams_and_quantize_affine_hqq

    rows = []
    for name, x in sources():
        if name == "thresholds":  # 60 binades: their scale is limited to 2e4
            continue
        codes, scale, zero, _ = _choose_qparams_and_quantize_affine_hqq(
            torch.from_numpy(x.copy()), nbits=3, group_size=64, compute_dtype=torch.float32, device="cpu", raw_output=True
        )
        spread: Callable[[Any], np.ndarray] = lambda a: np.repeat(a.numpy(), 64, axis=1)  # noqa: E731
        values = (codes.numpy().astype(np.float32) - spread(zero)) * spread(scale)
        q = qr.quantize(x, "int3-offset-hqq(0.7)@64")
        mine, their = (
            np.abs(each - x).astype(np.float64).reshape(-1, 64).mean(1) for each in (np.asarray(q.dequantize()), values)
        )
        steps = np.asarray(q.scales) / scale.numpy()
        near = np.abs(steps - 1) <= 2.0**-21
        rows.append(comparison("int3-offset-hqq(0.7)@64", "torchao", "steps, within 2^-21", near, np.ones_like(near), "", name))
        why = "ours takes the best minimum of each block's own path; the paths part where a float32 rounding flips a code"
        total = mine.sum() <= their.sum()
        rows.append(
            _not_worse("int3-offset-hqq(0.7)@64", "torchao", "mean error of blocks", mine, their, why if total else "", name)
        )
    return rows


def _pychop() -> list[dict[str, Any]]:
    import torch
    from pychop.tch.ptq import calibrate_kl_divergence, calibrate_mse

    rows = []
    for name, x in sources():
        if name == "thresholds":
            continue
        (_, threshold), factors = calibrate_mse({"x": [torch.from_numpy(x.copy())]}, 4)["x"], np.linspace(1, 0.8, 20)
        text = f"int4-among({','.join(f'{factor:.9g}' for factor in factors)})"
        ours = np.mean((np.asarray(qr.quantize(x, text).dequantize(), np.float64) - x) ** 2)
        grid = np.clip(np.rint(x / (threshold / 7)), -7, 7) * (threshold / 7)
        rows.append(
            _not_worse(
                text.split("(")[0],
                "pychop",
                "squared error, calibrate_mse",
                np.array([ours]),
                np.array([np.mean((grid - x) ** 2)]),
                "",
                name,
            )
        )
        counts, edges = np.histogram(np.abs(x), 2048)
        ends = calibrate_kl_divergence({"x": (torch.from_numpy(edges), torch.from_numpy(counts))})["x"]
        scale = np.asarray(qr.quantize(x, "int8-kl(2048)").scales).reshape(1)
        why = (
            "theirs never quantizes the histogram it compares with, so clipping nothing is always best: it returns the largest"
        )
        never = np.float32(ends[1]) == np.float32(edges[-1])
        rows.append(
            comparison(
                "int8-kl(2048)",
                "pychop",
                "width / 127, calibrate_kl_divergence",
                scale,
                np.array([ends[1] / 127], np.float32),
                why if never else "",
                name,
            )
        )
    return rows
