"""Scales and minima fitted again, to codes that are there: the least J, block after block.

A block adds s c + m to its row, with c the numbers on the grid. J is a square in s and m, so the best of one block while all
others stay is the solution of one equation, or of two. It is rounded as the scheme stores it, and taken if J becomes less.
Many passes lead to the joint least squares solution where scales are stored in float32.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array, lax

from qresearch.coders.coder import Coder
from qresearch.coders.quantizer import Quantizer
from qresearch.scales.params import Encoded, Params

PASSES = 2
"""After these, J changes by less than a thousandth (`tests/solving/test_refit.py`)."""


@dataclass(frozen=True)
class Refit:
    """A rounding step: scales, and minima of the forms that have them, for the codes that are there.

    Attributes:
        passes: over all blocks.
    """

    passes: int = PASSES

    def refused(self, coder: Coder, shape: tuple[int, ...]) -> str:
        """Why it cannot be used; empty if it can."""
        if not isinstance(coder, Quantizer):
            return "has a wrapper, through which scales cannot be fitted to codes"
        if coder.bare:
            return "is a cast and has no scale"
        if coder.scaling.exact:
            return "encodes by other scales than those that it decodes by ('-exact')"
        if coder.block.flat or coder.layout(shape).lengths[0] > 1:
            return "has scales that rows share, which are not fitted again; take blocks along the inputs, such as @32"
        stored = (coder.scaling.scale.coder, coder.scaling.offset.coder)
        if any(each is not None and (each.stochastic or not each.separable) for each in stored):
            return "stores scales whose codes depend on each other"
        return ""

    def __call__(self, w: Array, h: Array, coder: Coder, encoded: Encoded) -> Encoded:
        """The same codes with scales for which J is no larger."""
        assert isinstance(coder, Quantizer)
        quantizer, layout = coder, coder.layout(w.shape)
        (rows, count), length = layout.grid, layout.lengths[1]
        missing = count * length - w.shape[1]
        basis = _basis(quantizer, encoded, w.shape)
        basis = [jnp.pad(each.T, ((0, missing), (0, 0))).reshape(count, length, rows) for each in basis]
        columns = jnp.pad(h, ((0, missing), (0, missing))).reshape(count, length, -1)
        kept = _Kept.of(quantizer, encoded.params)

        def one_pass(_: Any, kept: _Kept) -> _Kept:
            params = kept.put(encoded.params)
            off = w - quantizer.decode(encoded.codes, params, w.shape)
            off = jnp.where(jnp.isfinite(off), off, jnp.float32(0))
            slope = jnp.pad(jnp.matmul(off, h, precision=lax.Precision.HIGHEST).T, ((0, missing), (0, 0)))
            numbers = [each.T for each in kept.numbers(params)]
            at = (kept.by_block(), numbers, basis, columns, jnp.arange(count))
            return kept.of_blocks(lax.scan(partial(_block, kept, length), slope, at)[1])

        return dataclasses.replace(encoded, params=lax.fori_loop(0, self.passes, one_pass, kept).put(encoded.params))


def _basis(quantizer: Quantizer, encoded: Encoded, shape: tuple[int, ...]) -> list[Array]:
    """What a scale, and a minimum, multiply: [out, in] each."""
    plain, params = quantizer.dense(encoded.params)
    still = jnp.zeros_like(params.offset) if quantizer.scaling.form.minimum else params.offset
    numbers = plain.decode(encoded.codes, Params(jnp.ones_like(params.scale), still), shape)
    return [numbers, jnp.ones(shape)] if quantizer.scaling.form.minimum else [numbers]


def _block(kept: _Kept, length: int, slope: Array, at: Any) -> tuple[Array, list[Any]]:
    """Fits one block of all rows. `slope` [in, out] is (E H)^T; the result is what is stored."""
    stored, old, basis, columns, number = at
    own = lax.dynamic_slice_in_dim(columns, number * length, length, 1)
    here = lax.dynamic_slice_in_dim(slope, number * length, length, 0)
    spread = [jnp.matmul(own, each, precision=lax.Precision.HIGHEST) for each in basis]
    wanted = [number + each for number, each in zip(old, _solved(basis, spread, here))]
    new, numbers = kept.stored(wanted, stored)
    changes = [after - before for after, before in zip(numbers, old)]
    move, moved = (sum(d[None] * each for d, each in zip(changes, them)) for them in (basis, spread))
    better = jnp.sum(move * (moved - 2 * here), 0) < 0
    better &= numbers[0] * old[0] > 0  # a scale keeps its sign, and is never zero
    move = jnp.where(better[None], move, jnp.float32(0))
    taken = [jax.tree.map(lambda a, b: jnp.where(better, a, b), a, b) for a, b in zip(new, stored)]
    return slope - jnp.matmul(columns.T, move, precision=lax.Precision.HIGHEST), taken


def _solved(basis: list[Array], spread: list[Array], slope: Array) -> list[Array]:
    """The moves of scale and minimum with the least J, [out] each; zero where the equations have no single solution."""
    first = jnp.sum(basis[0] * spread[0], 0)
    right = [jnp.sum(each * slope, 0) for each in basis]
    if len(basis) == 1:
        return [_ratio(right[0], first)]
    mixed, last = jnp.sum(basis[0] * spread[1], 0), jnp.sum(basis[1] * spread[1], 0)
    area = first * last - mixed**2
    area = jnp.where(area > 1e-6 * first * last, area, jnp.float32(0))  # float32 knows no smaller difference
    return [_ratio(right[0] * last - right[1] * mixed, area), _ratio(right[1] * first - right[0] * mixed, area)]


def _ratio(a: Array, b: Array) -> Array:
    return jnp.where(b > 0, a / jnp.where(b > 0, b, jnp.float32(1)), jnp.float32(0))


class _Kept(NamedTuple):
    """How scales and minima are stored: for each, a coder of single numbers (None for float32), its parameters and the codes.

    The outer scales of nested storages stay as they are.
    """

    coders: tuple[Coder | None, ...]
    params: tuple[Any, ...]
    codes: tuple[Array, ...]

    @classmethod
    def of(cls, quantizer: Quantizer, params: Params) -> _Kept:
        form, scaling = quantizer.scaling.form, quantizer.scaling
        pairs = [(scaling.scale, params.scale), *([(scaling.offset, params.offset)] if form.minimum else [])]
        coders: list[Coder | None] = []
        inner, codes = [], []
        for storage, stored in pairs:
            nested = storage.coder is not None
            alone, each = storage.coder.pointwise(stored.params, stored.shape) if nested else (None, None)
            coders.append(alone)
            inner.append(each)
            codes.append(stored.codes if nested else stored)
        return cls(tuple(coders), tuple(inner), tuple(codes))

    def put(self, params: Params) -> Params:
        """Parameters with these scales and minima."""
        names = ("scale", "offset")[: len(self.codes)]
        old = [getattr(params, name) for name in names]
        new = [
            dataclasses.replace(each, codes=codes) if isinstance(each, Encoded) else codes
            for each, codes in zip(old, self.codes)
        ]
        fields: Any = dict(zip(names, new))
        return dataclasses.replace(params, **fields)

    def numbers(self, params: Params) -> list[Array]:
        """Scales and minima in float32, [grid] each."""
        return [
            codes if coder is None else coder.decode(codes, each, codes.shape)
            for coder, each, codes in zip(self.coders, self.params, self.codes)
        ]

    def by_block(self) -> Any:
        """Codes and parameters with blocks in front, [count, out]."""
        return jax.tree.map(lambda leaf: leaf.T, [*zip(self.codes, self.params)])

    def stored(self, wanted: list[Array], at: Any) -> tuple[list[Any], list[Array]]:
        """Numbers [out] of one block as they are stored, and in float32 again."""
        new, back = [], []
        for coder, number, (_, params) in zip(self.coders, wanted, at):
            codes = number if coder is None else coder.encode_drawn(number, params, None)
            new.append((codes, params))
            back.append(codes if coder is None else coder.decode(codes, params, codes.shape))
        return new, back

    def of_blocks(self, found: list[Any]) -> _Kept:
        """With the codes that a scan over blocks returned."""
        return self._replace(codes=tuple(codes.T for codes, _ in found))
