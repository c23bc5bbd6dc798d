"""The sides of torch for codes of several numbers: the algorithms of QuIP# and QTIP, in eager operations."""

from __future__ import annotations

from typing import Any

import numpy as np

import qresearch as qr
from experiments.bench.contests.contest import Maker, Work
from experiments.bench.contests.ours import first
from experiments.bench.contests.torch_sides import torch
from qresearch.element.trellis_values import one_mad

ROWS_AT_ONCE = 256
"""Vectors that are compared with all words at once: 64 MiB of scores."""


def words() -> np.ndarray:
    """float32 [65536, 8]: the vectors of E8P."""
    element = qr.build("e8p").element
    return np.array(element.decode(element.grid.codes())).reshape(-1, 8)


def e8p_all_words(share: int) -> Maker:
    """A matrix product with all 65,536 words and the largest score, on one of `share` numbers."""

    def make(x: np.ndarray) -> Work:
        library = torch()
        fewer = library.from_numpy(x[: max(x.size // share, 8)].reshape(-1, 8))
        grid = library.from_numpy(words())
        norm = (grid * grid).sum(1)

        def run() -> Any:
            return library.cat([(2 * part @ grid.T - norm).argmax(1) for part in fewer.split(ROWS_AT_ONCE)])

        return first(run, fewer.numel(), lambda found: found.numpy())

    return make


def e8p_decode() -> Maker:
    """A gather from the table of 65,536 vectors."""

    def make(x: np.ndarray) -> Work:
        library = torch()
        codes = np.asarray(qr.quantize(x, "e8p-unit").codes).astype(np.int64)
        table, at = library.from_numpy(words()), library.from_numpy(codes)
        return first(lambda: table[at], x.size, lambda found: found.numpy())

    return make


def viterbi(code_bits: int, state_bits: int, share: int) -> Maker:
    """QTIP's search in tiles of 256, tail-biting by two passes, on one of `share` numbers."""

    def make(x: np.ndarray) -> Work:
        library = torch()
        tiles = library.from_numpy(x[: max(x.size // share, 256) // 256 * 256].reshape(-1, 256))
        values = library.from_numpy(one_mad(2**state_bits))
        ways, kept = 2**code_bits, 2 ** (state_bits - code_bits)
        state = library.arange(ways * kept)

        def path(part: Any, history: Any) -> Any:
            def closed(cost: Any, of: Any) -> Any:
                return cost if history is None else cost.where(of[None] == history[:, None], cost.new_tensor(np.inf))

            cost, dropped = closed((values - part[:, :1]).square(), state >> code_bits), []
            for place in range(1, part.shape[1]):
                best = cost.view(-1, ways, kept).min(1)
                dropped.append(best.indices)
                cost = best.values.repeat_interleave(ways, 1) + (values - part[:, place, None]).square()
            found = [closed(cost, state & (kept - 1)).argmin(1)]
            for each in reversed(dropped):
                rest = found[-1] >> code_bits
                found.append(rest | each.gather(1, rest[:, None])[:, 0] * kept)
            return library.stack(found[::-1], 1)

        def run() -> Any:
            free = path(tiles.roll(128, 1), None)
            return path(tiles, free[:, 128] >> code_bits) & (ways - 1)

        return first(run, tiles.numel(), lambda found: found.numpy())

    return make
