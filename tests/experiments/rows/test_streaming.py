"""Streaming: how arrays are cut into pieces, and parameters that depend on more than one piece."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import qresearch as qr
from experiments.rows.pieces import cut
from experiments.rows.streaming import LOCAL, OWN, STORED, cut_for, fit, gather, given_to, reach, settle
from qresearch.arithmetic.random_bits import uniform_from
from qresearch.scales.params import Encoded


@pytest.mark.parametrize("shape", [(5000,), (64, 64), (3, 50, 40), (2, 5, 7, 60), (5, 2000)])
@pytest.mark.parametrize("step", [1, 4, 60])
def test_pieces_are_the_array_in_order(shape, step):
    x = np.arange(math.prod(shape)).reshape(shape)
    found = cut(shape, (1,) * (len(shape) - 1) + (step,), 700)
    pieces = [piece.of(x) for piece in found]
    assert [found.place(piece) for piece in found] == [part.flat[0] for part in pieces]
    assert max(part.size for part in pieces) <= 700
    np.testing.assert_array_equal(np.concatenate([part.ravel() for part in pieces]), x.ravel())
    np.testing.assert_array_equal(found.joined(pieces), x)


@pytest.mark.parametrize(
    ("scheme", "shape", "piece", "reached"),
    [
        ("int4@32", (2**31,), (2**22,), LOCAL),
        ("int4@48", (2**31,), (2**22 // 3072 * 3072,), LOCAL),
        ("nf4@64:int8@256", (2**34,), (2**22,), LOCAL),
        ("int8", (2**31,), (2**22,), OWN),
        ("e2m1@16:e4m3", (2**31,), (2**22,), STORED),
        ("e2m1@48:e4m3", (2**31,), (2**22 // 3072 * 3072,), STORED),
        ("int8@row", (2**16, 2**15), (2**7, 2**15), LOCAL),
        ("int8@column", (2**16, 2**15), (2**7, 2**15), OWN),
        ("int8@row:e4m3", (2**16, 2**15), (2**7, 2**15), STORED),
        ("int8@row", (8, 2**28), (1, 2**22), OWN),
        ("int4@8x8", (2**16, 2**15), (2**7, 2**15), LOCAL),
        ("int4@flat48", (2**16, 2**15), (2**22 // 3072 * 3072,), LOCAL),
        ("int4@32 + hadamard(128)", (2**31,), (2**22,), LOCAL),
        ("int4@32 + feedback", (2**16, 2**15), (2**7, 2**15), LOCAL),
    ],
)
def test_the_reach_of_a_scheme(scheme, shape, piece, reached):
    found = cut_for(qr.build(scheme), shape, 2**22)
    assert found.piece == piece
    assert reach(qr.build(scheme), found) == reached


@pytest.mark.parametrize(
    ("scheme", "shape", "words"),
    [
        ("int8-rms(3)", (2**31,), "RMS"),
        ("int8-quantile(0.99)", (2**31,), "Quantile"),
        ("int8-rms(3)@row", (8, 2**28), "needs all their elements at once"),
        ("int4@8x8", (2**10, 2**21), "neither lie inside a piece"),
        ("int4@8388608", (2**31,), "blocks of 8388608 elements are longer than a piece"),
        ("int8@column", (8, 2**28), "gathered numbers; at most 16,777,216 are allowed"),
        ("e2m1@16:e4m3@16:e4m3", (2**31,), "scales of scales"),
        ("uint4-offset@32:int8", (2**31,), "minima"),
        ("int4@32 + feedback", (2**31,), "Fed needs elements beyond"),
        ("int4@32 + dither", (2**31,), "Dithered needs elements beyond"),
        ("int8 + hadamard(64)", (2**31,), "Rotated needs elements beyond"),
    ],
)
def test_schemes_that_need_the_whole_array_are_refused(scheme, shape, words):
    with pytest.raises(ValueError, match=words):
        cut_for(qr.build(scheme), shape, 2**22)


def test_keys_of_other_generators_are_refused():
    with pytest.raises(ValueError, match="default generator"):
        uniform_from(jax.random.key(0, impl="rbg"), np.zeros(2, np.uint32), (3,))


NASTY = {
    "NaN": {5000: np.nan},
    "infinity": {9000: np.inf},
    "zeros": {...: 0, 0: -0.0},
    "ties": {3: -7e3, 20000: 7e3, 21000: -7e3},
    "subnormal": {...: 1e-39, 7: -2e-39},
    "huge": {0: -3.3e38, 24000: 3.4e38},
}


@pytest.mark.parametrize("scheme", ["int8-asym", "int4-offset:bf16", "int4-full-signmax", "int4-full-firstmax", "nvfp4"])
def test_scales_that_reach_beyond_a_piece_have_the_bits_of_the_whole(scheme):
    quantizer = qr.build(scheme)
    x = np.random.default_rng(0).standard_t(5, (3, 32, 256)).astype(np.float32)
    found = cut_for(quantizer, x.shape, 4096)
    gathering, settling = (jax.jit(lambda q, x, f=f: f(q, x, found)) for f in (gather, settle))

    @jax.jit
    def back(quantizer, given, x):
        coder, params = fit(quantizer, given, x, found)
        return coder.dequantize(Encoded(coder.encode(x, params), params))

    whole = jax.jit(lambda q, x: q.dequantize(q.quantize(x)))
    for name, edit in NASTY.items():
        y = x.copy()
        for place, value in edit.items():
            y.flat[place] = value
        given = jax.device_get(settling(quantizer, found.joined([np.asarray(gathering(quantizer, p.of(y))) for p in found])))
        parts = [back(quantizer, jax.tree.map(given_to(quantizer, p, found).of, given), jnp.asarray(p.of(y))) for p in found]
        np.testing.assert_array_equal(found.joined(parts), whole(quantizer, jnp.asarray(y)), name)
