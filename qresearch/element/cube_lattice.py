"""Lattices in a cube: A2, D4 and E8, encoded by their closest-point rules, with no table.

Conway and Sloane, "Fast quantizing and decoding algorithms for lattice quantizers and codes", IEEE Trans. Inf. Theory 28
(1982): round every coordinate; where the sum must be even and is not, move the one coordinate that it costs least. A union of
cosets takes the nearer of its own. Inside a cube only neighbours inside it count, so the result is the nearest of all codes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import Array

from qresearch.arithmetic.exact import rounded
from qresearch.arithmetic.packing import code_dtype
from qresearch.base.part import Leaf, part, static
from qresearch.element.grouped import Grouped
from qresearch.element.rounding import Rounding

SAMPLED_CODES = 2**12
"""Of more codes than 2^16, how many `codes` lists."""


@dataclass(frozen=True)
class Lattice:
    """A lattice as one or two cosets of whole numbers, symmetric about zero. Hashable.

    Attributes:
        shift: what is added to the whole numbers of the first coset; the second has its negative.
        cosets: 1 or 2.
        even: whether the sum of the whole numbers is even.
        steps: the distance of neighbours along each axis.
        narrower: for each axis, how many bits fewer it has, so that the region is about a cube.
    """

    shift: float
    cosets: int
    even: bool
    steps: tuple[float, ...]
    narrower: tuple[int, ...]

    @property
    def group(self) -> int:
        """Coordinates."""
        return len(self.steps)

    def widths(self, bits: int) -> tuple[int, ...]:
        """How many bits each coordinate has; one less is stored of the last, where the sum is even."""
        return tuple(bits - each for each in self.narrower)

    def width(self, bits: int) -> int:
        """The width of a code."""
        return sum(self.widths(bits)) - self.even + (self.cosets - 1)


LATTICES = {
    "a2": Lattice(0.25, 2, False, (1.0, float(np.float32(np.sqrt(3.0)))), (0, 1)),
    "d4": Lattice(0.5, 1, True, (1.0,) * 4, (0,) * 4),
    "e8": Lattice(0.25, 2, True, (1.0,) * 8, (0,) * 8),
}
"""A2, the hexagonal lattice: points k and k + 1/2 of a rectangle of 1 x sqrt(3). D4 moved by 1/2. E8 moved by 1/4."""


class _Found(NamedTuple):
    """The nearest point of a coset: whole numbers less the least of each coordinate, and its squared distance."""

    places: tuple[Array, ...]
    distance: Array


@part
class CubeLattice(Grouped):
    """The points of a lattice inside a cube (for A2, a rectangle of 2 x sqrt(3)).

    Coordinate i is `(k + shift) * step`, with whole numbers k from `-2^(w-1)` to `2^(w-1) - 1`, where w is its width; in the
    second coset `k - shift`, from `-2^(w-1) + 1` to `2^(w-1)`. A code holds `k` less its least for each coordinate, the first
    in the lowest bits; of the last one without its lowest bit where the sum of all k is even; above them a bit for the second
    coset.

    Attributes:
        reach: float32 scalar, the number that a block's width is mapped to.
        bits: int32 scalar, the width of a code.
        lattice: which lattice.
        level_bits: 2^level_bits numbers along the first axis.
        group: its dimension.
        dtype: the dtype of the codes.
    """

    reach: Leaf
    bits: Leaf
    lattice: Lattice = static()
    level_bits: int = static()
    group: int = static()
    dtype: str = static()

    @property
    def ends(self) -> tuple[float, float]:
        """The least and the largest coordinate."""
        widths = self.lattice.widths(self.level_bits)
        high = max((2.0 ** (w - 1) - 1 + self._top) * step for w, step in zip(widths, self.lattice.steps))
        return -high, high

    @property
    def _top(self) -> float:
        """The largest coordinate over its step, less the largest whole number of the first coset."""
        return self.lattice.shift if self.lattice.cosets == 1 else 1 - self.lattice.shift

    def encode(self, y: Array, rounding: Rounding, u: Array | None = None, shift: Array | None = None) -> Array:
        """float32 [..., n * group] -> codes [..., n]."""
        groups = self.grouped(y)
        steps = self.lattice.steps
        plain = [groups[..., place] for place in range(self.group)]
        scaled = [each if step == 1 else rounded(each * np.float32(1 / step)) for each, step in zip(plain, steps)]
        one = self._coded(self._nearest(scaled, 0).places)
        if self.lattice.cosets == 1:
            return one.astype(self.dtype)
        first, second = self._nearest(scaled, 1), self._nearest(scaled, 0)
        top = np.uint32(1 << (int_width(self.lattice, self.level_bits) - 1))
        code = jnp.where(first.distance < second.distance, self._coded(first.places) | top, self._coded(second.places))
        return code.astype(self.dtype)

    def _least(self, width: int, coset: int) -> int:
        return -(2 ** (width - 1)) + coset

    def _nearest(self, y: list[Array], coset: int) -> _Found:
        shift = np.float32(-self.lattice.shift if coset else self.lattice.shift)
        places, lefts, sides, costs = [], [], [], []
        for each, width in zip(y, self.lattice.widths(self.level_bits)):
            low = np.float32(self._least(width, coset))
            high = low + np.float32(2**width - 1)
            z = each - shift
            whole = jnp.clip(jnp.round(z), low, high)
            left = z - whole
            side = jnp.where((left >= 0) & (whole < high) | (whole == low), np.float32(1), np.float32(-1))
            places.append((whole - low).astype(jnp.int32))
            lefts.append(left)
            sides.append(side)
            costs.append(np.float32(1) - np.float32(2) * (side * left))
        distance = self._distance(lefts)
        if not self.lattice.even:
            return _Found(tuple(places), distance)
        lows = sum(self._least(width, coset) for width in self.lattice.widths(self.level_bits))
        odd = _sum(places) + lows & 1 == 1
        least, at = costs[0], jnp.zeros_like(places[0])
        for place in range(1, self.group):
            closer = costs[place] < least
            least, at = jnp.where(closer, costs[place], least), jnp.where(closer, place, at)
        moved = [each + jnp.where(odd & (at == place), sides[place].astype(jnp.int32), 0) for place, each in enumerate(places)]
        return _Found(tuple(moved), distance + jnp.where(odd, least, np.float32(0)))

    def _distance(self, lefts: list[Array]) -> Array:
        """The squared distance in units of the first step."""
        squares = []
        for left, step in zip(lefts, self.lattice.steps):
            square = rounded(left * left)
            squares.append(square if step == 1 else rounded(square * np.float32(3)))
        return _sum(squares)

    def _coded(self, places: tuple[Array, ...]) -> Array:
        """uint32: the code of a point of the first coset."""
        code, at = jnp.zeros(places[0].shape, jnp.uint32), 0
        for index, (place, width) in enumerate(zip(places, self.lattice.widths(self.level_bits))):
            halved = self.lattice.even and index == self.group - 1
            code = code | (place >> 1 if halved else place).astype(jnp.uint32) << at
            at += width
        return code

    def decode(self, codes: Array | np.ndarray) -> Array:
        """Codes [..., n] -> float32 [..., n * group]."""
        word, at, places = jnp.asarray(codes).astype(jnp.uint32), 0, []
        lattice, widths = self.lattice, self.lattice.widths(self.level_bits)
        coset = jnp.zeros(word.shape, jnp.int32)
        if lattice.cosets == 2:
            coset = (word >> (int_width(lattice, self.level_bits) - 1)).astype(jnp.int32) & 1
        for index, width in enumerate(widths):
            stored = width - (lattice.even and index == self.group - 1)
            places.append(((word >> at) & np.uint32(2**stored - 1)).astype(jnp.int32))
            at += stored
        if lattice.even:
            lows = sum(self._least(width, 0) for width in widths)
            others = _sum(places[:-1]) + lows + coset * self.group
            places[-1] = (places[-1] << 1) | (others & 1)
        shift = np.float32(lattice.shift) * (1 - 2 * coset).astype(jnp.float32)
        numbers = []
        for place, width, step in zip(places, widths, lattice.steps):
            number = (place + self._least(width, 0) + coset).astype(jnp.float32) + shift
            numbers.append(number if step == 1 else number * np.float32(step))
        groups = jnp.stack(numbers, -1)
        return groups.reshape(*groups.shape[:-2], groups.shape[-2] * self.group)

    def codes(self) -> np.ndarray:
        """All codes, in their order; a sample of them where there are more than 2^16."""
        bits = int_width(self.lattice, self.level_bits)
        if bits <= 16:
            return np.arange(2**bits).astype(self.dtype)
        multiples = np.arange(SAMPLED_CODES, dtype=np.uint64) * np.uint64(2654435761)
        return (multiples % np.uint64(2**bits)).astype(self.dtype)


def int_width(lattice: Lattice, bits: int) -> int:
    """The width of a code: static, for shifts."""
    return lattice.width(bits)


def _sum(numbers: Any) -> Any:
    """From the first to the last."""
    total = numbers[0]
    for each in numbers[1:]:
        total = total + each
    return total


def cube_lattice(name: str, bits: int, reach: float) -> CubeLattice:
    """The grid of a lattice of `LATTICES` in a cube of 2^bits numbers along its first axis."""
    lattice = LATTICES[name]
    width = lattice.width(bits)
    return CubeLattice(*(np.float32(reach), np.int32(width), lattice, bits, lattice.group), dtype=str(code_dtype(width, False)))
