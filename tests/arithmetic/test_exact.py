"""Quotients are correctly rounded in every context that compilers could rewrite."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from qresearch.arithmetic.exact import quotient

RANDOM = np.random.default_rng(0)
X, Y = ((RANDOM.standard_normal((64, 257)) * np.exp2(RANDOM.integers(-20, 20, (64, 257)))).astype(np.float32) for _ in range(2))
S = np.float32(3.3)


def many(x):
    """Each number four times."""
    return (jnp if isinstance(x, jax.Array) else np).broadcast_to(x, (4, *x.shape))


AROUND = {
    "by a constant": lambda by, x, y: by(x, S),
    "by one number for many": lambda by, x, y: by(x, y[:1]),
    "of a constant": lambda by, x, y: by(S, y),
    "inverse, then a product": lambda by, x, y: by(np.float32(1), y[:1]) * x,
    "of a quotient": lambda by, x, y: by(by(x, y), S),
    "by a quotient": lambda by, x, y: by(x, by(y, S)),
    "of quotients": lambda by, x, y: by(by(x, y[:1]), by(y, x)),
    "of a product with a constant": lambda by, x, y: by(x * S, np.float32(0.7)),
    "in a product with a constant": lambda by, x, y: by(x, np.float32(0.7)) * S,
    "two by the same": lambda by, x, y: by(x, y[:1]) - by(y, y[:1]),
    "of one number for many, by a constant": lambda by, x, y: by(many(x), S),
    "of one number for many, by one for more": lambda by, x, y: by(many(x), y[:1]),
    "of one number for many, by another": lambda by, x, y: by(many(x), many(y)),
    "of many quotients, by a constant": lambda by, x, y: by(many(by(x, y)), S),
}


@pytest.mark.parametrize("around", AROUND.values(), ids=AROUND)
@pytest.mark.parametrize("mapped", [lambda f: f, lambda f: jax.vmap(f, in_axes=1, out_axes=-1)], ids=["whole", "vmap"])
def test_quotients_are_correctly_rounded(around, mapped):
    got = jax.jit(mapped(lambda x, y: around(quotient, x, y)))(X, Y)
    np.testing.assert_array_equal(got, around(np.divide, X, Y))
