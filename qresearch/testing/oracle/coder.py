"""What the oracle does with a scheme, wrapped or not: the interface, and what all wrappers share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

import numpy as np

from qresearch.testing.oracle.float32 import Arithmetic


class OracleCoder(ABC):
    """What the oracle does with a scheme, wrapped or not."""

    @property
    def mixes(self) -> bool:
        """Whether a rotation stands between the elements and what is quantized."""
        return False

    @abstractmethod
    def fit(self, x: np.ndarray, key: Any, weights: Any) -> Any:
        """Parameters."""

    @abstractmethod
    def encode(self, x: np.ndarray, params: Any, u: np.ndarray | None) -> np.ndarray:
        """Codes, int64, in the shape of x, or one for each group (`blocks.codes_shape`); `u` has the shape of x."""

    @abstractmethod
    def decode(self, codes: np.ndarray, params: Any, shape: tuple[int, ...]) -> np.ndarray:
        """float32, in the shape of the array that was encoded."""

    @abstractmethod
    def clipped(self, x: np.ndarray, params: Any) -> np.ndarray:
        """bool: which elements are clipped."""

    def core(self, params: Any) -> tuple[Any, Any]:
        """The innermost coder and its parameters."""
        return self, params

    def piece(self, params: Any, shape: tuple[int, ...], where: Any) -> tuple[OracleCoder, Any]:
        """The coder of the elements at `where`, and their parameters."""
        raise NotImplementedError

    def pull(self, x: np.ndarray, g: np.ndarray, key: Any, everywhere: bool) -> np.ndarray:
        """The straight-through gradient at x, from the gradient `g` at the values that came back."""
        passes = everywhere | ~self.clipped(x, self.fit(x, key, None))
        return np.where(passes, g, np.float32(0))

    def back(self, x: np.ndarray) -> np.ndarray:
        """What comes back of an array after fitting, encoding and decoding it, without random numbers."""
        params = self.fit(x, None, None)
        return self.decode(self.encode(x, params, None), params, x.shape)


@dataclass(frozen=True, eq=False)
class Around(OracleCoder):
    """A wrapper: what it encodes has gone through `enter`, what it decodes goes through `leave`; both change nothing here.

    Parameters are a pair: those inside, its own.
    """

    inner: OracleCoder
    arithmetic: Arithmetic

    @property
    def mixes(self) -> bool:
        """As inside."""
        return self.inner.mixes

    def inside(self, params: Any) -> OracleCoder:
        """The coder inside, for these parameters."""
        return self.inner

    def enter(self, x: np.ndarray, params: Any) -> np.ndarray:
        """The array that the inner coder encodes."""
        return x

    def leave(self, values: np.ndarray, params: Any) -> np.ndarray:
        """What comes back, from what the inner coder decoded."""
        return values

    def fit(self, x: np.ndarray, key: Any, weights: Any) -> Any:
        """As inside, nothing of its own."""
        return self.inner.fit(x, key, weights), None

    def encode(self, x: np.ndarray, params: Any, u: np.ndarray | None) -> np.ndarray:
        """The codes of what enters."""
        return self.inside(params).encode(self.enter(x, params), params[0], u)

    def decode(self, codes: np.ndarray, params: Any, shape: tuple[int, ...]) -> np.ndarray:
        """What leaves."""
        return self.leave(self.inside(params).decode(codes, params[0], shape), params)

    def clipped(self, x: np.ndarray, params: Any) -> np.ndarray:
        """The clipped elements of what enters."""
        return self.inside(params).clipped(self.enter(x, params), params[0])

    def core(self, params: Any) -> tuple[Any, Any]:
        """Those inside."""
        return self.inner.core(params[0])
