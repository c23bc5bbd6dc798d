"""Linear layers with int8 weights and inputs: optimum-quanto (static scales) and bitsandbytes (LLM.int8) beside `qr.model`.

One layer of 96 outputs and 256 inputs on 64 tokens: the codes and scales of the weight and of the inputs, and the outputs. A
reason is given only if it was checked for every number that differs: codes are computed again by the other rule, and outputs
must lie within the rounding of what each side computes, around the exact product of its own codes.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import jax.numpy as jnp
import numpy as np

import qresearch as qr
from experiments.peers.layer import IN, OUT, SPLIT, STATIC, Layer, ours_of, sources
from experiments.peers.row import comparison

SCALE = "ours is absmax times the rounded 1/127, theirs absmax/127: each within an ulp of the quotient"
QUOTIENT = "theirs rounds x / s, ours x * (1 / s), each with its own scale: they part beside a tie"
REST = "theirs takes absmax over all numbers below 6, ours over the columns that hold none of 6 or more"
INT32 = "equal int32 sums; theirs multiplies the two scales first, ours the sum by one after the other: within 2 ulp"
CLAMP = "beyond the calibrated range theirs has the code -128, ours -127: our int8 is symmetric"
START = "theirs starts at the scale of the first batch; ours corrects its average for the start, as Adam does"
MOMENTUM = "theirs ignores Calibration(momentum=0.5) for inputs, and takes 0.9"
RECIPROCAL = "theirs rounds x * (127 * (1 / absmax)), ours x * (1 / s): they part beside a tie"
HALF = (
    "theirs is rounded to float16 up to four times and takes 6.200124e-05 for 1/127^2 (2e-5 off), ours is float32; "
    "both lie so near the product of their own codes"
)


def compare() -> list[dict[str, Any]]:
    """Rows of both libraries; a missing one is a row that says so."""
    rows: list[dict[str, Any]] = []
    for name, make in (("optimum-quanto", _quanto), ("bitsandbytes", _bitsandbytes)):
        try:
            for label, (x, weight) in sources().items():
                rows += [row | {"peer": name, "inputs": label} for row in make(x, weight)]
        except ImportError as error:
            rows.append(comparison("layer", name, "all", [], [], f"not compared: {error}"))
    return rows


def _row(what: str, ours: Any, theirs: Any, why: str = "", holds: bool = True, form: str = STATIC) -> dict[str, Any]:
    """A comparison whose reason is dropped unless it was found to hold."""
    return comparison(form, "", what, ours, theirs, why if holds else "", bits=False)


# --- optimum-quanto ------------------------------------------------------------------------------------------------------


def _quanto(x: np.ndarray, weight: np.ndarray) -> Iterator[dict[str, Any]]:
    ours, frozen = ours_of(x, weight, STATIC)
    theirs = _quanto_layer(x, weight, [x])
    yield _row("weight, scales", ours.weight_scale, theirs.weight_scale, SCALE, _by_constant(weight, ours, theirs))
    yield _row("weight, codes", ours.weight, theirs.weight, QUOTIENT, _by_scales(weight, ours, theirs))
    yield _row("inputs, scale", ours.x_scale, theirs.x_scale, SCALE, ours.x_scale == np.abs(x).max() * _STEP)
    yield _row("inputs, codes", ours.x, theirs.x)
    yield _row("outputs", ours.y, theirs.y, INT32, _int32(ours, True) and _int32(theirs, False))
    beyond = 2 * x
    outside, coder = _quanto_layer(beyond, weight, [x]), qr.build("int8")
    codes = np.asarray(coder.encode(jnp.asarray(beyond), frozen.scales.static["params"]))
    holds = bool((np.where(outside.x == -128, -127, outside.x) == codes).all())
    yield _row("inputs of twice the range, codes", codes, outside.x, CLAMP, holds)
    yield from _averages(x, weight)


_STEP = np.float32(1) / np.float32(127)


def _by_constant(weight: np.ndarray, ours: Layer, theirs: Layer) -> bool:
    """Whether both scales of the weight are what the reason says."""
    largest = np.abs(weight).max(1, keepdims=True)
    return bool((ours.weight_scale == largest * _STEP).all() and (theirs.weight_scale == largest / np.float32(127)).all())


def _by_scales(weight: np.ndarray, ours: Layer, theirs: Layer) -> bool:
    """Whether the codes of both are what the reason says."""
    of_ours, of_theirs = np.rint(weight * (1 / ours.weight_scale)), np.rint(weight / theirs.weight_scale)
    return bool((ours.weight == of_ours).all() and (theirs.weight == of_theirs).all())


def _int32(layer: Layer, apart: bool) -> bool:
    """Whether the outputs are int32 sums, times one scale after the other (`apart`) or times the product of both."""
    sums = (layer.x.astype(np.int64) @ layer.weight.T.astype(np.int64)).astype(np.float32)
    rows, columns = layer.x_scale, layer.weight_scale.T
    return bool((layer.y == (sums * rows * columns if apart else sums * (rows * columns))).all())


def _averages(x: np.ndarray, weight: np.ndarray) -> Iterator[dict[str, Any]]:
    """The scale of the inputs after two batches, of which the second is half as wide."""
    batches = [x, x / 2]
    first, second = (np.abs(each).max() / np.float32(127) for each in batches)
    for momentum, why in ((0.9, START), (0.5, f"{MOMENTUM}; {START}")):
        ours, _ = ours_of(x, weight, f"int8@row | static(int8, ema({momentum}))", *batches)
        theirs = _quanto_layer(x, weight, batches, momentum)
        corrected = (momentum * (1 - momentum) * first + (1 - momentum) * second) / (1 - momentum**2)
        holds = bool(np.isclose(theirs.x_scale, 0.9 * first + 0.1 * second, rtol=1e-6).all())
        holds &= bool(np.isclose(ours.x_scale, corrected, rtol=1e-6).all())  # a few roundings of float32
        form = f"int8@row | static(int8, ema({momentum}))"
        yield _row("inputs, scale after two batches", ours.x_scale, theirs.x_scale, why, holds, form)


def _quanto_layer(x: np.ndarray, weight: np.ndarray, batches: list[np.ndarray], momentum: float = 0.9) -> Layer:
    import torch
    from optimum.quanto import Calibration, freeze, qint8, quantize
    from optimum.quanto.tensor import quantize_activation

    model = torch.nn.Sequential(torch.nn.Linear(IN, OUT, bias=False))
    model[0].weight.data = torch.from_numpy(weight)
    quantize(model, weights=qint8, activations=qint8)
    with torch.no_grad():
        with Calibration(momentum=momentum):
            for batch in batches:
                model(torch.from_numpy(batch))
        freeze(model)
        layer: Any = model[0]
        codes = quantize_activation(torch.from_numpy(x), qint8, layer.input_scale)._data
        y = model(torch.from_numpy(x))
        found = (layer.weight._data, layer.weight._scale, codes, layer.input_scale.reshape(1, 1), torch.zeros(x.shape), y)
    return Layer(*(each.numpy() for each in found))


# --- bitsandbytes --------------------------------------------------------------------------------------------------------


def _bitsandbytes(x: np.ndarray, weight: np.ndarray) -> Iterator[dict[str, Any]]:
    ours, _ = ours_of(x, weight, SPLIT)
    theirs = _bitsandbytes_layer(x, weight)
    small = np.where(np.abs(x) < 6, x, np.float32(0))
    whole = np.where(ours.kept.any(0), np.float32(0), x)
    yield _row("columns in floating point", ours.kept != 0, theirs.kept != 0, form=SPLIT)
    yield _row("weight, scales", ours.weight_scale, theirs.weight_scale, SCALE, _by_constant(weight, ours, theirs), SPLIT)
    yield _row("weight, codes", ours.weight, theirs.weight, *_reciprocal(weight, weight, ours.weight, theirs.weight), SPLIT)
    largest = np.abs(small).max(1, keepdims=True)
    holds = bool((theirs.x_scale == largest / np.float32(127)).all())
    alike = (np.abs(whole).max(1, keepdims=True) == largest)[:, 0]
    for rows, why, which in (
        (~alike, REST, "inputs with an absmax in a column in floating point"),
        (alike, SCALE, "other inputs"),
    ):
        if rows.any():
            yield _row(f"{which}, scales", ours.x_scale[rows], theirs.x_scale[rows], why, holds, SPLIT)
            words, follow = _reciprocal(small[rows], whole[rows], ours.x[rows], theirs.x[rows])
            why = REST if why is REST else words
            yield _row(f"{which}, codes", ours.x[rows], theirs.x[rows], why, follow, SPLIT)
    # 2e-5 of the constant is a twentieth of a rounding to float16
    holds = ours.within(x.shape[1] + 4, 2.0**-24) and theirs.within(4.1, 2.0**-11)
    yield _row("outputs, rounded to float16", ours.y.astype(np.float16), theirs.y, HALF, holds, SPLIT)


def _reciprocal(widths: np.ndarray, x: np.ndarray, ours: np.ndarray, theirs: np.ndarray) -> tuple[str, bool]:
    """The reason for codes that differ, with who is right; and whether theirs follow from it.

    Args:
        widths: the numbers whose largest magnitude is their scale.
        x: what is quantized.
        ours: our codes.
        theirs: those of the peer.
    """
    largest = np.abs(widths).max(-1, keepdims=True)
    safe = np.where(largest > 0, largest, np.float32(1))
    by_reciprocal = np.rint(x * (np.float32(1) / safe * np.float32(127)))
    exact = np.rint(x.astype(np.float64) * 127 / safe)
    off = ours != theirs
    right = [int((codes[off] == exact[off]).sum()) for codes in (theirs, ours)]
    words = f"{RECIPROCAL}; the exact quotient gives their code in {right[0]}, ours in {right[1]}"
    return words, bool((by_reciprocal == theirs).all())


def _bitsandbytes_layer(x: np.ndarray, weight: np.ndarray) -> Layer:
    import bitsandbytes as bnb
    import torch

    half, halves = torch.from_numpy(weight).half(), torch.from_numpy(x).half()
    layer: Any = bnb.nn.Linear8bitLt(IN, OUT, bias=False, has_fp16_weights=False, threshold=6.0)
    layer.weight = bnb.nn.Int8Params(half, requires_grad=False, has_fp16_weights=False)
    layer = layer.to("cpu").eval()
    with torch.no_grad():
        y = layer(halves)
        codes, largest, columns = bnb.functional.int8_vectorwise_quant(halves.clone(), threshold=6.0)
    kept = np.zeros_like(x)
    if columns is not None:
        kept[:, columns.numpy()] = x[:, columns.numpy()]
    scales = (each.float().numpy().reshape(-1, 1) / np.float32(127) for each in (layer.state.SCB, largest))
    weight_scale, x_scale = scales
    return Layer(layer.state.CB.numpy(), weight_scale, codes.numpy(), x_scale, kept, y.numpy())
