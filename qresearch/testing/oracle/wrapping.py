"""The oracle's wrappers: section 7 of `docs/arithmetic.md`, in NumPy.

Each holds another oracle coder, as in the library, but shares no arithmetic with it: the Hadamard transform is its recursive
definition, products with a matrix are loops, outliers come from a full sort, feedback is a loop over slices.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import numpy as np

from qresearch.testing.oracle import description
from qresearch.testing.oracle.blocks import spread
from qresearch.testing.oracle.coder import Around, OracleCoder
from qresearch.testing.oracle.fit import uniform
from qresearch.testing.oracle.fitted_levels import OracleFitted
from qresearch.testing.oracle.float32 import TINY, Arithmetic, limited


@dataclass(frozen=True, eq=False)
class OracleRotated(Around):
    """Groups of the last axis, multiplied by a matrix; the rest of the axis as it is."""

    size: int
    forward: Callable[[np.ndarray], np.ndarray]
    backward: Callable[[np.ndarray], np.ndarray]

    @property
    def mixes(self) -> bool:
        """Yes."""
        return True

    def _grouped(self, x: np.ndarray, rotate: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
        turned = np.array(x, np.float32)
        for start in range(0, x.shape[-1] - self.size + 1, self.size) if x.ndim else ():
            group = x[..., start : start + self.size]
            largest = np.abs(group).max(-1, keepdims=True, initial=0)
            h = np.where(largest >= 2.0**104, np.float32(2.0**-24), np.float32(1))
            back = self.arithmetic.product(rotate(self.arithmetic.product(group, h)), np.float32(1) / h)
            turned[..., start : start + self.size] = np.where(np.isfinite(largest), limited(back), back)
        return turned

    def enter(self, x: np.ndarray, params: Any = None) -> np.ndarray:
        """Rotated."""
        return self._grouped(x, self.forward)

    def leave(self, values: np.ndarray, params: Any = None) -> np.ndarray:
        """Rotated back."""
        return self._grouped(values, self.backward)

    def fit(self, x: np.ndarray, key: Any, weights: Any) -> Any:
        """Of the rotated array."""
        return super().fit(self.enter(x), key, weights)

    def pull(self, x: np.ndarray, g: np.ndarray, key: Any, everywhere: bool) -> np.ndarray:
        """Rotated, passed through what is inside, rotated back: the transpose is the inverse."""
        return self.leave(self.inner.pull(self.enter(x), self.enter(g), key, everywhere))


def _hadamard(signs: np.ndarray, inner: OracleCoder, arithmetic: Arithmetic) -> OracleCoder:
    root = np.float32(1 / np.sqrt(signs.size))

    def transform(x: np.ndarray) -> np.ndarray:
        if x.shape[-1] == 1:
            return x
        first, second = (transform(half) for half in np.split(x, 2, -1))
        return np.concatenate([arithmetic.total(first, second), arithmetic.difference(first, second)], -1)

    def forward(x: np.ndarray) -> np.ndarray:
        return arithmetic.product(transform(arithmetic.product(x, signs)), root)

    def backward(x: np.ndarray) -> np.ndarray:
        return arithmetic.product(arithmetic.product(transform(x), root), signs)

    return OracleRotated(inner, arithmetic, signs.size, forward, backward)


def _orthogonal(matrix: np.ndarray, inner: OracleCoder, arithmetic: Arithmetic) -> OracleCoder:
    def times(matrix: np.ndarray, x: np.ndarray) -> np.ndarray:
        total = np.zeros(x.shape, np.float32)
        for i, column in enumerate(matrix.T):
            total = arithmetic.total(total, arithmetic.product(x[..., i : i + 1], column))
        return total

    return OracleRotated(inner, arithmetic, len(matrix), partial(times, matrix), partial(times, matrix.T))


class OracleShifted(Around):
    """A shift is added before and subtracted after: its own parameter, a number or an array."""

    def shift(self, params: Any, shape: tuple[int, ...]) -> np.ndarray:
        """What is added, in the shape of the array."""
        return np.broadcast_to(params[1], shape)

    def enter(self, x: np.ndarray, params: Any) -> np.ndarray:
        """Shifted; what is finite stays finite."""
        return self.shifted(x, self.shift(params, x.shape))

    def leave(self, values: np.ndarray, params: Any) -> np.ndarray:
        """Shifted back, and limited."""
        return limited(self.arithmetic.difference(values, self.shift(params, values.shape)))

    def shifted(self, x: np.ndarray, shift: Any) -> np.ndarray:
        """The sum, limited where x is finite."""
        return np.where(np.isfinite(x), limited(self.arithmetic.total(x, shift)), x)

    def piece(self, params: Any, shape: tuple[int, ...], where: Any) -> tuple[OracleCoder, Any]:
        """The shift of those elements."""
        coder, inside = self.inner.piece(params[0], shape, where)
        return OracleShifted(coder, self.arithmetic), (inside, self.shift(params, shape)[where])


class OracleMean(OracleShifted):
    """The shift is minus the mean."""

    def fit(self, x: np.ndarray, key: Any, weights: Any) -> Any:
        """The mean of finite elements of some weight."""
        counted = np.isfinite(x) if weights is None else np.isfinite(x) & (np.broadcast_to(weights, x.shape) > 0)
        mean = self._mean(np.where(counted, x, np.float32(0)), int(counted.sum()))
        return self.inner.fit(self.shifted(x, -mean), key, weights), -mean

    def pull(self, x: np.ndarray, g: np.ndarray, key: Any, everywhere: bool) -> np.ndarray:
        """That of what is inside, at the array less its mean."""
        return self.inner.pull(self.enter(x, self.fit(x, key, None)), g, key, everywhere)

    def _mean(self, x: np.ndarray, count: int) -> np.ndarray:
        largest = float(np.abs(x).max(initial=0))
        power = min(int(np.frexp(largest)[1]) - 1, 126) if largest >= TINY else -126
        total = self.arithmetic.tree_sum(self.arithmetic.product(x, np.float32(2.0**-power)))
        mean = self.arithmetic.quotient(total, np.float32(max(count, 1)))
        return limited(self.arithmetic.product(mean, np.float32(2.0**power)))


@dataclass(frozen=True, eq=False)
class OracleDither(OracleShifted):
    """The shift is d times the stored scale; d comes from JAX's random numbers, from the seed."""

    seed: int

    def shift(self, params: Any, shape: tuple[int, ...]) -> np.ndarray:
        """float32 in the shape of the array."""
        d = uniform(jax.random.key(self.seed), shape) - np.float32(0.5)
        core, blocks = self.core(params)
        return d if blocks is None else self.arithmetic.product(d, spread(blocks.stored, core.scheme.block, shape))


@dataclass(frozen=True, eq=False)
class OracleOutliers(Around):
    """The elements of largest magnitude, sorted out. Own parameters: their places, and the numbers put back there."""

    fraction: float
    values: OracleCoder | None

    def _places(self, x: np.ndarray) -> np.ndarray:
        flat = np.abs(x.ravel()).astype(np.float64)
        flat = np.where(flat < TINY, 0.0, flat)
        order = sorted(range(flat.size), key=lambda i: (-flat[i] if np.isfinite(flat[i]) else 1.0, i))
        return np.array(sorted(order[: round(self.fraction * x.size)]), np.int64)

    def _rest(self, x: np.ndarray, places: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        out = np.zeros(x.size, bool)
        out[places] = True
        out = out.reshape(x.shape) & np.isfinite(x)
        return np.where(out, np.float32(0), x), out

    def _kept(self, x: np.ndarray, places: np.ndarray) -> np.ndarray:
        kept = x.ravel()[places]
        return np.where(np.isfinite(kept), kept, np.float32(0))

    def fit(self, x: np.ndarray, key: Any, weights: Any) -> Any:
        """The rest has no outliers in it: zeros in their places, of weight zero."""
        places = self._places(x)
        rest, out = self._rest(x, places)
        if not self.inner.mixes:
            weights = np.where(out, np.float32(0), np.float32(1 if weights is None else weights))
        kept = self._kept(x, places)
        return self.inner.fit(rest, key, weights), (places, kept if self.values is None else self.values.back(kept))

    def enter(self, x: np.ndarray, params: Any) -> np.ndarray:
        """The rest."""
        return self._rest(x, params[1][0])[0]

    def leave(self, values: np.ndarray, params: Any) -> np.ndarray:
        """The rest, the outliers put in, but not into poisoned blocks."""
        places, kept = params[1]
        flat = values.ravel().copy()
        flat[places] = np.where(np.isnan(flat[places]), flat[places], kept)
        return flat.reshape(values.shape)

    def clipped(self, x: np.ndarray, params: Any) -> np.ndarray:
        """The rest's; outliers in their own format."""
        places = params[1][0]
        rest, out = self._rest(x, places)
        beyond = (self.inner.clipped(rest, params[0]) & ~out).ravel()
        if self.values is not None:
            kept = self._kept(x, places)
            beyond[places] = self.values.clipped(kept, self.values.fit(kept, None, None))
        return beyond.reshape(x.shape)

    def pull(self, x: np.ndarray, g: np.ndarray, key: Any, everywhere: bool) -> np.ndarray:
        """Outliers pass by themselves, the rest through a rotation where one is inside."""
        straight = super().pull(x, g, key, everywhere)
        if not self.mixes:
            return straight
        rest, out = self._rest(x, self._places(x))
        inside = self.inner.pull(rest, np.where(out, np.float32(0), g), key, everywhere)
        return np.where(out, straight, inside)


@dataclass(frozen=True, eq=False)
class OracleFeedback(Around):
    """The error of each slice along an axis is added to the next slice: a loop."""

    axis: int

    def encode(self, x: np.ndarray, params: Any, u: np.ndarray | None) -> np.ndarray:
        """Each slice with the error of the one before; errors that are not finite are dropped."""
        if not x.ndim:
            return self.inner.encode(x, params[0], u)
        codes, error = np.zeros(x.shape, np.int64), np.zeros((1,) * x.ndim, np.float32)
        for i in range(x.shape[self.axis]):
            at = (*[slice(None)] * (self.axis % x.ndim), slice(i, i + 1))
            coder, inside = self.inner.piece(params[0], x.shape, at)
            wanted = self.arithmetic.total(x[at], error)
            codes[at] = coder.encode(wanted, inside, None if u is None else u[at])
            error = self.arithmetic.difference(wanted, coder.decode(codes[at], inside, wanted.shape))
            error = np.where(np.isfinite(error), error, np.float32(0))
        return codes


def wrap(
    wrapping: description.Wrapping,
    inner: OracleCoder,
    arithmetic: Arithmetic,
    coder_of: Callable[[description.Description, Arithmetic], OracleCoder],
) -> OracleCoder:
    """One wrapper around a coder; `coder_of` makes the coder of a scheme inside the wrapper."""
    match wrapping:
        case description.Hadamard(signs):
            return _hadamard(signs, inner, arithmetic)
        case description.Orthogonal(matrix):
            return _orthogonal(matrix, inner, arithmetic)
        case description.Outliers(fraction, values):
            return OracleOutliers(inner, arithmetic, fraction, None if values is None else coder_of(values, arithmetic))
        case description.Dither(seed):
            return OracleDither(inner, arithmetic, seed)
        case description.Feedback(axis):
            return OracleFeedback(inner, arithmetic, axis)
        case description.Mean():
            return OracleMean(inner, arithmetic)
        case description.FittedLevels(iterations, values):
            return OracleFitted(inner, arithmetic, iterations, None if values is None else coder_of(values, arithmetic))
