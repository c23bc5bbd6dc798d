"""From a Spec to a Quantizer: names become parts, host numbers become leaves, and what does not fit together is refused."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import jax
import numpy as np

from qresearch.arithmetic.exact import TINY
from qresearch.coders.coder import Coder
from qresearch.coders.quantizer import Quantizer
from qresearch.element.levels.files import stamps
from qresearch.element.rounding import ROUNDINGS, Rounding
from qresearch.element.scalar import Scalar
from qresearch.element.table import ELEMENTS, Choice
from qresearch.grammar.letters import listed, number_or_word, numbers, split_call
from qresearch.grammar.spec import Spec, scheme, schemes_in
from qresearch.scales.block import Block
from qresearch.scales.forms import FORMS, Bare
from qresearch.scales.power_of_two import RULES, top
from qresearch.scales.statistic import STATISTICS, Unit
from qresearch.wrapping.table import WRAPPERS, read_arguments


def build(text: str | Spec | Coder) -> Coder:
    """The coder of a scheme, given as text or Spec; a coder is returned as it is. Built once for each scheme.

    Raises:
        ValueError: where the parts do not fit together, saying which and the way out.

    >>> build("int4@32").storage_bits((1024,)) / 1024
    5.0
    """
    if isinstance(text, Coder):
        return text
    spec = scheme(text)
    return _built(spec, stamps(_elements(spec)))


def _elements(spec: Spec) -> Iterator[str]:
    """What may name a file: the elements of a scheme and of what stores its scales, and the wrappers."""
    yield from (spec.element, *spec.wrappers)
    for stored in (spec.scale, spec.offset):
        if stored is not None:
            yield from _elements(stored)


@lru_cache(maxsize=4096)
def _built(spec: Spec, files: tuple[Any, ...]) -> Coder:
    try:
        with jax.ensure_compile_time_eval():  # tables are made on the host, whoever is traced when a scheme is first used
            return _wrapped(_assemble(spec), spec.wrappers)
    except (ValueError, TypeError) as error:
        prefix = f"'{spec}': "
        raise ValueError(f"{error}" if str(error).startswith(prefix) else f"{prefix}{error}") from None


def _wrapped(coder: Coder, wrappers: tuple[str, ...]) -> Coder:
    for text in wrappers:
        name, given = split_call(text)
        row = WRAPPERS.find(name).row
        found = read_arguments(row, schemes_in(given))
        coder = row.value(coder, *(build(each) if isinstance(each, str) else each for each in found))
    return coder


def _assemble(spec: Spec) -> Quantizer:
    statistic = _statistic(str(spec.statistic))
    cast = isinstance(statistic, Unit)
    form = Bare() if cast else FORMS[spec.form]
    rounding = ROUNDINGS[str(spec.rounding)]
    grid = _grid(spec, rounding, cast)
    _check(spec, form, statistic, grid, rounding)
    scale = None if spec.scale is None else build(spec.scale)
    offset = None if spec.offset is None else build(spec.offset)
    gain = np.float32(1) if cast else _gain(spec, form, statistic, grid)
    shared = (spec.block, spec.exact, spec.divided)
    return Quantizer(Scalar(grid, rounding), gain, scale, offset, form, statistic, *shared, _rise(spec, form, grid))


def _statistic(text: str) -> Any:
    name, given = split_call(text)
    try:
        return STATISTICS[name](*numbers(given))
    except TypeError:
        examples = STATISTICS.find(name).row.examples
        raise ValueError(f"the statistic {text!r} has the wrong number of arguments; write {examples[0]!r}") from None


def _grid(spec: Spec, rounding: Rounding, cast: bool) -> Any:
    name, given = split_call(spec.element)
    found = ELEMENTS.find(name)
    choice = Choice(rounding, spec.range == "restricted", cast, spec.range == "overflow")
    try:
        given_there = [number_or_word(each) for each in listed(given)]
        inspect.signature(found.row.value.build).bind(choice, *given_there, **found.numbers)  # for its plain words
        return found.row.value.build(choice, *given_there, **found.numbers)
    except TypeError as error:
        example = found.row.examples[0]
        raise ValueError(f"the element {spec.element!r} cannot be built: {error}; write it as {example!r}") from error


def _check(spec: Spec, form: Any, statistic: Any, grid: Any, rounding: Rounding) -> None:
    """Refuses what would otherwise be ignored or mean nothing."""
    if isinstance(form, Bare):
        _check_cast(spec)
    elif not hasattr(statistic, form.needs):
        others = [n for n, s in ((row.name, row.value) for row in STATISTICS.rows) if hasattr(s, form.needs)]
        wanted = f"{_article(form.needs)}: {' or '.join(others)}"
        raise ValueError(f"the form {spec.form!r} needs a statistic with {wanted}, not {spec.statistic!r}")
    _check_element(spec, form, grid)
    _check_storages(spec, form, statistic)
    if getattr(statistic, "searches", False) and rounding.stochastic:
        raise ValueError(
            f"the statistic {spec.statistic!r} measures errors, which '~{spec.rounding}' makes random; take another"
        )
    if hasattr(statistic, "check"):
        statistic.check(form, grid)


def _check_cast(spec: Spec) -> None:
    """Refuses what needs a scale."""
    written = {"block": spec.block != Block(), "scale": spec.scale, "form": spec.form != "sym"}
    for field, given in (written | {"exact": spec.exact, "divided": spec.divided}).items():
        if given:
            better = f"{spec.element}-absmax" + (f"@{spec.block}" if spec.block != Block() else "")
            raise ValueError(
                f"a cast (statistic 'unit') has no scale, so a {field} means nothing; write {better!r} to scale it"
            )


def _check_element(spec: Spec, form: Any, grid: Any) -> None:
    """Refuses forms and ranges that the element does not have."""
    if form.asymmetric and not grid.shiftable:
        raise ValueError(f"the form {spec.form!r} needs an integer element, such as int4, not {spec.element!r}")
    if spec.range is not None and spec.range not in spec.row.ranges:
        owners = {"full": "signed integers", "restricted": "signed integers"}.get(spec.range, "floats")
        raise ValueError(f"'-{spec.range}' belongs to {owners}, not to {spec.element!r}; leave it out")
    if spec.range == "overflow" and not isinstance(form, Bare):
        raise ValueError(
            f"'-overflow' belongs to casts: with a scale nothing is to overflow; write '{spec.element}-overflow-unit'"
        )


def _check_storages(spec: Spec, form: Any, statistic: Any) -> None:
    """Refuses storages that there is nothing for, or that cannot hold what they are given."""
    if spec.offset is not None and not form.minimum:
        storing = " and ".join(name for name in FORMS if FORMS[name].minimum)
        raise ValueError(f"only the forms {storing} store an offset, not {spec.form!r}")
    for field, stored in (("scale", spec.scale), ("offset", spec.offset)):
        if stored is not None and not build(stored).by_shape:
            raise ValueError(
                f"a {field} cannot be entropy-coded, as in {str(stored)!r}; write the coder after the whole scheme"
            )
    if spec.exact and spec.scale is None and spec.offset is None:
        raise ValueError("'-exact' means nothing where the scale is stored in float32, which is exact; leave it out")
    signed = f"the form {spec.form!r}" if form.signed else f"the statistic {spec.statistic!r}"
    if spec.scale is not None and (form.signed or getattr(statistic, "signed", False)) and _unsigned(spec.scale):
        raise ValueError(f"{signed} has negative scales, which {str(spec.scale)!r} cannot store")
    if spec.offset is not None and _unsigned(spec.offset):
        raise ValueError(
            f"the form {spec.form!r} has negative minima, which {str(spec.offset)!r} cannot store; "
            f"give them a storage of their own: {spec.element}-{spec.form}(bf16)"
        )


def _unsigned(storage: Spec) -> bool:
    """Whether a scheme can store no negative number."""
    return storage.form == "sym" and build(storage).element.grid.ends[0] >= 0


def _rise(spec: Spec, form: Any, grid: Any) -> np.int32 | None:
    """The least fraction of a scale that goes up; None where no power of two stores the scales of symmetric blocks."""
    storage = spec.scale
    ruled = form.needs == "width" and storage is not None and storage == scheme(storage.element) and storage.row.power_of_two
    if ruled and not spec.exact:
        return np.int32(RULES[spec.rule](top(grid)))
    if spec.rule != "floor":
        why = "'-exact' encodes with the scale itself" if ruled else "only a symmetric scale stored as a power of two has one"
        raise ValueError(f"'-{spec.rule}' is a rule for powers of two, and {why}; write {spec.element}-{spec.rule}@32:e8m0")
    return None


def _article(need: str) -> str:
    return "an interval" if need == "interval" else f"a {need}"


def _gain(spec: Spec, form: Any, statistic: Any, grid: Any) -> np.float32:
    """A block's scale over its width, or over half of its interval, from float64 on the host; inverted where it is divided."""
    target, factor = _target(spec, form, statistic, grid), getattr(statistic, "factor", 1.0)
    if abs(factor / target) < TINY:
        raise ValueError(
            f"{spec.element!r} reaches to {target:.3g}: scales that map blocks to it are subnormal in float32, and flushed to "
            f"zero; write '{spec.element}-unit', a cast"
        )
    return np.float32(target / factor if spec.divided else factor / target)


def _target(spec: Spec, form: Any, statistic: Any, grid: Any) -> float:
    """What a block's width, or half of its interval, is mapped to."""
    least, most = grid.ends
    if form.asymmetric:
        return (most - least) / 2
    target = float(grid.reach)
    if getattr(statistic, "signed", False) and -least > most:
        target = least
    if spec.scale is not None and spec.scale.row.power_of_two and not spec.scale.wrappers:
        target = float(np.copysign(2.0 ** (np.frexp(abs(target))[1] - 1), target))
    return target
