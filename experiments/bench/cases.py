"""What is timed: the presets, the elements of presets of at most 8 bits, and some elements with every rounding."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterator
from dataclasses import dataclass

import qresearch as qr
from qresearch.coders.coder import Coder
from qresearch.grammar.spec import Spec, scheme

BITS = 8
"""The widest code that is timed."""

REPRESENTATIVE = ("int8", "e4m3", "e2m1", "nf4", "dynamic8")
"""An element of each kind of grid, and a small and a large table: these are timed with every rounding."""


@dataclass(frozen=True)
class Case:
    """A scheme that is timed as a whole, or whose element is timed.

    Attributes:
        kind: `"element"`: from numbers on the grid to codes and back; `"preset"`: from an array to codes and scales and back.
        name: the name of the element with its rounding, or of the preset.
        scheme: the text of the scheme.
        coder: the built scheme.
    """

    kind: str
    name: str
    scheme: str
    coder: Coder

    @property
    def grid(self) -> str:
        """The class of its grid."""
        return type(self.coder.element.grid).__name__

    @property
    def rounding(self) -> str:
        """The name of its rounding."""
        return self.coder.element.rounding.name

    @property
    def searches(self) -> bool:
        """Whether its statistic is a search."""
        return self.kind == "preset" and not self.coder.scaling.statistic.of_block_alone()

    @property
    def bits(self) -> int:
        """Bits of a code."""
        return int(self.coder.element.bits)


def cases(only: str = "*") -> list[Case]:
    """All cases whose names match a pattern (`e4m3*`, `mx*`)."""
    found = {(case.kind, case.name): case for case in (*_elements(), *_presets())}
    return [case for case in found.values() if fnmatch.fnmatch(case.name, only)]


def _elements() -> Iterator[Case]:
    specs = [*_presets_and_storages(), *(scheme(f"{e}~{r}") for e in REPRESENTATIVE for r in qr.roundings)]
    for spec in specs:
        coder = qr.build(spec.replace(wrappers=()))
        if int(coder.element.bits) <= BITS:
            yield Case("element", element_name(spec), element_name(spec), coder)


def _presets() -> Iterator[Case]:
    for row in qr.presets.rows:
        coder = qr.build(row.value)
        if int(coder.element.bits) <= BITS:
            yield Case("preset", row.name, row.value, coder)


def element_name(spec: Spec) -> str:
    """The name, range and rounding of an element; the range of asymmetric integers is full.

    >>> element_name(scheme("int4@32")), element_name(scheme("int4-asym@32~half_up"))
    ('int4', 'int4-full~half_up')
    """
    text = Spec(spec.element, form="sym", range=spec.range, rounding=spec.rounding)
    return str(text)


def _presets_and_storages() -> Iterator[Spec]:
    """The schemes of all presets, and those that store their scales and offsets."""
    waiting = [scheme(row.value) for row in qr.presets.rows]
    while waiting:
        spec = waiting.pop(0)
        yield spec
        waiting += [each for each in (spec.scale, spec.offset) if each is not None]
