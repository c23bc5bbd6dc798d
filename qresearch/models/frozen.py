"""Frozen models: parameters whose leaves are QTensors, and a call."""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import jax
from jax import Array

from qresearch.base import checks
from qresearch.base.part import part, static
from qresearch.base.table import suggestion
from qresearch.coders.qtensor import QTensor
from qresearch.models.adapters import Adapters, check_adapters
from qresearch.models.executing import Scales, execute
from qresearch.models.integer import integer_sites
from qresearch.models.patterns import matches
from qresearch.models.traced import Traced

if TYPE_CHECKING:
    import pandas as pd


def is_quantized(leaf: Any) -> bool:
    """Whether a leaf is a QTensor, for `jax.tree.map(..., is_leaf=is_quantized)`."""
    return isinstance(leaf, QTensor)


def absorbed(
    program: Traced, shapes: Any, leaf: Callable[[str, Any], Any], weights: Mapping[str, Any]
) -> tuple[Any, dict[str, Any]]:
    """The tree of a frozen model's parameters, and the weights that are no leaf of it.

    A parameter that is a quantized site as a whole becomes its QTensor; one that only quantized sites read becomes None;
    for all others `leaf(name, shape)` is called.
    """
    read = {number for site in program.sites for number in site.leaves}
    kept = {number for site in program.sites if site.name not in weights for number in site.leaves}
    kept |= {number for number, name in enumerate(program.names) if name in program.others or number not in read}
    owners = defaultdict[Any, list[str]](list)
    for site in program.sites:
        if site.name in weights:
            owners[site.whole].append(site.name)
    extra, tree = dict(weights), []
    flat, structure = jax.tree.flatten(shapes)
    for number, shape in enumerate(flat):
        alone = len(owners[number]) == 1
        tree.append(leaf(program.names[number], shape) if number in kept else extra.pop(owners[number][0]) if alone else None)
    return jax.tree.unflatten(structure, tree), extra


@part
class Frozen:
    """A quantized model. Call it with the inputs of the model.

    Attributes:
        params: the parameters. A leaf that is a site's weight is a QTensor [stack..., out..., in]; one that only sites of
            `extra` need is None.
        extra: site -> QTensor, for weights that are computed from a part of a parameter, or from several.
        scales: of the inputs: static ones, and divisors.
        plan: the plan that froze it.
        integers: the names of the sites whose products are computed in integers.
    """

    params: Any
    extra: dict[str, Any]
    scales: Scales
    plan: Any = static()
    integers: frozenset[str] = static(default=frozenset())

    def __call__(self, *inputs: Any, key: Array | None = None, adapters: Adapters | None = None) -> Any:
        """The outputs of the model, computed in floating point from reconstructed weights; in integers after `integer`.

        Args:
            inputs: as the model takes them.
            key: a JAX random key, for inputs with stochastic rounding.
            adapters: what `qr.model.lora` returned: products beside those of the quantized weights.
        """
        if adapters is not None:
            checks.instance(adapters, Adapters, "adapters", "what qr.model.lora returns")
            check_adapters(adapters, self.weights)
        return _run(self, inputs, key, adapters)

    def integer(self, keep: Sequence[str] = ()) -> Frozen:
        """The same model, with the products of all sites whose inputs are quantized in integers: int8 times int8, in int32.

        Weights alone have no integer product, and stay as they are. The outputs differ from those in floating point by
        rounding in float32 alone (`docs/models.md`); a derivative is that of the model in floating point.

        Args:
            keep: patterns of sites that stay in floating point.

        Raises:
            ValueError: naming a site that has no integer product, or a pattern that no such site matches.

        >>> import jax.numpy as jnp, qresearch as qr
        >>> frozen = qr.model.quantize(lambda w, x: x @ w, jnp.ones((64, 4)), "int8@row | int8@row", [jnp.ones((2, 64))])
        >>> frozen.integer()(jnp.ones((1, 64)))
        Array([[64., 64., 64., 64.]], dtype=float32)
        """
        patterns = checks.instance(keep, list | tuple | set | frozenset, "keep", "a list of patterns such as ['head']")
        plan, rules = self.plan, self.plan.rules
        names = [site.name for site in plan.sites if rules[site.name].inputs is not None]
        for pattern in patterns:
            if not any(matches(pattern, name) for name in names):
                found = suggestion(str(pattern), names) or f"; there are {', '.join(names) or 'none'}"
                raise ValueError(f"keep: no site with quantized inputs matches {pattern!r}{found}")
        chosen = integer_sites(plan.sites, rules, lambda name: any(matches(pattern, name) for pattern in patterns))
        return dataclasses.replace(self, integers=chosen)

    def table(self) -> pd.DataFrame:
        """`plan.table()`, and for each site whether its products are computed in integers."""
        found = self.plan.table()
        found["computed"] = ["integers" if name in self.integers else "floating point" for name in found.index]
        return found

    @property
    def leaves(self) -> list[Any]:
        """What stands in place of each parameter of the model: an array, a QTensor or None."""
        structure: Any = jax.tree.structure(self.plan.shapes)
        return structure.flatten_up_to(self.params)  # the model's own tree may hold None: equinox's do

    @property
    def weights(self) -> dict[str, QTensor]:
        """Site -> its quantized weight."""
        leaves = self.leaves
        found = dict(self.extra)
        for site in self.plan.sites:
            if site.name not in found and site.whole is not None and is_quantized(leaves[site.whole]):
                found[site.name] = leaves[site.whole]
        return found

    @property
    def nbytes(self) -> int:
        """The bytes of all parameters: packed codes and scales, and those that are not quantized."""
        leaves = jax.tree.leaves((self.params, self.extra, self.scales), is_leaf=is_quantized)
        return sum(int(leaf.nbytes) for leaf in leaves)

    @property
    def bits(self) -> float:
        """True bits per quantized weight."""
        found = self.weights
        count = sum(site.size for site in self.plan.sites if site.name in found)
        return 8 * sum(each.nbytes for each in found.values()) / max(count, 1)


@jax.jit
def _run(frozen: Frozen, inputs: Any, key: Array | None, adapters: Adapters | None) -> Any:
    plan = frozen.plan
    leaves = [None if is_quantized(leaf) else leaf for leaf in frozen.leaves]
    program = plan.program(inputs)
    given = (program, plan.rules, leaves, inputs, frozen.weights, frozen.scales, key)
    return execute(*given, integers=frozen.integers, adapters=adapters)
