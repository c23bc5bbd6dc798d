"""`check`: whether a scheme keeps the laws.

>>> from qresearch import testing
>>> testing.check("int4@32:bf16", ["oracle", "codes", "unbiased"])  # raises LawBroken, naming each law that is broken
2 laws hold; not applicable: unbiased (the rounding is not random)
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from qresearch.testing.laws import agreement, arithmetic, grid, groups, structure
from qresearch.testing.laws.law import LAWS, Law
from qresearch.testing.subject import Subject

MODULES = (grid, groups, arithmetic, agreement, structure)
"""Where the laws are written down; importing them fills the table."""


@dataclass(frozen=True)
class Outcome:
    """The outcome of one law: it holds, or it does not apply for a `reason`."""

    law: str
    reason: str | None


class Outcomes(list[Outcome]):
    """The outcomes of all laws; printed, how many hold, and why the others do not apply."""

    def __repr__(self) -> str:
        absent = [f"{each.law} ({each.reason})" for each in self if each.reason]
        return f"{len(self) - len(absent)} laws hold" + (f"; not applicable: {', '.join(absent)}" if absent else "")


class LawBroken(AssertionError):
    """A scheme breaks laws; the message names each and shows where."""


def check(scheme: Any, laws: Iterable[str] | None = None, reference: Any = None) -> Outcomes:
    """Checks laws on a scheme.

    Args:
        scheme: a text, a Spec or a Quantizer; registered parts of your own included.
        laws: their names; all of them by default.
        reference: what the oracle computes if it does not know a part of the scheme: a scheme that must agree bit for bit,
            or a `Description`.

    Returns:
        An outcome for every law: it holds, or why it does not apply.

    Raises:
        LawBroken: naming every law that is broken.
        UnknownName: for a law that does not exist.
    """
    subject, outcomes, broken = Subject.of(scheme, reference), Outcomes(), []
    for row in [LAWS[name] for name in (LAWS if laws is None else laws)]:
        try:
            outcomes.append(run(row, subject))
        except LawBroken as error:
            broken.append(str(error))
    if broken:
        raise LawBroken("\n".join(broken))
    return outcomes


def run(row: Law, subject: Subject) -> Outcome:
    """Checks one law on one subject. Raises `LawBroken`."""
    if (reason := row.applies(subject)) is not None:
        return Outcome(row.name, reason)
    try:
        row.check(subject)
    except Exception as error:  # a law that stops with any error is broken
        said = str(error) if isinstance(error, AssertionError) else f"{type(error).__name__}: {error}"
        raise LawBroken(f"{subject.name} breaks the law {row.name!r} ({row.doc}): {said}") from error
    return Outcome(row.name, None)
