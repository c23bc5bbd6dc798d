"""The table of levels of an element, by its name in a scheme."""

from __future__ import annotations

import numpy as np

from qresearch.grammar.build import build
from qresearch.grammar.spec import Spec


def levels(element: str | Spec) -> np.ndarray:
    """The numbers that an element can represent, before any scale.

    Args:
        element: the text of an element, such as `nf4`, `int4-full`, `e2m1`, `bof4(64)` or `codebook(-1,0,1)`. The text of a
            whole scheme gives the levels of its element.

    Returns:
        float64 [n], ascending; each is exactly a float32 number. For integers and codebooks this is the order of the codes.
        Vectors (`vq8x2`) are float64 [n, group], in the order of their codes. Signed integers leave out the least code unless
        the text says so (`int4-full`). For floats NaNs, infinities and -0 are left out, and codes, which are bit patterns, have
        another order. Tapered formats have no NaR.

    Raises:
        TypeError: if `element` is not a text or a Spec.
        ValueError: for an unknown element, with a suggestion.

    >>> levels("int3").tolist(), levels("codebook(-1,0,0.5)").tolist()
    ([-3.0, -2.0, -1.0, 0.0, 1.0, 2.0, 3.0], [-1.0, 0.0, 0.5])
    >>> levels("e2m1")[8:].tolist()
    [0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0]
    """
    found = build(element).element
    numbers = np.asarray(found.decode(found.codes()), np.float64)
    if found.group > 1:
        return numbers.reshape(-1, found.group)
    return np.unique(numbers[np.isfinite(numbers)]) + 0.0  # -0 and 0 are one level; the sum makes it 0
