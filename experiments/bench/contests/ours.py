"""Our sides of the contests: calls as a user would make them, compiled once."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import qresearch as qr
from experiments.bench.clock import program
from experiments.bench.contests.contest import Maker, Work
from qresearch.element.codebook import codebook
from qresearch.element.element import Element


def compiled(function: Callable[..., Any], *arguments: Any, size: int, answer: Callable[[Any], Any] = np.asarray) -> Work:
    """Work that is a compiled function of arguments on the device."""
    done = program(function, *arguments)
    return Work(done.run, size, done.cold, lambda found: np.asarray(answer(found)), done.again)


def cast(there: Any, back: Any) -> Maker:
    """The limit: XLA's plain cast of the same number of elements from one dtype to another."""
    return lambda x: compiled(lambda y: y.astype(back), np.abs(x).astype(there), size=x.size)


TO_BYTES, FROM_BYTES, TO_WORDS = cast(np.float32, jnp.uint8), cast(np.uint8, jnp.float32), cast(np.float32, jnp.uint16)
"""The limits of encoding to a byte, of decoding from one, of encoding to two."""


def encode(scheme: str) -> Maker:
    """An array -> codes and scales."""
    coder = qr.build(scheme)
    return lambda x: compiled(lambda coder, x: coder.quantize(x), coder, x, size=x.size, answer=lambda found: found.codes)


def encode_packed(scheme: str) -> Maker:
    """An array -> packed codes and scales. The scheme is a constant of the program: its width shapes the bytes."""
    coder = qr.build(scheme)

    def make(x: np.ndarray) -> Work:
        def answer(found: Any) -> Any:
            return coder.packer.unpack(found, x.shape).codes

        return compiled(lambda x: coder.packer.pack(coder.quantize(x)), x, size=x.size, answer=answer)

    return make


def decode(scheme: str) -> Maker:
    """Codes, a byte each, and scales -> an array."""
    coder = qr.build(scheme)
    encoded = jax.jit(lambda coder, x: coder.quantize(x))
    return lambda x: compiled(lambda coder, encoded: coder.dequantize(encoded), coder, encoded(coder, x), size=x.size)


def decode_packed(scheme: str) -> Maker:
    """Packed codes and scales -> an array."""
    coder = qr.build(scheme)
    packed = jax.jit(lambda x: coder.packer.pack(coder.quantize(x)))
    return lambda x: compiled(lambda data: coder.dequantize(coder.packer.unpack(data, x.shape)), packed(x), size=x.size)


def rms_error(scheme: str) -> Maker:
    """An array -> its RMS quantization error, as the sweep measures it."""
    coder, names = qr.build(scheme), ("rmse",)

    def make(x: np.ndarray) -> Work:
        start = time.perf_counter()
        done = program(lambda coder, x: qr.measure.sums(coder, x, names), coder, x)

        def run(sums: Callable[[], Any] = done.run) -> np.float64:
            return np.float64(qr.measure.evaluate(jax.device_get(sums()), names)["rmse"])

        run()
        return Work(run, x.size, time.perf_counter() - start, again=lambda: partial(run, done.again()))

    return make


def normal_levels(count: int) -> np.ndarray:
    """float32 [count]: distinct levels, ascending: quantiles of the normal distribution."""
    return qr.distributions["normal"]().quantile((np.arange(count) + 0.5) / count).astype(np.float32)


def nearest_of(count: int) -> Maker:
    """Numbers -> codes of the nearest of `count` levels."""
    element = Element(codebook(normal_levels(count), qr.roundings["even"]), qr.roundings["even"])
    return lambda x: compiled(lambda element, x: element.encode(x), element, x, size=x.size)


def lloyd_max(levels: int) -> Maker:
    """Numbers -> the levels of least squared error; the answer is that error."""

    def make(x: np.ndarray) -> Work:
        return first(lambda: qr.design("lloyd_max", x, levels).levels, x.size, lambda found: mse(x, found))

    return make


def mse(x: np.ndarray, levels: np.ndarray) -> np.float64:
    """The mean square error of the nearest levels, in float64."""
    nearest = levels[np.searchsorted((levels[1:] + levels[:-1]) / 2, x)]
    return np.mean((x - nearest) ** 2, dtype=np.float64)


def first(run: Callable[[], Any], size: int, answer: Callable[[Any], Any] = np.asarray) -> Work:
    """Work that is a plain function; the seconds of its first run are its cold time."""
    start = time.perf_counter()
    run()
    return Work(run, size, time.perf_counter() - start, lambda found: np.asarray(answer(found)))
