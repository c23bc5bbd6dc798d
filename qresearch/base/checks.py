"""Checks of the arguments of public functions. An error names the argument, the value it got and what to write instead.

Under jit the values of an array are unknown, so only its shape and dtype are checked there.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from qresearch.base.table import shown


def instance(value: Any, kind: Any, name: str, wanted: str) -> Any:
    """Returns the value if it is an instance of `kind`; else raises `TypeError`, which says what is wanted."""
    if not isinstance(value, kind):
        raise TypeError(f"{name} must be {wanted}, not {type(value).__name__}: {shown(value)}")
    return value


def integer(value: Any, name: str, least: int, most: int | None = None) -> int:
    """Returns a Python or NumPy integer as a Python integer. Raises `ValueError` for other types and outside the limits."""
    whole = isinstance(value, int | np.integer) and not isinstance(value, bool)
    if not whole or value < least or (most is not None and value > most):
        limits = f"an integer from {least} to {most}" if most is not None else f"an integer, {least} or more"
        raise ValueError(f"{name} must be {limits}, not {shown(value)}")
    return int(value)


def rate(bits: Any) -> float:
    """Returns a rate in bits per element as a float. Raises `ValueError` unless it is a number from 0 to 500.

    Beyond 500 bits the squared error `4^-bits` nears the end of the range of float64.
    """
    if isinstance(bits, bool) or not isinstance(bits, int | float | np.integer | np.floating) or not 0 <= bits <= 500:
        raise ValueError(
            f"bits must be a finite number that is not negative (and at most 500), such as 4.25, not {shown(bits)}"
        )
    return float(bits)


def weights(given: Any, shape: tuple[int, ...]) -> Array | None:
    """Returns weights as a float32 array, or None.

    Raises:
        ValueError: if they do not broadcast to `shape`, or if one of them is negative or not finite.
    """
    if given is None:
        return None
    array = to_float32(given, "weights")
    try:
        fits = np.broadcast_shapes(array.shape, shape) == shape
    except ValueError:
        fits = False
    if not fits:
        raise ValueError(f"weights of shape {array.shape} do not broadcast to x of shape {shape}")
    if not isinstance(array, jax.core.Tracer):
        good = np.asarray(jnp.isfinite(array) & (array >= 0))
        if not good.all():
            place = tuple(int(i) for i in np.argwhere(~good)[0])
            raise ValueError(f"weights must be finite and not negative; the one at {place} is {float(array[place])}")
    return array


def random_key(key: Any) -> Array | None:
    """Returns a JAX random key, or None. Raises `TypeError` for anything else and `ValueError` for an array of keys."""
    if key is None:
        return None
    typed = isinstance(key, jax.Array) and jnp.issubdtype(key.dtype, jax.dtypes.prng_key)
    raw = isinstance(key, jax.Array | np.ndarray) and key.dtype == jnp.uint32  # as jax.random.PRNGKey makes them
    if not typed and not raw:
        raise TypeError(f"key must be a JAX random key, for example jax.random.key(0), not {shown(key)}")
    if key.ndim != int(raw):
        raise ValueError(f"key must be one key, not an array of them of shape {key.shape}; use jax.vmap over keys")
    # Two words are a key of threefry, whatever generator is JAX's default in this process.
    return jax.random.wrap_key_data(jnp.asarray(key), impl="threefry2x32") if raw and key.shape == (2,) else key


def shape(given: Any) -> tuple[int, ...]:
    """Returns a shape as a tuple of integers. Raises `TypeError` unless it is a tuple or list of lengths."""
    if isinstance(given, tuple | list) and all(isinstance(n, int | np.integer) and n >= 0 for n in given):
        return tuple(int(n) for n in given)
    raise TypeError(f"shape must be a tuple of lengths such as (1024,), not {shown(given)}")


def to_float32(x: object, name: str = "x") -> Array:
    """Converts an input array to float32. All public functions use it.

    float64 is rounded to odd: a number between two float32 becomes the one whose last bit is 1, and beyond the largest it
    becomes the largest. So the next rounding, to a grid of at most 22 bits of precision, gives what rounding the float64 to
    that grid would give (Boldo and Melquiond 2008, "Emulation of FMA and correctly rounded sums: proved algorithms using
    rounding to odd"). Narrower floats are exact in float32.

    Args:
        x: an array of floats of at most 64 bits and any byte order, or nested lists of floats.
        name: of the argument, for messages.

    Raises:
        TypeError: for integers, booleans, objects, complex numbers and extended precision, and for masked arrays.
        ValueError: for nested lists of different lengths.
    """
    if isinstance(x, np.ma.MaskedArray):
        raise TypeError(
            f"{name} is a masked array, and its mask would be lost; pass {name}.filled(0.0), and the mask as weights"
        )
    if isinstance(x, jax.Array):
        array: Any = x
    else:
        try:
            array = np.asarray(x)
        except ValueError as error:
            raise ValueError(f"{name} must be one array, not lists of different lengths ({error})") from None
    if not jnp.issubdtype(array.dtype, jnp.floating) or array.dtype.itemsize > 8:
        raise _not_float(name, array.dtype)
    if array.dtype.itemsize < 8:
        return jnp.asarray(array.astype(np.float32))
    return _to_odd(array, jnp) if isinstance(array, jax.Array) else jnp.asarray(_to_odd(array, np))


def _to_odd(x: Any, xp: Any) -> Any:
    """float64 -> float32, rounded to odd, by NumPy or JAX (`xp`)."""
    x = x.astype(np.float64)  # in the byte order of this machine
    with np.errstate(over="ignore", under="ignore"):
        near = x.astype(np.float32)
    back = near.astype(np.float64)
    bits = near.view(np.uint32)
    towards_zero = bits - (xp.abs(back) > xp.abs(x)).astype(np.uint32)  # the largest float32 follows below infinity
    inexact = (back != x) & (x == x)
    return (towards_zero | inexact.astype(np.uint32)).view(np.float32)


def _not_float(name: str, dtype: object) -> TypeError:
    return TypeError(f"{name} must be a floating-point array, not {dtype}; convert it: {name}.astype('float32')")


def dtype_name(x: object) -> str:
    """The name of the dtype of an array, as JAX has it; `float32` for lists of numbers."""
    return jnp.dtype(x.dtype).name if hasattr(x, "dtype") else "float32"
