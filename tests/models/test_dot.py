"""`qr.model.dot` and `@`: products with quantized weights in layers of one's own, and what they keep in memory."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import qresearch as qr


def numbers(*shape, seed=0):
    return jnp.asarray(np.random.default_rng([seed, *shape]).normal(size=shape).astype(np.float32))


def quantized(w, scheme, batch):
    run = lambda w: qr.quantize(w, scheme)  # noqa: E731
    for _ in range(batch):
        run = jax.vmap(run)
    return run(w)


@pytest.mark.parametrize(
    ("x", "w", "batch", "product"),
    [
        ((24,), (5, 24), 0, "i,oi->o"),
        ((2, 3, 24), (5, 24), 0, "bti,oi->bto"),
        ((3, 24), (2, 5, 24), 0, "ti,hoi->tho"),
        ((4, 3, 24), (4, 5, 24), 1, "bti,boi->bto"),
        ((4, 24), (4, 5, 24), 1, "bi,boi->bo"),
    ],
)
def test_the_last_axes_are_contracted(x, w, batch, product):
    q, x = quantized(numbers(*w), "int4@8:bf16", batch), numbers(*x)
    wanted = lambda x: jnp.einsum(product, x, q.dequantize())  # noqa: E731
    # Sums of 24 products in any order, each of magnitude below 12.
    np.testing.assert_allclose(qr.model.dot(x, q), wanted(x), atol=24 * 24 * 12 * 2.0**-24)
    slopes = [jax.grad(lambda x, f=f: jnp.sum(jnp.sin(f(x))))(x) for f in (lambda x: qr.model.dot(x, q), wanted)]
    np.testing.assert_allclose(*slopes, atol=1e-4)
    inputs = quantized(x, "int8-asym@row", batch)
    whole = jnp.einsum(product, inputs.dequantize(), q.dequantize())
    np.testing.assert_allclose(qr.model.dot(inputs, q), whole, atol=24 * 24 * 12 * 2.0**-24)


def test_integers_are_multiplied_as_integers():
    x, w = (qr.quantize(numbers(*shape), "int8@row") for shape in ((3, 24), (5, 24)))
    text = jax.jit(qr.model.dot).lower(x, w).as_text()
    assert "(tensor<3x24xi8>, tensor<5x24xi8>) -> tensor<3x5xi32>" in text


def test_the_dtype_is_that_of_the_inputs():
    q, x = qr.quantize(numbers(5, 24), "nf4@8"), numbers(3, 24).astype(jnp.bfloat16)
    np.testing.assert_array_equal(qr.model.dot(x, q), x @ q.dequantize().astype(jnp.bfloat16).T)
    assert (x @ qr.quantize(numbers(24, 5), "nf4")).dtype == jnp.bfloat16


@pytest.mark.parametrize("of", [jnp.asarray, np.asarray])
def test_the_sign_is_that_of_a_matrix_product(of):
    q, x = qr.quantize(numbers(5, 24), "int4@8"), of(numbers(24, 3))
    y = of(numbers(2, 5))
    np.testing.assert_array_equal(q @ x, q.dequantize() @ x)
    np.testing.assert_array_equal(y @ q, y @ q.dequantize())
    np.testing.assert_array_equal(q @ x[:, 0], q.dequantize() @ x[:, 0])


def test_operands_that_are_refused():
    q, x = qr.quantize(numbers(5, 24), "int4@8"), numbers(3, 24)
    with pytest.raises(ValueError, match=r"x \[3, 24\] and w \[5, 12\] do not fit"):
        qr.model.dot(x, qr.quantize(numbers(5, 12), "int4"))
    with pytest.raises(ValueError, match=r"both begin with \[4\] and then end with the inputs"):
        qr.model.dot(x, quantized(numbers(4, 5, 24), "int4", 1))
    with pytest.raises(TypeError, match="w must be a QTensor"):
        qr.model.dot(x, numbers(5, 24))
    with pytest.raises(TypeError, match="x must be floats or a QTensor, not int32"):
        qr.model.dot(jnp.ones((3, 24), jnp.int32), q)
    with pytest.raises(ValueError, match=r"nf4@8 and int4@8 have no integer product: x: the levels .* dot\(x.dequantize"):
        qr.model.dot(qr.quantize(x, "nf4@8"), q)
    with pytest.raises(TypeError, match="@ takes one quantized array"):
        q @ q
    with pytest.raises(TypeError, match="multiplied by floats, not int32"):
        q @ jnp.ones((24,), jnp.int32)


LAYERS, WIDTH = 8, 128


def own(x, q):
    """Layers of one's own."""
    return jax.lax.scan(lambda h, q: (jnp.tanh(qr.model.dot(h, q)), None), x, q)[0]


def frozen_model():
    apply = lambda w, x: jax.lax.scan(lambda h, w: (jnp.tanh(h @ w), None), x, w)[0]  # noqa: E731
    return qr.model.quantize(apply, numbers(LAYERS, WIDTH, WIDTH), "int4@32 | int8@row", [numbers(4, WIDTH)])


@pytest.mark.parametrize("back", [False, True], ids=["forward", "gradient"])
@pytest.mark.parametrize("how", ["dot", "frozen", "integer"])
def test_layers_are_reconstructed_one_at_a_time(how, back):
    frozen = frozen_model()
    held = {"dot": frozen.params, "frozen": frozen, "integer": frozen.integer()}[how]
    run = own if how == "dot" else lambda x, held: held(x)
    if back:
        run = jax.grad(lambda x, held, run=run: jnp.sum(run(x, held)))
    memory = jax.jit(run).lower(numbers(4, WIDTH), held).compile().memory_analysis()
    layer = 4 * WIDTH * WIDTH
    assert memory.argument_size_in_bytes < 0.3 * LAYERS * layer  # codes are bytes
    assert memory.temp_size_in_bytes < 3 * layer, memory.temp_size_in_bytes / layer
