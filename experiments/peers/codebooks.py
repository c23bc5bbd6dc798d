"""Codebooks: NF4, AF4 and the dynamic map of bitsandbytes, and the posits of SoftPosit and posit-playground.

Tables are compared number by number; codes are compared on random numbers, and on every threshold and its neighbours. If codes
differ, distances in float64, which are exact for these numbers, decide which level is nearer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

import qresearch as qr
from experiments.peers.row import comparison
from qresearch.element.levels.quantiles import normal_float

BLOCK = 64
COUNT = 2**18


def compare() -> list[dict[str, Any]]:
    """A row for each table and each encoder; a missing package is one row that says so."""
    rows: list[dict[str, Any]] = []
    for name, make in (("bitsandbytes", _bitsandbytes), ("softposit", _softposit), ("posit-playground", _playground)):
        try:
            rows += [row | {"peer": name} for row in make()]
        except ImportError as error:
            rows.append(comparison("codebooks", name, "all", [], [], f"not compared: {error}"))
    return rows


def _compared(form: str, what: str, ours: Any, theirs: Any, why: str = "", inputs: str = "") -> dict[str, Any]:
    return comparison(form, "", what, ours, theirs, why, inputs, bits=False)


def levels(text: str) -> np.ndarray:
    """float32: the table of a scheme's element."""
    grid: Any = qr.build(text).element.grid
    return np.asarray(grid.levels)[: grid.codes().size]


def numbers(table: np.ndarray, block: int) -> dict[str, np.ndarray]:
    """float32 [blocks, block]: normal numbers; thresholds and levels with their neighbours, a 1 in every block."""
    random = np.random.default_rng(0).standard_normal((COUNT // block, block)).astype(np.float32)
    points = np.concatenate([table, (table[1:].astype(np.float64) + table[:-1]) / 2]).astype(np.float32)
    points = np.concatenate([points, *(np.nextafter(points, np.float32(side)) for side in (-2, 2))])
    points = np.resize(points[np.abs(points) <= 1], (-(-points.size // (block - 1)), block - 1))
    return {"normal": random, "thresholds": np.concatenate([np.ones((len(points), 1), np.float32), points], 1)}


def _nearer(table: np.ndarray, y: np.ndarray, ours: np.ndarray, theirs: np.ndarray) -> str:
    """How often each side has the nearer level, where codes differ."""
    off = ours != theirs
    if not off.any():
        return ""
    a, b = (np.abs(y[off].astype(np.float64) - table[codes[off]]) for codes in (ours, theirs))
    return f"of {off.sum()}, ours is nearer in {(a < b).sum()}, theirs in {(b < a).sum()}, a tie {(a == b).sum()}"


# --- bitsandbytes -----------------------------------------------------------------------------------------------------


def _bitsandbytes() -> Iterator[dict[str, Any]]:
    import bitsandbytes.functional as bnb
    import torch

    nf4 = np.sort(bnb.get_4bit_type("nf4", device="cpu").numpy())
    yield _compared("nf4", "levels, get_4bit_type", levels("nf4"), nf4)
    made = np.sort(bnb.create_normal_map().numpy())
    made = np.insert(made[made != 0], 7, 0)
    yield _compared("nf4", "levels, our generator", normal_float(4).astype(np.float32), nf4)
    why = "the published table takes float32 probabilities counted from both ends: its last digits hang on torch.linspace"
    yield _compared("nf4", "levels, create_normal_map", levels("nf4"), made, why)
    af4 = np.sort(bnb.get_4bit_type("af4", device="cpu", blocksize=64).numpy())
    digits = float(np.abs(levels("af4(64)").astype(np.float64) - af4).max())
    why = f"the published numbers have eight digits; the largest difference is {digits:.1e}"
    yield _compared("af4", "levels, get_4bit_type", levels("af4(64)"), af4, why)
    dynamic = bnb.create_dynamic_map().numpy()
    ulps = int((np.abs(levels("dynamic8") - dynamic) / np.spacing(np.abs(dynamic) + np.float32(1e-30))).max())
    why = f"theirs is computed in float32, ours in float64 and rounded once; the largest difference is {ulps} ulp"
    yield _compared("dynamic8", "levels, create_dynamic_map", levels("dynamic8"), dynamic, why)
    for inputs, x in numbers(nf4, BLOCK).items():
        packed, _ = bnb.quantize_4bit(torch.from_numpy(x.copy()), blocksize=BLOCK, quant_type="nf4")
        codes = np.stack([packed.numpy() >> 4, packed.numpy() & 15], -1).reshape(x.shape)
        yield _coded(
            "nf4", "codes, quantize_4bit", x, codes, inputs, "they compare with middles that are rounded, and a tie goes down"
        )
    ours = levels("dynamic8")
    for inputs, x in numbers(ours, 256).items():
        found, _ = bnb.quantize_blockwise(torch.from_numpy(x.copy()), code=torch.from_numpy(ours.copy()), blocksize=256)
        why = "their encoder for CPU, given our table, is not exactly nearest"
        yield _coded("dynamic8", "codes, quantize_blockwise", x, found.numpy().reshape(x.shape), inputs, why)


def _coded(text: str, what: str, x: np.ndarray, theirs: np.ndarray, inputs: str, why: str) -> dict[str, Any]:
    q = qr.quantize(x, f"{text}@row")
    ours, table = np.asarray(q.codes).astype(int), levels(text)
    y = x * (np.float32(1) / np.asarray(q.scales))
    return _compared(text, what, ours, theirs, f"{why}: {_nearer(table, y, ours, theirs.astype(int))}", inputs)


# --- posits -----------------------------------------------------------------------------------------------------------


def _softposit() -> Iterator[dict[str, Any]]:
    import softposit

    library = softposit._softposit
    for text, bits, write, read in (
        ("posit8es0", 8, library.convertDoubleToP8, library.convertP8ToDouble),
        ("posit16es1", 16, library.convertDoubleToP16, library.convertP16ToDouble),
        ("posit8es2", 8, lambda x: library.convertDoubleToPX2(x, 8), library.convertPX2ToDouble),
        ("posit16es2", 16, lambda x: library.convertDoubleToPX2(x, 16), library.convertPX2ToDouble),
    ):
        yield from _posit(text, bits, write, read)


def _posit(text: str, bits: int, write: Callable[[float], Any], read: Callable[[Any], float]) -> Iterator[dict[str, Any]]:
    element = qr.build(text).element
    grid: Any = element.grid
    table = levels(text)
    inputs = _posit_numbers(grid, table.size)
    shift = 32 - bits if "es2" in text else 0  # SoftPosit keeps these at the upper end of 32 bits
    yield _compared(text, "values of all levels, written and read", table, [read(write(float(level))) for level in table])
    for name, y in inputs.items():
        ours = np.asarray(grid.words)[np.asarray(element.encode(y)).astype(int)]
        theirs = np.array([_signed(write(float(each)).v >> shift, bits) for each in y])
        off = ours != theirs
        first = f", as at {y[off][0]!r}: ours {ours[off][0]}, theirs {theirs[off][0]}" if off.any() else ""
        why = "ours is the cut string (tests compare it with a decoder of letters)" + first
        yield _compared(text, "bit strings", ours, theirs, why, name)


def _posit_numbers(grid: Any, count: int) -> dict[str, np.ndarray]:
    random = np.random.default_rng(1)
    spread = random.standard_normal(50_000) * np.exp2(random.uniform(-40, 40, 50_000))
    middles = np.asarray(grid.middles)[: count - 1]
    middles = random.choice(middles[middles != 0], min(4000, count - 3), replace=False)
    near = [np.nextafter(middles, np.float32(side)) for side in (-np.inf, np.inf)]
    return {"forty octaves": spread.astype(np.float32), "thresholds": np.concatenate([middles, *near])}


def _signed(word: int, bits: int) -> int:
    return word - 2**bits if word >= 2 ** (bits - 1) else word


def _playground() -> Iterator[dict[str, Any]]:
    import posit_playground

    for bits, exponent in ((6, 1), (8, 0), (8, 1), (8, 2), (12, 2), (16, 1), (16, 2)):
        text = f"posit{bits}es{exponent}"
        grid: Any = qr.build(text).element.grid
        table = levels(text)
        words = np.asarray(grid.words)[: table.size]
        theirs = [posit_playground.from_bits(int(word) % 2**bits, bits, exponent).eval() for word in words]
        yield _compared(text, "values of all bit strings", table, np.array(theirs, np.float64))


if __name__ == "__main__":
    for each in compare():
        print(each)
