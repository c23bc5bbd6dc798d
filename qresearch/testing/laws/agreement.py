"""Laws of agreement: the same bits, whatever runs the scheme and however the array lies in memory."""

from __future__ import annotations

from functools import partial
from operator import itemgetter
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from qresearch.api import encode, fit
from qresearch.testing import samples
from qresearch.testing.laws.law import assert_refused, assert_same, described, differences, law
from qresearch.testing.subject import Result, Subject, jitted, to_numpy, vmapped, whole


def assert_agree(got: Result, wanted: Result, what: str) -> None:
    """Codes, scales, offsets and values, bit for bit."""
    for name, a, b in zip(Result._fields, got, wanted, strict=True):
        assert (a is None) == (b is None), f"{what}: {name} is {'missing' if a is None else 'there'}"
        if a is not None:
            assert_same(a, b, f"{what}: {name}")


def assert_oracle(subject: Subject, x: np.ndarray, got: Result, key: Any = None) -> None:
    """Every number is the oracle's, with subnormal numbers flushed or (as on some GPUs) kept."""
    flushing = _comparable(subject.oracle(x, key), got)
    if all(a is None or not differences(np.asarray(a), b).any() for a, b in zip(got, flushing, strict=True)):
        return
    keeping = _comparable(subject.oracle(x, key, keeps_subnormals=True), got)
    for name, a, one, two in zip(Result._fields, got, flushing, keeping, strict=True):
        if a is not None:
            assert_same(a, np.where(differences(np.asarray(a), one), two, one), f"against the oracle: {name}")


def _comparable(wanted: Result, got: Result) -> Result:
    """The oracle's result in the dtypes of the library's."""
    return jax.tree.map(lambda a, b: np.asarray(b).astype(a.dtype), got, wanted)


@law("oracle", applies=described)
def _oracle(subject: Subject) -> None:
    """Codes, scales, offsets and values are those of the NumPy oracle, bit for bit, on ordinary and on nasty arrays."""
    for x, got in subject.runs:
        assert_oracle(subject, x, got)


@law("eager")
def _eager(subject: Subject) -> None:
    """Operation by operation (`jax.disable_jit`) gives the same bits as compiled."""
    for x, wanted in subject.runs:
        with jax.disable_jit():
            got = to_numpy(whole(subject.quantizer, jnp.asarray(x), subject.key))
        assert_agree(got, wanted, "eager")


@law("jit")
def _jit(subject: Subject) -> None:
    """Fitting, encoding and decoding compiled into one function give the same bits as the three apart."""
    for x, wanted in subject.runs:
        assert_agree(to_numpy(jitted(subject.quantizer, jnp.asarray(x), subject.key)), wanted, "jit")


@law("vmap")
def _vmap(subject: Subject) -> None:
    """`vmap` over a stack of arrays gives the same bits as each array alone."""
    stack = jnp.asarray(np.stack([x for x, _ in subject.runs]))
    got = to_numpy(vmapped(subject.quantizer, stack, jnp.stack([subject.key] * 2)))
    for index, (_, wanted) in enumerate(subject.runs):
        assert_agree(jax.tree.map(itemgetter(index), got), wanted, "vmap")


@law("apart")
def _apart(subject: Subject) -> None:
    """`encode(x, fit(x))` is `quantize(x)`."""
    x = samples.ordinary()
    q = encode(x, fit(x, subject.quantizer, key=subject.key), key=subject.key)
    assert_agree(Result.of(q), subject.ordinary, "fit and encode apart")


@law("seed")
def _seed(subject: Subject) -> None:
    """The same key gives the same bytes; another key gives other codes if a rounding is random, else the same bytes."""
    other = jax.random.key(21)
    assert_agree(subject.run(samples.ordinary()), subject.ordinary, "the same key")
    changed = subject.run(samples.ordinary(), other)
    if not subject.stochastic:
        assert_agree(changed, subject.ordinary, "another key")
        return
    assert (changed.codes != subject.ordinary.codes).any(), "another key gave the same codes: is the key used?"
    x = jnp.asarray(samples.ordinary())
    assert_refused(lambda: whole(subject.quantizer, x, None), TypeError, "key", "a random rounding without a key")


@law("layouts")
def _layouts(subject: Subject) -> None:
    """Strided, Fortran-ordered, reversed and read-only arrays give the same bits, and inputs do not change."""
    x = samples.ordinary()
    wide = np.repeat(x, 2, axis=1)
    views = {
        "strided": wide[:, ::2],
        "Fortran-ordered": np.asfortranarray(x),
        "reversed": x[::-1, ::-1].copy()[::-1, ::-1],
        "read-only": x,
        "a JAX array": jnp.asarray(x),
    }
    for name, view in views.items():
        before = np.array(view)
        assert_agree(subject.run(view), subject.ordinary, name)
        assert_same(view, before, f"the input ({name})")


@law("dtypes")
def _dtypes(subject: Subject) -> None:
    """Narrower floats are exact in float32, float64 is rounded to odd, in any byte order; others raise TypeError."""
    x = samples.ordinary()
    for dtype in (np.dtype(np.float16), jnp.dtype(jnp.bfloat16), np.dtype(">f4")):
        converted = x.astype(dtype)
        assert_agree(subject.run(converted), subject.run(converted.astype(np.float32)), str(dtype))
    odd = np.where(x.view(np.uint32) & 1, x, np.nextafter(x, np.copysign(np.float32(np.inf), x)))
    for dtype in (np.dtype(np.float64), np.dtype(">f8")):
        beyond = (x.astype(np.float64) * (1 + 2.0**-30)).astype(dtype)  # between x and the next float32
        assert_agree(subject.run(beyond), subject.run(np.where(x == 0, x, odd)), str(dtype))
    for wrong in (np.int32, np.bool_, object, np.complex64):
        array, name = np.ones((4, 64), wrong), np.dtype(wrong).name
        assert_refused(partial(subject.run, array), TypeError, name, f"an array of {name}")
