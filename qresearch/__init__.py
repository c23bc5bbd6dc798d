"""qresearch: the numerics lab for quantization, in JAX.

A scheme is a line of text; every function takes it, with NumPy or JAX arrays.

>>> import jax, qresearch as qr
>>> x = jax.random.normal(jax.random.key(0), (64, 256))
>>> q = qr.quantize(x, "nf4@64:int8@256")
>>> q.codes.shape, q.bits
((64, 256), 4.25)
"""

import importlib
from typing import TYPE_CHECKING, Any

from qresearch import centred as _centred
from qresearch import dither as _dither
from qresearch import entropy_coding as _entropy_coding
from qresearch import feedback as _feedback
from qresearch import ggml as _ggml
from qresearch import hadamard as _hadamard
from qresearch import measure
from qresearch import orthogonal as _orthogonal
from qresearch import outliers as _outliers
from qresearch import preset as _preset
from qresearch.api import compare, dequantize, encode, fake_quantize, fit, from_packed, quantize, quantize_packed
from qresearch.blocking import Block
from qresearch.builder import build
from qresearch.coder import Coder
from qresearch.distribution import DISTRIBUTIONS as distributions
from qresearch.distribution import Distribution, Family
from qresearch.families import ELEMENTS as elements
from qresearch.families import float_row, levels_row
from qresearch.floatformats import FORMATS as formats
from qresearch.floats import FloatFormat
from qresearch.inspection import BitFields, TypeInfo, digits, draw, fields, finfo, types
from qresearch.memory import Footprint, footprint
from qresearch.metric import METRICS as metrics
from qresearch.metric import Metric
from qresearch.packing import pack, unpack
from qresearch.qtensor import Fitted, QTensor
from qresearch.quantizer import Quantizer
from qresearch.rounding import ROUNDINGS as roundings
from qresearch.rounding import Rounding
from qresearch.rule import RULES as rules
from qresearch.spec import PRESETS as presets
from qresearch.spec import Spec, scheme
from qresearch.statistic import STATISTICS as statistics
from qresearch.wrapper import WRAPPERS as wrappers
from qresearch.wrapper import Wrapper

if TYPE_CHECKING:
    from qresearch import theory
    from qresearch.designing import DESIGNS as designs
    from qresearch.designing import Design, Recipe, design

__version__ = "0.1.0"

LATER = {
    "theory": ("qresearch.theory", ""),
    "designs": ("qresearch.designing", "DESIGNS"),
    **{name: ("qresearch.designing", name) for name in ("Design", "Recipe", "design")},
}
"""What is imported when it is first asked for: name -> module, and the name there."""


def __getattr__(name: str) -> Any:
    if name not in LATER:
        raise AttributeError(f"module 'qresearch' has no attribute {name!r}")
    home, there = LATER[name]
    module = importlib.import_module(home)
    globals()[name] = found = getattr(module, there) if there else module
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *LATER})
