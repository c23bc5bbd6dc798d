"""Test your own schemes with the laws that the project's schemes keep.

    from qresearch import testing

    testing.check("my-scheme")                       # every law; raises LawBroken
    testing.LAWS.rows                                # name, doc, applies, check
    testing.quantize(x, "int4@32")                   # the oracle: the definition in NumPy
    from qresearch.testing import strategies         # hypothesis: schemes(), arrays(); needs hypothesis

`python -m qresearch.testing.exhaustive` compares every float32 with brute force.
"""

from qresearch.testing.bounds import bound
from qresearch.testing.description import Block, Description, Floats, Integers, Levels
from qresearch.testing.law import LAWS, Law, law
from qresearch.testing.laws import LawBroken, Outcome, check, run
from qresearch.testing.oracle import OracleResult, quantize
from qresearch.testing.oracle_numbers import clipped
from qresearch.testing.reading import NotDescribed, describe
from qresearch.testing.subject import Subject

__all__ = [
    "LAWS",
    "Block",
    "Description",
    "Floats",
    "Integers",
    "Law",
    "LawBroken",
    "Levels",
    "NotDescribed",
    "OracleResult",
    "Outcome",
    "Subject",
    "bound",
    "check",
    "clipped",
    "describe",
    "law",
    "quantize",
    "run",
]
