"""Division, correctly rounded on every platform.

Processors divide float32 exactly; XLA's code for GPUs and the code of kernels does not (`div.full.f32`: up to two units in the
last place off, one quotient in four by one). Where that is so, the remainder says which way the quotient has to go, and it is
exact in integers: with the significands a, b of 24 bits and r of the quotient, `a 2^k - b r` is smaller than 2^27 as long as r
is a few units off, so 32 bits hold it although neither product fits in them.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

STEPS = 2
"""Units in the last place that a platform's own quotient may be off."""

_HIDDEN = np.int32(0x800000)
_FRACTION = np.int32(0x7FFFFF)


def divided(numerator: Array, denominator: Array) -> Array:
    """float32: the quotient of two arrays of one shape. Where it, or one of them, is no normal number: the platform's own."""
    return lax.platform_dependent(numerator, denominator, cpu=lax.div, default=nearest_quotient)


@jax.jit
def nearest_quotient(numerator: Array, denominator: Array) -> Array:
    """The correctly rounded quotient, whatever the platform's own is, as long as that is at most `STEPS` units off."""
    near = numerator / denominator
    for _ in range(STEPS):
        near = stepped(numerator, denominator, near)
    return near


def stepped(numerator: Array, denominator: Array, near: Array) -> Array:
    """A quotient moved by one unit in the last place, where the next float32 is nearer to the exact one.

    There are no ties: no quotient of two float32 lies in the middle of two, as long as it is a normal number.
    """
    words = [lax.bitcast_convert_type(each, jnp.int32) for each in (numerator, denominator, near)]
    fields = [(word >> 23) & np.int32(0xFF) for word in words]
    a, b, r = ((word & _FRACTION) | _HIDDEN for word in words)
    usable = (jnp.minimum(jnp.minimum(fields[0], fields[1]), fields[2]) > 0) & (
        jnp.maximum(jnp.maximum(fields[0], fields[1]), fields[2]) < 255
    )
    k = jnp.clip(fields[0] - fields[1] - fields[2] + np.int32(150), 0, 31)  # 22 to 25 where all are normal numbers
    rest = (a << k) - b * r  # modulo 2^32, which it does not reach
    gap = jnp.where(r == _HIDDEN, b, b + b)  # the float32 below a power of two is nearer than the one above
    step = (2 * rest > b).astype(jnp.int32) - (-4 * rest > gap).astype(jnp.int32)
    return lax.bitcast_convert_type(words[2] + jnp.where(usable, step, 0), jnp.float32)
