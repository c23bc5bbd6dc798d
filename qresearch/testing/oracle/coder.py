"""What the oracle does with a scheme, wrapped or not: the interface, and the wrapper that changes nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from qresearch.testing.oracle.float32 import Arithmetic


class OracleCoder:
    """What the oracle does with a scheme, wrapped or not."""

    @property
    def mixes(self) -> bool:
        """Whether a rotation stands between the elements and what is quantized."""
        return False

    @property
    def random(self) -> bool:
        """Whether encoding needs uniform numbers."""
        raise NotImplementedError

    def fit(self, x: np.ndarray, key: Any, weights: Any) -> Any:
        """Parameters."""
        raise NotImplementedError

    def encode(self, x: np.ndarray, params: Any, u: np.ndarray | None) -> np.ndarray:
        """Codes, int64, in the shape of x, or one for each group of it (`blocks.codes_shape`); `u` in the shape of x."""
        raise NotImplementedError

    def decode(self, codes: np.ndarray, params: Any, shape: tuple[int, ...]) -> np.ndarray:
        """float32, in the shape of the array that was encoded."""
        raise NotImplementedError

    def clipped(self, x: np.ndarray, params: Any) -> np.ndarray:
        """bool: which elements are clipped."""
        raise NotImplementedError

    def core(self, params: Any) -> Any:
        """The numbers of the innermost scheme's blocks."""
        raise NotImplementedError

    def steps(self, params: Any, shape: tuple[int, ...]) -> np.ndarray | None:
        """The stored scale of every element; None for a cast."""
        raise NotImplementedError

    def piece(self, params: Any, shape: tuple[int, ...], where: Any) -> tuple[OracleCoder, Any]:
        """The coder of the elements at `where`, and their parameters."""
        raise NotImplementedError

    def pull(self, x: np.ndarray, g: np.ndarray, key: Any, everywhere: bool) -> np.ndarray:
        """What the straight-through gradient makes of the gradient `g` of what came back."""
        passes = everywhere | ~self.clipped(x, self.fit(x, key, None))
        return np.where(passes, g, np.float32(0))


@dataclass(frozen=True, eq=False)
class Around(OracleCoder):
    """A wrapper that changes nothing. Parameters are a pair: those inside, its own."""

    inner: OracleCoder
    arithmetic: Arithmetic

    @property
    def random(self) -> bool:
        """As inside."""
        return self.inner.random

    @property
    def mixes(self) -> bool:
        """As inside."""
        return self.inner.mixes

    def core(self, params: Any) -> Any:
        """As inside."""
        return self.inner.core(params[0])

    def steps(self, params: Any, shape: tuple[int, ...]) -> np.ndarray | None:
        """As inside."""
        return self.inner.steps(params[0], shape)
