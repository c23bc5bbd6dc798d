"""The error over the input: a scheme quantizes a fine ramp."""

from __future__ import annotations

import jax
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

import qresearch as qr
from experiments.config.row_outputs import ErrorOverInput
from experiments.figures.style import looks, name_axes, panels


def error_over_input(options: ErrorOverInput, frame: pd.DataFrame) -> Figure:
    """A panel for each scheme: x' - x over x, with its own scale."""
    figure, axes = panels(len(options.schemes), height=1.6, width=options.width, least=1.2, sharex=True)
    for each, name, look in zip(axes, options.schemes, looks()):
        x, error = over_ramp(name, options.span, options.points)
        each.axhline(0, color="0.6", linewidth=0.6)
        each.plot(x, error, color=look["color"], linewidth=0.7, marker="", linestyle="-")
        each.set_title(name)
    name_axes(axes, "input x", "error x' − x")
    return figure


def over_ramp(text: str, span: float, points: int) -> tuple[np.ndarray, np.ndarray]:
    """float32: a ramp from -span to span, and its error after quantizing it as one array."""
    x = np.linspace(-span, span, points, dtype=np.float32)
    return x, np.asarray(qr.quantize(x, text, key=jax.random.key(0)).dequantize()) - x
