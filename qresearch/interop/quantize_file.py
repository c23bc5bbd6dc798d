"""A checkpoint quantized from file to file, tensor by tensor: weights only, without the model's function and without data."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from qresearch import api
from qresearch.base.table import suggestion
from qresearch.coders.qtensor import QTensor
from qresearch.grammar.build import build
from qresearch.grammar.spec import Spec
from qresearch.interop.place_tensors import Slots, place_tensors
from qresearch.interop.tensor_files import StoredTensor, stored_tensors
from qresearch.measuring.footprint import Footprint, TensorFootprint
from qresearch.models.files import entry, flat, metadata
from qresearch.models.patterns import matches
from qresearch.models.recipe import Recipe
from qresearch.models.rule import Rule

ORDER = (0, 1)
"""Weights in files are [out, in]: the last axis is contracted."""


def quantize_file(source: str | Path, target: str | Path, recipe: Any) -> Footprint:
    """Quantizes a checkpoint into one safetensors file that `qr.model.load` reads. In memory is one tensor at a time.

    Matrices are taken as [out, in], so that `int4@128` divides the inputs of each output into groups. Each is quantized in
    float32, and `qr.model.load` gives it back in the dtype it had; blocks of a .gguf file become float32 first. The result
    equals bit for bit that of `qr.model.quantize` with the same recipe, for a function whose parameters are a dict with the
    names of the tensors. Vectors, integers, and matrices with the rule `none` are copied.

    Args:
        source: a .safetensors or .gguf file, the index of a sharded checkpoint, a pattern, or a folder with these.
        target: the file to write. It appears when it is complete.
        recipe: as for models: a text, or a mapping from patterns of tensor names to rules. Every matrix needs a rule.

    Returns:
        each tensor before and after.

    Raises:
        ImportError: if safetensors is not installed, or gguf for such a file.
        FileNotFoundError: if a file or folder is not there.
        OSError: if the disk has not enough room.
        ValueError: naming what is wrong: a damaged file, a rule that no matrix uses or that needs data, a matrix without a
            rule, a scheme that does not fit a shape, a tensor that is quantized already. Nothing is written then.

    >>> import tempfile, numpy as np
    >>> from safetensors.numpy import save_file
    >>> folder = Path(tempfile.mkdtemp())
    >>> save_file({"up.weight": np.ones((64, 32), "f4"), "norm": np.ones(32, "f4")}, folder / "model.safetensors")
    >>> print(quantize_file(folder, folder / "w4.safetensors", "int4@32"))
    norm       (32,)     float32  kept     128
    up.weight  (64, 32)  float32  int4@32  1,280
    1,408 bytes, 5.4154 bits per element
    """
    source, target = Path(source), Path(target)
    if target.suffix != ".safetensors":
        raise ValueError(f"target: {target} must end in .safetensors, the format that is written")
    tensors = dict(sorted(stored_tensors(source).items()))
    if any(target.resolve() == each.path.resolve() for each in tensors.values()):
        raise ValueError(f"target: {target} is a file of the source; name another one")
    parsed = Recipe.parse(recipe)
    schemes = _schemes(source, tensors, parsed)
    shapes = {name: _planned(name, tensors[name], scheme) for name, scheme in schemes.items()}
    parts = {name: _parts(name, each) for name, each in shapes.items()}
    kept = {f"params.{name}": (each.shape, each.dtype) for name, each in tensors.items() if name not in schemes}
    slots = kept | {label: (leaf.shape, leaf.dtype.name) for each in parts.values() for label, leaf in each.items()}
    about = {name: entry(each, ORDER) for name, each in shapes.items()}
    place_tensors(target, slots, _quantized(tensors, schemes), metadata(str(parsed), about))
    return Footprint(tuple(_row(name, each, schemes.get(name), parts.get(name, {}), slots) for name, each in tensors.items()))


def _schemes(source: Path, tensors: Mapping[str, StoredTensor], recipe: Recipe) -> dict[str, Spec]:
    """Name -> scheme, for the matrices that are quantized. Raises `ValueError` for what has no meaning in a file."""
    if recipe.in_order:
        raise ValueError("recipe: 'in order:' needs data that pass through the model; leave it out, or use qr.model.quantize")
    for pattern, rule in recipe.rules:
        _check_rule(pattern, rule)
    matrices = [name for name, each in tensors.items() if _is_float(each) and len(each.shape) > 1]
    if not matrices:
        raise ValueError(f"{source} holds no matrix of floats; one that is quantized already is read by qresearch.interop.load")
    _check_patterns(recipe, matrices, [name for name in tensors if name not in matrices])
    rules = recipe.assign(matrices)
    found = {name: rule.scheme for name, rule in rules.items() if rule.scheme is not None}
    for name in found:
        each = tensors[name]
        if len(each.shape) > 2:
            raise ValueError(
                f"{name!r} has the shape {list(each.shape)}; without the model only matrices [out, in] can be quantized: "
                f"put '{name} = none' before the other rules, or use qr.model.quantize"
            )
        if each.dtype.startswith("float8"):
            raise ValueError(
                f"{name!r} is quantized already ({each.coarse}), and its scales are other tensors; read it with "
                "qresearch.interop.load, or take the checkpoint before it was quantized"
            )
    return found


def _check_rule(pattern: str, rule: Rule) -> None:
    if rule.inputs is not None:
        raise ValueError(
            f"the rule of {pattern!r} quantizes inputs ({rule.inputs}), which a file does not have; write "
            f"{str(rule).partition(' | ')[0]!r} alone, or use qr.model.quantize"
        )
    if rule.methods:
        raise ValueError(
            f"the rule of {pattern!r} has the method {rule.method}, which needs the model or data; write {str(rule.scheme)!r} "
            "alone, or use qr.model.quantize"
        )
    if rule.scheme is not None:
        coder = build(rule.scheme)
        if coder.stochastic:
            raise ValueError(f"the rule of {pattern!r}: {rule.scheme} draws random numbers; write one without ~stochastic")
        if not coder.packer.fixed:
            raise ValueError(f"the rule of {pattern!r}: the bytes of {rule.scheme} depend on the numbers; leave out its coding")


def _check_patterns(recipe: Recipe, matrices: list[str], others: list[str]) -> None:
    """A rule for vectors alone would have no effect."""
    for pattern, _ in recipe.rules:
        if not any(matches(pattern, name) for name in matrices):
            if found := [name for name in others if matches(pattern, name)]:
                raise ValueError(f"{pattern!r} matches no matrix; {found[0]!r} is always copied: leave this rule out")
            near = suggestion(pattern, [*matrices, *others]) or f"; there are {', '.join(map(repr, matrices[:5]))}"
            raise ValueError(f"no tensor has a name like {pattern!r}{near}")


def _is_float(tensor: StoredTensor) -> bool:
    return bool(jnp.issubdtype(jnp.dtype(tensor.dtype), jnp.floating))


def _planned(name: str, tensor: StoredTensor, scheme: Spec) -> QTensor:
    """The quantized weight with shapes in place of arrays."""
    try:
        return jax.eval_shape(lambda x: api.quantize(x, scheme), jax.ShapeDtypeStruct(tensor.shape, jnp.dtype(tensor.dtype)))
    except ValueError as error:
        raise ValueError(f"{name!r} {list(tensor.shape)}: {error}; put a rule for it before the others") from error


def _parts(name: str, weight: QTensor) -> dict[str, Any]:
    return dict(flat(f"weights.{name}", jax.eval_shape(lambda each: each.pack(), weight)))


def _quantized(tensors: Mapping[str, StoredTensor], schemes: Mapping[str, Spec]) -> Iterator[tuple[str, np.ndarray]]:
    for name, each in tensors.items():
        if name not in schemes:
            yield f"params.{name}", each.read()
        else:
            yield from _packed(name, each, schemes[name])  # no local name keeps the last tensor while the next is read


def _packed(name: str, tensor: StoredTensor, scheme: Spec) -> Iterator[tuple[str, np.ndarray]]:
    packed = api.quantize(tensor.read(), scheme).pack()
    yield from ((label, np.asarray(leaf)) for label, leaf in flat(f"weights.{name}", packed))


def _row(name: str, tensor: StoredTensor, scheme: Spec | None, parts: Mapping[str, Any], slots: Slots) -> TensorFootprint:
    stored = [slots[label] for label in parts or [f"params.{name}"]]
    size = sum(int(np.prod(shape, dtype=np.int64)) * jnp.dtype(dtype).itemsize for shape, dtype in stored)
    count = int(np.prod(tensor.shape, dtype=np.int64))
    return TensorFootprint(name, tensor.shape, tensor.dtype, "kept" if scheme is None else str(scheme), count, size)
