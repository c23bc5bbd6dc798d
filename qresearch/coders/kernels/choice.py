"""Which way quantizing goes: by the platform, unless `QRESEARCH_KERNELS` says otherwise.

XLA fuses what works element by element (decoding, encoding with given scales, casts) into one pass. A scale that the elements
of a block share is a reduction, though, and what divides by it a second pass over the array: 9 bytes an element move where 5
would do, 0.56 of what the memory allows. There a kernel takes its place.
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
"""The environment variable that is asked, whenever a function is traced."""

SETTINGS = {
    "auto": "the kernel on CUDA where this process has one GPU, XLA everywhere else",
    "xla": "XLA everywhere",
    "kernel": "the kernel on CUDA, whether there is a GPU or not (to lower it), and however many; XLA everywhere else",
    "interpret": "the kernel, interpreted, on every platform: slow, for tests",
}

TILES = "QRESEARCH_TILES"
"""The environment variable that is asked for the size of tiles, such as `4096/4` or `4096/4/portable`."""


@dataclass(frozen=True)
class Tiling:
    """How much of an array one program of a kernel takes.

    Attributes:
        elements: of a tile, where the array is long enough; a power of two, 1,024 or more.
        warps: of 32 threads each that share a tile; a power of two up to 32.
        portable: without instructions of one platform (`ptx`).
    """

    elements: int = 4096
    warps: int = 4
    portable: bool = False

    def __str__(self) -> str:
        return f"{self.elements}/{self.warps}{'/portable' * self.portable}"


def setting() -> str:
    """What the environment says; `auto` where it says nothing. Raises `ValueError` for what is none of `SETTINGS`."""
    name = os.environ.get(VARIABLE) or "auto"
    if name not in SETTINGS:
        near = suggestion(name, SETTINGS)
        raise ValueError(f"{VARIABLE} must be one of {', '.join(SETTINGS)}, not {name!r}{near}")
    return name


def tiling() -> Tiling:
    """What the environment says; `Tiling()` where it says nothing. Raises `ValueError` for what cannot be read."""
    return read_tiling(os.environ.get(TILES) or str(Tiling()), TILES)


def read_tiling(text: str, name: str) -> Tiling:
    """The inverse of `str`. Raises `ValueError`, with the name of what was given.

    >>> read_tiling("2048/8", "tiles")
    Tiling(elements=2048, warps=8, portable=False)
    """
    found = re.fullmatch(r"(\d+)/(\d+)(/portable)?", text)
    elements, warps = map(int, found.groups()[:2]) if found else (0, 0)
    if elements < 1024 or not 1 <= warps <= 32 or elements & (elements - 1) or warps & (warps - 1):
        way_out = "elements/warps, powers of two, 1024 elements and 1 warp at least, such as 4096/4 or 4096/4/portable"
        raise ValueError(f"{name} must be {way_out}, not {text!r}")
    return Tiling(elements, warps, text.endswith("portable"))


def state() -> tuple[str, Tiling]:
    """All of the environment that a traced function hangs on."""
    return setting(), tiling()


@contextlib.contextmanager
def using(name: str, tiles: Tiling | None = None) -> Iterator[None]:
    """Sets the variables for a while. The functions of `qresearch` heed them, and jitted ones of yours when they are traced."""
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
    """Whether a kernel is to be used where there is one for a scheme.

    Of several GPUs an array may lie on all, and XLA does not cut a kernel into pieces: it would gather the array first.
    """
    name = setting()
    return _one_gpu() if name == "auto" else name != "xla"


@functools.cache
def _one_gpu() -> bool:
    return jax.default_backend() == "gpu" and jax.device_count() == 1
