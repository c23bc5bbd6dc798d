"""Specs: a scheme as plain data, and how its text is read and printed.

    scheme = element { "-" word } [ "@" block ] [ "~" rounding ] [ ":" scale ] { "+" wrapper }

The page `docs/grammar.md` has the whole grammar. A `Spec` is hashable. Two specs are equal if they mean the same scheme, and
a spec prints its shortest text.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Any

from qresearch.base import checks
from qresearch.base.table import Table, UnknownName, brief, shown, suggestion
from qresearch.element.rounding import ROUNDINGS
from qresearch.element.table import ELEMENTS, INTEGER_RANGES, ElementRow
from qresearch.grammar.hugging_face import HUGGING_FACE
from qresearch.grammar.letters import HEAD, close_up, listed, number_or_word, outside_brackets, shortest, split, split_call
from qresearch.grammar.other_names import elsewhere
from qresearch.grammar.words import FLAGS, RANGES, fields_of
from qresearch.scales.block import Block
from qresearch.scales.form import FORMS
from qresearch.scales.power_of_two import RULES
from qresearch.scales.statistic import STATISTICS
from qresearch.wrapping.table import WRAPPERS, read_arguments

MOST_NESTED_SCHEMES = 32
"""The most nested schemes and brackets in one scheme."""

MOST_WRAPPERS = 32
"""The most wrappers in one scheme."""

_FLOAT32 = ("f32", "float32")


@dataclass(frozen=True)
class Spec:
    """A scheme as a record of its parts.

    Fields that are None take the default that the other fields imply. The result equals a spec with the default written out.

    Attributes:
        element: `int4`, `nf4`, `e2m1`, `codebook(-1,0,1)` ...
        form: `sym`, `asym`, `offset` or `edge`.
        statistic: `absmax`, `signmax`, `minmax`, `rms(3)`, `quantile(0.99)` or `unit`.
        range: `full` or `restricted`, for integers; `saturate` or `overflow`, for casts to floats.
        block: a `Block`, or anything that `Block.parse` reads.
        rounding: `even`, `half_up`, `half_away`, `toward_zero` or `stochastic`.
        scale: the scheme that stores the scales; None is float32.
        offset: the scheme that stores the minima of the forms `offset` and `edge`; by default that of the scales; `f32` for
            float32.
        exact: whether encoding uses the scale (and the minimum) from before it was stored.
        divided: whether the scale is the quotient `width / 127`, not the product `width * (1 / 127)`.
        rule: how a scale is rounded if it is stored as a power of two: `floor`, `rceil`, `even` ...
        wrappers: the wrappers around the quantizer, the innermost first: `("outliers(0.01)", "hadamard(64)")`.

    Raises:
        ValueError: for an unknown name, with a suggestion.

    >>> Spec("int4", block=32, scale="bf16")
    Spec('int4@32:bf16')
    >>> scheme("int4-sym-absmax@32~even:bf16") == scheme("int4@32:bfloat16")
    True
    """

    element: str
    form: str = "sym"
    statistic: str | None = None
    range: str | None = None
    block: Any = None
    rounding: str | None = None
    scale: Any = None
    offset: Any = None
    exact: bool = False
    divided: bool = False
    wrappers: tuple[str, ...] = ()
    rule: str = "floor"

    def __post_init__(self) -> None:
        self._check_types()
        name, arguments = split_call(self.element)
        self._set(element=ELEMENTS.canonical(name) + shortest(arguments), form=FORMS.find(self.form).row.name)
        found = ELEMENTS.find(name)
        found.row.value.check(name, **found.numbers)
        self._set(rule=RULES.find(self.rule).row.name)
        statistic = self.statistic or (self.row.statistic if self.form == "sym" else "minmax")
        called, given = split_call(statistic)
        statistic = STATISTICS.find(called).row.name + shortest(given)
        rounding = ROUNDINGS.find(self.rounding or self.row.rounding).row.name
        self._set(statistic=statistic, rounding=rounding, block=Block.parse(self.block))
        if self.range is None and self.row.ranges:
            self._set(range=self._default_range())
        elif self.range not in (None, *RANGES):
            raise ValueError(
                f"range must be one of {', '.join(RANGES)}, not {self.range!r}{suggestion(str(self.range), RANGES)}"
            )
        scale = _stored(self.scale)
        offset = scale if FORMS[self.form].minimum and self.offset is None else _stored(self.offset)
        self._set(scale=scale, offset=offset, wrappers=tuple(map(_wrapper, self.wrappers)))

    def _check_types(self) -> None:
        for name in ("element", "form", "statistic", "range", "rounding", "rule"):
            if getattr(self, name) is not None or name in ("element", "form"):
                checks.instance(getattr(self, name), str, name, "a text, as in the scheme 'int4-asym'")
        for flag in FLAGS:
            checks.instance(getattr(self, flag), bool, flag, "True or False")
        checks.instance(self.wrappers, tuple | list, "wrappers", "a tuple of texts such as ('hadamard(64)',)")

    def _default_range(self) -> str:
        if self.row.ranges != INTEGER_RANGES:
            return self.row.ranges[0]
        one_bit = ELEMENTS.find(split_call(self.element)[0]).numbers.get("bits") == 1  # restricted, it would have only zero
        return "restricted" if self.form == "sym" and not one_bit else "full"

    def _set(self, **fields: Any) -> None:
        for name, value in fields.items():
            object.__setattr__(self, name, value)

    @property
    def row(self) -> ElementRow:
        """The row of the element in its table."""
        return ELEMENTS[split_call(self.element)[0]]

    def replace(self, **fields: Any) -> Spec:
        """The same scheme with some fields replaced. Other fields that have a default follow it if it changes.

        >>> scheme("int4@32").replace(element="nf4"), scheme("int4").replace(form="asym")
        (Spec('nf4@32'), Spec('int4-asym'))
        """
        plain = Spec(self.element, self.form)
        follow = [name for name in ("statistic", "range", "rounding") if getattr(self, name) == getattr(plain, name)]
        own = FORMS[self.form].minimum and self.offset != self.scale
        return replace(self, **{**dict.fromkeys(follow), "offset": (self.offset or "f32") if own else None, **fields})

    def __str__(self) -> str:
        parts = (self._form_word(), self._range_word(), self._statistic_word(), self.rule if self.rule != "floor" else "")
        words = [word for word in parts if word]
        text = "-".join([self.element, *words, *(flag for flag in FLAGS if getattr(self, flag))])
        if self.block != Block():
            text += f"@{self.block}"
        if self.rounding != self.row.rounding:
            text += f"~{self.rounding}"
        if self.scale is not None:
            text += f":({self.scale})" if self.scale.wrappers else f":{self.scale}"
        return " + ".join([text, *self.wrappers])

    def __repr__(self) -> str:
        return f"Spec({str(self)!r})"

    def _form_word(self) -> str:
        if FORMS[self.form].minimum and self.offset != self.scale:
            return f"{self.form}({self.offset or 'f32'})"
        return "" if self.form == "sym" else self.form

    def _range_word(self) -> str | None:
        return self.range if self.range and not (self.row.ranges and self.range == self._default_range()) else ""

    def _statistic_word(self) -> str:
        default = self.row.statistic if self.form == "sym" else "minmax"
        return "" if self.statistic == default else str(self.statistic)


def scheme(text: str | Spec) -> Spec:
    """Reads a scheme. The text may be a preset, or a name of compressed-tensors, which means its format for weights.

    Raises `ValueError`, naming the part that cannot be read, with a suggestion.

    >>> str(scheme("nf4@64:int8@256").scale)
    'int8@256'
    >>> scheme("mxfp4 + hadamard(32)"), scheme("W4A16")
    (Spec('e2m1@32:e8m0 + hadamard(32)'), Spec('int4-full@128:bf16'))
    >>> scheme("int4-asim@32")
    Traceback (most recent call last):
    ...
    ValueError: 'int4-asim@32': unknown word '-asim'; did you mean 'asym'? ...
    """
    if isinstance(text, Spec):
        return text
    if not isinstance(text, str):
        raise TypeError(f"a scheme is a text such as 'int4@32' or a Spec, not {type(text).__name__}: {shown(text)}")
    written = text.strip()
    try:
        return _read(written)
    except ValueError as error:
        message, said = str(error), _of_names(written)
        if not said and isinstance(error, UnknownName):
            near = suggestion(written, [*PRESETS, *HUGGING_FACE])
            said = "" if f"'{error.name.lower()}'?" in message else near.replace("did you mean", "or is it the named scheme")
        prefix, message = f"{shown(text)}: ", brief(message if said in message else f"{message}{said}")
        message = message.removeprefix(f"{written}: ")
        raise ValueError(message if message.startswith(prefix) else f"{prefix}{message}") from None


def _of_names(written: str) -> str:
    """What is known of the name at the start of a text: one of other libraries, or a scheme that only wrappers may follow."""
    long, head = (found[0] if (found := re.match(pattern, written)) else "" for pattern in (PRESETS.spelling, HEAD))
    name = long.rstrip("-")
    if name in PRESETS and name != written:
        return f"; {name} is the named scheme '{PRESETS[name]}'; change that text, or add wrappers to the name."
    return elsewhere(written) or elsewhere(head)


def _read(written: str) -> Spec:
    if written in _FLOAT32:
        raise ValueError(f"{written} only stores scales, as in 'int4@32:{written}'; arrays are in float32 already")
    if (nested := written.count(":") + written.count("(")) > MOST_NESTED_SCHEMES:
        raise ValueError(f"{nested} nested schemes and brackets; at most {MOST_NESTED_SCHEMES} are allowed")
    if (wraps := written.count("+")) > MOST_WRAPPERS:
        raise ValueError(f"{wraps} wrappers; at most {MOST_WRAPPERS} are allowed")
    core, *wrappers = split(outside_brackets(close_up(written)), "+")
    if core.startswith("("):
        if core == close_up(written):
            raise ValueError(
                f"cannot read {shown(core)}: brackets enclose a whole scheme, as in '(int4@32 + mean) + hadamard(64)'"
            )
        inside = scheme(core)
        return inside.replace(wrappers=(*inside.wrappers, *wrappers))
    core = _of_hugging_face(core) if core in HUGGING_FACE else core
    core = PRESETS[core] if core in PRESETS else core  # noqa: SIM401  tables have no `get`
    core, *within = split(core, "+")
    return Spec(**fields_of(core), wrappers=(*within, *wrappers))


def _of_hugging_face(name: str) -> str:
    """The format for weights that a name of compressed-tensors means.

    Raises `ValueError` if the same name in lower case is another scheme here: nobody could tell `INT8` from `int8`.
    """
    weights, lower = HUGGING_FACE[name].weights, name.lower()
    if split_call(lower)[0] in ELEMENTS and (here := _read(lower)) != _read(weights):
        raise ValueError(
            f"{name} is compressed-tensors' name for '{weights}', and here '{here}' is another scheme; write one of the two"
        )
    return weights


def _check_preset(name: str, text: str) -> None:
    """The text of a preset must be a scheme, and its name must not be one: `nf4` would hide the element."""
    scheme(text)
    try:
        hidden: Spec | None = _read(name)
    except ValueError:
        hidden = None
    if hidden is not None:
        raise ValueError(f"the preset {name!r} would hide the scheme '{hidden}'; choose another name")


for _table in (ELEMENTS, STATISTICS, ROUNDINGS, RULES, WRAPPERS):
    _table.elsewhere = elsewhere  # type: ignore[attr-defined]

PRESETS: Table[str] = Table("preset", check=_check_preset, of=str, spelling=r"[A-Za-z_][\w.-]*")
"""Named schemes, name -> text. `presets.py` adds the rows."""


def _wrapper(text: str) -> str:
    """The canonical text of a wrapper: its name, and each argument in its shortest form."""
    if not (text := str(text).strip()):
        raise ValueError("nothing follows '+'; write a wrapper there, such as hadamard(64)")
    name, given = split_call(text)
    row = WRAPPERS.find(name).row
    each = [_printed(argument) for argument in read_arguments(row, schemes_in(given))]
    return row.name + (f"({','.join(each)})" if each else "")


def _printed(argument: Any) -> str:
    """An argument of a wrapper in its shortest form."""
    if isinstance(argument, float):
        return repr(argument).removesuffix(".0")
    return "f32" if argument is None else str(argument)


def _stored(value: Any) -> Spec | None:
    """The scheme that stores a scale; None for float32."""
    if value is None or (isinstance(value, str) and value in _FLOAT32):
        return None
    return scheme(value)


def schemes_in(given: str) -> list[float | str]:
    """The arguments of a wrapper, such as `(0.5,bf16)`: numbers, and the canonical texts of schemes."""
    return [_argument(each) for each in listed(given)]


def _argument(text: str) -> float | str:
    """A number, or else the canonical text of a scheme."""
    found = number_or_word(text)
    return found if isinstance(found, float) else str(_stored(found) or "f32")
