"""The sides of torch and bitsandbytes. Both are imported when a contest runs, and use a thread for every core."""

from __future__ import annotations

from typing import Any

import numpy as np

import qresearch as qr
from experiments.bench.contests.contest import Maker, Work
from experiments.bench.contests.ours import first, mse
from experiments.bench.machine import cores


def torch() -> Any:
    """The package torch, with a thread for every core. Raises `ImportError`."""
    import torch

    torch.set_num_threads(cores())
    return torch


def bitsandbytes() -> Any:
    """The functions of bitsandbytes. Raises `ImportError`."""
    torch()
    import bitsandbytes.functional

    return bitsandbytes.functional


# --- bitsandbytes -----------------------------------------------------------------------------------------------------


def encode_dynamic(block: int) -> Maker:
    """`quantize_blockwise`: codes, a byte each, and the largest magnitude of each block."""

    def make(x: np.ndarray) -> Work:
        functional, numbers = bitsandbytes(), torch().from_numpy(x)
        return first(lambda: functional.quantize_blockwise(numbers, blocksize=block), x.size, lambda found: found[0].numpy())

    return make


def decode_dynamic(block: int) -> Maker:
    """`dequantize_blockwise` of what it encoded itself."""

    def make(x: np.ndarray) -> Work:
        functional = bitsandbytes()
        codes, state = functional.quantize_blockwise(torch().from_numpy(x), blocksize=block)
        return first(lambda: functional.dequantize_blockwise(codes, state), x.size, lambda found: found.numpy())

    return make


def encode_nf4(block: int) -> Maker:
    """`quantize_4bit`: two codes to a byte, the first one high."""

    def make(x: np.ndarray) -> Work:
        functional, numbers = bitsandbytes(), torch().from_numpy(x)

        def answer(found: Any) -> np.ndarray:
            data = found[0].numpy().ravel()
            return np.stack([data >> 4, data & 15], -1).ravel()

        return first(lambda: functional.quantize_4bit(numbers, blocksize=block, quant_type="nf4"), x.size, answer)

    return make


def decode_nf4(block: int) -> Maker:
    """`dequantize_4bit` of what it encoded itself."""

    def make(x: np.ndarray) -> Work:
        functional = bitsandbytes()
        codes, state = functional.quantize_4bit(torch().from_numpy(x), blocksize=block, quant_type="nf4")
        return first(lambda: functional.dequantize_4bit(codes, state), x.size, lambda found: found.numpy())

    return make


# --- torch, eager -----------------------------------------------------------------------------------------------------


def int8_absmax(block: int) -> Maker:
    """Scale by 127 over the largest magnitude, round, clamp, cast."""

    def make(x: np.ndarray) -> Work:
        package = torch()
        blocks = package.from_numpy(x).view(-1, block)

        def run() -> tuple[Any, Any]:
            scale = blocks.abs().amax(1, keepdim=True) * (1 / 127)
            codes = (blocks * (1 / scale)).round().clamp(-127, 127).to(package.int8)
            return codes, scale

        return first(run, x.size, lambda found: found[0].numpy().ravel())

    return make


def rms_error(element: str, block: int) -> Maker:
    """Largest magnitude, bucketize by the middles, gather, root of the mean squared error."""
    grid: Any = qr.build(element).element.grid
    table = np.asarray(grid.levels)[: grid.codes().size]

    def make(x: np.ndarray) -> Work:
        package = torch()
        blocks = package.from_numpy(x).view(-1, block)
        levels = package.from_numpy(table)
        middles = (levels[1:] + levels[:-1]) / 2

        def run() -> Any:
            scale = blocks.abs().amax(1, keepdim=True)
            value = levels[package.bucketize(blocks * (1 / scale), middles)] * scale
            return (value - blocks).square().mean().sqrt()

        return first(run, x.size, lambda found: np.float64(found))

    return make


def float8_error(block: int) -> Maker:
    """Largest magnitude, a cast to E4M3 and back, root of the mean squared error."""

    def make(x: np.ndarray) -> Work:
        package = torch()
        blocks = package.from_numpy(x).view(-1, block)

        def run() -> Any:
            scale = blocks.abs().amax(1, keepdim=True) * (1 / 448)
            value = (blocks * (1 / scale)).to(package.float8_e4m3fn).float() * scale
            return (value - blocks).square().mean().sqrt()

        return first(run, x.size, lambda found: np.float64(found))

    return make


STEPS = 300
"""The largest number of iterations of Lloyd's loop."""


def lloyd_loop(levels: int, share: int) -> Maker:
    """Lloyd's loop (bucketize, mean of each bucket) until no level moves by 1e-5, on one of `share` numbers."""

    def make(x: np.ndarray) -> Work:
        package = torch()
        numbers = package.from_numpy(x[: max(x.size // share, min(x.size, 2**10))])
        wide = numbers.double()
        start = package.quantile(wide[: 2**16], (package.arange(levels).double() + 0.5) / levels)

        def run() -> Any:
            now = start
            for _ in range(STEPS):
                index = package.bucketize(numbers, ((now[1:] + now[:-1]) / 2).float())
                total = package.zeros(levels, dtype=package.float64).index_add_(0, index, wide)
                before, now = now, total / package.bincount(index, minlength=levels)
                if float((now - before).abs().max()) < 1e-5:
                    break
            return now

        return first(run, numbers.numel(), lambda found: mse(x, found.numpy()))

    return make
