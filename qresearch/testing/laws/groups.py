"""The law of groups: each code stands for the element's `group` of numbers, and depends on no others."""

from __future__ import annotations

import numpy as np

from qresearch.coders.quantizer import Quantizer
from qresearch.testing import samples
from qresearch.testing.laws.dependence import by_code, touched
from qresearch.testing.laws.law import assert_same, law
from qresearch.testing.laws.structure import fits
from qresearch.testing.oracle.blocks import codes_shape
from qresearch.testing.oracle.description import Description, Feedback
from qresearch.testing.oracle.grids import Vectors
from qresearch.testing.oracle.reading import block_of
from qresearch.testing.subject import Subject, at_params, fit

SHAPES = (samples.SHAPE, (), (1,), (7,), (40,), (0,), (3, 0), (5, 41), (2, 3, 33))


def known_mixing(subject: Subject) -> str | None:
    """Applies where the oracle knows which elements a wrapper mixes, and where errors are not fed back."""
    scheme = subject.description
    if scheme is None:
        return None if isinstance(subject.quantizer, Quantizer) else subject.unknown
    fed_back = any(isinstance(each, Feedback) for each in scheme.wrappers)
    return "errors are fed back to later elements" if fed_back else None


@law("groups", applies=known_mixing)
def _groups(subject: Subject) -> None:
    """Codes and values have the shapes that `group` implies; at fixed parameters a group depends on its own numbers alone."""
    element, scheme = subject.quantizer.element, _described(subject)
    codes = element.grid.codes()
    listed, bits = codes.reshape(-1, element.per_group), int(element.bits) * element.per_group
    assert len(np.unique(listed, axis=0)) == len(listed) <= 2**bits, f"{len(listed)} different groups of {bits} bits"
    numbers = np.asarray(element.decode(codes))
    assert numbers.size == len(listed) * element.group, f"{codes.size} codes stand for {numbers.size} numbers"
    for shape in SHAPES:
        if fits(subject, shape):
            said, wanted = subject.quantizer.codes_shape(shape), codes_shape(scheme.block, shape)
            assert said == wanted, f"an array of shape {shape} has codes of {said}, not {wanted}"
    x = samples.ordinary()
    mark = np.zeros(x.shape, bool)
    rows = np.arange(0, x.shape[0], 3)
    mark[rows, rows * 37 % x.shape[1]] = True
    changed = np.where(mark, -x - np.sign(x) * np.abs(x).max(), x)
    params = fit(subject.quantizer, x, None, subject.key)
    before, after = (at_params(subject.quantizer, each, params, subject.key) for each in (x, changed))
    # Where a rotation is around, the numbers rotated with a group count as its own.
    near = touched(scheme, mark, fixed_scales=True)
    for name, mine, first, second in zip(("codes", "values"), (by_code(scheme, near), near), before, after, strict=True):
        assert_same(np.asarray(second)[~mine], np.asarray(first)[~mine], f"{name} of groups that did not change")
    assert (np.asarray(before[0]) != np.asarray(after[0])).any(), "numbers moved beyond the other end, but no code changed"


def _described(subject: Subject) -> Description:
    """What matters here of a scheme: which numbers share a code, and what rotates them."""
    if subject.description is not None:
        return subject.description
    core = subject.quantizer
    grid = Vectors(np.zeros((1, core.element.group)))
    return Description(grid, int(core.element.bits), "even", "sym", "unit", None, block_of(core))
