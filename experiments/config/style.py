"""How figures look: settings of Matplotlib, from a style sheet or written out, and sizes."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, ValidationInfo

from experiments.config.section import Context, ToTuple, wrong
from experiments.config.sources import find
from qresearch.base.table import suggestion

OURS = {"figure.figsize": "write `width` in the figure", "savefig.format": "figures are written as PDF and PNG"}
"""Settings that the runner decides -> what to do instead."""

WIDTHS = {"column": 3.3, "page": 7.0}
"""Name -> inches: a column and a page of a paper."""


def _settings(value: Any, info: ValidationInfo) -> dict[str, Any]:
    """A style sheet, settings, or a list of them, as settings; later ones replace earlier ones."""
    given = value if isinstance(value, (list, tuple)) else [value]
    return {name: each for part in given for name, each in _checked(part, info.context or Context()).items()}


def _checked(part: Any, context: Context) -> dict[str, Any]:
    """Settings as plain YAML values, so that a results folder can be drawn again without the sheet."""
    if part in ({}, None):
        return {}
    import matplotlib as mpl  # takes half a second

    if isinstance(part, str):
        return {name: _plain(value) for name, value in _sheet(part, context).items() if name not in OURS}
    if not isinstance(part, dict):
        wrong(f"got {part!r}; allowed: a style sheet, a mapping of Matplotlib's settings, or a list of both")
    for name, each in part.items():
        if name in OURS:
            wrong(f"{name} cannot be set here: {OURS[name]}")
        if name not in mpl.rcParams:
            wrong(f"Matplotlib has no setting {name!r}{suggestion(str(name), list(mpl.rcParams))}")
        try:
            mpl.RcParams(**{name: each})
        except ValueError as error:
            wrong(f"{name}: {error}")
    return dict(part)


def _sheet(text: str, context: Context) -> dict[str, Any]:
    """The settings of a file, or of a style that Matplotlib knows by name."""
    import matplotlib as mpl
    import matplotlib.style

    library: Any = matplotlib.style.library
    path = find(text, context.folders)
    if path is None:
        if text not in library:
            wrong(f"no such style sheet: {text!r}{suggestion(text, library)}")
        return dict(library[text].items())
    try:
        return dict(mpl.rc_params_from_file(path, fail_on_error=True, use_default_template=False).items())
    except (OSError, ValueError, KeyError) as error:
        wrong(f"{text!r} is no style sheet: {error}")


def _plain(value: Any) -> Any:
    if isinstance(value, (tuple, list)):
        return [_plain(each) for each in value]
    return value if isinstance(value, (str, int, float, bool)) or value is None else repr(value)


def _width(value: Any) -> float:
    """Inches."""
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not (number and 1 <= value <= 40) and value not in WIDTHS:
        wrong(f"got {value!r}; allowed: {', '.join(WIDTHS)}, or a width in inches, from 1 to 40")
    return float(WIDTHS.get(value, value))


def _rising(value: tuple[float, ...]) -> tuple[float, ...]:
    if len(value) != 2 or not value[0] < value[1]:
        wrong(f"got {list(value)}; allowed: two numbers, the smaller first")
    return value


Style = Annotated[dict[str, Any], BeforeValidator(_settings)]
"""Settings of Matplotlib; in YAML the path of a style sheet, the name of a style, a mapping, or a list of them."""

Width = Annotated[float, BeforeValidator(_width)]
"""Inches; in YAML a number, `column` or `page`."""

Limits = Annotated[tuple[float, ...], ToTuple, AfterValidator(_rising)]
"""The ends of an axis."""
