"""Which way quantizing goes: by the platform, unless `QRESEARCH_KERNELS` says otherwise.

XLA fuses what works element by element (decoding, encoding with given scales, casts) into one pass. A scale that the elements
of a block share is a reduction, though, and what divides by it a second pass over the array: 9 bytes an element move where 5
would do, 0.56 of what the memory allows. There a kernel takes its place.
"""

from __future__ import annotations

import contextlib
import functools
import os
from collections.abc import Iterator

import jax

from qresearch.table import suggestion

VARIABLE = "QRESEARCH_KERNELS"
"""The environment variable that is asked, whenever a function is traced."""

SETTINGS = {
    "auto": "the kernel on CUDA where this process has one GPU, XLA everywhere else",
    "xla": "XLA everywhere",
    "kernel": "the kernel on CUDA, whether there is a GPU or not (to lower it), and however many; XLA everywhere else",
    "interpret": "the kernel, interpreted, on every platform: slow, for tests",
}


def setting() -> str:
    """What the environment says; `auto` where it says nothing. Raises `ValueError` for what is none of `SETTINGS`."""
    name = os.environ.get(VARIABLE) or "auto"
    if name not in SETTINGS:
        near = suggestion(name, SETTINGS)
        raise ValueError(f"{VARIABLE} must be one of {', '.join(SETTINGS)}, not {name!r}{near}")
    return name


@contextlib.contextmanager
def using(name: str) -> Iterator[None]:
    """Sets the variable for a while. The functions of `qresearch` heed it, and jitted ones of yours when they are traced."""
    before = os.environ.get(VARIABLE)
    os.environ[VARIABLE] = name
    try:
        setting()
        yield
    finally:
        os.environ.pop(VARIABLE)
        if before is not None:
            os.environ[VARIABLE] = before


def wanted() -> bool:
    """Whether a kernel is to be used where there is one for a scheme.

    Of several GPUs an array may lie on all, and XLA does not cut a kernel into pieces: it would gather the array first.
    """
    name = setting()
    return _one_gpu() if name == "auto" else name != "xla"


@functools.cache
def _one_gpu() -> bool:
    return jax.default_backend() == "gpu" and jax.device_count() == 1
