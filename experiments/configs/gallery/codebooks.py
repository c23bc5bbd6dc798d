"""A plugin of the gallery: levels as dense as any power of a density (`qr.design`), as elements.

`power4(0.5,inner,student_t,7)`: in units of the source, at the quantiles i / 17 of that density (`middle`: (2 i - 1) / 32).
`cut4(0.5,64,normal)`: for numbers over the largest of their block.
"""

import qresearch as qr
from qresearch.designing.rows import designed
from qresearch.element.levels.families import Book
from qresearch.element.table import book_row


def power(bits: int, exponent: float, at: str, source: str, *parameters: float) -> Book:
    """In units of the source."""
    return designed("power_density", bits, source, parameters, exponent=exponent, at=at)


def cut(bits: int, exponent: float, block: int, source: str, *parameters: float) -> Book:
    """Inside a block."""
    return designed("power_density", bits, source, parameters, exponent=exponent, block=block)


_POWER = book_row(power, texts=True, statistic="rms(1)")
qr.elements.add("power{bits}", _POWER, doc="a power of a density", examples=["power4(0.5,inner,normal)"])
qr.elements.add("cut{bits}", book_row(cut, texts=True), doc="the same inside a block", examples=["cut4(0.5,64,normal)"])
