"""Books: the levels of a codebook with what its rounding needs, as the families return them; and a check of their width."""

from __future__ import annotations

from typing import Any, NamedTuple


class Book(NamedTuple):
    """The arguments of `codebook`, except the rounding.

    Attributes:
        levels: the numbers, ascending.
        middles: where roundings to nearest separate two neighbours; None for their means.
        words: the bit string of each level, whose parity breaks ties; None for the codes.
        reach: the level to which the maximum of a block is scaled; None for the largest magnitude.
    """

    levels: Any
    middles: Any = None
    words: Any = None
    reach: float | None = None


def check_width(name: str, bits: int, least: int = 2, most: int = 16) -> int:
    """Returns the width of the codes of an element, in bits. Raises `ValueError`, with its name, outside the limits.

    >>> check_width("pot17", 17)
    Traceback (most recent call last):
    ...
    ValueError: pot17: the width must be 2 to 16 bits, not 17
    """
    if not least <= bits <= most:
        raise ValueError(f"{name}: the width must be {least} to {most} bits, not {bits}")
    return bits
