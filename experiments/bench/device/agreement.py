"""Whether a device gives the codes, scales and values that the CPU of the same process gives, bit for bit."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import jax
import numpy as np

import qresearch as qr
from experiments.bench.device.work import XLA, Way, compiled, decode, encode, fault
from qresearch.coders.coder import Coder
from qresearch.testing import samples

TINY = np.float32(2.0**-126)


def inputs(power: int) -> dict[str, np.ndarray]:
    """float32 arrays of 2^power numbers: normal ones of spread magnitudes, and what breaks quantizers."""
    random, shape = np.random.default_rng(0), (2 ** (power // 2), 2 ** (power - power // 2))
    spread = np.exp(random.standard_normal((shape[0], 1), np.float32))
    normal = random.standard_normal(shape, np.float32) * spread
    nasty = np.resize(samples.nasty(), shape).copy()
    places = random.integers(0, nasty.size, max(nasty.size // 4096, 4))
    nasty.reshape(-1)[places] = random.choice(np.array([np.inf, -np.inf, np.nan], np.float32), places.size)
    return {"normal": normal, "nasty": nasty}


def compare(scheme: str, name: str, x: np.ndarray, way: Way, wanted: tuple[Any, np.ndarray]) -> dict[str, Any]:
    """A row: how many codes, scales and values of a way differ from those that are wanted (`on_cpu`).

    `beside subnormals` counts differing codes whose number is subnormal, or whose block is narrower than 2^-110: XLA on CPU
    takes subnormals for zero, devices keep them. `first` is one of the others, as number, place, and both codes; or what went
    wrong, and then nothing was compared.
    """
    coder, row = qr.build(scheme), {"scheme": scheme, "path": way.name, "inputs": name, "elements": x.size}
    try:
        there, back = both(coder, x, way, jax.devices()[0])
    except Exception as error:  # whatever a compiler says of one way, the others are compared
        return row | dict.fromkeys(("codes", "scales", "values", "beside subnormals")) | {"first": fault(error)}
    right, right_back = wanted
    codes = there.codes != right.codes
    tiny = (x != 0) & (np.abs(x) < TINY) | _narrow(coder, x)
    scales = [_differing(a, b) for a, b in zip(jax.tree.leaves(there.params), jax.tree.leaves(right.params))]
    counts = {"codes": int(codes.sum()), "scales": sum(scales), "values": _differing(back, right_back)}
    other = next(_shown(x, there.codes, right.codes, codes & ~tiny), "")
    return row | counts | {"beside subnormals": int((codes & tiny).sum()), "first": other}


def on_cpu(scheme: str, x: np.ndarray) -> tuple[Any, np.ndarray]:
    """What the CPU of this process makes of an array."""
    return both(qr.build(scheme), x, XLA, jax.devices("cpu")[0])


def both(coder: Coder, x: np.ndarray, way: Way, device: Any) -> tuple[Any, np.ndarray]:
    """What is encoded and what comes back, on a device."""
    placed = jax.device_put(x, device)
    stored = compiled(partial(encode, coder, False), way, placed)[0](placed)
    back = compiled(partial(decode, coder, False, x.shape), XLA, stored)[0](stored)
    return jax.device_get(stored), np.asarray(back)


def _differing(a: np.ndarray, b: np.ndarray) -> int:
    """How many numbers differ in any bit; NaNs are equal."""
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
