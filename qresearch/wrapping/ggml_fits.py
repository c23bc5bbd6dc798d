"""The searches of llama.cpp for the scales of K-quants, for many blocks at once, operation by operation as the C code has them.

Every function takes the numbers of a block along the *first* axis, [n, blocks], and sums them in that order, as C does.
Compilers must not fuse the products with the sums (`arithmetic.exact.rounded`). So its float32 results are those of
`ggml-quants.c` compiled without fused multiply-add.

References: `make_qkx2_quants`, `make_qkx3_quants`, `make_qx_quants`, `make_q3_quants` and `make_qp_quants` in
`ggml-quants.c` of https://github.com/ggml-org/ggml.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from qresearch.arithmetic.exact import quotient, rounded

EPS = np.float32(1e-15)
"""Blocks whose largest magnitude is below it count as zero."""

_F = np.float32
_PASSES = 5
"""How often the coordinate descents go through a block."""

_MOST_INTEGER = np.float32(2**21)
"""No code lies beyond it; larger numbers are clipped before they are rounded."""


def nearest(y: Array) -> Array:
    """The nearest integer as float32, ties to even."""
    return jnp.round(jnp.clip(y, -_MOST_INTEGER, _MOST_INTEGER))


def in_order(term: Callable[..., tuple[Array, ...]], *operands: Array) -> tuple[Array, ...]:
    """The sums of what `term` gives for the rows of the operands, from the first row to the last."""

    def step(sums: tuple[Array, ...], rows: tuple[Array, ...]) -> tuple[tuple[Array, ...], None]:
        return tuple(total + rounded(each) for total, each in zip(sums, term(*rows))), None

    first = term(*(each[0] for each in operands))
    start = tuple(rounded(each) for each in first)
    return lax.scan(step, start, tuple(each[1:] for each in operands))[0]


def first_largest(x: Array) -> Array:
    """The number of the largest magnitude of every block, the first of several, [blocks]."""
    at = jnp.argmax(jnp.abs(x), 0)
    return jnp.take_along_axis(x, at[None], 0)[0]


@dataclass(frozen=True)
class Steps:
    """The inverse scales that a search tries: `(first + i * step + most) / width`, for i from 0 to `count`.

    Attributes:
        first: what is added to the largest code in the first trial.
        step: by which it grows.
        count: the number of trials less one.
        magnitude: whether errors are summed as magnitudes, not as squares.
    """

    first: float
    step: float
    count: int
    magnitude: bool = False

    def numerators(self, most: int) -> np.ndarray:
        """float32 [count + 1]."""
        return (_F(self.first) + _F(self.step) * np.arange(self.count + 1, dtype=np.float32)) + _F(most)


def scale_and_minimum(x: Array, weights: Array, most: int, steps: Steps) -> tuple[Array, Array]:
    """The scale and minus the minimum of every block, with codes 0 to `most` (`make_qkx2_quants` and `make_qkx3_quants`).

    Each trial takes an inverse scale, rounds, and solves for the scale and the minimum of least weighted squared error. A
    minimum above zero becomes zero. The best trial wins, and later trials start from its minimum.

    Args:
        x: float32 [n, blocks].
        weights: float32 [n, blocks].
        most: the largest code.
        steps: the trials.
    """
    low, high = jnp.minimum(jnp.min(x, 0), _F(0)), jnp.max(x, 0)
    flat = high <= low
    sum_w, sum_x = in_order(lambda x, w: (w, w * x), x, weights)

    def width(low: Array) -> Array:
        return jnp.where(flat, _F(1), high - low)

    def code(x: Array, inverse: Array, low: Array) -> Array:
        return jnp.clip(nearest(inverse * (x - low)), _F(0), _F(most))

    def error(inverse: Array, low: Array, scale: Array, minimum: Array) -> Array:
        def term(x: Array, w: Array) -> tuple[Array]:
            difference = (rounded(scale * code(x, inverse, low)) + minimum) - x
            return (w * (jnp.abs(difference) if steps.magnitude else difference * difference),)

        return in_order(term, x, weights)[0]

    def trial(numerator: Array, kept: tuple[Array, Array, Array]) -> tuple[Array, Array, Array]:
        _, low, least = kept
        inverse = quotient(numerator, width(low))

        def term(x: Array, w: Array) -> tuple[Array, Array, Array]:
            q = code(x, inverse, low)
            wq = w * q
            return wq, wq * q, wq * x

        sum_l, sum_l2, sum_xl = in_order(term, x, weights)
        determinant = rounded(sum_w * sum_l2) - rounded(sum_l * sum_l)
        usable = determinant > 0
        by = jnp.where(usable, determinant, _F(1))
        new_scale = quotient(rounded(sum_w * sum_xl) - rounded(sum_x * sum_l), by)
        new_low = quotient(rounded(sum_l2 * sum_x) - rounded(sum_l * sum_xl), by)
        through_zero = quotient(sum_xl, jnp.where(sum_l2 == 0, _F(1), sum_l2))
        new_scale, new_low = jnp.where(new_low > 0, through_zero, new_scale), jnp.minimum(new_low, _F(0))
        found = error(inverse, low, new_scale, new_low)
        better = usable & (found < least)
        return _either(better, (new_scale, new_low, found), kept)

    inverse = quotient(_F(most), width(low))
    scale = quotient(_F(1), inverse)
    start = (scale, low, error(inverse, low, scale, low))
    numerators = jnp.asarray(steps.numerators(most))
    scale, low, _ = lax.fori_loop(0, len(numerators), lambda i, kept: trial(numerators[i], kept), start)
    return jnp.where(flat, _F(0), scale), -low


Three = tuple[Array, Array, Array]


def _either(better: Array, first: Three, second: Three) -> Three:
    a, b, c = (jnp.where(better, one, other) for one, other in zip(first, second))
    return a, b, c


def signed_scale(x: Array, weights: Array, most: int) -> tuple[Array, Array]:
    """The scale of every block with codes -most to most - 1, and the inverse scale that gives its codes (`make_qx_quants`).

    The trials put the first number of largest magnitude near the code -most; of each, the scale of least
    weighted squared error. Blocks of zeros have the scale 0.
    """
    largest = first_largest(x)
    empty = jnp.abs(largest) < EPS
    by = jnp.where(empty, _F(1), largest)
    numerators = [_F(-most)] + [-(_F(most) + _F(0.1) * _F(i)) for i in range(-9, 10) if i]

    def sums(inverse: Array) -> tuple[Array, Array]:
        def term(x: Array, w: Array) -> tuple[Array, Array]:
            q = jnp.clip(nearest(inverse * x), _F(-most), _F(most - 1))
            return (w * x) * q, (w * q) * q

        first, second = in_order(term, x, weights)
        return first, second

    inverse = quotient(numerators[0], by)
    lx, l2 = sums(inverse)
    scale = jnp.where(l2 == 0, _F(0), quotient(lx, jnp.where(l2 == 0, _F(1), l2)))
    tried = jnp.asarray(np.array(numerators[1:], np.float32))

    def trial(i: Array, kept: tuple[Array, Array, Array]) -> tuple[Array, Array, Array]:
        inverse = quotient(tried[i], by)
        lx, l2 = sums(inverse)
        better = (l2 > 0) & (lx * lx > kept[1] * l2)
        scale = quotient(lx, jnp.where(l2 > 0, l2, _F(1)))
        return _either(better, (scale, scale * lx, inverse), kept)

    scale, _, inverse = lax.fori_loop(0, len(tried), trial, (scale, scale * lx, inverse))
    return jnp.where(empty, _F(0), scale), jnp.where(empty, _F(0), inverse)


def descended_scale(x: Array, most: int) -> Array:
    """The scale of every block with codes -most to most - 1 and weights x^2, by coordinate descent (`make_q3_quants`)."""
    largest = first_largest(x)
    empty = jnp.abs(largest) < EPS
    inverse = quotient(_F(-most), jnp.where(empty, _F(1), largest))
    codes = jnp.clip(nearest(inverse[None] * x), _F(-most), _F(most - 1))
    lx, l2 = in_order(lambda x, q: (((x * x) * x) * q, ((x * x) * q) * q), x, codes)
    _, lx, l2 = _descent(x, x * x, codes, lx, l2, _F(-most), _F(most - 1), needs_both=False)
    return jnp.where(empty | (l2 <= 0), _F(0), quotient(lx, jnp.where(l2 > 0, l2, _F(1))))


def positive_scale(x: Array, weights: Array, most: int) -> tuple[Array, Array]:
    """The scale and the codes 0 to `most` of numbers that are not negative (`make_qp_quants`).

    Returns:
        The scale [blocks] and the codes, float32 [n, blocks].
    """
    largest = jnp.maximum(jnp.max(x, 0), _F(0))
    empty = largest < EPS
    by = jnp.where(empty, _F(1), largest)

    def error(inverse: Array, limit: float) -> Array:
        scale = quotient(_F(1), inverse)

        def term(x: Array, w: Array) -> tuple[Array]:
            difference = x - rounded(scale * jnp.minimum(nearest(inverse * x), _F(limit)))
            return ((w * difference) * difference,)

        return in_order(term, x, weights)[0]

    inverse = quotient(_F(most), by)
    tried = jnp.asarray(np.array([_F(0.1) * _F(i) + _F(most) for i in range(-4, 5) if i], np.float32))

    def trial(i: Array, kept: tuple[Array, Array]) -> tuple[Array, Array]:
        inverse = quotient(tried[i], by)
        found = error(inverse, most)
        better = found < kept[0]
        return jnp.where(better, found, kept[0]), jnp.where(better, inverse, kept[1])

    _, inverse = lax.fori_loop(0, len(tried), trial, (error(inverse, np.inf), inverse))
    codes = jnp.minimum(nearest(inverse[None] * x), _F(most))
    lx, l2 = in_order(lambda x, w, q: ((w * x) * q, (w * q) * q), x, weights, codes)
    codes, lx, l2 = _descent(x, weights, codes, lx, l2, _F(0), _F(most), needs_both=True)
    scale = jnp.where(empty | (l2 <= 0), _F(0), quotient(lx, jnp.where(l2 > 0, l2, _F(1))))
    return scale, jnp.where(empty[None], _F(0), codes)


def _descent(
    x: Array, weights: Array, codes: Array, lx: Array, l2: Array, least: np.float32, most: np.float32, needs_both: bool
) -> tuple[Array, Array, Array]:
    """Moves one code after another where the error at the best scale shrinks, five times through the block."""

    def move(sums: tuple[Array, Array], row: tuple[Array, Array, Array]) -> tuple[tuple[Array, Array], Array]:
        lx, l2 = sums
        x, w, q = row
        wx = w * x
        lx1, l21 = lx - rounded(wx * q), l2 - rounded((w * q) * q)
        usable = (lx1 > 0) & (l21 > 0) if needs_both else lx1 > 0
        new = jnp.clip(nearest(quotient(x * l21, jnp.where(usable, lx1, _F(1)))), least, most)
        lx2, l22 = lx1 + rounded(wx * new), l21 + rounded((w * new) * new)
        better = usable & (new != q) & ((lx2 * lx2) * l2 > (lx * lx) * l22)
        if not needs_both:
            better &= l22 > 0
        return (jnp.where(better, lx2, lx), jnp.where(better, l22, l2)), jnp.where(better, new, q)

    def through(_: Array, kept: tuple[Array, Array, Array]) -> tuple[Array, Array, Array]:
        codes, lx, l2 = kept
        (lx, l2), codes = lax.scan(move, (lx, l2), (x, weights, codes))
        return codes, lx, l2

    return lax.fori_loop(0, _PASSES, through, (codes, lx, l2))


def refined_scale(x: Array, weights: Array, levels: np.ndarray, trials: int) -> Array:
    """The scale of every block for levels in ascending order (`quantize_row_iq4_nl_impl`), [blocks].

    The trials put the first number of largest magnitude at the first level, plus or minus up to `trials`; of each, the scale of
    least weighted squared error.
    """
    largest = first_largest(x)
    empty = jnp.abs(largest) < EPS
    by = jnp.where(empty, _F(1), largest)
    middles = ((levels[1:] + levels[:-1]) / 2).astype(np.float32)

    def sums(inverse: Array) -> tuple[Array, Array]:
        def term(x: Array, w: Array) -> tuple[Array, Array]:
            y, q = inverse * x, jnp.full(x.shape, _F(levels[0]))
            for middle, level in zip(middles, levels[1:]):
                q = jnp.where(y >= middle, _F(level), q)
            return (w * q) * x, (w * q) * q

        first, second = in_order(term, x, weights)
        return first, second

    def scaled(qx: Array, q2: Array) -> Array:
        return jnp.where(q2 > 0, quotient(qx, jnp.where(q2 > 0, q2, _F(1))), _F(0))

    qx, q2 = sums(quotient(_F(1), quotient(-by, jnp.full(by.shape, _F(levels[0])))))
    start = scaled(qx, q2)
    tried = jnp.asarray(np.arange(-trials, trials + 1, dtype=np.float32) + _F(levels[0]))

    def trial(i: Array, kept: tuple[Array, Array]) -> tuple[Array, Array]:
        qx, q2 = sums(quotient(tried[i], by))
        better, scale = (q2 > 0) & (qx * qx > kept[1] * q2), scaled(qx, q2)
        return jnp.where(better, scale, kept[0]), jnp.where(better, scale * qx, kept[1])

    scale, _ = lax.fori_loop(0, len(tried), trial, (start, start * qx))
    return jnp.where(empty, _F(0), scale)
