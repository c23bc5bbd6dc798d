"""Trellis codes: a code of K bits for each number, whose meaning depends on the codes before it.

QTIP (Tseng et al. 2024, arXiv 2406.11235). The state, L bits, is shifted by K bits at each number and takes in the number's
code: `s' = (s << K | code) mod 2^L`. So a number has 2^L values to choose from, at K bits. The first codes of a group of 256
numbers follow the last ones (tail-biting): no start state is stored. Viterbi's algorithm finds the path of least squared error
from any state; a second pass starts and ends in the state that the first one found at the ends of the group.
"""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from qresearch.arithmetic.exact import rounded
from qresearch.arithmetic.packing import code_dtype
from qresearch.base import sharding
from qresearch.base.part import Leaf, part, static
from qresearch.element.grouped import Grouped
from qresearch.element.rounding import Rounding

TILE = 256
"""Numbers that share a path."""

STATES_AT_ONCE = 2**13
"""Tiles are searched in batches with about this many states in all, so that memory stays bounded and small arrays in cache."""

MOST_TILES = 64

SAMPLED_GROUPS = 16


@part
class Trellis(Grouped):
    """A bit-shift trellis. Codes lie along the axis of groups, one for each number; only a whole group of them means numbers.

    Attributes:
        values: float32 [2^state_bits], the number that each state stands for.
        reach: float32 scalar, the number that a block's width is mapped to.
        bits: int32 scalar, the width of a code.
        end: float32 scalar, the largest magnitude of the values.
        code_bits: the width of a code, static.
        state_bits: the width of a state.
        group: 256, numbers that share a path.
        dtype: the dtype of the codes.
    """

    values: Leaf
    reach: Leaf
    bits: Leaf
    end: Leaf
    code_bits: int = static()
    state_bits: int = static()
    group: int = static()
    dtype: str = static()

    successive = True

    @property
    def per_group(self) -> int:  # type: ignore[override]
        """A code for each number of a group."""
        return self.group

    @property
    def ends(self) -> tuple[float, float]:
        """Minus and plus the largest magnitude of the values."""
        return -float(self.end), float(self.end)

    @property
    def largest(self) -> Array | np.float32:
        """float32: the largest magnitude of the values."""
        return self.end

    def encode(self, y: Array, rounding: Rounding, u: Array | None = None, shift: Array | None = None) -> Array:
        """float32 [..., 256 n] -> codes [..., 256 n]."""
        tiles = self.grouped(y).reshape(-1, self.group)
        count = len(tiles)
        size = max(1, min(STATES_AT_ONCE >> self.state_bits, MOST_TILES, count))
        padded = jnp.pad(tiles, [(0, -count % size), (0, 0)])
        batches = padded.reshape(len(padded) // size, size, self.group)
        states = lax.map(self._path, batches) if count else jnp.zeros(batches.shape, jnp.int32)
        codes = states.reshape(-1, self.group)[:count] & np.int32(2**self.code_bits - 1)
        return codes.astype(self.dtype).reshape(y.shape)

    def decode(self, codes: Array | np.ndarray) -> Array:
        """Codes [..., 256 n] -> float32 [..., 256 n]."""
        codes = jnp.asarray(codes)
        groups = self.groups(codes.astype(jnp.int32))
        states = groups
        for back in range(1, -(-self.state_bits // self.code_bits)):
            states = states | jnp.roll(groups, back, -1) << self.code_bits * back
        return sharding.entries(self.values, states & np.int32(2**self.state_bits - 1)).reshape(codes.shape)

    def codes(self) -> np.ndarray:
        """A sample of groups of codes, drawn by a fixed seed."""
        drawn = np.random.default_rng(0).integers(0, 2**self.code_bits, SAMPLED_GROUPS * self.group)
        return drawn.astype(self.dtype)

    def _path(self, tiles: Array) -> Array:
        """float32 [n, 256] -> int32 [n, 256]: the states of a path that bites its tail."""
        middle = self.group // 2
        free = self._viterbi(jnp.roll(tiles, middle, -1), None)
        return self._viterbi(tiles, free[:, middle] >> self.code_bits)

    def _viterbi(self, tiles: Array, history: Array | None) -> Array:
        """The states of the path of least error; with `history`, int32 [n], one that starts after it and ends with it."""
        kept = 2 ** (self.state_bits - self.code_bits)
        state = np.arange(2**self.state_bits, dtype=np.int32)[None]
        cost = self._error(tiles[:, 0])
        if history is not None:
            cost = jnp.where(state >> self.code_bits == history[:, None], cost, np.float32(np.inf))
        cost, dropped = lax.scan(self._step, cost, tiles[:, 1:].T)
        if history is not None:
            cost = jnp.where(state & (kept - 1) == history[:, None], cost, np.float32(np.inf))
        last = jnp.argmin(cost, -1).astype(jnp.int32)

        def back(at: Array, dropped: Array) -> tuple[Array, Array]:
            rest = at >> self.code_bits
            high = jnp.take_along_axis(dropped, rest[:, None], 1)[:, 0].astype(jnp.int32)
            before = rest | high << (self.state_bits - self.code_bits)
            return before, before

        _, states = lax.scan(back, last, dropped, reverse=True)
        return jnp.concatenate([states.T, last[:, None]], 1)

    def _step(self, cost: Array, number: Array) -> tuple[Array, Array]:
        """The costs [n, states] after one more number, and the bits that the best path to each rest of a state dropped."""
        ways, kept = 2**self.code_bits, 2 ** (self.state_bits - self.code_bits)
        parts = cost.reshape(len(cost), ways, kept)
        best, dropped = parts[:, 0], jnp.zeros((len(cost), kept), jnp.uint8)
        for way in range(1, ways):
            closer = parts[:, way] < best
            best, dropped = jnp.where(closer, parts[:, way], best), jnp.where(closer, np.uint8(way), dropped)
        spread = jnp.broadcast_to(best[..., None], (*best.shape, ways)).reshape(cost.shape)
        return spread + self._error(number), dropped

    def _error(self, number: Array) -> Array:
        """float32 [n, states]: the squared error of every state's value."""
        off = number[:, None] - jnp.asarray(self.values)[None]
        return rounded(off * off)


def trellis(code_bits: int, state_bits: int, values: Any, reach: float | None = None) -> Trellis:
    """The grid of a trellis.

    Args:
        code_bits: K, bits for each number.
        state_bits: L, at least K.
        values: float32 [2^L].
        reach: the number that a block's width is mapped to; by default the RMS of the values.
    """
    table = np.asarray(values, np.float32)
    unit = np.sqrt(np.mean(table.astype(np.float64) ** 2)) if reach is None else reach
    return Trellis(
        *(table, np.float32(unit), np.int32(code_bits), np.abs(table).max(), code_bits, state_bits, TILE),
        str(code_dtype(code_bits, False)),
    )
