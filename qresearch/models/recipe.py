"""Recipes: which scheme and method each weight of a model gets, and what its inputs get. Text, YAML and Python say the same.

    recipe = [ "in order:" ] ( rule | { pattern "=" rule ";" } )
    rule   = "none" | weights [ "|" inputs ]
    weights = scheme | method "(" weights ")"
    inputs = scheme | ( "static(" | "lsq(" ) scheme [ "," observer ] ")" | "split(" scheme [ "," threshold [ "," "fixed" ] ] ")"

`qresearch.models.rule` says what the words mean.

The first pattern that matches the name of a site decides. `*` stands for any text, `?` for one character, and a last `[0:4]`
for some layers of a stack.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from qresearch.base.table import suggestion
from qresearch.grammar.letters import split
from qresearch.models.patterns import Run, cuts, matches
from qresearch.models.rule import Rule

IN_ORDER = "in order:"
"""Before the rules of a recipe: weights are quantized one after the other."""


@dataclass(frozen=True)
class Recipe:
    """Patterns of site names, each with its rule, in the order in which they are tried.

    Attributes:
        rules: pairs of a pattern and its rule.
        in_order: whether each weight is solved for the inputs that it has after those before it were quantized; else for the
            inputs of the float model.

    >>> recipe = Recipe.parse("head = int8@row; * = int4@64")
    >>> print(recipe.rule("layers/wq"), recipe.rule("head"))
    int4@64 int8@row
    """

    rules: tuple[tuple[str, Rule], ...]
    in_order: bool = False

    @classmethod
    def parse(cls, given: Recipe | Mapping[str, Any] | str | Rule | None) -> Recipe:
        """Reads a text, a mapping from patterns to rules, or one rule for all sites.

        Raises `ValueError` for rules that cannot be read, and for a pattern that is given twice.
        """
        if isinstance(given, Recipe):
            return given
        ordered = isinstance(given, str) and given.strip().startswith(IN_ORDER)
        if isinstance(given, str) and ordered:
            given = given.strip().removeprefix(IN_ORDER)
        if isinstance(given, str) and "=" in given:
            pairs: list[tuple[str, Any]] = [_pair(each) for each in split(given, ";") if each]
        elif isinstance(given, Mapping):
            pairs = list(given.items())
        else:
            pairs = [("*", given)]
        seen: set[str] = set()
        rules = []
        for pattern, rule in pairs:
            if pattern in seen:
                raise ValueError(f"pattern {pattern!r} is given twice; the first match decides, so the second has no effect")
            seen.add(pattern)
            try:
                rules.append((str(pattern), Rule.parse(rule)))
            except ValueError as error:
                raise ValueError(f"the rule of {pattern!r}: {error}") from error
        if not rules:
            raise ValueError("the recipe has no rule; write one, such as 'int4@64' or {'*': 'int4@64'}")
        return cls(tuple(rules), ordered)

    def __str__(self) -> str:
        before = f"{IN_ORDER} " if self.in_order else ""
        if len(self.rules) == 1 and self.rules[0][0] == "*":
            return before + str(self.rules[0][1])
        return before + "; ".join(f"{pattern} = {rule}" for pattern, rule in self.rules)

    def rule(self, name: str, run: Run | None = None) -> Rule | None:
        """The rule of the first pattern that matches a name, or the layers of a stack; None if none does."""
        return next((rule for pattern, rule in self.rules if matches(pattern, name, run)), None)

    def cuts(self, stacks: Mapping[str, int], names: Sequence[str]) -> tuple[tuple[str, tuple[int, ...]], ...]:
        """Stacks (name -> number of layers) in which some layers have rules of their own, and where these begin and end."""
        found = cuts([pattern for pattern, _ in self.rules], stacks, names)
        return tuple((stack, tuple(sorted(edges))) for stack, edges in found.items())

    def assign(self, names: Sequence[str], runs: Mapping[str, Run] | None = None) -> dict[str, Rule]:
        """The rule of every site. Raises `ValueError` for sites without a rule and for rules that no site uses."""
        runs = {} if runs is None else runs
        found = {name: self.rule(name, runs.get(name)) for name in names}
        missing = [name for name, rule in found.items() if rule is None]
        if missing:
            raise ValueError(f"no rule for {_some(missing)}; end the recipe with '* = none' to leave the rest in float")
        first = {name: next(pattern for pattern, _ in self.rules if matches(pattern, name, runs.get(name))) for name in names}
        unused = [pattern for pattern, _ in self.rules if pattern not in first.values()]
        if unused and not (unused == ["*"] and len(self.rules) > 1):
            near = suggestion(unused[0], names)
            raise ValueError(f"no site is left for the pattern {unused[0]!r}{near}; the sites are {_some(list(names))}")
        return {name: rule for name, rule in found.items() if rule is not None}


def _pair(text: str) -> tuple[str, str]:
    pattern, sign, rule = text.partition("=")
    if not sign:
        raise ValueError(f"{text!r} has no '='; write pattern = rule, such as 'head = int8@row'")
    if "=" in rule:
        raise ValueError(f"{text!r} has a second '='; write ';' between rules, such as 'head = int8@row; * = int4@64'")
    return pattern.strip(), rule.strip()


def _some(names: list[str], most: int = 8) -> str:
    rest = "" if len(names) <= most else f" and {len(names) - most} more"
    return ", ".join(map(repr, names[:most])) + rest
