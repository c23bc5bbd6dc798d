"""Kernels: quantizing in one pass, where a platform's compiler needs two. See `choice` for when, `one_pass` for how."""

from qresearch.kernels.choice import SETTINGS, Tiling, state, using
from qresearch.kernels.one_pass import has_kernel, one_pass, served

__all__ = ["SETTINGS", "Tiling", "has_kernel", "one_pass", "served", "state", "using"]
