"""Integers: torch, torchao, compressed-tensors and optimum-quanto, symmetric and with a zero point.

Blocks are the rows of a matrix: per tensor (one row), per channel (rows of 256), in groups (rows of 32). Codes and values are
compared at *our* scales and zero points, so that one difference does not hide another. The scales and zero points that a peer
chooses are compared in separate rows. A reason is given only if it holds for every number of both sides.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from experiments.peers.integers import (
    ASYMMETRIC,
    CODES,
    FORMATS,
    SCALE,
    WIDER,
    ZERO,
    Blocks,
    Check,
    blocks,
    codes_of,
    scales_of,
    sides,
    values_of,
    zeros_of,
)
from experiments.peers.row import Row, counted


def compare() -> list[dict[str, Any]]:
    """Rows for all formats with all peers; a missing package is one row that says so."""
    rows: list[Row] = []
    prepared = {name: dict(blocks(name)) for name in FORMATS}
    for make in (_torch, _torchao, _compressed_tensors, _optimum_quanto):
        try:
            checks = make()
        except ImportError as error:
            rows.append(Row("integers", make.__name__[1:].replace("_", "-"), "all", why=f"not compared: {error}"))
            continue
        rows += [_checked(check, name, prepared[name]) for check in checks for name in check.formats]
    return [vars(row) for row in rows]


def _checked(check: Check, name: str, sources: dict[str, Blocks]) -> Row:
    counts = {"compared": 0, "equal": 0, "differing": 0}
    holding, exact = list(check.reasons), np.zeros(2, int)
    for each in sources.values():
        theirs = np.asarray(check.theirs(each))
        found = counted(check.ours(each), theirs)
        counts = {key: counts[key] + found[key] for key in counts}
        holding = [(holds, words) for holds, words in holding if not found["differing"] or holds(each, theirs)]
        exact = exact + sides(each, theirs) if check.ours is codes_of else exact
    why = holding[0][1] if counts["differing"] and holding else ""
    if why and exact.any():
        why += f"; the exact quotient gives their code in {exact[0]}, ours in {exact[1]}"
    compared, equal, differing = counts.values()
    return Row(name, check.peer, check.what, compared, equal, differing, why, ", ".join(sources))


# --- the peers --------------------------------------------------------------------------------------------------------


def _torch() -> list[Check]:
    import torch

    def tensors(b: Blocks) -> tuple[Any, ...]:
        return torch.from_numpy(b.x), torch.from_numpy(b.scale[:, 0]), torch.from_numpy(b.zero[:, 0])

    def fake(b: Blocks) -> np.ndarray:
        x, scale, zero = tensors(b)
        if len(b.x) == 1:
            return torch.fake_quantize_per_tensor_affine(x, scale[0], zero[0], b.least, b.most).numpy()
        return torch.fake_quantize_per_channel_affine(x, scale, zero, 0, b.least, b.most).numpy()

    def quantized(b: Blocks) -> np.ndarray:
        x, scale, zero = tensors(b)
        dtype = torch.quint8 if b.least == 0 else torch.qint8
        if len(b.x) == 1:
            q = torch.quantize_per_tensor(x, scale[0], zero[0], dtype)
        else:
            q = torch.quantize_per_channel(x, scale.double(), zero.long(), 0, dtype)
        return q.int_repr().numpy()

    full = tuple(name for name in ASYMMETRIC if "8" in name)  # torch has neither a narrow range nor 4 bits
    return [
        Check("torch", "values, fake_quantize_affine", fake, values_of),
        Check("torch", "codes, quantize_per_*", quantized, codes_of, CODES, full),
    ]


def _torchao() -> list[Check]:
    import torch
    from torchao.quantization.quant_primitives import (
        MappingType,
        choose_qparams_affine,
        dequantize_affine,
        quantize_affine,
    )

    def chosen(b: Blocks) -> tuple[np.ndarray, np.ndarray]:
        mapping = MappingType.ASYMMETRIC if b.asymmetric else MappingType.SYMMETRIC_NO_CLIPPING_ERR
        dtype = torch.uint8 if b.least == 0 else torch.int8
        x = torch.from_numpy(b.x)
        scale, zero = choose_qparams_affine(x, mapping, (1, b.x.shape[1]), dtype, b.least, b.most)
        return scale.numpy().reshape(-1, 1), zero.numpy().reshape(-1, 1)

    def encoded(b: Blocks) -> Any:
        dtype = torch.uint8 if b.least == 0 else torch.int8
        scale, zero = torch.from_numpy(b.scale), torch.from_numpy(b.zero)
        return quantize_affine(torch.from_numpy(b.x), (1, b.x.shape[1]), scale, zero, dtype, b.least, b.most)

    def decoded(b: Blocks) -> np.ndarray:
        scale, zero, codes = torch.from_numpy(b.scale), torch.from_numpy(b.zero), encoded(b)
        return dequantize_affine(codes, (1, b.x.shape[1]), scale, zero, codes.dtype, b.least, b.most).numpy()

    return [
        Check("torchao", "scales, choose_qparams_affine", lambda b: chosen(b)[0], scales_of, SCALE),
        Check("torchao", "zero points, choose_qparams_affine", lambda b: chosen(b)[1], zeros_of, ZERO, ASYMMETRIC),
        Check("torchao", "codes, quantize_affine", lambda b: encoded(b).numpy(), codes_of, CODES),
        Check("torchao", "values, dequantize_affine", decoded, values_of),
    ]


def _compressed_tensors() -> list[Check]:
    import torch
    from compressed_tensors.quantization import QuantizationArgs, QuantizationStrategy
    from compressed_tensors.quantization.lifecycle.forward import dequantize, quantize
    from compressed_tensors.quantization.utils import calculate_qparams

    def settings(b: Blocks) -> Any:
        bits = (b.most - b.least).bit_length()
        return QuantizationArgs(num_bits=bits, symmetric=not b.asymmetric, strategy=QuantizationStrategy.CHANNEL)

    def chosen(b: Blocks) -> tuple[np.ndarray, np.ndarray]:
        low, high = (torch.from_numpy(f(b.x, axis=1, keepdims=True)) for f in (np.min, np.max))
        scale, zero = calculate_qparams(low, high, settings(b))
        return scale.numpy(), zero.numpy().astype(np.int32)

    def encoded(b: Blocks) -> Any:
        scale, zero = torch.from_numpy(b.scale), torch.from_numpy(b.zero)
        return quantize(torch.from_numpy(b.x), scale, zero, settings(b), dtype=torch.int8)

    def decoded(b: Blocks) -> np.ndarray:
        codes, scale, zero = (torch.from_numpy(a) for a in (b.codes.astype(np.int8), b.scale, b.zero))
        return dequantize(codes, scale, zero, settings(b)).numpy()

    signed = tuple(name for name in FORMATS if not name.startswith("u"))
    zeros = tuple(name for name in ASYMMETRIC if name in signed)
    return [
        Check("compressed-tensors", "scales, calculate_qparams", lambda b: chosen(b)[0], scales_of, SCALE + WIDER, signed),
        Check("compressed-tensors", "zero points, calculate_qparams", lambda b: chosen(b)[1], zeros_of, ZERO, zeros),
        Check("compressed-tensors", "codes, quantize", lambda b: encoded(b).numpy(), codes_of, CODES, signed),
        Check("compressed-tensors", "values, dequantize of our codes", decoded, values_of, (), signed),
    ]


def _optimum_quanto() -> list[Check]:
    import torch
    from optimum.quanto import AbsmaxOptimizer, qint8

    def chosen(b: Blocks) -> np.ndarray:
        return AbsmaxOptimizer()(torch.from_numpy(b.x), qint8, 0).numpy().reshape(-1, 1)

    def encoded(b: Blocks) -> np.ndarray:
        x, axis = torch.from_numpy(b.x), 0 if len(b.x) > 1 else None
        scale = torch.from_numpy(b.scale) if len(b.x) > 1 else torch.tensor(float(b.scale[0, 0]))
        return torch.ops.quanto.quantize_symmetric(x, torch.int8, axis, scale).numpy()

    return [
        Check("optimum-quanto", "scales, AbsmaxOptimizer", chosen, scales_of, SCALE, ("int8", "int8@row")),
        Check("optimum-quanto", "codes, quantize_symmetric", encoded, codes_of, CODES, ("int8", "int8@row")),
    ]
