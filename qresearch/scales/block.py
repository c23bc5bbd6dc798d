"""Blocks: which elements share a scale, and how an array is split into blocks and merged again.

An array is padded and reshaped, never transposed. An axis of length n that is split into blocks of b becomes two axes
(n / b, b). Statistics then reduce over the inner axes, and a sharded array keeps its sharding if blocks lie inside shards.
"""

from __future__ import annotations

import functools
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
        sizes: block lengths along the last axes (`WHOLE` is the length of the axis); None makes the array one block.
        channel: the axis with one scale per index; all other axes together form the block.
        flat: whether the array is flattened first. Nothing else flattens it.

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

        Raises `ValueError` for anything else.
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
        raise ValueError(f"block {shown(text)} is not one of tensor, row, column, channel0, 64, 8x8, *x1, flat64{near}")

    def __str__(self) -> str:
        if self.channel is not None:
            return f"channel{self.channel}"
        for name, sizes in _NAMES.items():
            if sizes == self.sizes and not self.flat:
                return name
        shown = "x".join("*" if b == WHOLE else str(b) for b in self.sizes or ())
        return f"flat{shown}" if self.flat else shown

    def lengths(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """The block length along each axis of `shape` (after flattening). Raises `ValueError` if an axis is missing."""
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

    def longer(self, shape: tuple[int, ...]) -> tuple[int, int] | None:
        """The first block length that is longer than its axis, where the block ends, and the length of that axis; or None.

        >>> Block.parse("64").longer((8, 48)), Block.parse("64").longer((8, 64))
        ((64, 48), None)
        """
        shape = self.viewed(shape)
        pairs = zip(reversed(self.sizes or ()), reversed(shape))
        return next(((block, length) for block, length in pairs if block > length > 0), None)

    def viewed(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """The shape that is split into blocks: flattened if the block says so; (1,) for a 0-d array."""
        return (int(np.prod(shape, dtype=object)),) if self.flat or not shape else shape

    def rank(self, ndim: int) -> int:
        """The number of axes of the grid of blocks, for arrays with `ndim` axes."""
        return 1 if self.flat or not ndim else ndim

    def grid(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """The number of blocks along each axis: the shape of the scales."""
        shape = self.viewed(shape)
        return tuple(-(-n // b) for n, b in zip(shape, self.lengths(shape)))

    def layout(self, shape: tuple[int, ...], group: int = 1, per_group: int = 1) -> Layout:
        """How an array of this shape is split into blocks.

        Args:
            shape: the shape of the array.
            group: how many neighbours along the block's last axis share one code. If one block spans that axis, it is padded
                to whole groups; otherwise the block length must be a multiple of the group.
            per_group: how many codes a group has.

        Raises:
            ValueError: if an axis is missing, or if the block would split a group.
        """
        cut = self.viewed(shape)
        lengths = self.lengths(cut)
        if group == 1:
            return Layout(shape, cut, lengths)
        axis = self._group_axis(len(cut))
        wide = -(-lengths[axis] // group) * group
        if wide != lengths[axis] and lengths[axis] < cut[axis]:
            raise ValueError(f"block {self} splits groups of {group} numbers; take a multiple of {group}")
        return Layout(shape, cut, (*lengths[:axis], wide, *lengths[axis + 1 :]), group, axis, per_group)

    def check_group(self, group: int) -> None:
        """Raises `ValueError` if the block splits groups of neighbours in every array."""
        if self.sizes is None or group == 1:
            return
        length = next((size for size in reversed(self.sizes) if size != 1), 1)
        if length == 1 or (length != WHOLE and length % group):
            raise ValueError(f"block {self} splits groups of {group} numbers; take a multiple of {group}, such as {8 * group}")

    def _group_axis(self, rank: int) -> int:
        """The last axis along which a block holds more than one number."""
        if self.sizes is not None:
            long = [axis for axis, size in zip(range(-1, -rank - 1, -1), reversed(self.sizes)) if size != 1]
        else:
            long = [axis for axis in range(-1, -rank - 1, -1) if self.channel is None or axis % rank != self.channel % rank]
        if not long:
            raise ValueError(f"block {self} holds only one number of each group that shares a code; take a longer block")
        return long[0] % rank


def _length(value: object) -> int:
    length = int(str(value))
    if length < 1:
        raise ValueError(f"a block length must be a positive integer or '*' for the whole axis, not {length}")
    return length


@dataclass(frozen=True)
class Layout:
    """How an array of one shape is split into blocks.

    Attributes:
        shape: the shape of the array.
        cut: the shape that is split: the same, or flattened.
        lengths: the block length along each axis of `cut`.
        group: how many neighbours along `axis` share one code.
        axis: the axis of `cut` along which groups lie.
        per_group: how many codes a group has.
    """

    shape: tuple[int, ...]
    cut: tuple[int, ...]
    lengths: tuple[int, ...]
    group: int = 1
    axis: int = -1
    per_group: int = 1

    @property
    def codes(self) -> Layout:
        """How the codes are split: like the array, but with the codes of whole groups in the place of their numbers."""
        if self.group == 1:
            return self
        shape, lengths = list(self.cut), list(self.lengths)
        shape[self.axis] = -(-shape[self.axis] // self.group) * self.per_group
        lengths[self.axis] = lengths[self.axis] // self.group * self.per_group
        return Layout(tuple(shape), tuple(shape), tuple(lengths))

    def groups_last(self, blocks: Array) -> Array:
        """Moves the axis of a split array that holds groups to the end."""
        return blocks if self.group == 1 else jnp.moveaxis(blocks, 2 * self.axis + 1, -1)

    def groups_back(self, blocks: Array) -> Array:
        """The inverse of `groups_last`."""
        return blocks if self.group == 1 else jnp.moveaxis(blocks, -1, 2 * self.axis + 1)

    @property
    def grid(self) -> tuple[int, ...]:
        """The number of blocks along each axis."""
        return tuple(-(-n // b) for n, b in zip(self.cut, self.lengths))

    @property
    def ragged(self) -> bool:
        """Whether the last block along some axis is shorter."""
        return any(n % b for n, b in zip(self.cut, self.lengths))

    @property
    def axes(self) -> tuple[int, ...]:
        """The axes of the split array that lie inside a block."""
        return tuple(range(1, 2 * len(self.cut), 2))

    def split(self, x: Array) -> Array:
        """[shape] -> [g0, b0, g1, b1, ...]. Shorter last blocks are padded with zeros."""
        x = x.reshape(self.cut)
        if self.ragged:
            x = jnp.pad(x, [(0, -n % b) for n, b in zip(self.cut, self.lengths)])
        return sharding.cut(x, self.grid, self.lengths)

    def merge(self, blocks: Array) -> Array:
        """[g0, b0, g1, b1, ...] -> [shape], without the padding."""
        whole = sharding.joined(blocks, tuple(g * b for g, b in zip(self.grid, self.lengths)))
        if self.ragged:
            whole = whole[tuple(slice(n) for n in self.cut)]
        return whole.reshape(self.shape)

    def expand(self, scales: Array) -> Array:
        """[grid] -> [g0, 1, g1, 1, ...], which broadcasts against a split array."""
        return scales.reshape(tuple(k for g in self.grid for k in (g, 1)))

    def spread(self, scales: Array) -> Array:
        """[grid] -> [shape]: repeats the number of each block for all of its elements."""
        inside = tuple(k for pair in zip(self.grid, self.lengths) for k in pair)
        return self.merge(jnp.broadcast_to(self.expand(scales), inside))

    def counts(self) -> np.ndarray:
        """int64 [grid]: the number of elements in each block, without padding."""
        along = (np.minimum(b, n - np.arange(0, n, b)) for n, b in zip(self.cut, self.lengths))
        return functools.reduce(np.multiply.outer, along, np.ones((), np.int64))

    def inside(self) -> Array | None:
        """bool, shaped like a split array: False on padding. None if there is no padding."""
        if not self.ragged:
            return None
        return self.split(jnp.ones(self.cut, bool))
