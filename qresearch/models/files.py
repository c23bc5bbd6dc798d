"""Frozen models in one safetensors file: packed weights, the parameters left in floating point, static scales, and the recipe.

A file holds numbers and names, no code. `load` needs the plan of the same model, which may be made from shapes alone
(`jax.eval_shape`).
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from qresearch.api import from_packed
from qresearch.coders.qtensor import QTensor
from qresearch.grammar.build import build
from qresearch.models.executing import Scales
from qresearch.models.frozen import Frozen, absorbed, is_quantized
from qresearch.models.plan import Plan

KEY = "qresearch.model"
"""The key of the metadata: JSON with the format, the recipe and, for each weight, its scheme, shape and dtype."""

FORMAT = 1


def save(frozen: Frozen, path: str | Path) -> None:
    """Writes a frozen model. Nothing is left behind if writing fails.

    Raises:
        ImportError: if safetensors is not installed.
    """
    from safetensors.numpy import save_file

    tensors: dict[str, np.ndarray] = {}
    about: dict[str, Any] = {}
    for name, weight in frozen.weights.items():
        about[name] = entry(weight, frozen.plan.site(name).order)
        tensors |= _packed(f"weights.{name}", weight, frozen.plan.site(name).stack)
    for name, leaf in zip(frozen.plan.example.names, frozen.leaves):
        if leaf is not None and not is_quantized(leaf):
            tensors[f"params.{name}"] = np.ascontiguousarray(leaf)
    for label in ("static", "transforms", "corrections"):
        for name, leaf in flat("scales" if label == "static" else label, getattr(frozen.scales, label)):
            tensors[name] = np.ascontiguousarray(leaf)
    path = Path(path)
    temporary = path.with_name(f".{path.name}.part")
    try:
        save_file(tensors, str(temporary), metadata=metadata(str(frozen.plan.recipe), about))
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def entry(weight: QTensor, order: Sequence[int]) -> dict[str, Any]:
    """What a file says of a weight. `order`: the axes of the parameter that became [stack..., out..., in]."""
    return {"scheme": weight.scheme, "shape": list(weight.shape), "dtype": weight.dtype, "order": list(order)}


def metadata(recipe: str, weights: Mapping[str, Any]) -> dict[str, str]:
    """The metadata of a file. `weights`: name -> what `entry` returned."""
    return {KEY: json.dumps({"format": FORMAT, "recipe": recipe, "weights": weights})}


def _packed(name: str, weight: QTensor, stack: int) -> dict[str, np.ndarray]:
    """The bytes of every weight of a stack."""
    shape = weight.shape[:stack]
    found: dict[str, np.ndarray] = {}
    for place in np.ndindex(*shape):
        one = jax.tree.map(lambda leaf, place=place: np.asarray(leaf)[place], weight)
        label = "".join(f"[{number}]" for number in place)
        found |= {part: np.ascontiguousarray(leaf) for part, leaf in flat(f"{name}{label}", one.pack())}
    return found


def flat(name: str, tree: Any) -> Iterator[tuple[str, Any]]:
    """The leaves of a tree, each with its path after `name`: `weights.w.scale.codes`."""
    if isinstance(tree, Mapping):
        for key, value in tree.items():
            yield from flat(f"{name}.{key}", value)
        return
    for path, leaf in jax.tree_util.tree_leaves_with_path(tree):
        yield name + "".join(f".{getattr(key, 'name', getattr(key, 'key', key))}" for key in path), leaf


def load(path: str | Path, plan: Plan) -> Frozen:
    """Reads what `save` wrote, for a plan of the same model and recipe. The round trip is exact.

    Raises:
        ImportError: if safetensors is not installed.
        ValueError: for a file of another kind, recipe or model, and for missing or surplus tensors.
    """
    from safetensors import SafetensorError, safe_open

    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: there is no such file")
    try:
        with safe_open(str(path), "np") as file:
            about = json.loads((file.metadata() or {}).get(KEY, "null"))
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  not a mapping
    except (SafetensorError, ValueError) as error:
        raise ValueError(f"{path} is no safetensors file that can be read: {error}") from error
    if not isinstance(about, dict) or about.get("format") != FORMAT:
        raise ValueError(f"{path} holds no frozen model of this version; qr.model.save writes one")
    if about["recipe"] != str(plan.recipe):
        raise ValueError(f"{path} was frozen with the recipe {about['recipe']!r}, and the plan has {str(plan.recipe)!r}")
    return _Reader(path, tensors, about["weights"], plan).frozen()


class _Reader:
    """The tensors of a file, each taken once."""

    def __init__(self, path: Path, tensors: dict[str, Any], about: dict[str, Any], plan: Plan) -> None:
        self.path, self.left, self.about, self.plan = path, tensors, about, plan

    def take(self, name: str) -> Any:
        if name not in self.left:
            raise ValueError(f"{self.path} lacks the tensor {name!r} that this model needs")
        return self.left.pop(name)

    def frozen(self) -> Frozen:
        weights = {}
        for site in self.plan.sites:
            if self.plan.rules[site.name].scheme is None:
                continue
            if site.name not in self.about or self.about[site.name]["shape"] != list(site.shape):
                known = self.about.get(site.name, {}).get("shape", "nothing")
                raise ValueError(f"{self.path} has {known} for {site.name!r}, and the model has {list(site.shape)}")
            if (order := self.about[site.name].get("order")) not in (None, list(site.order)):
                raise ValueError(
                    f"{self.path}: the axes {order} of {site.name!r} are [out..., in] in the file, and {list(site.order)} in "
                    "the model; apply must contract the same axis: x @ w.T for a weight [out, in] that was quantized in a file"
                )
            weights[site.name] = self._weight(site.name, site.shape, site.stack)
        params, extra = absorbed(self.plan.example, self.plan.shapes, self._params, weights)
        scales = self._scales()
        if self.left:
            raise ValueError(f"{self.path} holds {len(self.left)} tensors that this model lacks, such as {min(self.left)!r}")
        return Frozen(params, extra, scales, self.plan)

    def _params(self, name: str, shape: Any) -> Any:
        found = self.take(f"params.{name}")
        if (found.shape, found.dtype) != (tuple(shape.shape), shape.dtype):
            wanted = f"{shape.dtype}{list(shape.shape)}"
            raise ValueError(f"{self.path}: {name!r} is {found.dtype}{list(found.shape)}, and the model has {wanted}")
        return jnp.asarray(found)

    def _weight(self, name: str, shape: tuple[int, ...], stack: int) -> QTensor:
        about = self.about[name]
        coder = build(about["scheme"])
        found = []
        for place in np.ndindex(*shape[:stack]):
            prefix = f"weights.{name}" + "".join(f"[{number}]" for number in place) + "."
            parts = [part for part in self.left if part.startswith(prefix)]
            packed: dict[str, Any] = {}
            for part in parts:
                *path, last = part.removeprefix(prefix).split(".")
                inner = packed
                for word in path:
                    inner = inner.setdefault(word, {})
                inner[last] = jnp.asarray(self.take(part))
            found.append(from_packed(packed, coder, shape[stack:]))
        one = found[0] if not stack else jax.tree.map(lambda *leaves: jnp.stack(leaves), *found)
        shaped = jax.tree.map(lambda leaf: leaf.reshape(*shape[:stack], *leaf.shape[1:]), one) if stack else one
        return dataclasses.replace(shaped, dtype=about["dtype"])

    def _scales(self) -> Scales:
        wanted = self.plan.scales_shape()
        parts = {"scales": wanted.static, "transforms": wanted.transforms, "corrections": wanted.corrections}
        names = [name for label, part in parts.items() for name, _ in flat(label, part)]
        return jax.tree.unflatten(jax.tree.structure(wanted), [jnp.asarray(self.take(name)) for name in names])
