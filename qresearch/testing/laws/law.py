"""A law, which every scheme keeps, and the table of all laws."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from qresearch.base.table import Table
from qresearch.coders.quantizer import Quantizer
from qresearch.testing.oracle.grids import Vectors
from qresearch.testing.subject import Subject

Check = Callable[[Subject], None]
Applies = Callable[[Subject], str | None]


@dataclass(frozen=True)
class Law:
    """One law.

    Attributes:
        name: its name in the table.
        check: raises `AssertionError` where a scheme breaks it.
        doc: what it says.
        applies: None if it applies to a scheme, else the reason why it does not.
    """

    name: str
    check: Check
    doc: str
    applies: Applies


LAWS: Table[Law] = Table("law", spelling=r".+")
"""Every law; `LAWS.rows` lists them in order, `LAWS["poison"]` is one. Your own are added with `law`."""


def always(subject: Subject) -> str | None:
    """Applies to every scheme."""
    return None


def described(subject: Subject) -> str | None:
    """Applies where the oracle knows every part of the scheme."""
    return subject.unknown


def scaled(subject: Subject) -> str | None:
    """Applies to schemes with a scale."""
    return "a cast has no scale" if subject.quantizer.bare else None


def plain(subject: Subject) -> str | None:
    """Applies to schemes without wrappers."""
    return None if isinstance(subject.quantizer, Quantizer) else "there is a wrapper around the quantizer"


def unwrapped(subject: Subject) -> str | None:
    """Applies where no wrapper changes numbers (an entropy coder does not)."""
    scheme = subject.description
    if scheme is None or not scheme.wrappers:
        return None
    return f"a wrapper changes numbers: {', '.join(type(each).__name__.lower() for each in scheme.wrappers)}"


def one_by_one(reason: str) -> Applies:
    """Applies where each number has a code of its own; not to vectors, for a reason that a law gives."""

    def applies(subject: Subject) -> str | None:
        return f"a code stands for a vector: {reason}" if isinstance(subject.known.grid, Vectors) else None

    return applies


def both(*conditions: Applies) -> Applies:
    """Applies where all of the conditions do."""
    return lambda subject: next((reason for each in conditions if (reason := each(subject))), None)


def law(name: str, applies: Applies = always) -> Callable[[Check], Check]:
    """Registers a check as a law; its docstring is what the law says."""

    def register(check: Check) -> Check:
        doc = " ".join((check.__doc__ or "").split())
        LAWS.add(name, Law(name, check, doc, applies), doc=doc)
        return check

    return register


def assert_same(got: object, wanted: object, what: str) -> None:
    """Bit for bit the same array (all NaNs count as one); the message shows the first difference."""
    a, b = np.asarray(got), np.asarray(wanted)
    assert a.shape == b.shape, f"{what}: shape {a.shape}, not {b.shape}"
    different = differences(a, b)
    if different.any():
        place = tuple(int(i) for i in np.argwhere(different)[0])
        raise AssertionError(
            f"{what}: {int(different.sum())} of {a.size} differ, first at {place}: {a[place]!r}, not {b[place]!r}"
        )


def differences(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """bool: where two arrays differ, signs of zero included."""
    different = a != b
    if a.dtype.kind == "f" and b.dtype.kind == "f":
        different = (different | (np.signbit(a) != np.signbit(b))) & ~(np.isnan(a) & np.isnan(b))
    return different


def assert_refused(call: Callable[[], object], kind: type[Exception], word: str, what: str) -> None:
    """The call raises this kind of exception, and its message contains the word."""
    try:
        call()
    except kind as error:
        said = str(error)
    else:
        raise AssertionError(f"{what} passed silently")
    assert word in said, f"{what}: the error does not name {word!r}: {said}"
