"""How other libraries lay out a quantized weight, as a table: which tensors there are, and how they become a `QTensor`.

References: compressed-tensors 0.20, `compressors/`; AutoGPTQ 0.7, `qlinear_cuda_old.py`; AutoAWQ 0.2, `packing_utils.py` and
`gemm.py`; bitsandbytes 0.50, `QuantState.as_dict`.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
import numpy as np

from qresearch.coders.qtensor import QTensor
from qresearch.coders.storage import Nested
from qresearch.grammar.build import build
from qresearch.grammar.levels import levels
from qresearch.scales.params import Encoded, Params
from qresearch.wrapping.wrapper import Kept

SUFFIXES = {"float32": "", "float16": ":f16", "bfloat16": ":bf16"}
"""The dtype of the scales -> how a scheme says so."""


@dataclass(frozen=True)
class Module:
    """The tensors of one weight.

    Attributes:
        config: what the checkpoint says of its quantization.
        tensors: the end of the name -> tensor.
    """

    config: dict[str, Any]
    tensors: dict[str, np.ndarray]

    @property
    def weights(self) -> list[dict[str, Any]]:
        """What the groups of a configuration of compressed-tensors say of weights."""
        groups = self.config.get("config_groups") or {}
        return [each["weights"] for each in groups.values() if each.get("weights")]

    def __getitem__(self, leaf: str) -> np.ndarray:
        return self.tensors[leaf]


@dataclass(frozen=True)
class Layout:
    """A layout.

    Attributes:
        library: that writes it.
        leaves: the ends of the names of the tensors that it always has.
        read: makes the weight. Raises `ValueError` if no scheme of ours gives the same numbers.
    """

    library: str
    leaves: frozenset[str]
    read: Callable[[Module], QTensor]


def assembled(scheme: str, shape: tuple[int, ...], codes: np.ndarray, scale: Any, zeros: np.ndarray | None = None) -> QTensor:
    """A quantized array from what a file holds.

    Args:
        scheme: its text.
        shape: of the array.
        codes: integers [shape].
        scale: [grid] of the dtype in which the scheme stores scales, or what its storage keeps.
        zeros: integers [grid], the zero points; None if there are none.

    Raises:
        ValueError: if a shape does not belong to the others.
    """
    coder = build(scheme)
    grid = coder.layout(shape).grid
    if isinstance(scale, np.ndarray):
        if scale.size != math.prod(grid):
            raise ValueError(f"{scheme!r} has scales of shape {grid} for an array of shape {shape}, not {scale.shape}")
        scale = scale.reshape(grid).copy()  # not a part of the file, which may change
        nested = isinstance(coder.scaling.scale, Nested)
        scale = Encoded(jnp.asarray(scale.view(f"u{scale.itemsize}")), Params()) if nested else jnp.asarray(scale)
    dtype = coder.element.code_dtype
    offset = None if zeros is None else jnp.asarray(zeros.reshape(grid).astype(dtype))
    whole = np.ascontiguousarray(codes.reshape(shape)).astype(dtype)
    return QTensor.of(Encoded(jnp.asarray(whole), Params(scale, offset)), coder)


def fields(words: np.ndarray, bits: int, count: int) -> np.ndarray:
    """uint8 [..., count]: the unsigned integers that follow each other in words of 32 bits, the first in the low bits."""
    data = np.ascontiguousarray(words, "<i4").view(np.uint8)
    every = np.unpackbits(data, axis=-1, count=count * bits, bitorder="little").reshape(*data.shape[:-1], count, bits)
    return np.packbits(every, axis=-1, bitorder="little")[..., 0]


# --- compressed-tensors ---------------------------------------------------------------------------------------------------


def _packed(module: Module) -> QTensor:
    """`pack-quantized`: integers of 1 to 8 bits, offset by half their range, in a stream of bits."""
    words, shape = module["weight_packed"], tuple(int(n) for n in module["weight_shape"])
    scale, bits = module["weight_scale"], _width(module, words.shape[-1], shape[-1])
    _in_order(module, "weight_g_idx", shape[-1], scale.shape[-1])
    half = 2 ** (bits - 1)
    codes = fields(words, bits, shape[-1]).astype(np.int16) - half
    zeros = module.tensors.get("weight_zero_point")
    if zeros is not None and zeros.dtype == np.int32:  # packed along the first axis
        zeros = fields(zeros.T, bits, shape[-2]).T.astype(np.int16) - half
    form = "full" if zeros is None else "asym"
    return assembled(f"int{bits}-{form}@{_block(module, scale, shape)}{_suffix(scale)}", shape, codes, scale, zeros)


def _width(module: Module, words: int, count: int) -> int:
    """The width of the codes: the configured one that gives this number of words, or else any that does."""
    given = {each["num_bits"] for each in module.weights}
    fits = [bits for bits in (sorted(given) or range(1, 9)) if -(-count * bits // 32) == words]
    if len(fits) != 1:
        raise ValueError(f"{words} words for {count} codes can be codes of {fits or 'no'} bits; config.json must say which")
    return int(fits[0])


def _whole(module: Module) -> QTensor:
    """`int-quantized` and `float-quantized`: int8 or FP8 as they are."""
    codes, scale = module["weight"], module["weight_scale"]
    zeros = module.tensors.get("weight_zero_point")
    elements = {"int8": "int8-full" if zeros is None else "int8-asym", "float8_e4m3fn": "e4m3", "float8_e5m2": "e5m2"}
    if (element := elements.get(str(codes.dtype))) is None:
        raise ValueError(f"its codes are {codes.dtype}; allowed: {', '.join(elements)}")
    zeros = zeros if codes.dtype == np.int8 else None
    stored = codes if codes.dtype == np.int8 else codes.view(np.uint8)
    return assembled(f"{element}@{_block(module, scale, codes.shape)}{_suffix(scale)}", codes.shape, stored, scale, zeros)


def _mxfp4(module: Module) -> QTensor:
    """`mxfp4-pack-quantized`: two FP4 numbers in a byte, and the exponents of their scales."""
    data, scale = module["weight_packed"], module["weight_scale"]
    if "weight_global_scale" in module.tensors:
        raise ValueError("NVFP4 of compressed-tensors divides by a scale of the tensor, by which our schemes multiply")
    codes = np.stack([data & 15, data >> 4], -1).reshape(*data.shape[:-1], -1)
    return assembled("e2m1@32:e8m0", codes.shape, codes, scale)


def _suffix(scale: np.ndarray) -> str:
    if (found := SUFFIXES.get(str(scale.dtype))) is None:
        raise ValueError(f"its scales are {scale.dtype}; allowed: {', '.join(SUFFIXES)}")
    return found


def _block(module: Module, scale: np.ndarray, shape: tuple[int, ...]) -> str:
    """The block of a scheme in which scales of this shape belong to an array."""
    if scale.size == 1:
        return "tensor"
    grid = scale.shape if scale.ndim == len(shape) else (*scale.shape, 1)
    if grid[:-1] == shape[:-1]:
        return _group(module, shape[-1], grid[-1])
    tiles = [each["block_structure"] for each in module.weights if each.get("block_structure")]
    for tile in (tuple(map(int, each.split("x") if isinstance(each, str) else each)) for each in tiles):
        if tuple(-(-n // size) for n, size in zip(shape, tile)) == grid:
            return "x".join(map(str, tile))
    raise ValueError(f"its scales have the shape {scale.shape}, which are not groups of an array of shape {shape}")


def _group(module: Module, count: int, groups: int) -> str:
    """The block of a scheme that cuts rows of `count` columns into `groups`."""
    given = [each.get("group_size") for each in (module.config, *module.weights)]
    sizes = [size for size in given if isinstance(size, int) and size > 0 and -(-count // size) == groups]
    if not sizes and count % groups:
        raise ValueError(f"{count} columns in {groups} groups: the configuration must say how long a group is")
    return "row" if groups == 1 else str(sizes[0] if sizes else count // groups)


def _in_order(module: Module, leaf: str, count: int, groups: int) -> None:
    """Raises `ValueError` if the columns of a group are not neighbours, as after quantizing them by activation order."""
    order = module.tensors.get(leaf)
    if order is not None and (order >= 0).all() and not np.array_equal(order, np.arange(count) // -(-count // groups)):
        raise ValueError(
            f"{leaf} puts columns in groups that are not neighbours (desc_act, actorder); our blocks are neighbours"
        )


# --- GPTQ and AWQ ---------------------------------------------------------------------------------------------------------

AWQ_ORDER = (0, 4, 1, 5, 2, 6, 3, 7)
"""Where AWQ puts the columns 0 to 7 in a word."""


def _columns(module: Module) -> QTensor:
    """Codes of columns, zero points and scales, [in, out]. AWQ packs codes along out, GPTQ along in."""
    words, zeros, scales = module["qweight"], module["qzeros"], module["scales"]
    groups, out = scales.shape
    bits = zeros.shape[1] * 32 // out
    read = _gptq if words.shape[1] == out else _awq
    codes, zeros = read(module, words, zeros, bits, out)
    _in_order(module, "g_idx", codes.shape[1], groups)
    return assembled(
        f"uint{bits}-asym@{_group(module, codes.shape[1], groups)}{_suffix(scales)}", codes.shape, codes, scales.T, zeros
    )


def _gptq(module: Module, words: np.ndarray, zeros: np.ndarray, bits: int, out: int) -> tuple[np.ndarray, np.ndarray]:
    """[out, in] and [out, groups]. The first version of the format stores a zero point less one, modulo the codes."""
    less = np.uint8(module.config.get("checkpoint_format") != "gptq_v2")
    return fields(words.T, bits, words.shape[0] * 32 // bits), (fields(zeros, bits, out).T + less) & np.uint8(2**bits - 1)


def _awq(module: Module, words: np.ndarray, zeros: np.ndarray, bits: int, out: int) -> tuple[np.ndarray, np.ndarray]:
    """[out, in] and [out, groups]."""
    if bits != 4 or words.shape[1] * 8 != out:
        raise ValueError(f"qweight {words.shape}, qzeros {zeros.shape} and scales of {out} columns are neither GPTQ nor AWQ")
    codes, stored = (fields(each, 4, out).reshape(len(each), -1, 8)[..., list(AWQ_ORDER)] for each in (words, zeros))
    return codes.reshape(len(words), out).T, stored.reshape(len(zeros), out).T


# --- bitsandbytes ---------------------------------------------------------------------------------------------------------


def _four_bits(module: Module) -> QTensor:
    """NF4 and FP4 in blocks of the flat array, two codes in a byte, the first in its high bits; scales may be quantized too."""
    states = [each for leaf, each in module.tensors.items() if leaf.startswith("weight.quant_state.bitsandbytes__")]
    if len(states) != 1:
        raise ValueError(f"it has {len(states)} tensors quant_state, which say its shape and blocks; one is needed")
    about = json.loads(states[0].tobytes())
    shape, element = tuple(about["shape"]), {"nf4": "nf4", "fp4": "fp4bnb"}[about["quant_type"]]
    data = module["weight"].reshape(-1)
    table, theirs = levels(element), module["weight.quant_map"]
    order = np.searchsorted(table, theirs)  # theirs need not ascend
    if not np.array_equal(table.take(order, mode="clip"), theirs):
        raise ValueError(f"its quant_map is not that of {element}")
    codes = order[np.stack([data >> 4, data & 15], -1).reshape(-1)[: math.prod(shape)]]
    scheme, scale = f"{element}@flat{about['blocksize']}", module["weight.absmax"]
    if "weight.nested_absmax" not in module.tensors:
        return assembled(scheme, shape, codes, scale)
    numbers = ",".join(repr(float(level)) for level in module["weight.nested_quant_map"])
    outer = Params(jnp.array(module["weight.nested_absmax"]))
    stored = Encoded(jnp.array(scale), Kept(outer, jnp.float32(about["nested_offset"])))
    nested = f"(codebook({numbers})@{about['nested_blocksize']} + mean)"
    return assembled(f"{element}-exact@flat{about['blocksize']}:{nested}", shape, codes, stored)


def _eight_bits(module: Module) -> QTensor:
    raise ValueError(
        "LLM.int8() multiplies codes by the largest magnitude and then by 1/127, rounding twice, as no scheme does"
    )


LAYOUTS = (
    Layout("compressed-tensors", frozenset({"weight_packed", "weight_scale", "weight_shape"}), _packed),
    Layout("compressed-tensors", frozenset({"weight_packed", "weight_scale"}), _mxfp4),
    Layout("compressed-tensors", frozenset({"weight", "weight_scale"}), _whole),
    Layout("GPTQ and AWQ", frozenset({"qweight", "qzeros", "scales"}), _columns),
    Layout("bitsandbytes", frozenset({"weight", "weight.absmax", "weight.quant_map"}), _four_bits),
    Layout("bitsandbytes", frozenset({"weight", "SCB"}), _eight_bits),
)
"""The first whose tensors are all there decides how a weight is read."""

LEAVES = (
    "weight_packed",
    "weight_scale",
    "weight_shape",
    "weight_zero_point",
    "weight_global_scale",
    "weight_g_idx",
    "qweight",
    "qzeros",
    "scales",
    "g_idx",
    "weight.absmax",
    "weight.quant_map",
    "weight.nested_absmax",
    "weight.nested_quant_map",
    "SCB",
    "weight",
)
"""The ends of names that are part of a layout, besides `weight.quant_state.*`."""
