"""The rows of elements that code several numbers together, by rules in closed form. (Designed vectors: `designing/rows.py`.)

Levels of lattices have no natural unit, so each has the reach at which the mean square error of normal numbers is least: a
block's RMS becomes this number. `tests/element/test_lattices.py` measures them again.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from qresearch.element.ball_lattice import BALL_LATTICES, MOST_BITS, ball_points
from qresearch.element.cube_lattice import LATTICES, cube_lattice
from qresearch.element.e8p import BEST_REACH, e8p
from qresearch.element.micro_exponents import micro_exponents
from qresearch.element.residual import e8p3, e8p4
from qresearch.element.table import ELEMENTS, Choice, ElementRow, nearest_only
from qresearch.element.trellis import trellis
from qresearch.element.trellis_values import state_values
from qresearch.element.vectors import vectors

CUBE_REACHES = {
    "a2": (0.936, 1.58, 2.75, 4.86, 8.73, 15.96, 29.15),
    "d4": (0.682, 1.054, 1.773, 3.063, 5.42, 9.78, 17.89, 32.66),
    "e8": (0.636, 1.01, 1.715, 2.977),
}
"""For 1 bit (A2: 2 bits) along an axis, then one more."""


def _fixed(name: str, grid: Any, best: float) -> ElementRow:
    def build(choice: Choice, reach: float = best) -> Any:
        nearest_only(name, choice)
        return grid(_reach(name, reach))

    return ElementRow(build, statistic="rms(1)", grouped=True)


def _reach(name: str, reach: Any) -> float:
    if isinstance(reach, str) or not 2.0**-20 <= reach <= 2.0**20:
        raise ValueError(f"{name}({reach}): the argument is what an RMS of 1 becomes, 2^-20 to 2^20, such as {name}(1)")
    return float(reach)


def _cube(lattice: str, choice: Choice, reach: float | None = None, *, bits: int) -> Any:
    name = f"{lattice}cube{bits}"
    nearest_only(name, choice)
    best = CUBE_REACHES[lattice][bits - _least(lattice)]
    return cube_lattice(lattice, bits, _reach(name, best if reach is None else reach))


def _least(lattice: str) -> int:
    return 1 + max(LATTICES[lattice].narrower)


def _check_cube(lattice: str, name: str, bits: int) -> None:
    least, most = _least(lattice), _least(lattice) + len(CUBE_REACHES[lattice]) - 1
    if not least <= bits <= most:
        raise ValueError(f"{name}: there are {least} to {most} bits along an axis, not {bits}")


def _ball(lattice: str, choice: Choice, reach: float | None = None, *, bits: int) -> Any:
    name = f"{lattice}ball{bits}"
    nearest_only(name, choice)
    best = BALL_REACHES[lattice][bits - MOST_BITS - 1]
    return vectors(ball_points(lattice, bits), _reach(name, best if reach is None else reach))


def _check_ball(lattice: str, name: str, bits: int) -> None:
    least = MOST_BITS + 1 - len(BALL_REACHES[lattice])
    if not least <= bits <= MOST_BITS:
        raise ValueError(f"{name}: a code must have {least} to {MOST_BITS} bits: the shortest vectors, and all are compared")


BALL_REACHES = {
    "a2": (0.718, 0.951, 1.232, 1.598, 2.123, 2.841, 3.802, 5.124, 6.806, 9.286),
    "d4": (0.825, 0.948, 1.065, 1.213, 1.378, 1.594, 1.836, 2.112),
    "e8": (0.604, 0.654, 0.705, 0.734, 0.783),
}
"""For codes that hold the shortest vectors, and then one bit more; the last is of 12 bits."""


def _micro(choice: Choice, *, bits: int) -> Any:
    nearest_only(f"smx{bits}", choice)
    return micro_exponents(bits - 2)


def _check_micro(name: str, bits: int) -> None:
    if not 3 <= bits <= 16:
        raise ValueError(
            f"{name}: there are 3 to 16 bits a number, with its share of the exponents, such as smx9@16:e8m0 (MX9)"
        )


MOST_STATE_BITS = 16


def _trellis(choice: Choice, state_bits: float = 12, values: str = "1mad", *, bits: int) -> Any:
    name = f"trellis{bits}"
    nearest_only(name, choice)
    if isinstance(state_bits, str) or state_bits not in range(bits, MOST_STATE_BITS + 1):
        raise ValueError(f"{name}({state_bits}): a state has {bits} to {MOST_STATE_BITS} bits, such as {name}(12)")
    return trellis(bits, int(state_bits), state_values(str(values), 2 ** int(state_bits)))


def _check_trellis(name: str, bits: int) -> None:
    if not 1 <= bits <= 4:
        raise ValueError(f"{name}: a trellis has 1 to 4 bits a number, not {bits}")


_E8P_DOC = "E8P: eight numbers in 16 bits, points of E8 next to the origin, over the RMS (QuIP#, arXiv 2402.04396)"
ELEMENTS.add("e8p", _fixed("e8p", e8p, BEST_REACH), doc=_E8P_DOC, examples=["e8p", "e8p(1.03)"])
ELEMENTS.add("e8p3", _fixed("e8p3", e8p3, 0.984), doc="E8P and 8 bits for what it leaves over, 3 bits a number (QuIP#)")
ELEMENTS.add("e8p4", _fixed("e8p4", e8p4, 0.927), doc="E8P twice, 4 bits a number (QuIP#)")
_NAMES = {"a2": "the hexagonal lattice A2", "d4": "the lattice D4", "e8": "the lattice E8"}
for _lattice, _examples in (("a2", ["a2cube4"]), ("d4", ["d4cube2"]), ("e8", ["e8cube2"])):
    ELEMENTS.add(
        f"{_lattice}cube{{bits}}",
        ElementRow(partial(_cube, _lattice), statistic="rms(1)", grouped=True, check=partial(_check_cube, _lattice)),
        doc=f"{_NAMES[_lattice]} in a cube of 2^bits numbers along an axis, {LATTICES[_lattice].group} numbers in a code",
        examples=_examples,
    )
for _lattice, _examples in (("a2", ["a2ball4"]), ("d4", ["d4ball8"]), ("e8", ["e8ball8"])):
    ELEMENTS.add(
        f"{_lattice}ball{{bits}}",
        ElementRow(partial(_ball, _lattice), statistic="rms(1)", grouped=True, check=partial(_check_ball, _lattice)),
        doc=f"{_NAMES[_lattice]} in a ball: its 2^bits points next to the origin, {BALL_LATTICES[_lattice]} numbers in a code",
        examples=_examples,
    )
ELEMENTS.add(
    "trellis{bits}",
    ElementRow(_trellis, statistic="rms(1)", grouped=True, check=_check_trellis),
    doc="a trellis: 256 numbers share a path through states of 12 bits; values 1mad, 3inst, gauss (QTIP, arXiv 2406.11235)",
    examples=["trellis2", "trellis2(8)", "trellis3(10,3inst)", "trellis1(8,gauss)"],
)
ELEMENTS.add(
    "smx{bits}",
    ElementRow(_micro, check=_check_micro, grouped=True),
    doc="pairs that share a micro-exponent, in blocks of 16 MX9, MX6 and MX4 (arXiv 2302.08007): smx9@16:e8m0",
    examples=["smx9", "smx6", "smx4"],
)
