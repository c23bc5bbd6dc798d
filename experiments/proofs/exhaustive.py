"""All 2^32 float32 values through every element grid of at most 8 bits that has a preset, against brute force. (Vectors, which
take several numbers at once, are left out.)

    python -m experiments.proofs.exhaustive [--out results/exhaustive] [--grids int4,nf4] [--stride 4096]

The oracle finds the threshold of each pair of neighbouring codes by bisection over the float32 numbers themselves, deciding
each one by the definition in float64 (`nearest.py`); between thresholds the code is constant, so the intervals are filled
with it and compared with the compiled encoder, a chunk of bit patterns at a time. Nothing of the library is used on the
oracle's side. Where a grid has a way there and back without codes, what it gives is compared with what codes come back as.
"""

from __future__ import annotations

import argparse
import re
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from experiments.proofs.output import write_results
from qresearch.element.element import Element
from qresearch.element.table import INTEGER_RANGES
from qresearch.grammar.build import build
from qresearch.grammar.spec import PRESETS, Spec, scheme
from qresearch.testing.oracle import nearest
from qresearch.testing.oracle.description import Description
from qresearch.testing.oracle.grids import Integers, Levels
from qresearch.testing.oracle.reading import describe

CHUNK = 2**22
"""Bit patterns compared at once."""


@dataclass(frozen=True, eq=False)
class Case:
    """One grid with one rounding: the compiled element and what the oracle knows of it."""

    name: str
    element: Element
    scheme: Description

    @property
    def rounding(self) -> str:
        """Its name."""
        return self.scheme.rounding


@dataclass(frozen=True)
class Count:
    """The result of one case."""

    grid: str
    rounding: str
    values: int
    mismatches: int
    first: str
    seconds: float

    def __str__(self) -> str:
        where = f"{self.values:>13,} values {self.mismatches:>6} mismatches {self.seconds:7.1f} s"
        return f"{self.grid:28} {self.rounding:12} {where} {self.first}".rstrip()


def cases(names: list[str] | None = None) -> list[Case]:
    """Every grid of at most 8 bits that has a preset, by nearest-even and by its own default rounding; each once.

    Args:
        names: elements to take instead (`int4`, `nf4`); restricted integer grids are called `int4-restricted`.

    Raises:
        ValueError: where a name is none of them.
    """
    found: dict[str, Case] = {}
    for spec in _specs():
        for rounding in dict.fromkeys(("even", spec.row.rounding)):
            case = _case(spec.replace(rounding=rounding, wrappers=()))  # a grid does not depend on them
            if case.scheme.bits <= 8 and not _among(case, found.values()):
                found[f"{case.name}~{rounding}"] = case
    known = sorted({case.name for case in found.values()})
    if unknown := sorted(set(names or ()) - set(known)):
        raise ValueError(f"no such grids: {', '.join(unknown)}; there are {', '.join(known)}")
    return [case for case in found.values() if names is None or case.name in names]


def _specs() -> Iterator[Spec]:
    """The schemes of all presets and of what stores their scales."""
    waiting = [scheme(row.value) for row in PRESETS.rows]
    while waiting:
        spec = waiting.pop(0)
        waiting += [each for each in (spec.scale, spec.offset) if each is not None]
        if build(spec).element.group == 1:  # one float32 at a time says nothing of vectors
            yield spec


def _case(spec: Spec) -> Case:
    quantizer = build(spec)
    cast = "-unit" if quantizer.bare and spec.statistic != spec.row.statistic else ""
    said = spec.range and (spec.row.ranges == INTEGER_RANGES or spec.range != spec.row.ranges[0])
    return Case(spec.element + (f"-{spec.range}" if said else "") + cast, quantizer.element, describe(quantizer))


def _among(case: Case, others: Any) -> bool:
    """Whether the same numbers are encoded the same way in another case."""
    return any(
        str(jax.tree.structure(other.element)) == str(jax.tree.structure(case.element))
        and all(jax.tree.leaves(jax.tree.map(partial(np.array_equal, equal_nan=True), other.element, case.element)))
        for other in others
    )


def ordered(word: np.ndarray) -> np.ndarray:
    """float32 bit patterns -> integers that ascend with the number; minus zero is -1, plus zero 0."""
    word = np.asarray(word, np.int64)
    return np.where(word < 2**31, word, 2**31 - 1 - word)


def pattern(place: np.ndarray) -> np.ndarray:
    """The bit pattern (int64) at a place in that order."""
    place = np.asarray(place, np.int64)
    return np.where(place >= 0, place, 2**31 - 1 - place)


def number(place: np.ndarray) -> np.ndarray:
    """The float32 at a place in that order."""
    return pattern(place).astype(np.uint32).view(np.float32)


INFINITY = int(np.array(np.inf, np.float32).view(np.uint32))


def intervals(scheme: Description) -> tuple[np.ndarray, np.ndarray]:
    """Where codes change, from minus to plus infinity: the first place of every interval (plus zero begins one), and its code.

    Bisection between places whose codes differ. Between two neighbours of the places it starts from (all numbers of the
    grid, both zeros, both infinities) a code changes at most once.
    """
    starts = np.unique(np.concatenate([[-1 - INFINITY, -1, 0, INFINITY], _grid_places(scheme)]))
    low, high = starts[:-1], starts[1:]
    found = [starts]
    while low.size:
        middle = (low + high) // 2
        first, half, last = (_oracle(scheme, place) for place in (low, middle, high))
        left, right = (first != half) & (middle > low), (half != last) & (middle > low)
        found.append(middle)
        low, high = np.concatenate([low[left], middle[right]]), np.concatenate([middle[left], high[right]])
    places = np.unique(np.concatenate([*found, np.concatenate(found) + 1]))
    places = places[(places >= -1 - INFINITY) & (places <= INFINITY)]
    codes = _oracle(scheme, places)
    keep = np.concatenate([[True], codes[1:] != codes[:-1]]) | (places == 0)
    return places[keep], codes[keep]


def _grid_places(scheme: Description) -> np.ndarray:
    grid = scheme.grid
    if isinstance(grid, Integers):
        codes = np.arange(grid.low, grid.high + 1)
    else:
        codes = np.arange(grid.numbers.size if isinstance(grid, Levels) else 2**scheme.bits)
    numbers = nearest.decode(codes, grid)
    return ordered(numbers[np.isfinite(numbers)].view(np.uint32))


def _oracle(scheme: Description, place: np.ndarray) -> np.ndarray:
    return nearest.encode(number(place), scheme.grid, scheme.rounding, keeps_infinities=scheme.unit)


@partial(jax.jit, static_argnames="size")
def _encode(element: Element, start: Any, stride: Any, size: int) -> Any:
    """The codes of some bit patterns, and which of those come back as other bits by the way without codes."""
    word = start + stride * jax.lax.iota(jnp.uint32, size)
    y = jax.lax.bitcast_convert_type(word, jnp.float32)
    codes, back = element.encode(y), element.grid.round_trip(y, element.rounding)
    if back is None:
        return codes, jnp.array(False)
    one, other = (jax.lax.bitcast_convert_type(each, jnp.uint32) for each in (back, element.decode(codes)))
    return codes, one != other


def count(case: Case, stride: int = 1) -> Count:
    """Compares every `stride`-th bit pattern (all of them, at 1)."""
    begun = time.perf_counter()
    edges, codes = pieces(case.scheme)
    codes = codes.astype(case.element.code_dtype)
    wrong, first = 0, ""
    total = -(-(2**32) // stride)
    for begin in range(0, total, CHUNK):
        found = _encode(case.element, np.uint32(begin * stride), np.uint32(stride), CHUNK)
        got, off = (np.broadcast_to(each, CHUNK)[: total - begin] for each in found)
        # The first place in this chunk at or after each edge; a piece is what lies between two of them.
        cuts = np.clip(-(-edges // stride) - begin, 0, got.size)
        wanted = np.repeat(codes, np.diff(cuts))
        if off.any() or not np.array_equal(got, wanted):
            places = np.flatnonzero((got != wanted) | off)
            one = int(places[0])
            told = "another number, there and back" if off[one] else f"{got[one]}, not {wanted[one]}"
            first = first or f"0x{(begin + one) * stride:08x}: {told}"
            wrong += places.size
    return Count(case.name, case.rounding, total, wrong, first, round(time.perf_counter() - begun, 2))


def pieces(scheme: Description) -> tuple[np.ndarray, np.ndarray]:
    """The bit patterns from 0 to 2^32, cut where the code changes: the edges, and the code of each piece between two."""
    starts, codes = intervals(scheme)
    nan = nearest.encode(np.full(1, np.nan, np.float32), scheme.grid, scheme.rounding)
    plus = starts >= 0
    # Negative numbers descend as their bit patterns ascend: intervals in reverse order, each from its last number to its first.
    ends = pattern(np.append(starts[~plus][1:], 0) - 1)[::-1]
    edges = [starts[plus], np.array([INFINITY + 1]), ends, np.array([2**31 + INFINITY + 1, 2**32])]
    return np.concatenate(edges), np.concatenate([codes[plus], nan, codes[~plus][::-1], nan])


def _totals(rows: list[Count]) -> dict[str, Any]:
    values, mismatches = sum(row.values for row in rows), sum(row.mismatches for row in rows)
    return {"grids": len(rows), "values": values, "mismatches": mismatches, "seconds": round(sum(r.seconds for r in rows), 2)}


def split_names(text: str) -> list[str]:
    """Names between commas; those inside brackets belong to a name."""
    return re.split(r",(?![^()]*\))", text)


def main(arguments: list[str] | None = None) -> int:
    """The command line; exit status 0 where all codes agree, 1 where some do not."""
    parser = argparse.ArgumentParser(description=str(__doc__).split("\n")[0])
    parser.add_argument("--out", type=Path, help="folder for table.csv, table.md and manifest.json")
    parser.add_argument("--grids", help="elements, separated by commas; default: all")
    parser.add_argument("--stride", type=int, default=1, help="every how many-th bit pattern (default 1: all 2^32)")
    options = parser.parse_args(arguments)
    if options.stride < 1:
        parser.error(f"--stride must be at least 1, not {options.stride}")
    rows = []
    for case in cases(split_names(options.grids) if options.grids else None):
        rows.append(count(case, options.stride))
        print(rows[-1], flush=True)
    if options.out:
        write_results(options.out, rows, {"stride": options.stride} | _totals(rows))
    return int(any(row.mismatches for row in rows))


if __name__ == "__main__":
    sys.exit(main())
