"""The check of the width of a codebook's codes."""

from __future__ import annotations


def check_width(name: str, bits: int, least: int = 2, most: int = 16) -> int:
    """Returns the width of the codes of an element, in bits.

    Args:
        name: of the element, for the message.
        bits: the width.
        least: the smallest width that the element can have.
        most: the largest.

    Raises:
        ValueError: for a width outside these limits.

    >>> check_width("pot17", 17)
    Traceback (most recent call last):
    ...
    ValueError: pot17: the width must be 2 to 16 bits, not 17
    """
    if not least <= bits <= most:
        raise ValueError(f"{name}: the width must be {least} to {most} bits, not {bits}")
    return bits
