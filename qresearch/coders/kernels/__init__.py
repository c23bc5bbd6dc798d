"""GPU kernels that quantize in one pass, where XLA needs two. `choice` decides when to use them, `one_pass` has the kernel."""

from qresearch.coders.kernels.choice import SETTINGS, Tiling, state, using
from qresearch.coders.kernels.one_pass import has_kernel, one_pass, served
from qresearch.coders.kernels.plain import packing, two_passes

__all__ = ["SETTINGS", "Tiling", "has_kernel", "one_pass", "packing", "served", "state", "two_passes", "using"]
