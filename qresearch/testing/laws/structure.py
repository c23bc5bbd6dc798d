"""Laws of structure: shapes, gradients, bytes, and lowering for other machines."""

from __future__ import annotations

import math
from functools import partial
from operator import itemgetter
from typing import Any

import jax
import jax.export
import jax.numpy as jnp
import numpy as np

from qresearch.api import fake_quantize, from_packed, quantize
from qresearch.coders.coder import Coder
from qresearch.coders.kernels import using
from qresearch.coders.quantizer import Quantizer
from qresearch.testing import samples
from qresearch.testing.laws.agreement import assert_agree
from qresearch.testing.laws.law import assert_refused, assert_same, described, law
from qresearch.testing.oracle import reference as oracle
from qresearch.testing.oracle.blocks import codes_shape, grid_shape
from qresearch.testing.oracle.description import Description, FittedLevels, Mean, Outliers
from qresearch.testing.oracle.fitted_levels import start_levels
from qresearch.testing.subject import Result, Subject, whole
from qresearch.wrapping.entropy import Ideal
from qresearch.wrapping.wrapper import Wrapper, chain

EMPTY = ((), (0,), (3, 0), (0, 40))


def fits(subject: Subject, shape: tuple[int, ...]) -> bool:
    """Whether the scheme's block has as many axes as it needs."""
    try:
        subject.quantizer.layout(shape)
    except ValueError:
        return False
    return True


@law("shapes")
def _shapes(subject: Subject) -> None:
    """0-d and empty arrays give codes and values of the declared shapes and dtypes; a block that needs more axes says so."""
    for shape in EMPTY:
        x = np.full(shape, 1.5, np.float32)
        if not fits(subject, shape):
            assert_refused(partial(subject.run, x), ValueError, str(subject.quantizer.block), f"the shape {shape}")
            continue
        got = subject.run(x)
        wanted = subject.quantizer.codes_shape(shape)
        assert got.codes.shape == wanted, f"{shape} became codes of {got.codes.shape}, not {wanted}"
        assert got.values.shape == shape, f"{shape} came back as {got.values.shape}"
        assert got.values.dtype == np.float32, f"values are {got.values.dtype}"
        assert got.codes.dtype == np.dtype(subject.quantizer.element.code_dtype), f"codes are {got.codes.dtype}"


def _own(quantizer: Quantizer) -> bool:
    """Whether the arrays of a stack share nothing."""
    stored = (quantizer.scaling.scale.coder, quantizer.scaling.offset.coder)
    nested = any(each is not None and not each.bare for each in stored)
    block = quantizer.block
    return quantizer.bare or (block.sizes is not None and not block.flat and len(block.sizes) <= 2 and not nested)


@law("leading")
def _leading(subject: Subject) -> None:
    """Leading axes are kept; where blocks lie in the last axes, each array of a stack is quantized as if it were alone."""
    stack = np.stack([samples.ordinary(), samples.nasty()])
    got = subject.run(stack)
    quantizer = subject.quantizer
    assert got.codes.shape == quantizer.codes_shape(stack.shape), f"{stack.shape} became codes of {got.codes.shape}"
    assert got.values.shape == stack.shape, f"{stack.shape} came back as {got.values.shape}"
    if isinstance(quantizer, Quantizer) and _own(quantizer) and not subject.stochastic:
        for index, (_, wanted) in enumerate(subject.runs):
            assert_agree(jax.tree.map(itemgetter(index), got), wanted, f"array {index} of a stack")


@law("gradient", applies=described)
def _gradient(subject: Subject) -> None:
    """`fake_quantize` gives exactly what `quantize` and `dequantize` give, and passes gradients everywhere ("unclipped")
    or exactly where nothing was clipped ("clipped"); through a rotation by its transpose. With fitted parameters it gives the
    same. The derivative along a direction is the gradient with that direction as the weights, since the Jacobian is symmetric;
    along the fitted parameters themselves it is value - x, or value where x was clipped (a learned step size).
    """
    x = samples.ordinary() * np.where(samples.ordinary() > 1.5, np.float32(3), np.float32(1))
    weights = np.random.default_rng(5).standard_normal(x.shape).astype(np.float32)
    values = subject.run(x).values
    coder = oracle.coder_of(subject.known)
    for policy in ("unclipped", "clipped"):

        def loss(x: Any, policy: str = policy) -> Any:
            value = fake_quantize(x, subject.quantizer, key=subject.key, gradient=policy)
            return (value * weights).sum(), value

        gradient, value = jax.grad(loss, has_aux=True)(jnp.asarray(x))
        assert_same(value, values, f"fake_quantize ({policy})")
        wanted = coder.pull(x, weights, subject.key, policy == "unclipped")
        assert_same(np.asarray(gradient) + np.float32(0), wanted + np.float32(0), f"gradient ({policy})")
    fitted = None if refused(subject.quantizer) else quantize(x, subject.quantizer, key=subject.key).fitted
    value, forward = _along(subject, x, fitted, weights, 0)
    assert_same(value, values, "fake_quantize (fitted)")
    assert_same(np.asarray(forward) + np.float32(0), wanted + np.float32(0), "derivative along a direction")
    if isinstance(subject.quantizer, Quantizer) and not subject.quantizer.scaling.exact and _learnable(subject.quantizer):
        stretched = np.asarray(_along(subject, x, fitted, 0 * weights, 1)[1], np.float64)
        kept = np.where(coder.clipped(x, coder.fit(x, subject.key, None)), 0, x)
        # A quotient, three products and two sums in float32, of numbers up to the largest of the block and its minimum.
        np.testing.assert_allclose(stretched, np.float64(values) - kept, rtol=0, atol=2.0**-20 * np.abs(x).max())


def refused(coder: Coder) -> bool:
    """Whether the gradient to the parameters is refused: of error feedback, of GGUF blocks, and of your own wrappers."""
    return any(type(each).straight_through is Coder.straight_through for each in chain(coder))


def _along(subject: Subject, x: np.ndarray, fitted: Any, step: np.ndarray, stretch: int) -> Any:
    """The value of `fake_quantize`, and its derivative along `step` in x and along `stretch` times the fitted parameters."""

    def function(x: Any, fitted: Any) -> Any:
        return fake_quantize(x, subject.quantizer if fitted is None else fitted, key=subject.key)

    def direction(leaf: Any) -> Any:
        return stretch * leaf if jnp.issubdtype(leaf.dtype, jnp.floating) else np.zeros(leaf.shape, jax.dtypes.float0)

    return jax.jvp(function, (jnp.asarray(x), fitted), (jnp.asarray(step), jax.tree.map(direction, fitted)))


def _learnable(coder: Coder) -> bool:
    """Whether scales and minima are float32, or stored by a scheme whose own scales are."""
    stored = [each.coder for each in (coder.scaling.scale, coder.scaling.offset) if each.coder is not None]
    return not coder.bare and all(map(_learnable, stored))


def packed(subject: Subject) -> str | None:
    """Applies where what is counted is what is packed."""
    coder = subject.quantizer
    while isinstance(coder, Wrapper):
        if isinstance(coder, Ideal):
            return "an ideal is counted, and no coder packs it"
        coder = coder.inner
    return None


def stored_bits(scheme: Description | None, shape: tuple[int, ...]) -> int:
    """The bits of a stored array (section 6), None being float32: codes, scales and offsets, and what wrappers keep."""
    if scheme is None:
        return 32 * math.prod(shape)
    if scheme.stored is not None:
        (length, nbytes), (*rows, last) = scheme.stored, shape or (1,)
        return math.prod(rows) * 8 * -(-last // length) * nbytes
    bits = _packed(codes_shape(scheme.block, shape), scheme.bits)
    bits += sum(_kept_bits(each, scheme, math.prod(shape)) for each in scheme.wrappers)
    if scheme.unit:
        return bits
    grid = grid_shape(scheme.block, shape)
    bits += stored_bits(scheme.scale, grid)
    if scheme.form == "asym":
        bits += _packed(grid, scheme.bits)
    if scheme.minimum:
        bits += stored_bits(scheme.offset, grid)
    return bits


def _kept_bits(wrapping: Any, scheme: Description, size: int) -> int:
    """What a wrapper stores: a mean in 32 bits; each outlier's place in ceil(log2 size) bits, and its value; fitted levels."""
    if isinstance(wrapping, Mean):
        return 32
    if isinstance(wrapping, FittedLevels):
        return stored_bits(wrapping.values, start_levels(scheme.grid).shape)
    if not isinstance(wrapping, Outliers):
        return 0
    k = round(wrapping.fraction * size)
    return _packed((k,), math.ceil(math.log2(size))) + stored_bits(wrapping.values, (k,))


def _packed(shape: tuple[int, ...], bits: int) -> int:
    """The bits of packed codes, each row on whole bytes."""
    *rows, length = shape or (1,)
    return math.prod(rows) * 8 * -(-length * bits // 8)


@law("packing", applies=packed)
def _packing(subject: Subject) -> None:
    """Packed bytes unpack to the same arrays; `storage_bits`, `nbytes` and the definition agree on their number."""
    x, quantizer = samples.ordinary(), subject.quantizer
    q = quantize(x, quantizer, key=subject.key)
    packed = q.pack()
    measured = 8 * sum(np.asarray(leaf).nbytes for leaf in jax.tree.leaves(packed))
    if quantizer.packer.fixed:
        declared = quantizer.storage_bits(x.shape)
        assert measured == declared, f"{measured} bits packed, {declared} declared"
    assert measured == 8 * q.nbytes, f"{measured} bits packed, {8 * q.nbytes} in nbytes"
    assert q.bits == measured / x.size, f"{measured} bits packed for {x.size} elements, {q.bits} each"
    if subject.description is not None and quantizer.packer.fixed:
        wanted = stored_bits(subject.known, x.shape)
        assert measured == wanted, f"{measured} bits packed, {wanted} by the definition"
    assert_agree(Result.of(from_packed(packed, quantizer, x.shape)), subject.ordinary, "unpacked")


PLATFORMS = ("cpu", "cuda", "tpu")


@law("lowering")
def _lowering(subject: Subject) -> None:
    """It lowers for CPU, CUDA and TPU with `jax.export`, which needs none of them."""
    quantizer = subject.quantizer

    def function(x: Any) -> Any:
        return whole(quantizer, x, jax.random.key(0)).values

    shape = jax.ShapeDtypeStruct(samples.SHAPE, jnp.float32)
    # No kernels: JAX refuses to export them, because it does not promise to read again what they lower to.
    with using("xla"):
        exported = jax.export.export(jax.jit(function), platforms=PLATFORMS)(shape)
    assert exported.platforms == PLATFORMS
    assert exported.out_avals[0].shape == samples.SHAPE
