"""`qr.levels`: the numbers that an element can represent."""

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
        float64 [n], ascending; each is exactly a float32 number. Integers and codebooks have their codes in the same order.
        For vectors (`vq8x2`), float64 [n, group] in the order of their codes. Signed integers omit the least code unless the
        text has `-full`. Floats omit NaNs, infinities and -0; their codes are bit patterns, in another order. Posits and
        takums omit NaR.

    Raises:
        TypeError: if `element` is not a text or a Spec.
        ValueError: for an unknown element, with a suggestion; and for one of more vectors than a table can hold.

    >>> levels("int3").tolist(), levels("codebook(-1,0,0.5)").tolist()
    ([-3.0, -2.0, -1.0, 0.0, 1.0, 2.0, 3.0], [-1.0, 0.0, 0.5])
    >>> levels("e2m1")[8:].tolist()
    [0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0]
    """
    found = build(element).element
    numbers = np.asarray(found.decode(found.grid.codes()), np.float64)
    if numbers.size // found.group < 2 ** (int(found.bits) * found.per_group) and found.group > 1:
        raise ValueError(f"{element!r} has too many vectors to list; build({str(element)!r}).element.decode(codes) gives some")
    if found.group > 1:
        return numbers.reshape(-1, found.group)
    return np.unique(numbers[np.isfinite(numbers)]) + 0.0  # -0 and 0 are one level; the sum makes it 0
