"""Test your own schemes with the laws that the project's schemes keep.

from qresearch import testing

testing.check("my-scheme")                       # every law; raises LawBroken
testing.LAWS.rows                                # name, doc, applies, check
testing.quantize(x, "int4@32")                   # the oracle: the definition in NumPy
from qresearch.testing import strategies         # hypothesis: schemes(), arrays(); needs hypothesis
"""

from qresearch.testing.laws.check import LawBroken, Outcome, check, run
from qresearch.testing.laws.law import LAWS, Law, law
from qresearch.testing.oracle.bounds import bound
from qresearch.testing.oracle.decode import clipped
from qresearch.testing.oracle.description import Block, Description
from qresearch.testing.oracle.grids import Floats, Integers, Levels, Vectors
from qresearch.testing.oracle.reading import NotDescribed, describe
from qresearch.testing.oracle.reference import OracleResult, quantize
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
    "Vectors",
    "bound",
    "check",
    "clipped",
    "describe",
    "law",
    "quantize",
    "run",
]
