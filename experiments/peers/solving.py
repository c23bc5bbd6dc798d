"""GPTQ, HQQ and divisors of channels: llm-compressor, hqq, torchao and GPTQModel beside `qr.solving`.

One weight of 48 outputs and 256 inputs, on 512 correlated tokens. Codes are compared at given scales. A reason is given only if
it was checked: codes that differ are compared with those of float64. An error that is no worse is a comparison of one number.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import jax.numpy as jnp
import numpy as np

import qresearch as qr
from experiments.peers.row import comparison
from qresearch.solving import Feedback, Moments, Refit
from qresearch.solving.channels import activation_aware, smoothing

OUT, IN, TOKENS, GROUP = 48, 256, 512, 64

EXACT = "float64 gives our code in {ours} of them, theirs in {theirs}: float32 parts beside a tie"
STOP = "hqq stops all blocks at the first iteration that raises the mean error of the tensor; ours keeps the best of each block"
ROUNDING = "a few roundings of float32 apart: at most {ulp:.1g} relative"


def layer(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """A weight [out, in] and correlated inputs [tokens, in], a few channels of which are large."""
    draw = np.random.default_rng(seed)
    mix = draw.normal(size=(IN, IN)) * np.exp(-np.arange(IN) / 40)
    x = (draw.normal(size=(TOKENS, IN)) @ mix.T) * np.exp(0.5 * draw.normal(size=IN))
    return draw.normal(size=(OUT, IN)).astype(np.float32), x.astype(np.float32)


def compare() -> list[dict[str, Any]]:
    """Rows of all peers; a missing one is a row that says so."""
    rows: list[dict[str, Any]] = []
    peers: dict[str, Callable[..., Iterator[dict[str, Any]]]] = {
        "llmcompressor": _llm_compressor,
        "hqq": _hqq,
        "torchao": _torchao,
        "gptqmodel": _gptqmodel,
    }
    for name, make in peers.items():
        try:
            rows += [row | {"peer": name, "inputs": "correlated"} for row in make(*layer())]
        except ImportError as error:
            rows.append(comparison("solving", name, "all", [], [], f"not compared: {error}"))
    return rows


def _llm_compressor(w: np.ndarray, x: np.ndarray) -> Iterator[dict[str, Any]]:
    """Codes at the scales absmax / 7.4, where first columns have no ties, with and without order."""
    import torch
    from compressed_tensors.quantization import QuantizationArgs
    from llmcompressor.modifiers.gptq.gptq_quantize import quantize_weight

    h = np.asarray(Moments.start(IN).add(jnp.asarray(x)).mean)
    coder = qr.build(f"int4-full@{GROUP}")
    scale = np.abs(w).reshape(OUT, -1, GROUP).max(-1) / np.float32(7.4)
    params = coder.fit(jnp.asarray(w))
    params = type(params)(jnp.asarray(scale))
    for order in (False, True):
        arguments = QuantizationArgs(
            num_bits=4, symmetric=True, strategy="group", group_size=GROUP, actorder="weight" if order else None
        )
        given = [torch.from_numpy(each.copy())[None] for each in (w, h, scale, np.zeros_like(scale))]
        found = quantize_weight(*given, None, arguments, blocksize=128, percdamp=0.01)
        values = next(each for each in found if torch.is_tensor(each) and each.numel() == w.size)
        theirs = np.rint(values.reshape(w.shape).float().numpy() / np.repeat(scale, GROUP, 1)).astype(np.int32)
        encoded = Feedback(order)(jnp.asarray(w), jnp.asarray(h), coder, coder.encoded(jnp.asarray(w), params))
        ours = np.asarray(encoded.codes).astype(np.int32)
        off = ours != theirs
        why = ""
        if off.any():
            right = float64_codes(w, h, np.repeat(scale, GROUP, 1), order)
            why = EXACT.format(ours=int((ours == right)[off].sum()), theirs=int((theirs == right)[off].sum()))
        yield comparison(f"gptq(int4@{GROUP})", "", f"codes, {'with' if order else 'without'} order", ours, theirs, why)


def float64_codes(w: np.ndarray, h: np.ndarray, scale: np.ndarray, order: bool) -> np.ndarray:
    """Codes from -8 to 7 of feedback with damping 0.01, in float64, by elimination from the last column on."""
    w, h = np.asarray(w, np.float64), np.asarray(h, np.float64)
    places = np.argsort(-np.diag(h), kind="stable") if order else np.arange(len(h))
    rest = (h + 0.01 * np.mean(np.diag(h)) * np.eye(len(h)))[places][:, places]
    upper, codes, error = np.eye(len(h)), np.zeros(w.shape), np.zeros(w.shape)
    for k in range(len(h) - 1, -1, -1):
        upper[:k, k] = rest[:k, k] / rest[k, k]
        rest[:k, :k] -= np.outer(rest[:k, k], rest[:k, k]) / rest[k, k]
    for position, k in enumerate(places):
        wanted = w[:, k] + error[:, places[:position]] @ upper[:position, position]
        codes[:, k] = np.clip(np.round(wanted / scale[:, k]), -8, 7)
        error[:, k] = w[:, k] - codes[:, k] * scale[:, k]
    return codes


def _hqq(w: np.ndarray, x: np.ndarray) -> Iterator[dict[str, Any]]:
    """The mean of |error|^0.7, which HQQ makes small, and the share of equal codes."""
    import torch
    from hqq.core.quantize import Quantizer

    given = {"nbits": 3, "group_size": GROUP, "axis": 1, "bitpack": False, "device": "cpu", "compute_dtype": torch.float32}
    codes, meta = Quantizer.quantize(torch.from_numpy(w), **given)
    zero, scale = (np.asarray(meta[name], np.float64).reshape(-1, 1) for name in ("zero", "scale"))
    q = qr.quantize(w, str(qr.model.Rule.parse(f"hqq(int3-offset@{GROUP})").scheme))
    values = ((codes.float().numpy().reshape(-1, GROUP) - zero) * scale).reshape(w.shape)
    ours, theirs = (float(np.mean(np.abs(np.asarray(each, np.float64) - w) ** 0.7)) for each in (q.dequantize(), values))
    form = f"hqq(int3-offset@{GROUP})"
    yield comparison(form, "", "mean of |error|^0.7 no worse", [True], [bool(ours <= theirs * (1 + 1e-6))])
    own = np.asarray(q.codes, np.int32)
    own = own - own.min()
    yield comparison(form, "", "codes", own, codes.numpy().reshape(w.shape).astype(np.int32), STOP if ours <= theirs else "")


def _torchao(w: np.ndarray, x: np.ndarray) -> Iterator[dict[str, Any]]:
    """Divisors of SmoothQuant at alpha 0.5, and the power that AWQ chooses."""
    import torch
    from torchao.prototype.awq.core import AWQObserver
    from torchao.prototype.smoothquant.core import SmoothQuantObserver
    from torchao.quantization import IntxWeightOnlyConfig
    from torchao.quantization.granularity import PerGroup

    weight, inputs = torch.from_numpy(w), torch.from_numpy(x)
    observer = SmoothQuantObserver(weight, alpha=0.5)
    observer(inputs)
    found = observer.calculate_qparams()
    theirs = (found[0] if isinstance(found, tuple) else found).float().numpy().reshape(-1)
    moments = Moments.start(IN).add(jnp.asarray(x))
    ours = np.asarray(smoothing(jnp.asarray(w), moments, qr.build("int8@row")))
    off = np.abs(ours / theirs - 1).max()
    reason = ROUNDING.format(ulp=off) if off < 1e-6 else ""
    yield comparison("smooth(int8@row)", "", "divisors", ours, theirs, reason)
    awq = AWQObserver(weight, None, IntxWeightOnlyConfig(weight_dtype=torch.int4, granularity=PerGroup(GROUP)))
    awq(inputs, inputs @ weight.T)
    theirs = awq.calculate_qparams().float().numpy().reshape(-1)
    ours = np.asarray(activation_aware(jnp.asarray(w), moments, qr.build(f"int4-asym@{GROUP}")))
    text, errors = f"int4-asym@{GROUP}", []
    for s in (ours, theirs):
        back = np.asarray(qr.fake_quantize(w * s[None], text), np.float64) / s
        errors.append(np.square(x.astype(np.float64) @ (back - w).T).mean())
    yield comparison(f"awq({text})", "", "error of the output no worse", [True], [bool(errors[0] <= errors[1] * 1.0001)])


def _gptqmodel(w: np.ndarray, x: np.ndarray) -> Iterator[dict[str, Any]]:
    """The error of the output; it fits scales in its own way."""
    import torch
    from gptqmodel.quantization.config import QuantizeConfig
    from gptqmodel.quantization.gptq import GPTQ

    layer = torch.nn.Linear(IN, OUT, bias=False)
    layer.weight.data = torch.from_numpy(w.copy())
    solver = GPTQ(
        layer, QuantizeConfig(bits=4, group_size=GROUP, sym=True, damp_percent=0.01, desc_act=False, act_group_aware=False)
    )
    solver.quantizer.configure(perchannel=True)
    solver.add_batch(torch.from_numpy(x)[None], None)
    values = solver.quantize()[0].float().numpy().reshape(w.shape)
    moments, error = Moments.start(IN).add(jnp.asarray(x)), _output_error(w, x)
    theirs = error(values)
    for form, steps in _VARIANTS.items():
        share = error(qr.solving.solve(w, moments, f"int4-full@{GROUP}", steps).q.dequantize()) / theirs
        what = f"error of the output no worse: {share:.2f} of theirs"
        yield comparison(form.format(f"int4-full@{GROUP}"), "", what, [True], [bool(share <= 1)], GROUPS)


GROUPS = "theirs fits the scales of a group when it comes to it, with errors passed on to it; ours to the weight as it was"

_VARIANTS = {"ldlq({})": (Feedback(False),), "ldlq(refit({}))": (Feedback(False), Refit()), "gptq({})": (Feedback(),)}
"""GPTQModel without order; ours without and with it."""


def _output_error(w: np.ndarray, x: np.ndarray) -> Callable[[Any], float]:
    return lambda q: float(np.square(x.astype(np.float64) @ (np.asarray(q, np.float64) - w).T).mean())
