"""Coordinate descent: each code in turn moves to where J is least while all others stay, if that makes J less.

With E = W - Q and g = E H, column k is best at q_k + g_k / H_kk; a block of columns that share a code at q_b + g_b H_bb^-1
(QuIP#, Tseng et al. 2024, arXiv 2402.04396). The change of J, -2 g d + d H_kk d for a move by d, is exact, so J never rises.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array, lax

from qresearch.coders.coder import Coder
from qresearch.scales.params import Encoded
from qresearch.solving.columns import Columns, Pieces, columns, refused

PASSES = 3
"""After feedback, later passes change almost nothing."""

FLOOR = 1e-6
"""Of the mean diagonal, added to that of a block before it is inverted: where the search begins, not what is accepted."""


@dataclass(frozen=True)
class Descent:
    """A rounding step: passes over all columns, from the codes that are there.

    Attributes:
        passes: over all columns.
    """

    passes: int = PASSES

    def refused(self, coder: Coder, shape: tuple[int, ...]) -> str:
        """Why it cannot be used; empty if it can."""
        return refused(coder, shape)

    def __call__(self, w: Array, h: Array, coder: Coder, encoded: Encoded) -> Encoded:
        """Codes of a weight [out, in] with a J that is no larger, with the same parameters."""
        cut = columns(coder, encoded.params, w.shape)
        pieces = Pieces.of(jnp.arange(w.shape[1] // cut.group), cut.group)
        blocks, rows = _diagonal(h, pieces), pieces.squares(h)
        params = jax.tree.map(pieces.steps, cut.params)

        def one_pass(_: Any, codes: Array) -> Array:
            q = coder.decode(codes, encoded.params, w.shape)
            error = jnp.where(jnp.isfinite(w - q), w - q, jnp.float32(0))
            slope = jnp.matmul(error, h, precision=lax.Precision.HIGHEST).T
            slope = jnp.pad(slope, ((0, pieces.width - len(h)), (0, 0)))
            each = (pieces.steps(codes), params, rows, blocks, jnp.arange(pieces.pieces))
            return pieces.back(lax.scan(partial(_piece, cut), slope, each)[1])

        return Encoded(lax.fori_loop(0, self.passes, one_pass, encoded.codes), encoded.params, encoded.whole)


def _diagonal(h: Array, pieces: Pieces) -> tuple[Array, Array]:
    """The blocks H_bb and their inverses, [pieces, each, group, group]; zero where filled or dead."""
    group, steps = pieces.group, len(h) // pieces.group
    own = jnp.arange(steps)
    blocks = h.reshape(steps, group, steps, group)[own, :, own]
    floor = FLOOR * jnp.mean(jnp.diagonal(h)) * jnp.eye(group)
    inverse = jnp.where(blocks == 0, 0, 1 / blocks) if group == 1 else jnp.linalg.inv(blocks + floor[None])
    inverse = jnp.where(jnp.isfinite(inverse), inverse, jnp.float32(0))
    more = ((0, pieces.pieces * pieces.each - steps), (0, 0), (0, 0))
    shape = (pieces.pieces, pieces.each, group, group)
    return jnp.pad(blocks, more).reshape(shape), jnp.pad(inverse, more).reshape(shape)


def _piece(cut: Columns, slope: Array, at: Any) -> tuple[Array, Array]:
    """Moves the columns of a piece one after the other. `slope` [width, out] is (E H)^T."""
    codes, params, rows, (blocks, inverses), number = at
    steps, group, size = codes.shape[0], cut.group, rows.shape[0]
    inside = lax.dynamic_slice_in_dim(rows, number * size, size, 1).reshape(steps, group, size)
    mine = lax.dynamic_slice_in_dim(slope, number * size, size, 0)

    def step(mine: Array, at: Any) -> tuple[Array, tuple[Array, Array]]:
        codes, params, rows, block, inverse, k = at
        own, here = lax.dynamic_slice_in_dim(mine, k * group, group, 0), cut.decode(codes, params)
        found = cut.encode(here + _times(inverse, own), params)
        move = cut.decode(found, params) - here
        better = jnp.sum(move * (_times(block, move) - 2 * own), 0) < 0
        move = jnp.where(better[None], move, jnp.float32(0))
        for column in range(group):
            mine = mine - rows[column][:, None] * move[column][None]
        return mine, (jnp.where(better, found, codes), move)

    _, (found, moves) = lax.scan(step, mine, (codes, params, inside, blocks, inverses, jnp.arange(steps)))
    return slope - jnp.matmul(rows.T, moves.reshape(size, -1), precision=lax.Precision.HIGHEST), found


def _times(matrix: Array, x: Array) -> Array:
    """[group, group] times [group, out], in the order of the columns."""
    total = matrix[:, :1] * x[:1]
    for column in range(1, len(x)):
        total = total + matrix[:, column : column + 1] * x[column : column + 1]
    return total
