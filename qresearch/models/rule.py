"""Rules: what a weight gets, and what its inputs get, as text such as `gptq(int4@32) | int8@row`.

`int8@row | int8@row` reads "weights in int8 by row, inputs in int8 by token" (W8A8). Inputs are scaled when they come, unless
they are `static`: then their scales are fitted to the data that a plan has observed. `lsq` learns them from there on, as it
does those of weights: `lsq(int4@row) | lsq(int8)` (Esser et al. 2020, arXiv 1902.08153). `split` keeps columns that hold a
magnitude of at least the threshold in floating point (LLM.int8, Dettmers et al. 2022, arXiv 2208.07339): those of every
batch by itself, or, if they are `fixed`, those that held one while the plan observed.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from qresearch.base.table import shown, suggestion
from qresearch.grammar.letters import listed, split, split_call
from qresearch.grammar.spec import Spec, scheme
from qresearch.models.methods import METHODS, Method
from qresearch.models.observers import observer_for

MODES = ("dynamic", "static", "lsq", "split")


@dataclass(frozen=True)
class Inputs:
    """What happens to the inputs of a product.

    Attributes:
        scheme: of the inputs, [tokens, in]: `int8` has one scale for all, `int8@row` one for each token.
        mode: `dynamic`, `static`, `lsq` or `split`.
        argument: the observer of static or learned scales, or the threshold of a split.
        fixed: whether the columns of a split are those that were observed.
    """

    scheme: Spec
    mode: str = "dynamic"
    argument: str = ""
    fixed: bool = False

    @property
    def observed(self) -> bool:
        """Whether they depend on what a plan has observed."""
        return self.mode in ("static", "lsq") or self.fixed

    def __str__(self) -> str:
        rest = (f", {self.argument}" if self.argument else "") + (", fixed" if self.fixed else "")
        return str(self.scheme) if self.mode == "dynamic" else f"{self.mode}({self.scheme}{rest})"


@dataclass(frozen=True)
class Rule:
    """What a site gets. A rule without a scheme leaves it as it is.

    >>> print(Rule.parse("int8@row|static( int8-asym )"))
    int8@row | static(int8-asym)
    """

    scheme: Spec | None = None
    methods: tuple[str, ...] = ()
    inputs: Inputs | None = None

    @classmethod
    def parse(cls, text: Rule | str | None) -> Rule:
        """Reads a rule. Raises `ValueError` for what it does not know."""
        if isinstance(text, Rule):
            return text
        if text is None or str(text).strip() == "none":
            return cls()
        weights, *rest = split(str(text), "|")
        if len(rest) > 1:
            raise ValueError(f"rule {shown(text)} has more than one '|'; write weights | inputs, such as int8@row | int8@row")
        inputs = None if not rest or rest[0] == "none" else _inputs(rest[0])
        if weights == "none":
            if inputs is not None:
                raise ValueError(f"rule {shown(text)} quantizes inputs alone; give the weights a scheme, such as bf16")
            return cls()
        methods, spec = _weights(weights)
        return cls(spec, methods, inputs)

    @property
    def method(self) -> str:
        """The names of its methods, for messages; empty if every number is rounded to the nearest level."""
        return " and ".join(self.methods)

    @property
    def rows(self) -> tuple[Method, ...]:
        """The rows of its methods, the outer ones first."""
        return tuple(METHODS[name] for name in self.methods)

    @property
    def solved(self) -> bool:
        """Whether the codes depend on what was observed of the inputs."""
        return any(row.solve for row in self.rows)

    @property
    def divides(self) -> bool:
        """Whether inputs are divided by a number for each channel."""
        return any(row.divide for row in self.rows)

    @property
    def needs_moments(self) -> bool:
        """Whether moments of the inputs are needed."""
        return self.solved or self.divides or self.target is not None

    @property
    def learned(self) -> bool:
        """Whether training learns the scales of the weight."""
        return any(row.learned for row in self.rows)

    @property
    def target(self) -> float | None:
        """The share of the changes of its inputs that the weight makes up for; None if it does not."""
        return next((row.target for row in self.rows if row.target is not None), None)

    @property
    def rounds(self) -> bool:
        """Whether rounding is learned, block by block."""
        return any(row.rounds for row in self.rows)

    @property
    def learns_divisors(self) -> bool:
        """Whether it learns divisors of the inputs in place of offsets."""
        return any(row.rounds and row.divide for row in self.rows)

    def __str__(self) -> str:
        if self.scheme is None:
            return "none"
        weights = "(".join([*self.methods, str(self.scheme)]) + ")" * len(self.methods)
        return weights if self.inputs is None else f"{weights} | {self.inputs}"


def _weights(text: str) -> tuple[tuple[str, ...], Spec]:
    name, given = _called(text)
    if name not in METHODS:
        return (), _scheme(text, "method", list(METHODS))
    items = listed(given)
    if len(items) != 1:
        raise ValueError(f"{text!r}: the method {name} takes one scheme, such as {name}(int4@32)")
    inner, spec = _weights(items[0])
    if inner and any(METHODS[each].learned for each in (name, *inner)):
        raise ValueError(f"{text!r}: {' and '.join((name, *inner))} cannot be joined; lsq learns by training alone")
    if METHODS[name].makes_up and any(METHODS[each].makes_up for each in inner):
        raise ValueError(f"{text!r}: {name} and {inner[-1]} both make up for changed inputs; leave one out")
    if METHODS[name].chooses and any(METHODS[each].chooses for each in inner):
        raise ValueError(f"{text!r}: {name} and {inner[-1]} both choose the codes; leave one out")
    return (name, *inner), spec


def _called(text: str) -> tuple[str, str]:
    """The word before a bracket that spans the rest of the text, and what is inside; empty if there is none."""
    return split_call(text) if re.fullmatch(r"\w+\(.*\)", text) else ("", "")


def _scheme(text: str, kind: str, words: Sequence[str]) -> Spec:
    """A scheme. Raises `ValueError`, which names the words there are where an unknown word stands before a whole scheme."""
    try:
        return scheme(text)
    except ValueError as error:
        name, given = _called(text)
        try:
            scheme(listed(given)[0])
        except (ValueError, IndexError):
            raise error from None
        if name in (*MODES, *METHODS):
            raise ValueError(f"{text!r} is no {kind}; write weights | inputs, such as lsq(int4@row) | static(int8)") from error
        raise ValueError(f"{text!r}: unknown {kind} {name!r}{suggestion(name, words)} Known: {', '.join(words)}") from error


def _inputs(text: str) -> Inputs:
    name, given = _called(text)
    if name not in MODES[1:]:
        return Inputs(_scheme(text, "word for inputs", MODES[1:]))
    first, *rest = listed(given) or [""]
    fixed = name == "split" and rest[-1:] == ["fixed"]
    rest = rest[:-1] if fixed else rest
    if not first or len(rest) > 1:
        example = "split(int8@row, 6) or split(int8@row, 6, fixed)" if name == "split" else f"{name}(int8, minmax)"
        raise ValueError(f"{text!r} takes a scheme and at most one more argument; write {example}")
    spec = scheme(first)
    if name == "split":
        return Inputs(spec, name, _threshold(text, rest[0] if rest else "6"), fixed)
    chosen = observer_for(spec, rest[0] if rest else None)
    return Inputs(spec, name, "" if chosen == observer_for(spec, None) else chosen)


def _threshold(text: str, given: str) -> str:
    try:
        number = float(given)
    except ValueError:
        number = -1.0
    if not number > 0:
        raise ValueError(f"{text!r}: the threshold must be a positive number, not {given!r}; write split(int8@row, 6)")
    return f"{number:g}"
