"""Checks when a scheme is built: refuses parts that would be ignored, and parts that do not work together."""

from __future__ import annotations

from qresearch.coders.coder import Coder
from qresearch.element.element import Element
from qresearch.grammar.spec import Spec
from qresearch.scales.block import Block
from qresearch.scales.form import FORMS, Form
from qresearch.scales.forms import Bare
from qresearch.scales.statistic import STATISTICS, Need, Statistic


def check(spec: Spec, element: Element, form: Form, statistic: Statistic, scale: Coder | None, offset: Coder | None) -> None:
    """Raises `ValueError` if parts do not fit; the message names the part and what to write instead."""
    if isinstance(form, Bare):
        _check_cast(spec)
    elif form.need is not None and not type(statistic).gives(form.need):
        _refuse_statistic(spec, form.need)
    _check_element(spec, element, form)
    _check_storages(spec, form, statistic, scale, offset)
    if statistic.searches and element.rounding.stochastic:
        raise ValueError(
            f"the statistic {spec.statistic!r} measures errors, which '~{spec.rounding}' makes random; take another rounding"
        )
    if statistic.moves_minimum and not form.movable:
        raise ValueError(
            f"the statistic {spec.statistic!r} optimises a minimum that is no integer, so it needs the form 'offset'"
        )
    statistic.check(element)


def _refuse_statistic(spec: Spec, need: Need) -> None:
    others = [
        row.name
        for row in STATISTICS.rows
        if isinstance(row.value, type) and issubclass(row.value, Statistic) and row.value.gives(need)
    ]
    wanted = f"{'an interval' if need == 'interval' else 'a width'}: {' or '.join(others)}"
    raise ValueError(f"the form {spec.form!r} needs a statistic with {wanted}, not {spec.statistic!r}")


def _check_cast(spec: Spec) -> None:
    """Refuses everything that needs a scale."""
    written = {"block": spec.block != Block(), "scale": spec.scale, "form": spec.form != "sym"}
    for field, given in (written | {"exact": spec.exact, "divided": spec.divided}).items():
        if given:
            better = f"{spec.element}-absmax" + (f"@{spec.block}" if spec.block != Block() else "")
            raise ValueError(
                f"a cast (statistic 'unit') has no scale, so {field!r} has no meaning; write {better!r} to scale it"
            )


def _check_element(spec: Spec, element: Element, form: Form) -> None:
    """Refuses forms, ranges and blocks that do not work with the element."""
    if not isinstance(form, Bare):
        spec.block.check_group(element.group)
    if form.asymmetric and element.grid.integers is None:
        raise ValueError(f"the form {spec.form!r} needs an integer element, such as int4, not {spec.element!r}")
    if spec.range is not None and spec.range not in spec.row.ranges:
        owners = {"full": "signed integers", "restricted": "signed integers"}.get(spec.range, "floats")
        raise ValueError(f"'-{spec.range}' belongs to {owners}, not to {spec.element!r}; leave it out")
    if spec.range == "overflow" and not isinstance(form, Bare):
        raise ValueError(
            f"'-overflow' belongs to casts: with a scale nothing should overflow; write '{spec.element}-overflow-unit'"
        )


def _check_storages(spec: Spec, form: Form, statistic: Statistic, scale: Coder | None, offset: Coder | None) -> None:
    """Refuses storages that would store nothing, or that cannot represent the numbers."""
    if offset is not None and not form.minimum:
        storing = " and ".join(name for name in FORMS if FORMS[name].minimum)
        raise ValueError(f"only the forms {storing} store an offset, not {spec.form!r}")
    for field, coder, stored in (("scale", scale, spec.scale), ("offset", offset, spec.offset)):
        if coder is not None and not coder.packer.fixed:
            raise ValueError(
                f"a {field} cannot be entropy-coded, as in {str(stored)!r}; write the coder after the whole scheme"
            )
    if statistic.refits and not (spec.exact and spec.form == "sym"):
        raise ValueError(
            f"the statistic {spec.statistic!r} encodes by one scale and decodes by another; "
            f"write '{spec.element}-{spec.statistic}-exact'"
        )
    if spec.exact and scale is None and offset is None and not statistic.refits:
        raise ValueError("'-exact' has no effect, since scales are stored exactly, in float32; leave it out")
    signed = f"the form {spec.form!r}" if form.signed else f"the statistic {spec.statistic!r}"
    if scale is not None and (form.signed or statistic.signed) and _unsigned(scale):
        raise ValueError(f"{signed} has negative scales, which {str(spec.scale)!r} cannot store")
    if offset is not None and _unsigned(offset):
        raise ValueError(
            f"the form {spec.form!r} has negative minima, which {str(spec.offset)!r} cannot store; "
            f"store them in another scheme: {spec.element}-{spec.form}(bf16)"
        )


def _unsigned(coder: Coder) -> bool:
    """Whether a scheme can store no negative number. With a signed statistic, a block may hold negative numbers alone."""
    scaling = coder.scaling
    return not scaling.form.asymmetric and not scaling.statistic.signed and coder.element.grid.ends[0] >= 0
