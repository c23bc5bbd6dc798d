"""What is timed: a step of a scheme on a path, compiled for an array on the device, and the bytes that it moves."""

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
"""Element -> the storage of its scales: int8, NF4, 8-bit dynamic, MXFP4."""

BLOCKS = (32, 64, 256)

SCHEMES = tuple(f"{element}@{block}{scale}" for element, scale in ELEMENTS.items() for block in BLOCKS)


@dataclass(frozen=True)
class KernelPath:
    """A path of encoding.

    Attributes:
        name: its name in the table.
        setting: the value of `QRESEARCH_KERNELS` under which it is traced.
        tiling: the tiling of the kernel.
    """

    name: str
    setting: str
    tiling: Tiling


@dataclass(frozen=True)
class Task:
    """A compiled program.

    Attributes:
        scheme: the text of the scheme.
        step: `encode` (an array to codes and scales), `decode`, `encode packed` or `decode packed` (two 4-bit codes a byte).
        path: the name of its path.
        chosen: whether the library takes this path by default.
        begin: starts the work, and returns its result without waiting for it.
        moved: the bytes that have to be read and written.
        cold: seconds of tracing and compiling.
        fault: why there is no program; empty if there is one.
    """

    scheme: str
    step: str
    path: str
    chosen: bool
    begin: Callable[[], Any] = dict
    moved: int = 0
    cold: float = 0.0
    fault: str = ""


XLA = KernelPath("xla", "xla", Tiling())


def paths(platform: str, interpret: bool, tilings: list[Tiling]) -> list[KernelPath]:
    """XLA, and the kernel if it can be compiled or interpreted: with the given tiles, or else without PTX too."""
    if platform != "gpu" and not interpret:
        return [XLA]
    setting = "interpret" if interpret else "kernel"
    others = tilings or [Tiling(portable=True)] * (not interpret)
    more = [KernelPath(f"kernel {each}", setting, each) for each in others if each != Tiling()]
    return [XLA, KernelPath("kernel", setting, Tiling()), *more]


def tasks(scheme: str, x: Array, found: list[KernelPath]) -> Iterator[Task]:
    """All tasks of a scheme. Raises `ValueError` if kernels are timed and the scheme has none."""
    coder = qr.build(scheme)
    if len(found) > 1 and not served(coder, x.shape):
        raise ValueError(f"there is no kernel for {scheme} and an array of shape {x.shape}; take a larger --size")
    taken = next((path for path in found if path.setting == "kernel"), XLA)
    for packed in (False, True) if int(coder.element.bits) == 4 else (False,):
        word = " packed" if packed else ""
        for path in found:
            chosen = path is taken
            try:
                run, cold = compiled(partial(encode, coder, packed), path, x)
                stored = jax.block_until_ready(run(x))
            except Exception as error:  # a path that does not compile must not stop the others
                yield Task(scheme, f"encode{word}", path.name, chosen, fault=fault(error))
                continue
            yield Task(scheme, f"encode{word}", path.name, chosen, partial(run, x), _bytes(x) + _bytes(stored), cold)
        run, cold = compiled(partial(decode, coder, packed, x.shape), XLA, stored)
        yield Task(scheme, f"decode{word}", XLA.name, True, partial(run, stored), _bytes(x) + _bytes(stored), cold)


def encode(coder: Coder, packed: bool, x: Array) -> Any:
    """Codes and scales, or their bytes."""
    return coder.quantize_packed(x) if packed else coder.quantize(x)


def decode(coder: Coder, packed: bool, shape: tuple[int, ...], stored: Any) -> Array:
    """The decoded array."""
    return coder.dequantize(coder.packer.unpack(stored, shape) if packed else stored)


def compiled(function: Callable[..., Any], path: KernelPath, argument: Any) -> tuple[Any, float]:
    """A function compiled for the device of its argument, and the seconds that it took."""
    start = time.perf_counter()
    with using(path.setting, path.tiling):
        found = jax.jit(function).lower(argument).compile()
    return found, time.perf_counter() - start


def fault(error: Exception) -> str:
    """An error on one line."""
    return f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"


def _bytes(tree: Any) -> int:
    return sum(leaf.nbytes for leaf in jax.tree.leaves(tree))
