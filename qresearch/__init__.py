"""qresearch: quantization research in JAX.

A scheme is a line of text. Every function takes it, with NumPy or JAX arrays.

>>> import jax, qresearch as qr
>>> x = jax.random.normal(jax.random.key(0), (64, 256))
>>> q = qr.quantize(x, "nf4@64:int8@256")
>>> q.codes.shape, q.bits
((64, 256), 4.25)
"""

import importlib
from typing import TYPE_CHECKING, Any

from qresearch.api import compare, dequantize, encode, fake_quantize, fit, from_packed, quantize, quantize_packed
from qresearch.arithmetic.packing import pack, unpack
from qresearch.base.compiled import keep_compiled
from qresearch.coders.coder import Coder
from qresearch.coders.qtensor import Fitted, QTensor
from qresearch.coders.quantizer import Quantizer
from qresearch.densities.distribution import DISTRIBUTIONS as distributions
from qresearch.densities.distribution import Distribution, Family
from qresearch.designing import rows as _designed
from qresearch.element.element import Element
from qresearch.element.grid import Grid
from qresearch.element.rounding import ROUNDINGS as roundings
from qresearch.element.rounding import Rounding
from qresearch.element.table import ELEMENTS as elements
from qresearch.element.table import float_row, levels_row
from qresearch.floats.float_format import FloatFormat
from qresearch.floats.inspect_type import BitFields, TypeInfo, digits, draw, fields, finfo, types
from qresearch.floats.named import FORMATS as formats
from qresearch.grammar.build import build
from qresearch.grammar.levels import levels
from qresearch.grammar.spec import PRESETS as presets
from qresearch.grammar.spec import Spec, scheme
from qresearch.measuring import measure
from qresearch.measuring.footprint import Footprint, footprint
from qresearch.measuring.metrics import METRICS as metrics
from qresearch.measuring.metrics import Metric
from qresearch.measuring.notes import notes
from qresearch.measuring.sums import SUMS as sums
from qresearch.measuring.sums import Sum
from qresearch.scales.block import Block
from qresearch.scales.form import Form
from qresearch.scales.power_of_two import RULES as rules
from qresearch.scales.statistic import STATISTICS as statistics
from qresearch.scales.statistic import Statistic
from qresearch.wrapping.table import WRAPPERS as wrappers
from qresearch.wrapping.wrapper import Wrapper

if TYPE_CHECKING:
    from qresearch import models as model
    from qresearch import plot, solving, theory
    from qresearch.designing.table import DESIGNS as designs
    from qresearch.designing.table import Design, Recipe, design

__version__ = "0.1.0"

# fmt: off
__all__ = [  # noqa: RUF022  by subject
    "quantize", "dequantize", "fake_quantize", "fit", "encode", "compare", "measure", "notes", "keep_compiled",
    "quantize_packed", "from_packed", "pack", "unpack", "footprint",
    "scheme", "build", "levels", "design", "theory", "solving", "model", "plot", "types", "finfo", "fields", "digits", "draw",
    "elements", "formats", "roundings", "statistics", "rules", "wrappers", "presets",  # tables
    "metrics", "sums", "distributions", "designs",
    "levels_row", "float_row", "FloatFormat", "Rounding", "Metric", "Sum", "Distribution", "Family", "Recipe",  # for their rows
    "Element", "Grid", "Statistic", "Form",
    "Spec", "Block", "Coder", "Quantizer", "Wrapper", "QTensor", "Fitted", "Footprint", "Design", "TypeInfo", "BitFields",
]
# fmt: on

IMPORTED_ON_FIRST_USE = {
    "theory": ("qresearch.theory", ""),
    "solving": ("qresearch.solving", ""),
    "model": ("qresearch.models", ""),
    "plot": ("qresearch.plot", ""),
    "designs": ("qresearch.designing.table", "DESIGNS"),
    **{name: ("qresearch.designing.table", name) for name in ("Design", "Recipe", "design")},
}
"""Name -> its module, and its name there; empty for the module itself. These modules are slow to import."""


def __getattr__(name: str) -> Any:
    if name not in IMPORTED_ON_FIRST_USE:
        raise AttributeError(f"module 'qresearch' has no attribute {name!r}")
    home, there = IMPORTED_ON_FIRST_USE[name]
    module = importlib.import_module(home)
    globals()[name] = found = getattr(module, there) if there else module
    return found


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
