"""The options of figures from theory, which show distributions instead of rows."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from experiments.config.output import Figure
from experiments.config.section import Distinct, ToTuple
from experiments.config.sources import DistributionName

DistributionNames = Annotated[tuple[DistributionName, ...], ToTuple, Distinct, Field(min_length=1)]


class Curve(Figure):
    """A figure from theory.

    Attributes:
        sources: names of sources that are distributions.
    """

    sources: DistributionNames


class Densities(Curve):
    """A panel for each source: its density, level densities proportional to powers of it, and the levels.

    Attributes:
        powers: exponents; 1/3 has the least mean square error at high rates (Panter and Dite 1951).
        levels: the number of levels.
        span: the range of the figure in standard deviations, to each side.
    """

    kind: Literal["densities"]
    powers: Annotated[tuple[Annotated[float, Field(gt=0, le=1)], ...], ToTuple, Field(min_length=1)] = (1.0, 1 / 3)
    levels: Annotated[int, Field(ge=2, le=64)] = 16
    span: Annotated[float, Field(gt=0)] = 4.0


class BlockMaximum(Curve):
    """The mean largest magnitude of a block against its size: exact, sampled, and by the closed forms of the literature.

    Attributes:
        blocks: block sizes.
        samples: numbers to sample for each source and block size; 0 draws no points.
    """

    kind: Literal["block_maximum"]
    blocks: Annotated[tuple[Annotated[int, Field(ge=2, le=2**20)], ...], ToTuple, Field(min_length=2)]
    samples: Annotated[int, Field(ge=0, le=2**24)] = 2**20


class ScaledBlocks(Curve):
    """The distribution of x / max|x| in blocks: exact, sampled, and the source truncated at its mean maximum.

    Attributes:
        blocks: block sizes; a line of panels for each.
        samples: numbers to sample for each panel; 0 draws no histogram.
    """

    kind: Literal["scaled_blocks"]
    blocks: Annotated[tuple[Annotated[int, Field(ge=2, le=2**20)], ...], ToTuple, Field(min_length=1)]
    samples: Annotated[int, Field(ge=0, le=2**24)] = 2**20
