"""Rounding with feedback: the error of each column is passed on to the columns after it, so that the output errs least.

GPTQ (Frantar et al. 2022, arXiv 2210.17323) in the form of LDLQ (Chee et al. 2023, arXiv 2307.13304): column k is rounded at
w_k + sum_{j<k} (w_j - q_j) U_jk. The scales are those of the original weight. Where neighbours share a code, a column is a
block of them, and U has identities in its diagonal blocks (QuIP#, Tseng et al. 2024, arXiv 2402.04396).
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
from qresearch.solving.ldl import DAMPING, Factors, blocked, factors


@dataclass(frozen=True)
class Feedback:
    """A rounding step: all codes anew, with feedback.

    Attributes:
        order: whether columns of more energy are rounded first. That needs no stored permutation: groups of scales stay.
        damping: the share of the mean diagonal that is added to that of H.
    """

    order: bool = True
    damping: float = DAMPING

    def refused(self, coder: Coder, shape: tuple[int, ...]) -> str:
        """Why it cannot be used; empty if it can."""
        return refused(coder, shape)

    def places(self, h: Array, group: int) -> Array:
        """int32 [steps]: the order in which steps are rounded."""
        energy = jnp.sum(jnp.diagonal(h).reshape(-1, group), -1)
        return jnp.argsort(-energy, stable=True) if self.order else jnp.arange(len(energy))

    def __call__(self, w: Array, h: Array, coder: Coder, encoded: Encoded) -> Encoded:
        """The codes of a weight [out, in], with the parameters that are there."""
        return self.factored(w, h, coder, encoded)[0]

    def factored(self, w: Array, h: Array, coder: Coder, encoded: Encoded) -> tuple[Encoded, Factors]:
        """The same, and the factors of H; their diagonal is in the order of the columns of w."""
        group = coder.element.group
        order = self.places(h, group)
        places = Pieces.of(order, group).places
        found = factors(h[places][:, places], self.damping)
        codes = feedback(w, encoded.params, coder, blocked(found.upper, group), order)
        diagonal = jnp.zeros_like(found.diagonal).at[places].set(found.diagonal)
        return Encoded(codes, encoded.params, encoded.whole), found._replace(diagonal=diagonal)


def feedback(w: Array, params: Any, coder: Coder, upper: Array, order: Array) -> Array:
    """The codes of a weight.

    Args:
        w: float32 [out, in].
        params: of the coder, fitted to w.
        coder: one that `columns` can cut.
        upper: U, float32 [in, in], for the columns in their order; with identities as diagonal blocks of a group.
        order: int32 [in / group]: the order in which the columns, or groups of them, are rounded.

    Returns:
        Codes [out, in / group], in the order of w.
    """
    cut = columns(coder, params, w.shape)
    pieces = Pieces.of(order, cut.group)
    begin = jnp.zeros((pieces.width, w.shape[0]))
    each = (pieces.numbers(w), jax.tree.map(pieces.steps, cut.params), pieces.squares(upper), jnp.arange(pieces.pieces))
    return pieces.back(lax.scan(partial(_piece, cut), begin, each)[1])


def _piece(cut: Columns, shift: Array, at: Any) -> tuple[Array, Array]:
    """Rounds the columns of a piece one after the other. `shift` [width, out] is what earlier errors add to each column."""
    w, params, rows, number = at
    steps, group, size = w.shape[0], cut.group, rows.shape[0]
    inside = lax.dynamic_slice_in_dim(rows, number * size, size, 1).reshape(steps, group, size)
    mine = lax.dynamic_slice_in_dim(shift, number * size, size, 0)

    def step(mine: Array, at: Any) -> tuple[Array, tuple[Array, Array]]:
        w, params, rows, k = at
        codes = cut.encode(w + lax.dynamic_slice_in_dim(mine, k * group, group, 0), params)
        error = w - cut.decode(codes, params)
        error = jnp.where(jnp.isfinite(error), error, jnp.float32(0))  # a NaN poisons its own block alone
        for column in range(group):
            mine = mine + rows[column][:, None] * error[column][None]
        return mine, (codes, error)

    _, (codes, errors) = lax.scan(step, mine, (w, params, inside, jnp.arange(steps)))
    return shift + jnp.matmul(rows.T, errors.reshape(size, -1), precision=lax.Precision.HIGHEST), codes
