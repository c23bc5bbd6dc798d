"""Pictures for a notebook: each function draws on Matplotlib axes and returns them.

Matplotlib comes with `pip install "qresearch[plot]"`, and is imported when a picture is drawn. `style()` gives all later
pictures the look of the project's figures.

>>> import qresearch as qr
>>> axes = qr.plot.levels(["int4", "nf4", "e2m1"])
>>> axes.get_xlabel()
'level / largest magnitude'
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jax
import numpy as np

from qresearch.api import SchemeLike, quantize
from qresearch.base.checks import to_float32
from qresearch.grammar.levels import levels as numbers_of
from qresearch.grammar.spec import Spec

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SHEET = Path(__file__).with_name("paper.mplstyle")
"""Colours that the colour-blind can tell apart, and a marker and a dash of its own for every line."""

INSTALL = 'pictures need Matplotlib: pip install "qresearch[plot]"'

POINTS = 4097
"""Inputs of `error`."""

BINS = 128
"""Bins of `weights`."""


def style(**settings: Any) -> None:
    """Gives all later pictures the look of the project's figures.

    Args:
        settings: further settings of Matplotlib, with `_` for `.`, such as `font_size=8`.

    Raises:
        ModuleNotFoundError: without Matplotlib, with the line that installs it.
        KeyError: for a setting that Matplotlib does not have.
    """
    try:
        import matplotlib as mpl
        from matplotlib import style as sheets
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(INSTALL) from error
    sheets.use(SHEET)
    names = {name.replace(".", "_"): name for name in mpl.rcParams}
    mpl.rcParams.update({names[key]: value for key, value in settings.items()})


def levels(schemes: str | Spec | Sequence[str | Spec], axes: Axes | None = None) -> Axes:
    """The numbers that the elements of schemes can represent, over the largest magnitude: a line of ticks for each.

    Args:
        schemes: one scheme, or several.
        axes: where to draw; new axes by default.

    Raises:
        ModuleNotFoundError: without Matplotlib, with the line that installs it.
        ValueError: for a scheme whose levels are vectors.
    """
    axes, listed = _axes_of(axes), [schemes] if isinstance(schemes, str | Spec) else list(schemes)
    for line, each in enumerate(listed):
        values = numbers_of(each)
        if values.ndim > 1:
            raise ValueError(f"schemes has {str(each)!r}, whose levels are vectors; give schemes with one number to a code")
        axes.vlines(values / np.abs(values).max(), line - 0.35, line + 0.35, color=f"C{line}", linewidth=0.9)
    axes.set_yticks(range(len(listed)), [str(each) for each in listed])
    axes.set_ylim(len(listed) - 0.4, -0.6)
    axes.set_xlabel("level / largest magnitude")
    return axes


def error(schemes: SchemeLike | Sequence[SchemeLike], axes: Axes | None = None, span: float = 1.0) -> Axes:
    """The error x' - x over the input: each scheme quantizes a ramp from -span to span as one array, with its own scale.

    Args:
        schemes: one scheme, or several.
        axes: where to draw; new axes by default.
        span: the largest input.

    Raises:
        ModuleNotFoundError: without Matplotlib, with the line that installs it.
    """
    axes = _axes_of(axes)
    x = np.linspace(-span, span, POINTS, dtype=np.float32)
    for each in _listed(schemes):
        back = np.asarray(quantize(x, each, key=jax.random.key(0)).dequantize())
        axes.plot(x, back - x, marker="", linestyle="-", linewidth=0.8, label=str(each))
    axes.set_xlabel("input x")
    axes.set_ylabel("error x' − x")
    axes.legend()
    return axes


def weights(x: Any, schemes: SchemeLike | Sequence[SchemeLike] = (), axes: Axes | None = None) -> Axes:
    """A histogram of an array, and of what schemes make of it, with a logarithmic count.

    Args:
        x: floating-point, any shape.
        schemes: none, one or several.
        axes: where to draw; new axes by default.

    Raises:
        ModuleNotFoundError: without Matplotlib, with the line that installs it.
        ValueError: if x has no finite element.
    """
    axes = _axes_of(axes)
    values = np.asarray(to_float32(x)).ravel()
    finite = values[np.isfinite(values)]
    if not len(finite):
        raise ValueError(f"x has no finite element (shape {np.shape(x)}); give an array with numbers to count")
    edges = np.histogram_bin_edges(finite, BINS).tolist()
    axes.hist(finite, edges, color="0.75", label="x")
    for each in _listed(schemes):
        back = np.asarray(quantize(x, each, key=jax.random.key(0)).dequantize()).ravel()
        axes.hist(back[np.isfinite(back)], edges, histtype="step", label=str(each))
    axes.set_yscale("log")
    axes.set_xlabel("value")
    axes.set_ylabel(f"elements of {values.size:,}")
    axes.legend()
    return axes


def _listed(schemes: SchemeLike | Sequence[SchemeLike]) -> list[SchemeLike]:
    return list(schemes) if isinstance(schemes, list | tuple) else [schemes]  # type: ignore[list-item]


def _axes_of(axes: Axes | None) -> Axes:
    """The given axes, or new ones: those of pyplot in a notebook, which shows them."""
    try:
        from matplotlib import pyplot
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(INSTALL) from error
    return pyplot.subplots()[1] if axes is None else axes
