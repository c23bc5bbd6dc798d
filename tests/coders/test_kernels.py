"""Kernels: they give the same bits as the two passes of XLA; which schemes have one; what they lower to.

Here kernels are interpreted. `python -m experiments.bench.device` compares compiled kernels on a GPU.
"""

import functools
import importlib

import jax
import jax.export
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AbstractDevice, AbstractMesh, use_abstract_mesh

import qresearch as qr
from qresearch.arithmetic.division import MOST_ULP_OFF, divided, nearest_quotient, repaired
from qresearch.coders.kernels import SETTINGS, Tiling, replay, served, state, trial, two_passes, using
from qresearch.coders.kernels.replay import nearest_even
from qresearch.testing import samples

one_pass = importlib.import_module("qresearch.coders.kernels.one_pass")  # the package has a function of this name
SHAPE = (16, 1024)
LOWERED = "__gpu$xla.gpu.triton"
ABSTRACT = jax.ShapeDtypeStruct(SHAPE, jnp.float32)
pytestmark = pytest.mark.filterwarnings("ignore:.*Triton.*:DeprecationWarning")


@pytest.fixture(scope="module")
def nasty():
    """float32 SHAPE: zeros, powers of two and neighbours, ties, FLT_MAX, subnormals, outliers, infinities, NaNs."""
    x = np.resize(np.concatenate([samples.nasty(), samples.ordinary()]), SHAPE).copy()
    x[3, 7], x[4, 70], x[5, 300], x[6, 900] = np.inf, -np.inf, np.nan, -np.nan
    x[7] = 0
    x[8] = np.float32(2.0) ** np.arange(-126, 128).astype(np.float32).repeat(5)[:1024]
    return jnp.asarray(x)


@functools.partial(jax.jit, static_argnums=2)
def _quantized(quantizer, x, setting):
    return quantizer.quantize(x)


def quantized(quantizer, x, setting):
    with using(setting):
        return _quantized(quantizer, x, setting)


def assert_same_bits(got, wanted):
    assert jax.tree.structure(got) == jax.tree.structure(wanted)
    for a, b in zip(jax.tree.leaves(got), jax.tree.leaves(wanted)):
        assert (a.shape, a.dtype) == (b.shape, b.dtype)
        np.testing.assert_array_equal(np.asarray(a).view(np.uint8), np.asarray(b).view(np.uint8))


ASKED = [f"{element}@{block}{scale}" for element, scale in (("int8", ""), ("nf4", ""), ("dynamic8", ""), ("e2m1", ":e8m0"))
         for block in (32, 64, 256)]  # fmt: skip
OTHERS = ["e4m3@16", "int4@1024:bf16", "int8-exact@64:f16", "apot8@64", "e5m2-divided@64~up", "nf4@flat64", "int4@32~half_away"]


@pytest.mark.parametrize("scheme", ASKED + OTHERS)
def test_the_kernel_gives_the_same_bits_as_xla(scheme, nasty):
    quantizer = qr.build(scheme)
    assert served(quantizer, SHAPE)
    assert_same_bits(quantized(quantizer, nasty, "interpret"), quantized(quantizer, nasty, "xla"))


@pytest.mark.parametrize("scheme", ["int8@64", "nf4@32:bf16"])
def test_bytes_are_packed_in_the_same_pass(scheme, nasty):
    with using("interpret"):
        got = qr.quantize_packed(nasty, scheme)
    assert_same_bits(got, qr.quantize(nasty, scheme).pack())


def test_quantize_packed_works_without_a_kernel(nasty):
    x, key = nasty[8:, :40], jax.random.key(3)
    for scheme in ("int3-asym@32~stochastic", "int4@8 + huffman"):
        assert_same_bits(qr.quantize_packed(x, scheme, key), qr.quantize(x, scheme, key).pack())


def test_the_size_of_a_tile_changes_nothing(nasty):
    wanted = qr.quantize(nasty, "e4m3@64")
    with using("interpret", Tiling(1024, 2)):
        assert_same_bits(qr.quantize(nasty, "e4m3@64").codes, wanted.codes)


UNSERVED = ["int8-asym@64", "int8-signmax@64", "int8-rms(3)@64", "int8@64~stochastic", "int8@64~add_half", "int8@64:int8@4",
            "int8@8x8", "int8@row", "int8@8", "int8@48", "e4m3"]  # fmt: skip


@pytest.mark.parametrize("scheme", UNSERVED)
def test_these_have_no_kernel(scheme):
    assert not served(qr.build(scheme), (96, 192))


@pytest.mark.parametrize("shape", [(16, 1000), (3, 64), (0, 64), (), (2**16, 2**16)])
def test_arrays_that_do_not_fit_have_no_kernel(shape):
    assert not served(qr.build("int8@64"), shape)


def test_what_has_no_kernel_is_left_to_xla(nasty):
    x = nasty[:3, :1000]
    wanted = qr.quantize(x, "nf4@64")
    with using("interpret"):
        got = qr.quantize(x, "nf4@64")
    assert_same_bits((got.codes, got.scales), (wanted.codes, wanted.scales))


def test_vmap_over_arrays_and_over_schemes(nasty):
    quantizers = [qr.build("nf4@1024"), qr.build("af4@1024")]
    stacked = jax.tree.map(lambda *leaves: jnp.stack(jnp.asarray(leaves)), *quantizers)
    arrays = nasty.reshape(2, 8, 1024)
    with using("interpret"):
        over_both = jax.jit(jax.vmap(jax.vmap(lambda quantizer, x: quantizer.quantize(x), (None, 0)), (0, None)))(
            stacked, arrays
        )
    for i, j in np.ndindex(2, 2):
        got = jax.tree.map(lambda leaf, at=(i, j): leaf[at], over_both)
        assert_same_bits(got, quantized(quantizers[i], arrays[j], "xla"))


def test_derivatives_are_those_of_the_parts():
    x = jax.random.normal(jax.random.key(0), SHAPE)
    quantizer = qr.build("nf4@64")

    def loss(quantizer, x):
        return jnp.sum(quantizer.dequantize(quantizer.quantize(x)) * x)

    wanted = jax.jit(jax.grad(loss, (0, 1), allow_int=True))(quantizer, x)
    with using("interpret"):
        got = jax.jit(jax.grad(lambda *given: loss(*given), (0, 1), allow_int=True))(quantizer, x)
    np.testing.assert_array_equal(got[1], wanted[1])
    np.testing.assert_allclose(
        got[0].scaling.gain, wanted[0].scaling.gain, rtol=1e-5
    )  # one sum of 16,384, in the compiler's own order
    assert wanted[0].scaling.gain != 0


GPU = AbstractMesh((1,), ("x",), abstract_device=AbstractDevice("NVIDIA H100", num_cores=132, platform="gpu"))
"""Since JAX 0.11 Pallas needs to know which GPU it lowers for. No actual GPU is needed."""


def lowered(scheme, platform, tiles=None):
    quantizer = qr.build(scheme)
    with using("kernel", tiles), use_abstract_mesh(GPU):
        return jax.jit(lambda x: quantizer.quantize_packed(x)).trace(ABSTRACT).lower(lowering_platforms=(platform,)).as_text()


@pytest.mark.parametrize("scheme", ["int8@256", "nf4@64", "dynamic8@32", "mxfp4", "int4@32~half_up:bf16"])
@pytest.mark.parametrize("portable", [False, True])
def test_the_kernel_lowers_for_cuda(scheme, portable):
    text = lowered(scheme, "cuda", Tiling(portable=portable))
    assert text.count(LOWERED) == 1
    assert "stablehlo.divide" not in text  # only the bytes of scales are computed outside the kernel
    assert ("div.rn.f32 $0, $1, $2;" in text) != portable
    assert ("cvt.rni.f32.f32 $0, $1;" in text) == (scheme == "int8@256" and not portable)


@pytest.mark.parametrize("platform", ["cpu", "tpu", "rocm"])
def test_other_platforms_have_the_xla_path(platform):
    assert "triton" not in lowered("mxfp4", platform)


def test_the_xla_path_is_exported_for_every_platform(nasty):
    with using("xla"):
        exported = jax.export.export(jax.jit(lambda x: qr.build("nf4@64").quantize(x).codes), platforms=["cpu", "cuda", "tpu"])
    np.testing.assert_array_equal(exported(ABSTRACT).call(nasty), qr.quantize(nasty, "nf4@64").codes)


def test_public_functions_follow_the_setting(monkeypatch, nasty):
    wanted = qr.quantize(nasty, "int6@64").codes
    calls = []
    monkeypatch.setattr("qresearch.coders.quantizer.one_pass", lambda plain, *given: calls.append(plain) or plain(*given))
    for setting in ("interpret", "kernel", "xla", "interpret"):
        with using(setting):
            np.testing.assert_array_equal(qr.quantize(nasty, "int6@64").codes, wanted)
    assert len(calls) == 2  # traced once for each setting that has a kernel


def test_settings(monkeypatch):
    monkeypatch.delenv("QRESEARCH_KERNELS", raising=False)
    monkeypatch.delenv("QRESEARCH_TILES", raising=False)
    assert state() == ("auto", Tiling(4096, 4))
    with using("xla", Tiling(2048, 8, True)):
        assert state() == ("xla", Tiling(2048, 8, True))
    with using("xla"):
        assert state() == ("xla", Tiling(4096, 4))
    assert state()[0] == "auto"
    for name in SETTINGS:
        monkeypatch.setenv("QRESEARCH_KERNELS", name)
        assert state()[0] == name
    monkeypatch.setenv("QRESEARCH_KERNELS", "kernels")
    with pytest.raises(ValueError, match="must be one of auto, xla, kernel, interpret, not 'kernels'; did you mean"):
        qr.quantize(jnp.ones(4), "int8")
    monkeypatch.setenv("QRESEARCH_KERNELS", "xla")
    for text in ("4096", "512/4", "4096/3", "3000/4", "4096/64", "4096/4/fast"):
        monkeypatch.setenv("QRESEARCH_TILES", text)
        with pytest.raises(ValueError, match=f"QRESEARCH_TILES must be .*, such as 4096/4 .*, not '{text}'"):
            qr.quantize(jnp.ones(4), "int8")


def test_rounding_without_sums_of_its_argument():
    whole = np.arange(-300, 300, dtype=np.float32)
    y = np.concatenate([whole / 2, np.nextafter(whole / 2, np.float32(np.inf)), np.nextafter(whole / 2, np.float32(-np.inf))])
    large = np.float32(2) ** np.arange(20, 30, dtype=np.float32)
    y = np.concatenate([y, large, large + 0.5, -large, [np.inf, -np.inf, np.nan, 0.0, -0.0, -0.3]]).astype(np.float32)
    got = np.asarray(nearest_even(jnp.asarray(y)))
    np.testing.assert_array_equal(got, np.round(y))
    np.testing.assert_array_equal(np.signbit(got), np.signbit(np.round(y)))


def quotients():
    """Numerators, denominators and correctly rounded quotients: normal numbers of all magnitudes, close pairs, reciprocals."""
    random = np.random.default_rng(0)
    words = random.integers(0, 2**32, (3, 2**15), np.uint32).view(np.float32)
    close = random.choice(np.float32([1, 1.5, 2, 3, 127]), (2, 4096)).view(np.int32) + random.integers(
        -2, 3, (2, 4096), np.int32
    )
    n = np.concatenate([words[0], close[0].view(np.float32), np.ones(2**15, np.float32)])
    d = np.concatenate([words[1], close[1].view(np.float32), words[2]])
    with np.errstate(all="ignore"):
        q = n / d
        # Keep away from both ends of the range, so that a quotient that is off by a few ulp is also normal.
        normal = np.all([(abs(each) >= 2.0**-125) & (abs(each) <= 2.0**127) for each in (n, d, q)], 0)
    return n[normal], d[normal], q[normal]


@pytest.mark.parametrize("off", range(-MOST_ULP_OFF, MOST_ULP_OFF + 1))
def test_a_quotient_is_repaired(off):
    n, d, wanted = quotients()
    near = (wanted.view(np.int32) + np.int32(off)).view(np.float32)
    np.testing.assert_array_equal(repaired(*map(jnp.asarray, (n, d, near))), wanted)


def test_quotients_that_are_not_normal_are_left_alone():
    n = jnp.array([1.0, 0.0, 1.0, jnp.nan, jnp.inf, -1.0, 0.0])
    d = jnp.array([0.0, 1.0, jnp.inf, 1.0, 2.0, 3.0, 0.0])
    np.testing.assert_array_equal(nearest_quotient(n, d), n / d)


def test_a_quotient_is_one_operation_that_each_platform_lowers_differently():
    n, d, wanted = quotients()
    for function in (divided, jax.jit(divided), jax.vmap(divided)):
        np.testing.assert_array_equal(function(n, d), wanted)
    inverse = n == 1
    np.testing.assert_array_equal(jax.vmap(divided, (None, 0))(np.float32(1), d[inverse]), wanted[inverse])
    assert jax.grad(divided, (0, 1))(1.0, 4.0) == (0.25, -0.0625)
    traced = jax.jit(divided).trace(n, d)
    cpu, cuda, tpu = (traced.lower(lowering_platforms=(p,)).as_text().count("shift") for p in ("cpu", "cuda", "tpu"))
    assert cpu == 0 < cuda == tpu
    for platform in ("cpu", "cuda", "tpu"):  # the guard against XLA rewriting the division
        assert "stablehlo.iota" in traced.lower(lowering_platforms=(platform,)).as_text()


def test_a_choice_between_functions_is_refused_in_kernels():
    traced = jax.make_jaxpr(lambda x: jax.lax.cond(x[0] > 0, jnp.sin, jnp.cos, x))(jnp.ones(4))
    with pytest.raises(NotImplementedError, match=r"no rule for lax\.cond"):
        replay.replay(traced, replay.RULES, jnp.ones(4))


@pytest.mark.parametrize("scheme", ["int8@64", "dynamic8@32", "mxfp4"])
def test_a_kernel_is_tried_before_it_is_used(scheme, monkeypatch):
    quantizer = qr.build(scheme)
    plain, interpreted = two_passes, lambda plain, _, *given: one_pass.called(plain, True, *given)
    assert jax.jit(lambda x: x + int(trial.passes(plain, interpreted, Tiling(), quantizer)))(0) == 1  # also during a trace
    with pytest.warns(RuntimeWarning, match="cannot be compiled or run here .ValueError: Only interpret mode"):
        assert not trial.passes(plain, one_pass.called, Tiling(1024, 1), quantizer)
    rule = {"int8@64": "round", "dynamic8@32": "gather", "mxfp4": "min"}[scheme]
    right = replay.RULES[rule]
    monkeypatch.setitem(replay.RULES, rule, lambda *given, **params: right(*given, **params) // 2)
    with pytest.warns(RuntimeWarning, match="gives different bits than XLA here; XLA is used instead"):
        assert not trial.passes(plain, interpreted, Tiling(2048, 1), quantizer)


def test_with_the_setting_auto_a_kernel_has_to_pass_its_trial(monkeypatch, nasty):
    monkeypatch.setattr(one_pass, "wanted", lambda: True)
    monkeypatch.setattr(one_pass, "passes", lambda plain, kernel, tiles, quantizer: int(quantizer.element.bits) == 8)
    assert one_pass.has_kernel(None, qr.build("int8@64"), nasty)
    assert not one_pass.has_kernel(None, qr.build("int4@64"), nasty)
    monkeypatch.setattr(one_pass, "passes", lambda plain, kernel, tiles, quantizer: tiles.portable)
    assert one_pass._trusted(None, qr.build("int8@64")) == Tiling(portable=True)
