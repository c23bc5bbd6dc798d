"""The lexical level of the grammar: brackets, lists of arguments, names. From text to text, without any table of names."""

from __future__ import annotations

import re

HEAD = re.compile(r"[A-Za-z_][\w.]*")
"""A name at the start of a text."""


def close_up(text: str) -> str:
    """Drops spaces around the signs of a scheme.

    >>> close_up("int4 - asym @ 32 : f16")
    'int4-asym@32:f16'
    """
    return re.sub(r"\s*([-@~:(),])\s*", r"\1", text)


def split(text: str, sign: str) -> list[str]:
    """Splits a text at a sign, but not inside brackets, and strips spaces around the pieces."""
    pieces, depth, start = [], 0, 0
    for place, letter in enumerate(text):
        depth += (letter == "(") - (letter == ")")
        if depth < 0:
            raise ValueError(f"a closing bracket was never opened in {text!r}")
        if letter == sign and depth == 0:
            pieces.append(text[start:place].strip())
            start = place + 1
    return [*pieces, text[start:].strip()]


def outside_brackets(text: str) -> str:
    """Removes brackets around the whole text: `(scheme)` -> `scheme`."""
    return text[1:-1].strip() if text.startswith("(") and closing(text) == len(text) else text


def split_call(text: str) -> tuple[str, str]:
    """`name(arguments)` -> `name`, `(arguments)`; spaces inside the brackets are dropped.

    >>> split_call("quantile(0.99)")
    ('quantile', '(0.99)')
    """
    found = HEAD.match(text)
    if not found:
        raise ValueError(f"{text!r} should begin with a name, such as int4")
    rest = text[found.end() :]
    if rest and not (rest.startswith("(") and closing(rest) == len(rest)):
        raise ValueError(f"{text!r}: {rest!r} is not a list of arguments in brackets")
    return found[0], re.sub(r"\s+", "", rest)


def shortest(given: str) -> str:
    """A list of arguments with every number in its shortest form, so that equivalent schemes have the same text.

    >>> shortest("(-1,0.50,1.)"), shortest("()")
    ('(-1,0.5,1)', '')
    """
    each = [_shortest_number(argument) for argument in split(given[1:-1], ",")]
    return f"({','.join(each)})" if any(each) else ""


def _shortest_number(text: str) -> str:
    number = number_or_word(text)
    if isinstance(number, str):
        return text
    short = f"{number:.15g}"
    return short if float(short) == number else repr(number)


def listed(given: str) -> list[str]:
    """The items of a list of arguments, as written.

    >>> listed("(0.5, int4@32)"), listed("()"), listed("")
    (['0.5', 'int4@32'], [], [])
    """
    inner = given.strip()[1:-1]
    return split(inner, ",") if inner.strip() else []


def numbers(given: str) -> list[float]:
    """The numbers in `(0.5, 1)`. Raises `ValueError` for anything else."""
    try:
        return [float(each) for each in listed(given)]
    except ValueError:
        raise ValueError(f"the arguments {given} must be numbers, separated by commas") from None


def number_or_word(text: str) -> float | str:
    """The number, if the text is one; else the text."""
    try:
        return float(text)
    except ValueError:
        return text


def closing(text: str) -> int:
    """The length of the bracketed part at the start of a text."""
    depth = 0
    for place, letter in enumerate(text):
        depth += (letter == "(") - (letter == ")")
        if depth == 0:
            return place + 1
    raise ValueError(f"a bracket is never closed in {text!r}")


def take(text: str, allowed: str) -> tuple[str, str]:
    """Splits off a leading `name(arguments)`, where the name matches `allowed`: that part, and the rest."""
    found = re.match(allowed, text)
    end = found.end() if found else 0
    if end and text[end : end + 1] == "(":
        end += closing(text[end:])
    return text[:end], text[end:]
