"""The mathematics of one layer: from its weight and what its inputs were, codes with which its output errs less."""

from qresearch.solving.descent import Descent
from qresearch.solving.feedback import Feedback
from qresearch.solving.low_rank import low_rank
from qresearch.solving.moments import Moments
from qresearch.solving.refit import Refit
from qresearch.solving.solve import Solved, solve
from qresearch.solving.step import Step
from qresearch.solving.target import target
from qresearch.solving.transforms import Divide, Rotate, Transform
from qresearch.solving.weighted import Clip, Weighted

__all__ = [
    "Clip",
    "Descent",
    "Divide",
    "Feedback",
    "Moments",
    "Refit",
    "Rotate",
    "Solved",
    "Step",
    "Transform",
    "Weighted",
    "low_rank",
    "solve",
    "target",
]
