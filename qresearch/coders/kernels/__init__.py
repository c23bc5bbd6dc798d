"""Kernels: quantizing in one pass, where a platform's compiler needs two. See `choice` for when, `one_pass` for how."""

from qresearch.coders.kernels.choice import SETTINGS, Tiling, state, using
from qresearch.coders.kernels.one_pass import has_kernel, one_pass, served
from qresearch.coders.kernels.plain import packing, two_passes

__all__ = ["SETTINGS", "Tiling", "has_kernel", "one_pass", "packing", "served", "state", "two_passes", "using"]
