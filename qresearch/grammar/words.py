"""Splits the text of a scheme, without wrappers, into the fields of a `Spec`.

element { "-" word } [ "@" block ] [ "~" rounding ] [ ":" scale ]
"""

from __future__ import annotations

from typing import Any

from qresearch.base.table import suggestion
from qresearch.element.table import FLOAT_RANGES, INTEGER_RANGES
from qresearch.grammar.letters import HEAD, split_call, take
from qresearch.grammar.other_names import elsewhere
from qresearch.scales.form import FORMS
from qresearch.scales.power_of_two import RULES
from qresearch.scales.statistic import STATISTICS

RANGES = INTEGER_RANGES + FLOAT_RANGES
FLAGS = ("exact", "divided")

_SIGNS = (("@", "block", r"[\w*-]+"), ("~", "rounding", r"\w+"), (":", "scale", r".+"))
"""The sign before a field, the name of the field, and the characters that it may contain."""


def fields_of(text: str) -> dict[str, Any]:
    """The fields of a `Spec` that a text sets. Values are texts, except that flags are True.

    Raises `ValueError`, naming the part that cannot be read.

    >>> fields_of("int4-asym@32:f16")
    {'element': 'int4', 'form': 'asym', 'block': '32', 'scale': 'f16'}
    """
    head, rest = take(text, HEAD.pattern)
    if not head:
        raise ValueError("a scheme begins with an element, such as int4, nf4, e2m1 or dynamic8")
    fields: dict[str, Any] = {"element": head}
    while rest.startswith("-"):
        word, rest = take(rest[1:], r"[A-Za-z_]\w*")
        _add(fields, *_word(word))
    for sign, field, allowed in _SIGNS:
        if rest.startswith(sign):
            fields[field], rest = take(rest[1:], allowed)
            if not fields[field]:
                raise ValueError(f"nothing follows '{sign}'; write a {field} there")
    if rest:
        raise ValueError(f"cannot read {rest!r}; the order is element-word@block~rounding:scale")
    return fields


def _add(fields: dict[str, Any], field: str, value: Any) -> None:
    if field in fields:
        raise ValueError(f"two words for the {field}: {fields[field]!r} and {value!r}")
    fields[field] = value
    name, stored = split_call(value) if field == "form" else ("", "")
    if stored:
        fields["form"], fields["offset"] = name, stored[1:-1]


def _word(word: str) -> tuple[str, Any]:
    """The field that a word sets, and its value."""
    name, arguments = split_call(word) if word else ("", "")
    if name in FLAGS and not arguments:
        return name, True
    if name in RANGES and not arguments:
        return "range", name
    if name in FORMS and (not arguments or FORMS[name].minimum):
        return "form", word
    if name in STATISTICS:
        return "statistic", name + arguments
    if name in RULES and not arguments:
        return "rule", name
    known = [*FORMS, *RANGES, *STATISTICS.names(), *RULES, *FLAGS]
    listed = ", ".join([*FORMS, *RANGES, *STATISTICS, *RULES, *FLAGS])
    raise ValueError(f"unknown word '-{word}'{elsewhere(name) or suggestion(name, known) or '.'} Known: {listed}")
