"""Tables as LaTeX: numbers aligned by siunitx, with their uncertainties; the best in bold."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence
from typing import NamedTuple

import pandas as pd

MOST_LINES_OF_A_PAGE = 40
"""A longer table is broken over several pages."""

PACKAGES = "booktabs,siunitx"

_NUMBER = re.compile(
    r"(?P<open>\()?(?P<mean>-?\d+(?:\.\d+)?)(?: ± (?P<error>\d+(?:\.\d+)?))?(?(open)\))(?:e(?P<power>[+-]?\d+))?"
)
_SPECIAL = {letter: "\\" + letter for letter in "&%$#_{}"}
_NAMED = {"\\": "backslash", "~": "asciitilde", "^": "asciicircum", "|": "bar", "<": "less", ">": "greater"}
_WORDS = {letter: rf"\text{name}{{}}" for letter, name in _NAMED.items()}
_LETTERS = str.maketrans(_SPECIAL | _WORDS | {"−": "$-$", "±": r"$\pm$", '"': "''"})


class Number(NamedTuple):
    """A number as it is printed: its digits, those of its error (without a point), and its power of ten; "" for none."""

    mean: str
    error: str
    power: str

    @property
    def value(self) -> float:
        """The printed number."""
        return float(f"{self.mean}e{self.power or 0}")

    def __str__(self) -> str:
        return self.mean + (f"({self.error})" if self.error else "") + (f"e{self.power}" if self.power else "")


def number_of(text: str) -> Number | None:
    """The number in a cell; None if the cell holds anything else. The error is in units of the last digit.

    >>> str(number_of("0.01235 ± 0.00012")), str(number_of("(1.500 ± 0.030)e-07")), number_of("nf4@64")
    ('0.01235(12)', '1.500(30)e-7', None)
    """
    found = _NUMBER.fullmatch(text)
    if found is None:
        return None
    error = (found["error"] or "").replace(".", "").lstrip("0")
    return Number(found["mean"], error, str(int(found["power"])) if found["power"] else "")


def latex(table: pd.DataFrame, caption: str = "", bold: Collection[tuple[int, str]] = ()) -> str:
    """A table of texts as LaTeX.

    Args:
        table: texts. A column in which most cells are numbers is aligned at their points.
        caption: plain text; mathematics is between dollar signs.
        bold: (line, column) of the cells in bold.
    """
    found = {name: [number_of(text) for text in table[name]] for name in table.columns}
    aligned = {name for name, numbers in found.items() if sum(each is not None for each in numbers) * 2 > len(numbers)}
    columns = "".join(_format([each for each in found[name] if each]) if name in aligned else "l" for name in table.columns)
    head = _line(f"{{{escaped(str(name))}}}" if name in aligned else escaped(str(name)) for name in table.columns)
    cells = {
        name: [
            _cell(text, number if name in aligned else None, name in aligned, (index, name) in bold)
            for index, (text, number) in enumerate(zip(table[name], found[name]))
        ]
        for name in table.columns
    }
    body = [_line(line) for line in zip(*cells.values())]
    return _long(columns, head, body, caption) if len(body) > MOST_LINES_OF_A_PAGE else _short(columns, head, body, caption)


def escaped(text: str) -> str:
    r"""Plain text for LaTeX. What is between two dollar signs stays as it is.

    >>> print(escaped("R $2^b$, 50% of int4_table"))
    R $2^b$, 50\% of int4\_table
    """
    parts = text.split("$")
    if len(parts) % 2 == 0:
        return text.translate(_LETTERS)
    return "".join(f"${part}$" if index % 2 else part.translate(_LETTERS) for index, part in enumerate(parts))


def _cell(text: str, number: Number | None, aligned: bool, bold: bool) -> str:
    if number is not None:
        return rf"\bfseries {number}" if bold else str(number)
    words = re.sub(r"\(?-?\d[\d.]* ± [\d.]+(?:\)e[+-]\d+)?", lambda found: _inline(found[0]), text)
    marked = "".join(part if part.startswith(r"\num{") else escaped(part) for part in re.split(r"(\\num\{.*?\})", words))
    marked = rf"\textbf{{{marked}}}" if bold else marked
    return f"{{{marked}}}" if aligned else marked


def _inline(text: str) -> str:
    number = number_of(text)
    return rf"\num{{{number}}}" if number else text


def _format(numbers: Sequence[Number]) -> str:
    """A siunitx column for numbers with these digits: before and after the point, of the error, of the power."""
    whole = max(len(each.mean.lstrip("-").split(".")[0]) for each in numbers)
    places = max(len(each.mean.partition(".")[2]) for each in numbers)
    error = max(len(each.error) for each in numbers)
    power = max((each.power for each in numbers), key=len)
    sign = "-" if any(each.mean.startswith("-") for each in numbers) else ""
    after = (f"({error})" if error else "") + (f"e{'-' if '-' in power else ''}{len(power.lstrip('-'))}" if power else "")
    return f"S[table-format={sign}{whole}.{places}{after}]"


def _line(cells: Iterable[str]) -> str:
    return " & ".join(cells) + r" \\"


def _short(columns: str, head: str, body: Sequence[str], caption: str) -> str:
    title = [rf"\caption{{{escaped(caption)}}}"] if caption else []
    lines = [r"\begin{table}[t]", r"\centering", *title, rf"\begin{{tabular}}{{{columns}}}", r"\toprule", head, r"\midrule"]
    return _whole(PACKAGES, [*lines, *body, r"\bottomrule", r"\end{tabular}", r"\end{table}"])


def _long(columns: str, head: str, body: Sequence[str], caption: str) -> str:
    title = [rf"\caption{{{escaped(caption)}}} \\"] if caption else []
    lines = [rf"\begin{{longtable}}{{{columns}}}", *title, r"\toprule", head, r"\midrule", r"\endhead"]
    return _whole(f"{PACKAGES},longtable", [*lines, r"\bottomrule", r"\endfoot", *body, r"\end{longtable}"])


def _whole(packages: str, lines: Sequence[str]) -> str:
    return "\n".join([rf"% \usepackage{{{packages}}} \sisetup{{detect-all}}", *lines, ""])
