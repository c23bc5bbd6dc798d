"""Transforms: W becomes W T^-1 and x becomes T x, so that the float function stays as it was, and some T round better.

What is stored is Q(W T^-1). At execution the inputs are transformed before they are quantized.
"""

from __future__ import annotations

from typing import Any

from jax import Array

from qresearch.base.part import part, static
from qresearch.solving.moments import Moments
from qresearch.solving.rotation import turn


class Transform:
    """A change of the inputs of a layer and of its weight. A pytree."""

    def weight(self, w: Array) -> Array:
        """float32 [stack..., out, in]: what is quantized in place of W."""
        raise NotImplementedError

    def weight_back(self, w: Array) -> Array:
        """The inverse of `weight`, up to rounding."""
        raise NotImplementedError

    def inputs(self, x: Array) -> Array:
        """float32 [stack..., tokens, in]: what the stored weight is multiplied with."""
        raise NotImplementedError

    def outputs(self, y: Array) -> Array:
        """float32 [stack..., tokens, out]: the outputs of the layer, from those of the stored weight."""
        return y

    def moments(self, moments: Moments) -> Moments:
        """Those of `inputs`."""
        raise NotImplementedError

    def pair_back(self, a: Array, b: Array) -> tuple[Array, Array]:
        """B A beside the stored weight -> the same beside W: [stack..., r, in] and [stack..., out, r]."""
        raise NotImplementedError

    changes_outputs = False
    """Whether `outputs` does anything."""


@part
class Divide(Transform):
    """Each channel of the inputs divided by a number.

    Attributes:
        divisor: float32 [stack..., in].
    """

    divisor: Array

    def weight(self, w: Array) -> Array:
        """W times the divisors."""
        return w * self.divisor[..., None, :]

    def weight_back(self, w: Array) -> Array:
        """W over the divisors."""
        return w / self.divisor[..., None, :]

    def inputs(self, x: Array) -> Array:
        """X over the divisors."""
        return x / self.divisor[..., None, :]

    def moments(self, moments: Moments) -> Moments:
        """H_ij / (s_i s_j)."""
        return moments.divided(self.divisor)

    def pair_back(self, a: Array, b: Array) -> tuple[Array, Array]:
        """A over the divisors."""
        return self.weight_back(a), b


@part
class Rotate(Transform):
    """Inputs multiplied by an orthogonal matrix R (`rotation`), and outputs too if `both`: W becomes W R^T, or R' W R^T.

    QuaRot (Ashkboos et al. 2024, arXiv 2404.00456); on both sides QuIP# (Tseng et al. 2024, arXiv 2402.04396). Numbers become
    nearly normal and outliers are spread. Nothing is stored but the recipe.

    Attributes:
        size: the length of the groups; 0 is the whole axis.
        seed: of R; that of the outputs has the next one.
        both: whether outputs are rotated too.
    """

    size: int = static(default=0)
    seed: int = static(default=0)
    both: bool = static(default=False)

    @property
    def changes_outputs(self) -> bool:  # type: ignore[override]
        """Whether outputs are rotated too."""
        return self.both

    def weight(self, w: Array) -> Array:
        """W R^T; of both, R' W R^T."""
        found = self._inner(w)
        return self._outer(found.swapaxes(-1, -2)).swapaxes(-1, -2) if self.both else found

    def weight_back(self, w: Array) -> Array:
        """W R; of both, R'^T W R."""
        found = self._inner(w, back=True)
        return self._outer(found.swapaxes(-1, -2), back=True).swapaxes(-1, -2) if self.both else found

    def inputs(self, x: Array) -> Array:
        """R x of every token."""
        return self._inner(x)

    def outputs(self, y: Array) -> Array:
        """R'^T y of every token."""
        return self._outer(y, back=True) if self.both else y

    def moments(self, moments: Moments) -> Moments:
        """R H R^T."""
        return moments.rotated(self._inner)

    def pair_back(self, a: Array, b: Array) -> tuple[Array, Array]:
        """A R and R'^T B."""
        return self._inner(a, back=True), self._outer(b.swapaxes(-1, -2), back=True).swapaxes(-1, -2) if self.both else b

    def _inner(self, x: Array, back: bool = False) -> Array:
        return turn(x, self.size or x.shape[-1], self.seed, back)

    def _outer(self, x: Array, back: bool = False) -> Array:
        return turn(x, self.size or x.shape[-1], self.seed + 1, back)


def chained(transforms: Any, method: str, value: Any) -> Any:
    """A method of transforms in their order (backwards for what undoes them), each on the result of the one before."""
    order = reversed(transforms) if method in ("weight_back", "outputs") else transforms
    for each in order:
        value = getattr(each, method)(value)
    return value


def pair_back(transforms: Any, a: Array, b: Array) -> tuple[Array, Array]:
    """B A beside the stored weight -> the same beside W."""
    for each in reversed(transforms):
        a, b = each.pair_back(a, b)
    return a, b
