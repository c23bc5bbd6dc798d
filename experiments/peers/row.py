"""A row of a comparison: one format, one peer, one quantity."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from experiments.store.manifest import version


@dataclass(frozen=True)
class Row:
    """What was compared, and the result.

    Attributes:
        format: the element or scheme.
        peer: the package.
        what: codes, scales or values, and of which function.
        compared: the number of entries.
        equal: how many are equal.
        differing: how many are not.
        why: why some differ and who is right, or why nothing was compared.
        inputs: what was quantized.
        version: the version of the peer; by default that which is installed.
        failed: whether the comparison raised.
    """

    format: str
    peer: str
    what: str
    compared: int = 0
    equal: int = 0
    differing: int = 0
    why: str = ""
    inputs: str = ""
    version: str = ""
    failed: bool = field(default=False, repr=False)

    def __post_init__(self) -> None:
        for name in ("compared", "equal", "differing"):
            object.__setattr__(self, name, int(getattr(self, name)))
        if self.compared != self.equal + self.differing:
            raise ValueError(
                f"{self.format}, {self.peer}: {self.equal} equal and {self.differing} differing of {self.compared}"
            )
        object.__setattr__(self, "version", self.version or version(self.peer))

    @property
    def unexplained(self) -> bool:
        """Whether numbers differ without a reason, or the comparison raised."""
        return self.failed or (self.differing > 0 and not self.why)


def comparison(
    format: str, peer: str, what: str, ours: Any, theirs: Any, why: str = "", inputs: str = "", bits: bool = True
) -> dict[str, Any]:
    """The fields of a `Row` from two arrays of one shape.

    Args:
        format: the element or scheme.
        peer: the package.
        what: what is compared.
        ours: our array.
        theirs: that of the peer.
        why: the reason for differences, or why nothing was compared; dropped if all numbers agree.
        inputs: what was quantized.
        bits: as in `counted`.
    """
    counts = counted(ours, theirs, bits)
    why = why if counts["differing"] or not counts["compared"] else ""
    return {"format": format, "peer": peer, "what": what, **counts, "why": why, "inputs": inputs}


def counted(ours: Any, theirs: Any, bits: bool = True) -> dict[str, int]:
    """How many entries of two arrays agree.

    Args:
        ours: numbers.
        theirs: numbers of the same shape.
        bits: whether floats are compared in float32 with the sign of a zero, or as numbers in their own precision. All NaNs
            are equal either way.

    Raises:
        ValueError: if the shapes differ.
    """
    a, b = np.asarray(ours), np.asarray(theirs)
    if a.shape != b.shape:
        raise ValueError(f"ours has the shape {a.shape}, theirs {b.shape}")
    same = agreeing(a, b) if bits else (a == b) | ((a != a) & (b != b))
    return {"compared": same.size, "equal": int(same.sum()), "differing": int((~same).sum())}


def agreeing(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """bool: where two arrays have the same bits in float32 (all NaNs are equal), or are the same integers."""
    if not np.issubdtype(a.dtype, np.floating):
        return a.astype(np.int64) == b.astype(np.int64)
    a, b = a.astype(np.float32), b.astype(np.float32)
    return (a.view(np.uint32) == b.view(np.uint32)) | (np.isnan(a) & np.isnan(b))
