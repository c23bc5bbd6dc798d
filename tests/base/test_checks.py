"""Wrong arguments of the public functions: every error names the argument, and nothing is changed silently."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import qresearch as qr

X = np.random.default_rng(0).normal(size=(4, 64)).astype(np.float32)
FITTED = qr.fit(X, "int4@32")
NESTED = qr.quantize(X, "nf4@32:int8@2").pack()
BYTES = jnp.array([1, 2], jnp.uint8)


VALUE, TYPE = ValueError, TypeError


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: qr.fit(X, "int4@32", weights=-np.abs(X)), VALUE, r"finite and not negative; the one at \(0, 0\) is -0.12"),
        (lambda: qr.fit(X, "int4@32", weights=np.full(64, np.nan)), VALUE, "the one at (0,) is nan"),
        (lambda: qr.compare(X, ["int4"], weights=np.full(64, np.inf)), VALUE, "is inf"),
        (lambda: qr.fit(X, "int4@32", weights=X[0, :3]), VALUE, r"of shape \(3,\) do not broadcast to x of shape \(4, 64\)"),
        (lambda: qr.fit(X, "int4@32", weights=np.ones((2, 4, 64))), VALUE, "do not broadcast"),
        (lambda: qr.fit(X, "bf16", weights=np.ones(64)), VALUE, "a cast has no scale to fit"),
        (lambda: qr.compare(X, ["int4"], ["mae"], weights=np.ones(64)), VALUE, "none of the metrics mae uses weights"),
        (lambda: qr.compare(X, "int4"), TYPE, r"schemes must be a list such as \['int4@32'\], not str: 'int4'"),
        (lambda: qr.compare(X, qr.scheme("int4")), TYPE, "schemes must be a list"),
        (lambda: qr.compare(X, ["int4"], "rmse"), TYPE, r"metrics must be a list such as \['rmse'\]"),
        (lambda: qr.compare(X, []), VALUE, "schemes is empty"),
        (lambda: qr.encode(X, "int4@32"), TYPE, r"params must be what qr.fit returns.*not str: 'int4@32'"),
        (lambda: qr.encode(X, None), TYPE, "params must be what qr.fit returns"),
        (lambda: qr.encode(X, qr.quantize(X, "int4")), TYPE, "params must be what qr.fit returns"),
        (lambda: qr.dequantize(X), TYPE, "q must be a QTensor"),
        (lambda: qr.quantize(X, "int4", key=0), TYPE, r"key must be a JAX .* jax.random.key\(0\), not 0"),
        (lambda: qr.quantize(X, "int4~stochastic", key="foo"), TYPE, "key must be a JAX random key.*not 'foo'"),
        (lambda: qr.quantize(X, "int4", key=jax.random.split(jax.random.key(0))), VALUE, "one key, not an array of them"),
        (lambda: qr.quantize([[1.0, 2.0], [3.0]], "int4"), VALUE, "x must be one array, not lists of different lengths"),
        (lambda: qr.quantize(np.ma.array([1.0, 2.0], mask=[1, 0]), "int4"), TYPE, "x is a masked array"),
        (lambda: FITTED[5], IndexError, "index 5 is out of bounds"),
        (lambda: FITTED[0, 2], IndexError, "index 2 is out of bounds"),
        (lambda: qr.pack(jnp.array([1.5]), 4), TYPE, "codes must be integers, not float32"),
        (lambda: qr.pack(jnp.array([100, 200]), 4), VALUE, "codes from 100 to 200 do not fit 4 bits, which hold -8 to 15"),
        (lambda: qr.pack(jnp.array([-9]), 4), VALUE, "do not fit 4 bits"),
        (lambda: qr.pack(jnp.array([1]), True), VALUE, "bits must be an integer from 1 to 16, not True"),
        (lambda: qr.unpack(BYTES, 4, "8"), VALUE, "length must be an integer, 0 or more, not '8'"),
        (lambda: qr.unpack(BYTES, 4, -1), VALUE, "length must be an integer, 0 or more, not -1"),
        (lambda: qr.unpack(BYTES, 4, 4, "yes"), TYPE, "signed must be True or False"),
        (lambda: qr.levels_row([-1, 0, 1], reach=float("nan")), VALUE, r"reach must lie between .*not nan"),
        (lambda: qr.levels_row([-1, 0, 1], reach=-1), VALUE, "not -1"),
        (lambda: qr.levels_row([-1, 0, 1], reach=0), VALUE, "not 0"),
        (lambda: qr.from_packed(NESTED | {"foo": 1}, "nf4@32:int8@2", X.shape), VALUE, "unknown part"),
        (lambda: qr.from_packed({"codes": NESTED["codes"]}, "nf4@32:int8@2", X.shape), VALUE, r"lacks .*\['codes'\]"),
        (lambda: qr.from_packed(NESTED, "nf4@32", X.shape), VALUE, r"lacks the part \['scale'\]; "),
        (lambda: qr.from_packed(NESTED, "int8@32:int8@2", X.shape), VALUE, r"needs uint8\(4, 64\), not uint8\(4, 32\)"),
        (lambda: qr.from_packed(NESTED | {"codes": X}, "nf4@32:int8@2", X.shape), VALUE, "not float32"),
        (lambda: qr.from_packed(NESTED, "nf4@32:int8@2", 8), TYPE, "shape must be a tuple of lengths"),
        (lambda: qr.from_packed(5, "nf4@32:int8@2", (8,)), TYPE, "packed must be what QTensor.pack returns"),
    ],
)
def test_errors_name_the_argument(call, error, words):
    with pytest.raises(error, match=words.replace("(0,)", r"\(0,\)")):
        call()


def test_correct_arguments_pass():
    assert qr.pack(jnp.array([1, 2], jnp.int32), np.int32(4)).tolist() == [33]
    assert qr.pack(jnp.array([-8, 15]), 4).shape == (1,)
    assert qr.unpack(BYTES, np.int64(4), np.int64(3)).shape == (3,)
    assert FITTED[-1:].scales.shape == (1, 2)
    assert FITTED[1:100].scales.shape == (3, 2)
    assert qr.quantize(X, "int4~stochastic", key=jax.random.PRNGKey(0)).shape == X.shape  # an old-style key
    assert jax.jit(lambda w: qr.fit(X, "int4@32", weights=w).scales)(np.ones(64, np.float32)).shape == (4, 2)
    assert jax.jit(lambda i: FITTED[i].scales)(2).shape == (2,)


def test_compare_numbers_unnamed_quantizers():
    table = qr.compare(X, [qr.build("int4"), "int8", qr.build("int8")], ["rmse"])
    assert list(table.index) == ["Quantizer 0", "int8", "Quantizer 2"]


def test_metrics_of_an_empty_array_are_nan():
    assert np.isnan(qr.compare(X[:0], ["int4"], ["max", "mse"]).iloc[0][["max", "mse"]].to_numpy()).all()


def test_the_second_derivative():
    """The first derivative of q(x)^2 is 2 q(x), so the second is 2 where the gradient passes (q is not a constant)."""
    x = jnp.array([0.3, -1.2, 2.0, 9.0])
    hessian = jax.hessian(lambda a: (qr.fake_quantize(a, "int4-rms(0.5)") ** 2).sum())(x)
    assert np.array_equal(hessian, np.diag([2, 2, 2, 0]))  # clipped beyond 0.5 RMS = 2.33
    free = jax.hessian(lambda a: (qr.fake_quantize(a, "int4-rms(0.5)", gradient="unclipped") ** 2).sum())(x)
    assert np.array_equal(free, 2 * np.eye(4))


@pytest.mark.parametrize("scheme", ["int4@32", "int8-asym@row", "nf4@32:int8@2", "bf16"])
def test_a_batch_returned_by_vmap(scheme):
    """The quantizer in the result has a leading axis too."""
    batch = np.stack([X, 2 * X, X[::-1]])
    q = jax.vmap(lambda x: qr.quantize(x, scheme))(batch)
    one = [qr.quantize(x, scheme) for x in batch]
    assert np.array_equal(q.dequantize(), np.stack([each.dequantize() for each in one]))
    assert (q.bits, q.nbytes) == (one[0].bits, 3 * one[0].nbytes)
    for name in ("scales", "offsets"):
        if getattr(one[0], name) is not None:
            assert np.array_equal(getattr(q, name), np.stack([getattr(each, name) for each in one]))
    again = jax.vmap(qr.encode)(batch, jax.vmap(lambda x: qr.fit(x, scheme))(batch))
    assert np.array_equal(again.codes, q.codes)
    first = jax.tree.map(lambda leaf: leaf[0], q)
    assert jax.tree.all(jax.tree.map(np.array_equal, first.pack(), one[0].pack()))


def test_what_a_batch_cannot_do_is_refused():
    batch = np.stack([X, X])
    with pytest.raises(ValueError, match=r"returned by jax.vmap; pack each array by itself"):
        jax.vmap(lambda x: qr.quantize(x, "int4"))(batch).pack()
    fitted = jax.vmap(lambda x: qr.fit(x, "int4@32"))(batch)
    with pytest.raises(ValueError, match=r"batch of shape \(2,\).*jax.vmap\(qr.encode\)"):
        qr.encode(X, fitted)
    with pytest.raises(ValueError, match="take one array of the batch"):
        fitted[0]
