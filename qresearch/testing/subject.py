"""The subject of a law: a scheme, built and described, and ways to run it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import jax
import numpy as np

from qresearch.api import quantize
from qresearch.coders.coder import Coder
from qresearch.coders.qtensor import QTensor
from qresearch.grammar.build import build
from qresearch.testing import samples
from qresearch.testing.oracle import reference as oracle
from qresearch.testing.oracle.description import Description
from qresearch.testing.oracle.reading import NotDescribed, describe


class Result(NamedTuple):
    """The outcome of quantizing. `scales` and `offsets` are None where the scheme has none."""

    codes: Any
    scales: Any
    offsets: Any
    values: Any

    @classmethod
    def of(cls, q: QTensor) -> Result:
        """That of a quantized array, as NumPy arrays."""
        return to_numpy(cls(q.codes, q.scales, q.offsets, q.dequantize()))


@dataclass(frozen=True, eq=False)
class Subject:
    """A scheme under test.

    Attributes:
        name: as messages show it.
        quantizer: the scheme, built.
        description: what the oracle computes; None if it does not know a part.
        unknown: which part that is, or None.
    """

    name: str
    quantizer: Coder
    description: Description | None
    unknown: str | None

    @classmethod
    def of(cls, scheme: Any, reference: Any = None) -> Subject:
        """The subject of a text, Spec or Coder.

        Args:
            scheme: under test.
            reference: what the oracle computes instead of the scheme's own description, for parts of your own: a scheme or
                a `Description`.
        """
        try:
            description, unknown = describe(scheme if reference is None else reference), None
        except NotDescribed as error:
            description, unknown = None, str(error)
        return cls(str(scheme) if not isinstance(scheme, Coder) else "a quantizer", build(scheme), description, unknown)

    @property
    def known(self) -> Description:
        """The description, for laws that apply only where there is one."""
        assert self.description is not None, self.unknown
        return self.description

    @property
    def key(self) -> Any:
        """The random key of all runs."""
        return jax.random.key(20)

    @property
    def stochastic(self) -> bool:
        """Whether any part of the scheme draws random numbers."""
        return self.quantizer.stochastic

    def run(self, x: Any, key: Any = None) -> Result:
        """Quantizes an array, compiled, by the public function."""
        return Result.of(quantize(x, self.quantizer, key=self.key if key is None else key))

    def oracle(self, x: Any, key: Any = None, keeps_subnormals: bool = False) -> Result:
        """Quantizes an array by the definition."""
        wanted = oracle.quantize(x, self.known, self.key if key is None else key, keeps_subnormals=keeps_subnormals)
        return Result(wanted.codes, wanted.scale, wanted.offset, wanted.values)

    @cached_property
    def ordinary(self) -> Result:
        """`run` on ordinary numbers."""
        return self.run(samples.ordinary())

    @cached_property
    def runs(self) -> tuple[tuple[np.ndarray, Result], ...]:
        """The ordinary and the nasty numbers, each with its result."""
        return (samples.ordinary(), self.ordinary), (samples.nasty(), self.run(samples.nasty()))


def whole(quantizer: Coder, x: Any, key: Any) -> Result:
    """Everything in one traceable function: codes, scales, offsets, values."""
    encoded = quantizer.quantize(x, key)
    params = encoded.params
    return Result(encoded.codes, quantizer.scales(params), quantizer.offsets(params), quantizer.dequantize(encoded))


def to_numpy(result: Result) -> Result:
    """The same with NumPy arrays."""
    return jax.tree.map(np.asarray, result)


jitted = jax.jit(whole)
"""`whole`, compiled; one compilation for all schemes of one structure."""

vmapped = jax.jit(jax.vmap(whole, in_axes=(None, 0, 0)))
"""`whole` over a leading axis of arrays and keys."""

fit = jax.jit(lambda coder, x, weights, key: coder.fit(x, weights, key))
"""The parameters of an array, compiled."""


@jax.jit
def at_params(coder: Coder, x: Any, params: Any, key: Any) -> tuple[Any, Any]:
    """Codes and values of an array at given parameters, compiled."""
    codes = coder.encode(x, params, key)
    return codes, coder.decode(codes, params, x.shape)
