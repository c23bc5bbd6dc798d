"""The grammar: reads the text of a scheme to a `Spec`, and builds a coder from it."""

from qresearch.grammar import presets

__all__ = ["presets"]
