"""Compares the codes, scales and values of a device with those of the CPU of the same process, bit for bit."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import jax
import numpy as np

import qresearch as qr
from experiments.bench.device.work import XLA, KernelPath, compiled, decode, encode, fault
from qresearch.coders.coder import Coder
from qresearch.testing import samples

TINY = np.float32(2.0**-126)


def inputs(power: int) -> dict[str, np.ndarray]:
    """Name -> float32 array of 2^power numbers: normal ones of many magnitudes, and adversarial ones."""
    random, shape = np.random.default_rng(0), (2 ** (power // 2), 2 ** (power - power // 2))
    spread = np.exp(random.standard_normal((shape[0], 1), np.float32))
    normal = random.standard_normal(shape, np.float32) * spread
    nasty = np.resize(samples.nasty(), shape).copy()
    places = random.integers(0, nasty.size, max(nasty.size // 4096, 4))
    nasty.reshape(-1)[places] = random.choice(np.array([np.inf, -np.inf, np.nan], np.float32), places.size)
    return {"normal": normal, "nasty": nasty}


def compare(scheme: str, name: str, x: np.ndarray, path: KernelPath, wanted: tuple[Any, np.ndarray]) -> dict[str, Any]:
    """A row: how many codes, scales and values of a path differ from those of the CPU (`on_cpu`).

    `beside subnormals` counts differing codes of subnormal numbers, and of blocks whose largest magnitude is below 2^-110: XLA
    flushes subnormals to zero on CPU, and devices keep them. `first` is one of the others, with its number, place and both
    codes; or the error, if nothing could be compared.
    """
    coder, row = qr.build(scheme), {"scheme": scheme, "path": path.name, "inputs": name, "elements": x.size}
    try:
        there, back = both(coder, x, path, jax.devices()[0])
    except Exception as error:  # a path that does not compile must not stop the others
        return row | dict.fromkeys(("codes", "scales", "values", "beside subnormals")) | {"first": fault(error)}
    right, right_back = wanted
    codes = there.codes != right.codes
    tiny = (x != 0) & (np.abs(x) < TINY) | _narrow(coder, x)
    scales = [_differing(a, b) for a, b in zip(jax.tree.leaves(there.params), jax.tree.leaves(right.params))]
    counts = {"codes": int(codes.sum()), "scales": sum(scales), "values": _differing(back, right_back)}
    other = next(_shown(x, there.codes, right.codes, codes & ~tiny), "")
    return row | counts | {"beside subnormals": int((codes & tiny).sum()), "first": other}


def on_cpu(scheme: str, x: np.ndarray) -> tuple[Any, np.ndarray]:
    """Codes and values of an array on the CPU of this process."""
    return both(qr.build(scheme), x, XLA, jax.devices("cpu")[0])


def both(coder: Coder, x: np.ndarray, path: KernelPath, device: Any) -> tuple[Any, np.ndarray]:
    """The encoded array and its values, on a device."""
    placed = jax.device_put(x, device)
    stored = compiled(partial(encode, coder, False), path, placed)[0](placed)
    back = compiled(partial(decode, coder, False, x.shape), XLA, stored)[0](stored)
    return jax.device_get(stored), np.asarray(back)


def _differing(a: np.ndarray, b: np.ndarray) -> int:
    """How many numbers differ in any bit; all NaNs are equal."""
    same = a == b if a.dtype.kind != "f" else (a.view(np.int32) == b.view(np.int32)) | (np.isnan(a) & np.isnan(b))
    return int(a.size - np.count_nonzero(same))


def _narrow(coder: Coder, x: np.ndarray) -> np.ndarray:
    """bool, in the shape of x: whether the largest magnitude of its block is below 2^-110."""
    (length,) = coder.block.sizes or ()
    widths = np.abs(np.nan_to_num(x)).reshape(*x.shape[:-1], -1, length).max(-1)
    return np.repeat(widths < 2.0**-110, length, -1)


def _shown(x: np.ndarray, got: np.ndarray, wanted: np.ndarray, where: np.ndarray) -> Iterator[str]:
    for place in zip(*np.nonzero(where)):
        yield f"{float(x[place]).hex()} at {tuple(map(int, place))}: {got[place]}, on the CPU {wanted[place]}"
