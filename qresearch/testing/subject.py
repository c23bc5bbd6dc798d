"""What a law is checked on: a scheme, built and described, and ways to run it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import jax
import numpy as np

from qresearch.coders.coder import Coder
from qresearch.grammar.build import build
from qresearch.testing import samples
from qresearch.testing.oracle import reference as oracle
from qresearch.testing.oracle.description import Description
from qresearch.testing.oracle.reading import NotDescribed, describe


class Result(NamedTuple):
    """What quantizing gives. `scales` and `offsets` are None where the scheme has none."""

    codes: Any
    scales: Any
    offsets: Any
    values: Any


@dataclass(frozen=True, eq=False)
class Subject:
    """A scheme under test.

    Attributes:
        name: as it is shown in messages.
        quantizer: the scheme, built.
        description: what the oracle computes; None where it does not know a part.
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
            scheme: to be tested.
            reference: what the oracle is to compute instead of the scheme's own description (for parts of your own): a scheme
                or a `Description`.
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
        """Compiled, through the public face; NumPy arrays."""
        from qresearch.api import quantize

        q = quantize(x, self.quantizer, key=self.key if key is None else key)
        return to_numpy(Result(q.codes, q.scales, q.offsets, q.dequantize()))

    def oracle(self, x: Any, key: Any = None, keeps_subnormals: bool = False) -> Result:
        """What the definition says."""
        wanted = oracle.quantize(x, self.known, self.key if key is None else key, keeps_subnormals=keeps_subnormals)
        return Result(wanted.codes, wanted.scale, wanted.offset, wanted.values)

    @cached_property
    def ordinary(self) -> Result:
        """`run` on ordinary numbers."""
        return self.run(samples.ordinary())

    @cached_property
    def nasty(self) -> Result:
        """`run` on nasty ones."""
        return self.run(samples.nasty())


def whole(quantizer: Coder, x: Any, key: Any) -> Result:
    """Everything in one traceable function: codes, scales, offsets, values."""
    encoded = quantizer.quantize(x, key)
    params = encoded.params
    return Result(encoded.codes, quantizer.scales(params), quantizer.offsets(params), quantizer.dequantize(encoded))


def to_numpy(result: Result) -> Result:
    """The same with NumPy arrays."""
    return Result(*(None if each is None else np.asarray(each) for each in result))


jitted = jax.jit(whole)
"""`whole`, compiled; one compilation for all schemes of one structure."""

vmapped = jax.jit(jax.vmap(whole, in_axes=(None, 0, 0)))
"""`whole` over a leading axis of arrays and keys."""
