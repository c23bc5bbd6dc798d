"""The numbers of the tensors of a GGUF file, from their bytes."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np

from qresearch.interop.gguf_header import GGUFTensor

PLAIN = {
    "f16": np.dtype(np.float16),
    "bf16": np.dtype(jnp.bfloat16),
    "f32": np.dtype(np.float32),
    "f64": np.dtype(np.float64),
    "i8": np.dtype(np.int8),
    "i16": np.dtype(np.int16),
    "i32": np.dtype(np.int32),
    "i64": np.dtype(np.int64),
}
"""Types of ggml without blocks -> dtype."""

INTEGERS = {kind for kind, dtype in PLAIN.items() if dtype.kind == "i"}

WORDS: dict[str, tuple[int, ...]] = {"q4_0": (0,), "q8_0": (0,), "q4_k": (0, 2), "q6_k": (208,), "mxfp4": (), "nvfp4": ()}
"""Types with blocks that gguf's own script converts between orders of bytes -> where the words of two bytes lie in a block."""


def plain(kind: str, data: np.ndarray, order: str = "<") -> np.ndarray:
    """The numbers of a type without blocks: uint8 [bytes] -> the dtype of the type, flat."""
    words = data.view(f"u{PLAIN[kind].itemsize}")
    return (words.byteswap() if order == ">" else words).view(PLAIN[kind])


def little_endian(kind: str, block: int, data: np.ndarray, order: str) -> np.ndarray:
    """The blocks of a type as a little-endian file has them.

    Args:
        kind: a type with blocks.
        block: the bytes of a block.
        data: uint8 [bytes].
        order: of the file.

    Raises:
        ValueError: for a big-endian file, if the order of bytes in these blocks is not defined.
    """
    if order == "<":
        return data
    if kind not in WORDS:
        known = ", ".join(WORDS)
        raise ValueError(
            f"the order of bytes in blocks of {kind} is defined for little-endian files only (for {known} in both)"
        )
    blocks = data.reshape(-1, block).copy()
    for at in WORDS[kind]:
        blocks[:, at : at + 2] = blocks[:, at : at + 2][:, ::-1]
    return blocks.reshape(-1)


def refusal(tensor: GGUFTensor) -> str | None:
    """Why the numbers of a tensor cannot be read; None if they can: floats, integers, and blocks that gguf decodes."""
    from gguf import GGMLQuantizationType
    from gguf.quants import dequantize

    kind, block = tensor.kind, tensor.block
    try:
        if block is not None and kind not in PLAIN:
            little_endian(kind, block[1], np.empty(0, np.uint8), tensor.order)
            dequantize(np.zeros((1, block[1]), np.uint8), GGMLQuantizationType[kind.upper()])
    except NotImplementedError:
        block = None
    except ValueError as error:
        return str(error)
    return None if block else f"its type is {kind}, which neither qresearch nor gguf decodes"


def values(kind: str, block: tuple[int, int], data: np.ndarray, order: str = "<") -> np.ndarray:
    """float32, flat: what the bytes of a tensor, or of some of its blocks, stand for.

    Args:
        kind: a type that gguf decodes, or one of `PLAIN`.
        block: the number of elements in a block, and the bytes.
        data: uint8 [bytes], whole blocks.
        order: of the bytes in the file, `<` or `>`.
    """
    from gguf import GGMLQuantizationType
    from gguf.quants import dequantize

    with np.errstate(all="ignore"):  # of infinite scales, signalling NaNs and float64 beyond float32
        if kind in PLAIN:
            return plain(kind, data, order).astype(np.float32)
        blocks = little_endian(kind, block[1], data, order).reshape(-1, block[1])
        return dequantize(blocks, GGMLQuantizationType[kind.upper()]).reshape(-1) if data.size else np.empty(0, np.float32)
