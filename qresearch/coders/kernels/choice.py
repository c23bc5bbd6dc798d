"""Chooses between XLA and a kernel: by the platform, unless the environment variable `QRESEARCH_KERNELS` overrides it.

XLA fuses elementwise work (decoding, encoding with given scales, casts) into one pass. But the scale of a block is a
reduction, and dividing by it needs a second pass over the array. XLA moves 9 bytes per element where 5 would be enough, which
is 0.56 of the speed that the memory allows. A kernel does both in one pass.
"""

from __future__ import annotations

import contextlib
import functools
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass

import jax

from qresearch.base.table import suggestion

VARIABLE = "QRESEARCH_KERNELS"
"""The environment variable with the setting. It is read whenever a function is traced."""

SETTINGS = {
    "auto": "the kernel on CUDA if this process has exactly one GPU, XLA everywhere else",
    "xla": "XLA everywhere",
    "kernel": "the kernel on CUDA with any number of GPUs, even none (to lower it); XLA everywhere else",
    "interpret": "the interpreted kernel on every platform: slow, for tests",
}

TILES = "QRESEARCH_TILES"
"""The environment variable with the size of tiles, such as `4096/4` or `4096/4/portable`."""


@dataclass(frozen=True)
class Tiling:
    """How much of an array one program of a kernel processes.

    Attributes:
        elements: the elements of a tile, if the array is long enough; a power of two, at least 1,024.
        warps: the number of warps (of 32 threads each) that share a tile; a power of two up to 32.
        portable: whether to avoid instructions of one platform (`ptx`).
    """

    elements: int = 4096
    warps: int = 4
    portable: bool = False

    def __str__(self) -> str:
        return f"{self.elements}/{self.warps}{'/portable' * self.portable}"


def setting() -> str:
    """The setting from the environment, by default `auto`. Raises `ValueError` if it is not one of `SETTINGS`."""
    name = os.environ.get(VARIABLE) or "auto"
    if name not in SETTINGS:
        near = suggestion(name, SETTINGS)
        raise ValueError(f"{VARIABLE} must be one of {', '.join(SETTINGS)}, not {name!r}{near}")
    return name


def tiling() -> Tiling:
    """The tiling from the environment, by default `Tiling()`. Raises `ValueError` if it cannot be read."""
    return read_tiling(os.environ.get(TILES) or str(Tiling()), TILES)


def read_tiling(text: str, name: str) -> Tiling:
    """Reads a tiling, the inverse of `str`. Raises `ValueError` with `name`, which says where the text came from.

    >>> read_tiling("2048/8", "tiles")
    Tiling(elements=2048, warps=8, portable=False)
    """
    found = re.fullmatch(r"(\d+)/(\d+)(/portable)?", text)
    elements, warps = map(int, found.groups()[:2]) if found else (0, 0)
    if elements < 1024 or not 1 <= warps <= 32 or elements & (elements - 1) or warps & (warps - 1):
        way_out = "elements/warps, powers of two, at least 1024 elements and 1 to 32 warps, such as 4096/4 or 4096/4/portable"
        raise ValueError(f"{name} must be {way_out}, not {text!r}")
    return Tiling(elements, warps, text.endswith("portable"))


def state() -> tuple[str, Tiling]:
    """Everything from the environment that affects tracing, for use as a static argument of jitted functions."""
    return setting(), tiling()


@contextlib.contextmanager
def using(name: str, tiles: Tiling | None = None) -> Iterator[None]:
    """Sets the variables inside a `with` block. Functions of `qresearch` follow them; your own jitted functions when traced."""
    wanted = {VARIABLE: name} | ({} if tiles is None else {TILES: str(tiles)})
    before = {key: os.environ.get(key) for key in wanted}
    os.environ.update(wanted)
    try:
        state()
        yield
    finally:
        for key, value in before.items():
            os.environ.pop(key)
            if value is not None:
                os.environ[key] = value


def wanted() -> bool:
    """Whether to use a kernel for schemes that have one.

    With several GPUs, an array may be sharded. XLA cannot partition a kernel and would gather the array first.
    """
    name = setting()
    return _one_gpu() if name == "auto" else name != "xla"


@functools.cache
def _one_gpu() -> bool:
    return jax.default_backend() == "gpu" and jax.device_count() == 1
