"""Schemes with the same structure share a compilation. These tests count traces."""

import contextlib
import logging

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import qresearch as qr
from qresearch.grammar import build as builder

FAMILIES = {
    "integers to 8 bits": [f"int{b}@32" for b in range(2, 9)],
    "integers of 9 to 16 bits": [f"int{b}@32" for b in range(9, 17)],
    "affine integers": [f"int{b}-asym@32:f16" for b in range(1, 9)],
    "offset integers": [f"int{b}-offset@32" for b in range(1, 9)],
    "codebooks of at most 16 levels": ["nf4@32", "dynamic4@32", "codebook(-1,0,1)@32", "dynamic3@32", "udynamic4@32"],
    "codebooks of at most 256 levels": ["dynamic8@32", "dynamic8e5@32", "udynamic8@32", "dynamic6@32"],
    "codebooks of crowded levels": ["apot7@32", "apot8@32"],
    "floats to 8 bits": ["e4m3@32", "e5m2@32", "e2m1@32", "e3m2@32", "e2m3@32", "e3m4@32", "e3m0@32"],
    "16-bit casts": ["f16", "bf16"],
    "MX": ["e2m1@32:e8m0", "e4m3@32:e8m0", "e3m2@32:e8m0"],
}


def counted():
    """A jitted round trip, and the list of its traces."""
    traces = []

    @jax.jit
    def round_trip(quantizer, x):
        traces.append(jax.tree.structure(quantizer))
        return quantizer.dequantize(quantizer.quantize(x))

    return round_trip, traces


@pytest.mark.parametrize("family", FAMILIES)
def test_a_family_shares_one_trace(family):
    round_trip, traces = counted()
    x = jax.random.normal(jax.random.key(0), (2, 2048))
    results = [round_trip(qr.build(scheme), x) for scheme in FAMILIES[family]]
    assert len(traces) == 1
    assert len({r.tobytes() for r in map(np.asarray, results)}) == len(results)  # yet their results differ


def test_other_structures_are_other_traces():
    round_trip, traces = counted()
    for scheme in ("int4@32", "int4@16", "int4-asym@32", "int4@32~half_up", "int4@32:bf16", "e2m1@32", "nf4@32"):
        round_trip(qr.build(scheme), jnp.ones((2, 64)))
    assert len(traces) == 7


def test_the_public_functions_do_not_trace_again():
    x = jnp.linspace(-3, 3, 128)
    q = qr.quantize(x, "int5@32")
    q.dequantize(), qr.encode(x, qr.fit(x, "int5@32")), qr.fake_quantize(x, "int5@32")
    with jax.log_compiles(), compilations() as compiled:
        for bits in (3, 4, 6, 7):
            scheme = f"int{bits}@32"
            qr.quantize(x, scheme).dequantize(), qr.encode(x, qr.fit(x, scheme)), qr.fake_quantize(x, scheme)
    assert compiled == []


@contextlib.contextmanager
def compilations():
    """Collects the messages that JAX logs about compilations."""
    found: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: found.append(record.getMessage()) if "Compiling" in record.getMessage() else None
    logger = logging.getLogger("jax")
    logger.addHandler(handler)
    propagate, logger.propagate = logger.propagate, False
    yield found
    logger.removeHandler(handler)
    logger.propagate = propagate


def test_the_counter_counts():
    with jax.log_compiles(), compilations() as compiled:
        qr.quantize(jnp.ones(37), "int5@31")
    assert compiled


def test_a_scheme_may_be_built_while_something_is_traced():
    """The first use of a scheme may be inside a user's jitted function."""
    builder._built.cache_clear()

    @jax.jit
    def first_use():
        for row in qr.presets.rows:
            assert all(not isinstance(leaf, jax.core.Tracer) for leaf in jax.tree.leaves(qr.build(row.name)))

    first_use()
