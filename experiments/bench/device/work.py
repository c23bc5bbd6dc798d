"""What is timed: a scheme, a step, a path, compiled for an array on the device; and how many bytes it has to move."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
from jax import Array

import qresearch as qr
from qresearch.coders.coder import Coder
from qresearch.coders.kernels import Tiling, served, using

ELEMENTS = {"int8": "", "nf4": "", "dynamic8": "", "e2m1": ":e8m0"}
"""Element -> how its scales are stored: int8, NF4, 8-bit dynamic, MXFP4."""

BLOCKS = (32, 64, 256)

SCHEMES = tuple(f"{element}@{block}{scale}" for element, scale in ELEMENTS.items() for block in BLOCKS)


@dataclass(frozen=True)
class Way:
    """A path of encoding.

    Attributes:
        name: in the table.
        setting: of `QRESEARCH_KERNELS`, under which it is traced.
        tiling: of the kernel.
    """

    name: str
    setting: str
    tiling: Tiling


@dataclass(frozen=True)
class Task:
    """A compiled program.

    Attributes:
        scheme: as text.
        step: `encode` (an array to codes and scales), `decode`; `encode packed`, `decode packed`: with two 4-bit codes a byte.
        path: the name of its way.
        chosen: whether it is the path that the library takes here by itself.
        begin: starts the work, and returns what it will give without waiting for it.
        moved: bytes that have to be read and written.
        cold: seconds of tracing and compiling.
        fault: why there is no program, in words; nothing where there is one.
    """

    scheme: str
    step: str
    path: str
    chosen: bool
    begin: Callable[[], Any] = dict
    moved: int = 0
    cold: float = 0.0
    fault: str = ""


XLA = Way("xla", "xla", Tiling())


def ways(platform: str, interpret: bool, tilings: list[Tiling]) -> list[Way]:
    """XLA's way; the kernel's, where it is compiled or interpreted; and that with the tiles given, else without PTX."""
    if platform != "gpu" and not interpret:
        return [XLA]
    setting = "interpret" if interpret else "kernel"
    others = tilings or [Tiling(portable=True)] * (not interpret)
    more = [Way(f"kernel {each}", setting, each) for each in others if each != Tiling()]
    return [XLA, Way("kernel", setting, Tiling()), *more]


def tasks(scheme: str, x: Array, found: list[Way]) -> Iterator[Task]:
    """Everything that is timed of a scheme. Raises `ValueError` where kernels are asked for and it has none."""
    coder = qr.build(scheme)
    if len(found) > 1 and not served(coder, x.shape):
        raise ValueError(f"there is no kernel for {scheme} and an array of shape {x.shape}; take a larger --size")
    taken = next((way for way in found if way.setting == "kernel"), XLA)
    for packed in (False, True) if int(coder.element.bits) == 4 else (False,):
        word = " packed" if packed else ""
        for way in found:
            chosen = way is taken
            try:
                run, cold = compiled(partial(encode, coder, packed), way, x)
                stored = jax.block_until_ready(run(x))
            except Exception as error:  # whatever a compiler says of one way, the others are timed
                yield Task(scheme, f"encode{word}", way.name, chosen, fault=fault(error))
                continue
            yield Task(scheme, f"encode{word}", way.name, chosen, partial(run, x), _bytes(x) + _bytes(stored), cold)
        run, cold = compiled(partial(decode, coder, packed, x.shape), XLA, stored)
        yield Task(scheme, f"decode{word}", XLA.name, True, partial(run, stored), _bytes(x) + _bytes(stored), cold)


def encode(coder: Coder, packed: bool, x: Array) -> Any:
    """Codes and scales, or the bytes of them."""
    return coder.quantize_packed(x) if packed else coder.quantize(x)


def decode(coder: Coder, packed: bool, shape: tuple[int, ...], stored: Any) -> Array:
    """The array back."""
    return coder.dequantize(coder.packer.unpack(stored, shape) if packed else stored)


def compiled(function: Callable[..., Any], way: Way, argument: Any) -> tuple[Any, float]:
    """A function compiled for where its argument lies, and the seconds that took."""
    start = time.perf_counter()
    with using(way.setting, way.tiling):
        found = jax.jit(function).lower(argument).compile()
    return found, time.perf_counter() - start


def fault(error: Exception) -> str:
    """What went wrong, on one line."""
    return f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"


def _bytes(tree: Any) -> int:
    return sum(leaf.nbytes for leaf in jax.tree.leaves(tree))
