"""Laws can fail: each one catches a scheme that was broken on purpose."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import qresearch as qr
from qresearch import api, testing
from qresearch.arithmetic.exact import flush
from qresearch.base.checks import to_float32
from qresearch.base.part import part
from qresearch.coders.quantizer import Quantizer
from qresearch.element.element import Element
from qresearch.element.integers import Uniform
from qresearch.element.vectors import Vectors
from qresearch.scales.params import Params
from qresearch.wrapping.kmeans import FittedLevels


def fields(thing):
    return {field.name: getattr(thing, field.name) for field in dataclasses.fields(thing)}


def quantizer(text, cls):
    return cls(**fields(qr.build(text)))


def grid(text, cls):
    built = qr.build(text)
    element = dataclasses.replace(built.element, grid=cls(**fields(built.element.grid)))
    return dataclasses.replace(built, element=element)


def element(text, cls):
    built = qr.build(text)
    return dataclasses.replace(built, element=cls(**fields(built.element)))


@part
class DecodesOneTooMuch(Uniform):
    def decode(self, codes):
        return super().decode(codes) + 1


@part
class HalfUp(Uniform):
    def round(self, y, rounding, u):
        return jnp.floor(y + jnp.float32(0.5))


@part
class Floor(Uniform):
    def round(self, y, rounding, u):
        return jnp.floor(y)


@part
class Falls(Uniform):
    def round(self, y, rounding, u):
        return jnp.round(jnp.where(y > 3, jnp.float32(0), y))


@part
class Creeps(Uniform):
    def round(self, y, rounding, u):
        return jnp.round(y + jnp.float32(1))


@part
class Biased(Element):
    def draw(self, key, shape):
        return super().draw(key, shape) * jnp.float32(0.8)


@part
class ForgetsTheKey(Element):
    def draw(self, key, shape):
        return super().draw(jax.random.key(1), shape)


@part
class AddsALittle(Quantizer):
    def fit(self, x, weights=None, key=None):
        return super().fit(x + jnp.float32(0.01), weights, key)


@part
class HidesNaN(Quantizer):
    def fit(self, x, weights=None, key=None):
        return super().fit(jnp.nan_to_num(x), weights, key)


@part
class CountsPadding(Quantizer):
    def fit(self, x, weights=None, key=None):
        layout = self.block.layout(x.shape)
        return super().fit(jnp.pad(x, [(0, -n % b) for n, b in zip(layout.cut, layout.lengths, strict=True)]), weights, key)


@part
class DividesByTheLargest(Quantizer):
    def fit(self, x, weights=None, key=None):
        params = super().fit(x, weights, key)
        return Params(params.scale * (jnp.max(x) / jnp.max(x)), params.offset)


@part
class DiffersWhenTraced(Quantizer):
    def encode(self, x, params, key=None):
        traced = isinstance(x, jax.core.Tracer)
        return super().encode(x * jnp.float32(0.5) if traced else x, params, key)


@part
class DiffersWhenFused(Quantizer):
    def dequantize(self, encoded):
        return super().dequantize(encoded) * jnp.float32(2)


@part
class DiffersWhenBatched(Quantizer):
    def encode(self, x, params, key=None):
        batched = "Batch" in type(x).__name__
        return super().encode(x * jnp.float32(0.5) if batched else x, params, key)


@part
class RefitsWhenApart(Quantizer):
    def adapt(self, x, params):
        return Params(params.scale * jnp.float32(2), params.offset)


@part
class Flattens(Quantizer):
    def encode(self, x, params, key=None):
        return super().encode(x, params, key).reshape(-1) if x.size == 0 else super().encode(x, params, key)


@part
class MindsTheRank(Quantizer):
    def fit(self, x, weights=None, key=None):
        return super().fit(x + jnp.float32(x.ndim == 3), weights, key)


@part
class FlushesScales(Quantizer):
    def decode(self, codes, params, shape):
        return super().decode(codes, Params(flush(params.scale)), shape)


@part
class NeverClips(Quantizer):
    def clipped(self, x, params):
        return jnp.zeros(x.shape, bool)


@part
class Undercounts(Quantizer):
    def storage_bits(self, shape):
        return super().storage_bits(shape) - 8


@part
class NeedsACpu(Quantizer):
    def decode(self, codes, params, shape):
        # General eigenvalues are computed by LAPACK; there is no lowering for a TPU.
        return super().decode(codes, params, shape) + jnp.linalg.eigvals(jnp.eye(2)).real[0] - jnp.float32(1)


@part
class OneCodeOn(Vectors):
    def decode(self, codes):
        return super().decode((codes + 1) % self.levels.shape[0])


@part
class LooksAtOneNumber(Vectors):
    def encode(self, y, rounding, u=None, shift=None):
        first = y.reshape(*y.shape[:-1], -1, self.group) * jnp.array([1, 0], jnp.float32)
        return super().encode(first.reshape(y.shape), rounding, u, shift)


@part
class LooksAtTheNextGroup(Vectors):
    def encode(self, y, rounding, u=None, shift=None):
        return super().encode(y + jnp.roll(y, -self.group, -1), rounding, u, shift)


@part
class SpreadsNaN(Vectors):
    def encode(self, y, rounding, u=None, shift=None):
        return super().encode(y + jnp.sum(y) * jnp.float32(0), rounding, u, shift)


@part
class FreeLevels(FittedLevels):
    def own_bits(self, shape):
        return 0


@part
class NeverMoves(FittedLevels):
    def _moved(self, levels, y, counted):
        return levels


def keeps_memory_order(x, name="x"):
    return jnp.asarray(np.asarray(x).ravel(order="K").reshape(x.shape))


def takes_everything(x, name="x"):
    floating = jnp.issubdtype(np.asarray(x).dtype, jnp.floating)
    return to_float32(x) if floating else jnp.asarray(np.asarray(x).astype(np.float32))


def rounds_float64_to_nearest(x, name="x"):
    return to_float32(np.asarray(x).astype(np.float32))


BROKEN = {
    "codes": grid("int4", DecodesOneTooMuch),
    "nearest": grid("int4", HalfUp),
    "odd": grid("int4@32", Floor),
    "monotone": grid("int4", Falls),
    "unbiased": element("int4@8x8~stochastic", Biased),
    "groups": grid("vq4x2@32", LooksAtTheNextGroup),
    "bounds": grid("int4@32", Floor),
    "subnormal": quantizer("int4@32", FlushesScales),
    "idempotent": grid("int4@32", Creeps),
    "powers": quantizer("int4@32", AddsALittle),
    "poison": quantizer("int4@32", HidesNaN),
    "padding": quantizer("int4-offset@64", CountsPadding),
    "zeros": quantizer("int4", DividesByTheLargest),
    "oracle": grid("int4@32", HalfUp),
    "eager": quantizer("int4@32", DiffersWhenTraced),
    "jit": quantizer("int4@32", DiffersWhenFused),
    "vmap": quantizer("int4@32", DiffersWhenBatched),
    "apart": quantizer("int4@32", RefitsWhenApart),
    "seed": element("int4@8x8~stochastic", ForgetsTheKey),
    "shapes": quantizer("int4", Flattens),
    "leading": quantizer("int4@32", MindsTheRank),
    "gradient": quantizer("int3-rms(2)@32", NeverClips),
    "packing": quantizer("int4@32", Undercounts),
    "lowering": quantizer("int4@32", NeedsACpu),
}


BROKEN_VECTORS = [
    ("codes", grid("vq4x2@32", OneCodeOn)),
    ("nearest", grid("vq4x2@32", LooksAtOneNumber)),
    ("idempotent", grid("vq4x2@32", OneCodeOn)),
    ("powers", quantizer("vq4x2@32", AddsALittle)),
    ("poison", grid("vq4x2@32", SpreadsNaN)),
    ("padding", quantizer("vq4x2@64", CountsPadding)),
    ("zeros", quantizer("vq4x2", DividesByTheLargest)),
    ("oracle", quantizer("vq4x2@32 + kmeans(2)", NeverMoves)),
    ("gradient", quantizer("vq4x2@32", NeverClips)),
    ("shapes", quantizer("vq4x2", Flattens)),
    ("packing", quantizer("vq4x2@32 + kmeans(2,bf16)", FreeLevels)),
]
"""The laws that read codes as those of groups, each with a scheme of vectors that breaks it."""


@pytest.mark.parametrize(("law", "broken"), BROKEN_VECTORS, ids=[law for law, _ in BROKEN_VECTORS])
def test_a_broken_scheme_of_vectors_is_caught(law, broken):
    reference = "vq4x2@32 + kmeans(2)" if law == "oracle" else "vq4x2@32 + kmeans(2,bf16)" if law == "packing" else None
    with pytest.raises(testing.LawBroken, match=f"breaks the law '{law}'"):
        testing.check(broken, [law], reference)


@pytest.mark.parametrize("law", ["odd", "monotone", "bounds"])
def test_laws_of_numbers_say_why_they_do_not_apply_to_vectors(law):
    (outcome,) = testing.check("vq4x2@32", [law])
    assert outcome.reason.startswith("a code stands for a vector")


def test_every_law_is_broken_here():
    assert {*BROKEN, "layouts", "dtypes"} == set(testing.LAWS)


@pytest.mark.parametrize("law", BROKEN)
def test_a_broken_scheme_is_caught(law):
    with pytest.raises(testing.LawBroken, match=f"breaks the law '{law}'"):
        testing.check(BROKEN[law], [law])


def test_memory_order_that_matters_is_caught(monkeypatch):
    monkeypatch.setattr(api, "to_float32", keeps_memory_order)
    with pytest.raises(testing.LawBroken, match="Fortran-ordered"):
        testing.check("int4@32", ["layouts"])


def test_accepting_integers_is_caught(monkeypatch):
    monkeypatch.setattr(api, "to_float32", takes_everything)
    with pytest.raises(testing.LawBroken, match="int32 passed silently"):
        testing.check("int4@32", ["dtypes"])


def test_rounding_float64_to_nearest_is_caught(monkeypatch):
    monkeypatch.setattr(api, "to_float32", rounds_float64_to_nearest)
    with pytest.raises(testing.LawBroken, match="float64"):
        testing.check("int4@32", ["dtypes"])


def test_one_ulp_in_a_scale_is_caught():
    built = qr.build("int4@32")
    off = built.with_scaling(gain=np.nextafter(built.scaling.gain, np.float32(1)))
    with pytest.raises(testing.LawBroken, match="scales"):
        testing.check(off, ["oracle"], reference="int4@32")
    testing.check(built, ["oracle"], reference="int4@32")


def test_all_broken_laws_are_named():
    with pytest.raises(testing.LawBroken) as caught:
        testing.check(grid("int4@32", Creeps), ["oracle", "idempotent", "vmap"])
    assert "'oracle'" in str(caught.value)
    assert "'idempotent'" in str(caught.value)
    assert "'vmap'" not in str(caught.value)
