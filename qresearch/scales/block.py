"""Blocks: which elements share a scale, and how an array is cut into them and put together again.

An array is padded and reshaped, never transposed: an axis of length n cut into blocks of b becomes two axes (n / b, b), so
statistics reduce over the inner ones and a sharded array keeps its sharding while blocks lie inside shards.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import jax.numpy as jnp
import numpy as np
from jax import Array

from qresearch.base import sharding
from qresearch.base.table import shown, suggestion

WHOLE = -1
"""The block length that stands for the whole axis (`*` in text)."""

_NAMES = {"tensor": None, "row": (WHOLE,), "column": (WHOLE, 1)}


@dataclass(frozen=True)
class Block:
    """The shape of the blocks that share a scale.

    Attributes:
        sizes: block lengths over the last axes (`WHOLE` takes an axis whole); None: one block for the array.
        channel: the axis that keeps a scale for each of its indices, all others forming one block.
        flat: whether the array is flattened first; flattening is never silent.

    >>> Block.parse("8x8").grid((16, 12))
    (2, 2)
    >>> str(Block.parse("channel-1")), Block.parse("channel-1").grid((16, 12))
    ('channel-1', (1, 12))
    """

    sizes: tuple[int, ...] | None = None
    channel: int | None = None
    flat: bool = False

    @classmethod
    def parse(cls, text: object) -> Block:
        """Reads a block: `tensor`, `row`, `column`, `channel0`, `64`, `8x8`, `*x1`, `flat64`; or an int, a tuple, a Block.

        Raises `ValueError` saying what can be written.
        """
        if isinstance(text, Block):
            return text
        if isinstance(text, tuple):
            return cls(tuple(WHOLE if b is None else _length(b) for b in text))
        if text is None:
            return cls()
        text = str(text)
        if text in _NAMES:
            return cls(_NAMES[text])
        if found := re.fullmatch(r"channel(-?[0-9]+)", text):
            return cls(channel=int(found[1]))
        if found := re.fullmatch(r"flat(-?[0-9]+)", text):
            return cls((_length(found[1]),), flat=True)
        if re.fullmatch(r"(\*|-?[0-9]+)(x(\*|-?[0-9]+))*", text):
            return cls(tuple(WHOLE if b == "*" else _length(b) for b in text.split("x")))
        word = re.search(r"-[A-Za-z]\w*", text)
        near = (
            f"; words come before the '@': '{word[0]}@{text[: word.start()]}'"
            if word
            else suggestion(text, [*_NAMES, "channel0"])
        )
        raise ValueError(f"block {shown(text)} is none of: tensor, row, column, channel0, 64, 8x8, *x1, flat64{near}")

    def __str__(self) -> str:
        if self.channel is not None:
            return f"channel{self.channel}"
        for name, sizes in _NAMES.items():
            if sizes == self.sizes and not self.flat:
                return name
        shown = "x".join("*" if b == WHOLE else str(b) for b in self.sizes or ())
        return f"flat{shown}" if self.flat else shown

    def lengths(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """The block length along each axis of `shape` (after flattening). Raises `ValueError` for a bad axis."""
        rank = len(shape)
        if self.channel is not None:
            if not -rank <= self.channel < rank:
                raise ValueError(f"channel{self.channel}: an array of shape {shape} has no axis {self.channel}")
            return tuple(1 if axis == self.channel % rank else max(n, 1) for axis, n in enumerate(shape))
        if self.sizes is None:
            return tuple(max(n, 1) for n in shape)
        sizes = self.sizes
        while len(sizes) > rank and sizes[0] in (1, WHOLE):  # "1x64" means "64" for an array of one axis
            sizes = sizes[1:]
        if len(sizes) > rank:
            raise ValueError(f"block {self} needs an array of at least {len(sizes)} axes, not the shape {shape}")
        last = [max(n, 1) if b == WHOLE else min(b, max(n, 1)) for b, n in zip(sizes, shape[rank - len(sizes) :])]
        return (1,) * (rank - len(sizes)) + tuple(last)

    def viewed(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """The shape that is cut: flattened where asked, and one element instead of a 0-d array."""
        return (int(np.prod(shape, dtype=object)),) if self.flat or not shape else shape

    def rank(self, ndim: int) -> int:
        """The axes of the grid of blocks, for arrays of `ndim` axes."""
        return 1 if self.flat or not ndim else ndim

    def grid(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """The number of blocks along each axis: the shape of the scales."""
        shape = self.viewed(shape)
        return tuple(-(-n // b) for n, b in zip(shape, self.lengths(shape)))

    def layout(self, shape: tuple[int, ...], group: int = 1) -> Layout:
        """How an array of this shape is cut.

        Args:
            shape: of the array.
            group: neighbours along the block's last axis that share a code. A block that is alone along that axis is padded
                to whole groups; other blocks must be a multiple of the group.

        Raises:
            ValueError: where the block has no such axis, or cuts a group apart.
        """
        cut = self.viewed(shape)
        lengths = self.lengths(cut)
        if group == 1:
            return Layout(shape, cut, lengths)
        axis = self._group_axis(len(cut))
        wide = -(-lengths[axis] // group) * group
        if wide != lengths[axis] and lengths[axis] < cut[axis]:
            raise ValueError(f"block {self} cuts groups of {group} numbers apart; take a multiple of {group}")
        return Layout(shape, cut, (*lengths[:axis], wide, *lengths[axis + 1 :]), group, axis)

    def check_group(self, group: int) -> None:
        """Raises `ValueError` where no array has whole groups of neighbours in each block."""
        if self.sizes is None or group == 1:
            return
        length = next((size for size in reversed(self.sizes) if size != 1), 1)
        if length == 1 or (length != WHOLE and length % group):
            raise ValueError(
                f"block {self} cuts groups of {group} numbers apart; take a multiple of {group}, such as {8 * group}"
            )

    def _group_axis(self, rank: int) -> int:
        """The last axis along which a block holds more than one number."""
        if self.sizes is not None:
            long = [axis for axis, size in zip(range(-1, -rank - 1, -1), reversed(self.sizes)) if size != 1]
        else:
            long = [axis for axis in range(-1, -rank - 1, -1) if self.channel is None or axis % rank != self.channel % rank]
        if not long:
            raise ValueError(f"block {self} holds one number of each group, and the element needs all; take a longer block")
        return long[0] % rank


def _length(value: object) -> int:
    length = int(str(value))
    if length < 1:
        raise ValueError(f"a block length must be a positive integer or '*' for the whole axis, not {length}")
    return length


@dataclass(frozen=True)
class Layout:
    """An array of one shape cut into blocks of one shape.

    Attributes:
        shape: the array's own shape.
        cut: the shape that is cut (flattened, or the same).
        lengths: block length along each axis of `cut`.
        group: neighbours along `axis` that share a code.
        axis: of `cut`, along which codes stand for groups.
    """

    shape: tuple[int, ...]
    cut: tuple[int, ...]
    lengths: tuple[int, ...]
    group: int = 1
    axis: int = -1

    @property
    def codes(self) -> Layout:
        """How the codes are cut: as the array, but one code for each group."""
        if self.group == 1:
            return self
        shape, lengths = list(self.cut), list(self.lengths)
        shape[self.axis], lengths[self.axis] = -(-shape[self.axis] // self.group), lengths[self.axis] // self.group
        return Layout(tuple(shape), tuple(shape), tuple(lengths))

    def groups_last(self, blocks: Array) -> Array:
        """A split array with the axis that holds groups moved to the end."""
        return blocks if self.group == 1 else jnp.moveaxis(blocks, 2 * self.axis + 1, -1)

    def groups_back(self, blocks: Array) -> Array:
        """The inverse of `groups_last`."""
        return blocks if self.group == 1 else jnp.moveaxis(blocks, -1, 2 * self.axis + 1)

    @property
    def grid(self) -> tuple[int, ...]:
        """Blocks along each axis."""
        return tuple(-(-n // b) for n, b in zip(self.cut, self.lengths))

    @property
    def ragged(self) -> bool:
        """Whether any axis ends in a shorter block."""
        return any(n % b for n, b in zip(self.cut, self.lengths))

    @property
    def axes(self) -> tuple[int, ...]:
        """The axes of the split array that lie inside a block."""
        return tuple(range(1, 2 * len(self.cut), 2))

    def split(self, x: Array) -> Array:
        """[shape] -> [g0, b0, g1, b1, ...], zeros where a last block is shorter."""
        x = x.reshape(self.cut)
        if self.ragged:
            x = jnp.pad(x, [(0, -n % b) for n, b in zip(self.cut, self.lengths)])
        return sharding.cut(x, self.grid, self.lengths)

    def merge(self, blocks: Array) -> Array:
        """[g0, b0, g1, b1, ...] -> [shape], padding dropped."""
        whole = sharding.joined(blocks, tuple(g * b for g, b in zip(self.grid, self.lengths)))
        if self.ragged:
            whole = whole[tuple(slice(n) for n in self.cut)]
        return whole.reshape(self.shape)

    def expand(self, scales: Array) -> Array:
        """[grid] -> [g0, 1, g1, 1, ...]: ready to broadcast against a split array."""
        return scales.reshape(tuple(k for g in self.grid for k in (g, 1)))

    def spread(self, scales: Array) -> Array:
        """[grid] -> [shape]: each block's number for every one of its elements."""
        inside = tuple(k for pair in zip(self.grid, self.lengths) for k in pair)
        return self.merge(jnp.broadcast_to(self.expand(scales), inside))

    def counts(self) -> np.ndarray:
        """int64 [grid]: how many elements of the array each block really holds."""
        counts = np.ones((), np.int64)
        for n, b in zip(self.cut, self.lengths):
            each = np.full(-(-n // b), b, np.int64)
            if n % b:
                each[-1] = n % b
            counts = np.multiply.outer(counts, each)
        return counts

    def inside(self) -> Array | None:
        """bool, shaped like a split array: False on padding; None where there is none."""
        if not self.ragged:
            return None
        return self.split(jnp.ones(self.cut, bool))
