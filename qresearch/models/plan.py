"""The life of a model: `plan`, `observe`, `quantize`, `freeze`.

>>> import jax, jax.numpy as jnp, qresearch as qr
>>> def apply(params, x):
...     return jnp.tanh(x @ params["w1"]) @ params["w2"]
>>> params = {"w1": jax.random.normal(jax.random.key(0), (64, 32)), "w2": jax.random.normal(jax.random.key(1), (32, 8))}
>>> x = jax.random.normal(jax.random.key(2), (16, 64))
>>> plan = qr.model.plan(apply, params, "int8@row | static(int8)", x)
>>> state = plan.observe(plan.start(params), x)
>>> frozen = plan.freeze(state)
>>> bool((frozen(x) == plan.apply(state, x)).all()), round(frozen.bits, 3)
(True, 8.556)
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import jax
from jax import Array

from qresearch.base.table import suggestion
from qresearch.coders.qtensor import QTensor
from qresearch.models import compiled
from qresearch.models.checking import check_seen, observer
from qresearch.models.comparing import lines
from qresearch.models.cutting import Cuts
from qresearch.models.estimate import lines as estimated
from qresearch.models.executing import Scales
from qresearch.models.frozen import Frozen, absorbed
from qresearch.models.given import as_mask, check_numbers, check_params, check_state
from qresearch.models.recipe import Recipe
from qresearch.models.rule import Rule
from qresearch.models.site import Site
from qresearch.models.stacks import owners
from qresearch.models.state import State
from qresearch.models.table import row, stored_bits
from qresearch.models.traced import Traced, signature, traced
from qresearch.models.trainable import Trainable, trainable
from qresearch.solving.moments import Moments

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, eq=False)
class Plan:
    """What is to be done with a model.

    Attributes:
        model: the function `apply(params, *inputs)`.
        recipe: what each site gets.
        rules: the same for every site by name.
        example: the traced program for the inputs of the plan.
        shapes: the parameters as `jax.ShapeDtypeStruct`.
        cuts: the stacks in which some layers have rules of their own.
    """

    model: Callable[..., Any]
    recipe: Recipe
    rules: Mapping[str, Rule]
    example: Traced
    shapes: Any
    cuts: Cuts = ()

    @property
    def sites(self) -> tuple[Site, ...]:
        """The weights that meet data."""
        return self.example.sites

    def start(self, params: Any) -> State:
        """The state before anything was observed. Raises `ValueError` for parameters that are not those of the plan."""
        check_params(self.shapes, params)
        return self._start(params)

    def _start(self, params: Any) -> State:
        seen = {site.name: observer(site, self.rules[site.name]) for site in self.sites if site.multiplies}
        holders = set(owners(self.sites, self.rules).values())
        moments = {
            site.name: Moments.start(site.shape[-1], site.shape[: site.lanes]) for site in self.sites if site.name in holders
        }
        return State(params, seen, moments)

    def observe(self, state: State, *inputs: Any, mask: Any = None) -> State:
        """Runs the model in floating point and keeps what each site needs of its inputs.

        Args:
            state: of this plan.
            inputs: a batch, as `apply` takes it.
            mask: bool; its axes are the first axes of the data that the sites see, such as [batch] or [batch, time]. Rows
                where it is false (padding) take no part.

        Raises:
            TypeError: for a mask that is not bool.
            ValueError: for a mask that does not fit the data of a site, which it names.
        """
        seen, moments = compiled.observe(self, check_state(state, State), inputs, as_mask(mask))
        return dataclasses.replace(state, seen=seen, moments=moments)

    def trainable(self, state: State, key: Array | None = None) -> Trainable:
        """What training changes: the parameters, and the scales that the recipe learns (`lsq`). A pytree of floating point.

        Take it in place of the state: `jax.grad(lambda t: loss(plan.apply(t, x)))(train)`, an optimizer's steps on it, then
        `plan.freeze(train)`. Static scales stay as they are.

        Args:
            state: of this plan.
            key: a JAX random key, for scales that are stored with stochastic rounding.

        Raises:
            ValueError: for static or learned inputs that nothing was observed of, and for methods that choose codes by what
                was observed, such as GPTQ.

        >>> import jax, jax.numpy as jnp, qresearch as qr
        >>> x, w = jnp.ones((4, 8)), jnp.linspace(-1.0, 1.0, 16).reshape(8, 2)
        >>> plan = qr.model.plan(lambda p, x: x @ p["w"], {"w": w}, "lsq(int2@row) | lsq(int8)", x)
        >>> train = plan.trainable(plan.observe(plan.start({"w": w}), x))
        >>> slope = jax.grad(lambda train: jnp.sum(plan.apply(train, x) ** 2))(train)
        >>> slope.params["w"].shape, slope.steps["weights"]["w"].scale.shape, slope.steps["inputs"]["w"].scale.shape
        ((8, 2), (2, 1), (1, 1))
        """
        if self.recipe.in_order:
            raise ValueError("a recipe that quantizes in order is not for training; leave out 'in order:', and plan again")
        check_seen(self.sites, self.rules, check_state(state, State))
        return trainable(self.example, self.rules, state, key)

    def apply(self, state: State | Trainable, *inputs: Any, key: Array | None = None, gradient: str = "clipped") -> Any:
        """The outputs with weights and inputs quantized, computed in floating point. The gradient is straight-through.

        Args:
            state: of this plan, or what `trainable` made of it.
            inputs: as `apply` takes them.
            key: a JAX random key, for stochastic rounding.
            gradient: `"clipped"` passes the gradient where a number is not clipped, `"unclipped"` everywhere.

        Raises:
            ValueError: for static inputs that nothing was observed of.
        """
        self._ready(state)
        return compiled.apply(self, state, inputs, key, gradient)

    def quantize(self, state: State | Trainable, key: Array | None = None) -> dict[str, QTensor]:
        """Site -> its weight [stack..., out..., in] in codes, for every site that has a scheme.

        Raises `ValueError` for parameters with NaN or infinity, and for static inputs without data.
        """
        self._ready(state)
        check_numbers(self.example, {name for name, rule in self.rules.items() if rule.scheme is not None}, state)
        return compiled.quantize(self, state, key)

    def freeze(
        self, state: State | Trainable, key: Array | None = None, weights: Mapping[str, QTensor] | None = None
    ) -> Frozen:
        """The model without its float weights. Its outputs equal those of `apply`, bit for bit.

        Args:
            state: of this plan, or what `trainable` made of it.
            key: a JAX random key, for stochastic rounding: the same as for `apply`.
            weights: what `quantize` returned, if it is there already.
        """
        self._ready(state)
        found = self.quantize(state, key) if weights is None else dict(weights)
        return self._frozen(state.params, found, compiled.scales(self, state))

    def in_order(self, params: Any, *inputs: Any, mask: Any = None) -> Frozen:
        """Quantizes a model whose recipe begins with `in order:`, in one run over all calibration data.

        Args:
            params: in floating point.
            inputs: all data in one batch, as `apply` takes it.
            mask: as in `observe`.

        Raises:
            ValueError: for another recipe, for sites that cannot be quantized in order, for NaN, and for sites without tokens.

        >>> import jax, jax.numpy as jnp, qresearch as qr
        >>> w, x = jax.random.normal(jax.random.key(0), (2, 64, 64)) / 8, jax.random.normal(jax.random.key(1), (256, 64))
        >>> def apply(w, x):
        ...     return jax.lax.scan(lambda x, w: (jnp.tanh(x @ w), None), x, w)[0]
        >>> frozen = qr.model.plan(apply, w, "in order: gptq(int4@64)", x).in_order(w, x)
        >>> frozen.bits
        4.5
        """
        if not self.recipe.in_order:
            raise ValueError(f"the recipe {str(self.recipe)!r} does not begin with 'in order:'; call observe and freeze")
        state = self.start(params)
        check_numbers(self.example, {name for name, rule in self.rules.items() if rule.scheme is not None}, state)
        weights, scales, seen = compiled.in_order(self, params, inputs, as_mask(mask))
        check_seen(self.sites, self.rules, dataclasses.replace(state, seen=state.seen | seen))
        return self._frozen(params, weights, scales)

    def _ready(self, state: Any) -> None:
        """Raises `ValueError` where something was not observed that a rule needs."""
        if self.recipe.in_order:
            raise ValueError(
                "the recipe quantizes in order, for which the data are needed again; call plan.in_order(params, x)"
            )
        check_seen(self.sites, self.rules, check_state(state, State, Trainable))

    def _frozen(self, params: Any, weights: dict[str, QTensor], scales: Scales) -> Frozen:
        leaves = dict(zip(self.example.names, jax.tree.leaves(params)))
        tree, extra = absorbed(self.example, self.shapes, lambda name, _: leaves[name], weights)
        return Frozen(tree, extra, scales, self)

    def scales_shape(self) -> Scales:
        """The shapes of what is held of the inputs."""
        return jax.eval_shape(lambda params: compiled.scales(self, self._start(params)), self.shapes)

    def site(self, name: str) -> Site:
        """A site by name. Raises `KeyError` with the names there are."""
        found = {site.name: site for site in self.sites}
        if name not in found:
            raise KeyError(f"{name!r}{suggestion(name, found)}; the sites are {', '.join(found)}")
        return found[name]

    def table(self, state: State | None = None) -> pd.DataFrame:
        """One row a site: its kind, shape, rule, size, true bits; with a state also what was observed of its inputs."""
        import pandas as pd

        return pd.DataFrame([row(site, self.rules[site.name], state) for site in self.sites]).set_index("site")

    def errors(self, state: State | Trainable, *inputs: Any, key: Array | None = None, frozen: Frozen | None = None) -> Any:
        """How much each weight changes, on a batch of inputs that pass through the float model.

        Args:
            state: of this plan.
            inputs: a batch, as `apply` takes it.
            key: a JAX random key, for stochastic rounding.
            frozen: the frozen model, if it is there already.

        Returns:
            A data frame, one row for each quantized weight; the layers of a stack are rows of their own. `weight_error` and
            `output_error` are RMS errors over the RMS of what they belong to (NaN for an embedding, which has no product),
            `low` and `high` the range of the inputs, `share` the part of the bytes of all quantized weights.
        """
        import pandas as pd

        made = self.freeze(state, key) if frozen is None else frozen
        errors, sums = compiled.errors(self, state, inputs, made.weights, made.scales, key)
        return pd.DataFrame(list(lines(self.sites, made.weights, errors, sums)))

    def estimate(self) -> pd.DataFrame:
        """What quantizing will cost, a row for each site: bytes before and after, and seconds.

        The seconds are those of a sample of each scheme on this machine, without the time to compile.

        Raises `ValueError` if the size of a weight depends on its codes, as with entropy coders.
        """
        import pandas as pd

        return pd.DataFrame(estimated(self.sites, self.rules)).set_index("site")

    @property
    def kept(self) -> dict[str, tuple[str, ...]]:
        """Parameters that no site holds -> the operations that read them; empty for those that nothing reads."""
        program = self.example
        read = {number for site in program.sites for number in site.leaves}
        return {name: program.others.get(name, ()) for number, name in enumerate(program.names) if number not in read}

    @property
    def nbytes(self) -> int:
        """The bytes of the frozen model without static scales, before anything is quantized.

        Raises `ValueError` if the size of a weight depends on its codes, as with entropy coders.
        """
        weights = sum(-(-stored_bits(site, self.rules[site.name]) // 8) for site in self.sites if self.rules[site.name].scheme)
        held = {site.name: None for site in self.sites if self.rules[site.name].scheme is not None}
        left: list[Any] = []
        absorbed(self.example, self.shapes, lambda _, shape: left.append(shape), held)
        return weights + sum(each.size * each.dtype.itemsize for each in left)

    def program(self, inputs: tuple[Any, ...]) -> Traced:
        """The traced program for inputs of these shapes. Raises `ValueError` if its sites are others than those of the plan."""
        found = traced(self.model, signature(self.shapes, inputs), self.cuts)
        if [site.name for site in found.sites] != [site.name for site in self.sites]:
            raise ValueError("with inputs of these shapes the model has other sites than those of the plan; make another plan")
        return found
