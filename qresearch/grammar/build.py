"""Builds a coder from a Spec: looks up the parts by name, and computes their numbers on the host."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import jax
import numpy as np

from qresearch.arithmetic.exact import TINY
from qresearch.coders.coder import Coder, remember
from qresearch.coders.quantizer import Quantizer
from qresearch.coders.storage import storage
from qresearch.element.element import Element
from qresearch.element.grouped import Grouped
from qresearch.element.levels.files import stamps
from qresearch.element.rounding import ROUNDINGS, Rounding
from qresearch.element.table import ELEMENTS, Choice
from qresearch.grammar import refuse
from qresearch.grammar.letters import listed, number_or_word, numbers, split_call
from qresearch.grammar.spec import Spec, scheme, schemes_in
from qresearch.scales.form import FORMS, Form
from qresearch.scales.forms import Bare
from qresearch.scales.power_of_two import RULES, top
from qresearch.scales.scaling import Scaling
from qresearch.scales.statistic import STATISTICS, Statistic, Unit
from qresearch.wrapping.table import WRAPPERS, read_arguments


def build(text: str | Spec | Coder) -> Coder:
    """The coder of a scheme, given as text or Spec. A coder is returned unchanged. Each scheme is built only once.

    Raises:
        ValueError: if the parts do not fit together. The message names the part and what to write instead.

    >>> build("int4@32").storage_bits((1024,)) / 1024
    5.0
    """
    if isinstance(text, Coder):
        return text
    spec = scheme(text)
    return _built(spec, stamps(_elements(spec)))


def _elements(spec: Spec) -> Iterator[str]:
    """The texts that may name a file: elements and wrappers, of the scheme and of the schemes that store its scales."""
    yield from (spec.element, *spec.wrappers)
    for stored in (spec.scale, spec.offset):
        if stored is not None:
            yield from _elements(stored)


@lru_cache(maxsize=4096)
def _built(spec: Spec, files: tuple[Any, ...]) -> Coder:
    try:
        with jax.ensure_compile_time_eval():  # computes tables on the host, even if a scheme is first used inside jit
            coder = _wrapped(_assemble(spec), spec.wrappers)
    except (ValueError, TypeError) as error:
        prefix = f"'{spec}': "
        raise ValueError(f"{error}" if str(error).startswith(prefix) else f"{prefix}{error}") from None
    remember(coder, str(spec))
    return coder


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
    form: Form = Bare() if cast else FORMS[spec.form]
    element = _element(spec, ROUNDINGS[str(spec.rounding)], cast)
    scale, offset = (None if each is None else build(each) for each in (spec.scale, spec.offset))
    refuse.check(spec, element, form, statistic, scale, offset)
    scaling = Scaling(
        gain=np.float32(1) if cast else _gain(spec, element, form, statistic),
        scale=storage(scale),
        offset=storage(offset),
        form=form,
        statistic=statistic,
        rise=_rise(spec, element, form),
        exact=spec.exact,
        divided=spec.divided,
    )
    return Quantizer(element, scaling, spec.block)


def _statistic(text: str) -> Statistic:
    name, given = split_call(text)
    try:
        found = STATISTICS[name](*numbers(given))
    except TypeError:
        examples = STATISTICS.find(name).row.examples
        raise ValueError(f"the statistic {text!r} has the wrong number of arguments; write {examples[0]!r}") from None
    if not isinstance(found, Statistic):
        raise TypeError(f"the statistic {name!r} makes a {type(found).__name__}; its class must subclass qr.Statistic")
    return found


def _element(spec: Spec, rounding: Rounding, cast: bool) -> Element:
    name, given = split_call(spec.element)
    found = ELEMENTS.find(name)
    choice = Choice(rounding, spec.range == "restricted", cast, spec.range == "overflow")
    try:
        given_there = [number_or_word(each) for each in listed(given)]
        inspect.signature(found.row.value.build).bind(choice, *given_there, **found.numbers)  # for its clear error message
        made = found.row.value.build(choice, *given_there, **found.numbers)
    except TypeError as error:
        example = found.row.examples[0]
        raise ValueError(f"the element {spec.element!r} cannot be built: {error}; write it as {example!r}") from error
    return Element(made, rounding)


def _rise(spec: Spec, element: Element, form: Form) -> np.int32 | None:
    """The threshold of the scale rule (`scales.power_of_two`); None unless symmetric scales are stored as powers of two."""
    stored = spec.scale
    ruled = form.need == "width" and stored is not None and stored == scheme(stored.element) and stored.row.power_of_two
    if isinstance(element.grid, Grouped):
        if spec.rule != "floor":
            raise ValueError(f"'-{spec.rule}' needs the largest level of {spec.element!r}, and vectors have none; leave it out")
        return None
    if ruled and not spec.exact:
        return np.int32(RULES[spec.rule](top(element.grid)))
    if spec.rule != "floor":
        why = "'-exact' encodes with the scale itself" if ruled else "only a symmetric scale stored as a power of two has one"
        raise ValueError(f"'-{spec.rule}' is a rule for powers of two, and {why}; write {spec.element}-{spec.rule}@32:e8m0")
    return None


def _gain(spec: Spec, element: Element, form: Form, statistic: Statistic) -> np.float32:
    """The ratio of a block's scale to its width, or to half of its interval; the inverse if `divided`. Computed in float64."""
    target, factor = _target(spec, element, form, statistic), statistic.factor
    if not target:
        raise ValueError(f"{spec.element!r} has no number but zero, which no scale can stretch over a block")
    if abs(factor / target) < TINY:
        raise ValueError(
            f"{spec.element!r} reaches {target:.3g}, so scales would be subnormal in float32 and flushed to zero; "
            f"write '{spec.element}-unit', a cast"
        )
    return np.float32(target / factor if spec.divided else factor / target)


def _target(spec: Spec, element: Element, form: Form, statistic: Statistic) -> float:
    """What a block's width, or half of its interval, is mapped to."""
    least, most = element.grid.ends
    if form.asymmetric:
        return (most - least) / 2
    target = float(element.grid.reach)
    if statistic.signed and -least > most:
        target = least
    if spec.scale is not None and spec.scale.row.power_of_two and not spec.scale.wrappers:
        target = float(np.copysign(2.0 ** (np.frexp(abs(target))[1] - 1), target))
    return target
