"""Batch norms folded into the weights before them, so that the folded weight is what is quantized."""

from __future__ import annotations

import jax.numpy as jnp
from jax import Array, lax


def fold_batch_norm(
    w: Array, gamma: Array, beta: Array, mean: Array, var: Array, eps: float = 1e-5, out_axis: int = -1
) -> tuple[Array, Array]:
    """A weight and a bias that do what a product and a batch norm after it do: (w', b').

    (x w - mean) gamma / sqrt(var + eps) + beta = x w' + b', up to rounding, with w' = w gamma / sqrt(var + eps). Called inside
    `apply`, with all of these among the parameters, w' is the site, so that training sees the weight that will be stored
    (Jacob et al. 2018, arXiv 1712.05877).

    Args:
        w: the weight of a product or of a convolution.
        gamma: the factor of each output, [out].
        beta: what is added to it, [out].
        mean: its mean, [out].
        var: its variance, [out].
        eps: of the batch norm.
        out_axis: the axis of w that the outputs lie along: -1 for [in, out] and HWIO, 0 for [out, in] and OIHW.

    Raises:
        ValueError: where one of the four has another shape than [out].

    >>> w, b = fold_batch_norm(jnp.ones((3, 2)), *jnp.array([[1.0, 4.0], [0.0, 1.0], [2.0, 2.0], [1.0, 4.0]]), eps=0.0)
    >>> w[0].tolist(), b.tolist()
    ([1.0, 2.0], [-2.0, -3.0])
    """
    wanted = (w.shape[out_axis],)
    for name, given in {"gamma": gamma, "beta": beta, "mean": mean, "var": var}.items():
        if given.shape != wanted:
            raise ValueError(
                f"{name} must have the shape {wanted}, one for each output of w along axis {out_axis}, not {given.shape}"
            )
    factor = gamma * lax.rsqrt(var + eps)
    shape = [1] * w.ndim
    shape[out_axis] = -1
    return w * jnp.reshape(factor, shape), beta - mean * factor
