"""The grammar: from the text of a scheme to a `Spec`, and from a `Spec` to a coder."""

from qresearch.grammar import presets

__all__ = ["presets"]
