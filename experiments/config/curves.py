"""The figures that are drawn from theory: they take distributions, not rows. Here stand their options."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from experiments.config.output import Output
from experiments.config.section import Distinct, ToTuple

SourceNames = Annotated[tuple[str, ...], ToTuple, Distinct, Field(min_length=1)]


class Curve(Output):
    """A figure from theory.

    Attributes:
        sources: names of sources that are distributions.
    """

    sources: SourceNames

    sources_used: ClassVar[str] = "sources"
    """The option that holds names of distributions."""


class Densities(Curve):
    """Densities, the density of levels that a power of them makes, and the levels: a panel for each source.

    Attributes:
        powers: of the density; 1/3 has the least mean square error at high rates (Panter and Dite 1951).
        levels: how many levels are drawn.
        span: the figure reaches so many standard deviations to each side.
    """

    kind: Literal["densities"]
    powers: Annotated[tuple[Annotated[float, Field(gt=0, le=1)], ...], ToTuple, Field(min_length=1)] = (1.0, 1 / 3)
    levels: Annotated[int, Field(ge=2, le=64)] = 16
    span: Annotated[float, Field(gt=0)] = 4.0


class BlockMaximum(Curve):
    """The mean largest magnitude of a block against its size: exact, sampled, and by the closed forms of the literature.

    Attributes:
        blocks: sizes.
        samples: numbers that are drawn for each source and block size; none where 0.
    """

    kind: Literal["block_maximum"]
    blocks: Annotated[tuple[Annotated[int, Field(ge=2, le=2**20)], ...], ToTuple, Field(min_length=2)]
    samples: Annotated[int, Field(ge=0, le=2**24)] = 2**20


class ScaledBlocks(Curve):
    """The distribution of x / max|x| inside blocks: exact, sampled, and the source cut off at its mean maximum.

    Attributes:
        block: a size, or a list of them; a line of panels for each.
        samples: numbers that are drawn for each panel; no histogram where 0.
    """

    kind: Literal["scaled_blocks"]
    blocks: Annotated[tuple[Annotated[int, Field(ge=2, le=2**20)], ...], ToTuple, Field(min_length=1)]
    samples: Annotated[int, Field(ge=0, le=2**24)] = 2**20
