"""Elements: how a number becomes a code and back."""

from qresearch.element import rows

__all__ = ["rows"]
