"""Rounding with feedback: the error of each column is passed on to the columns after it, so that the output errs least.

GPTQ (Frantar et al. 2022, arXiv 2210.17323) in the form of LDLQ (Chee et al. 2023, arXiv 2307.13304): column k is rounded at
w_k + sum_{j<k} (w_j - q_j) U_jk. The scales are those of the original weight, so every scheme works in which each element has a
code of its own.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array, lax

from qresearch.coders.coder import Coder

COLUMNS = 128
"""Columns in a piece: errors reach the other pieces by one product for a whole piece."""


def feedback(w: Array, params: Any, coder: Coder, upper: Array, order: Array) -> Array:
    """The codes of a weight.

    Args:
        w: float32 [out, in].
        params: of the coder, fitted to w.
        coder: a separable one.
        upper: U, float32 [in, in], for the columns in their order.
        order: int32 [in]: the order in which the columns are rounded.

    Returns:
        Codes [out, in], in the order of w.
    """
    alone, each = coder.pointwise(params, w.shape)
    count = w.shape[1]
    pieces = -(-count // COLUMNS)
    width = pieces * COLUMNS

    def cut(x: Array) -> Array:
        """[out, in, ...] -> [pieces, COLUMNS, out, ...], in the order of rounding; the last piece is filled with copies."""
        moved = jnp.moveaxis(x, 1, 0)[order]
        filled = jnp.concatenate([moved, jnp.repeat(moved[-1:], width - count, 0)])
        return filled.reshape(pieces, COLUMNS, *filled.shape[1:])

    rows = jnp.pad(upper, ((0, width - count), (0, width - count))).reshape(pieces, COLUMNS, width)
    begin = jnp.zeros((width, w.shape[0]))
    _, codes = lax.scan(partial(_piece, alone), begin, (cut(w), jax.tree.map(cut, each), rows, jnp.arange(pieces)))
    codes = codes.reshape(width, w.shape[0])[:count]
    return jnp.moveaxis(jnp.zeros_like(codes).at[order].set(codes), 0, 1)


def _piece(coder: Coder, shift: Array, at: Any) -> tuple[Array, Array]:
    """Rounds the columns of a piece one after the other. `shift` [width, out] is what earlier errors add to each column."""
    w, params, rows, number = at
    inside = lax.dynamic_slice_in_dim(rows, number * COLUMNS, COLUMNS, 1)
    mine = lax.dynamic_slice_in_dim(shift, number * COLUMNS, COLUMNS, 0)

    def column(mine: Array, at: Any) -> tuple[Array, tuple[Array, Array]]:
        w, params, row, k = at
        codes = coder.encode_drawn(w + mine[k], params, None)
        error = w - coder.decode(codes, params, w.shape)
        error = jnp.where(jnp.isfinite(error), error, jnp.float32(0))  # a NaN poisons its own block alone
        return mine + row[:, None] * error[None], (codes, error)

    _, (codes, errors) = lax.scan(column, mine, (w, params, inside, jnp.arange(COLUMNS)))
    return shift + jnp.matmul(rows.T, errors, precision=lax.Precision.HIGHEST), codes
