"""Elements: how a scaled number becomes a code, and a code becomes a number again."""

from qresearch.element import rows, vector_rows

__all__ = ["rows", "vector_rows"]
