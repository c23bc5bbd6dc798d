"""A plugin of the gallery: codebooks in units of a distribution, for schemes scaled by the RMS (`-rms(1)`) or not (`-unit`).

`lloyd4(laplace)`: levels of least mean square error (Lloyd 1957, Max 1960).
`power4(0.333,inner,student_t,7)`: as dense as a power of the density, at its quantiles i / 17 (`inner`) or (2 i - 1) / 32
(`middles`).
`cut4(0.333,64,normal)`: the same for numbers over the largest of their block: the density cut off at the mean largest, the ends
too (arXiv 2505.12988). It scales by the largest magnitude.
"""

import numpy as np
from scipy import optimize

import qresearch as qr
from experiments.figures.densities import powered
from experiments.figures.maxima import mean_maxima
from qresearch.books import Book
from qresearch.distribution import Distribution
from qresearch.families import book_row
from qresearch.theory import density

PLACES = {"inner": lambda n: np.arange(1, n + 1) / (n + 1), "middles": lambda n: (np.arange(n) + 0.5) / n}


def _source(name: str, parameters: tuple[float, ...]) -> Distribution:
    return qr.distributions[name](*parameters)


def power(bits: int, exponent: float, place: str, source: str, *parameters: float) -> Book:
    """As dense as a power of the density."""
    return Book(powered(_source(source, parameters), exponent, PLACES[place](2**bits))[2], reach=1.0)


def cut(bits: int, exponent: float, block: int, source: str, *parameters: float) -> Book:
    """The same inside the mean largest magnitude of a block, which becomes 1."""
    of = _source(source, parameters)
    (end,) = mean_maxima(of, [block])
    return Book(powered(of, exponent, np.linspace(0, 1, 2**bits), float(end))[2] / end)


def lloyd(bits: int, source: str, *parameters: float) -> Book:
    """Each level the mean of its cell: from the cube-root density, by a solver for systems of equations."""
    of = _source(source, parameters)
    law, start = density(of), powered(of, 1 / 3, PLACES["inner"](2**bits))[2]

    def off(levels: np.ndarray) -> np.ndarray:
        ends = np.concatenate([[-np.inf], (levels[1:] + levels[:-1]) / 2, [np.inf]])
        mass, first, _ = law.between(ends[:-1], ends[1:])
        return levels - first / mass

    return Book(optimize.root(off, start, tol=1e-12).x, reach=1.0)


qr.elements.add("lloyd{bits}", book_row(lloyd, texts=True), doc="Lloyd-Max levels", examples=["lloyd4(normal)"])
qr.elements.add("power{bits}", book_row(power, texts=True), doc="a power of a density", examples=["power4(0.333,inner,normal)"])
qr.elements.add("cut{bits}", book_row(cut, texts=True), doc="the same inside a block", examples=["cut4(0.333,64,normal)"])
