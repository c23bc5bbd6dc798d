"""Models of a sweep: what their rows are identified by, and how they are made."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import qresearch as qr
from experiments.base.arrays import fingerprint
from experiments.config.model import Config
from experiments.config.models import ModelEntry
from experiments.tasks.recipe import Treatment
from experiments.tasks.task import Task


@dataclass(frozen=True)
class Model:
    """A model and its task.

    Attributes:
        name: in the configuration.
        entry: its section.
        definition: plain values: all that its rows depend on besides the seed and the recipe. Part of their identity.
    """

    name: str
    entry: ModelEntry
    definition: dict[str, Any]

    size = 0
    """All rows are said to take equally long."""

    @property
    def group(self) -> str:
        """The name again: a model is a group of one."""
        return self.name

    @property
    def random(self) -> bool:
        """Whether each seed gives another model."""
        return self.entry.kind.random

    def make(self, seed: int) -> Task:
        """The task. Raises `experiments.tasks.task.Unavailable` where its data cannot be had."""
        return self.entry.kind.make(seed, **(dict(self.entry.kind.options) | self.entry.options))


def models(config: Config) -> list[Model]:
    """All models of a sweep, in the order of the configuration. Files and folders are read for their fingerprints."""
    return [Model(name, entry, _definition(name, entry)) for name, entry in config.sources.items()]


def _definition(name: str, entry: ModelEntry) -> dict[str, Any]:
    words = {key: Path(value) for key, value in entry.options.items() if isinstance(value, str)}
    files = {key: contents(path) for key, path in words.items() if path.exists()}
    return {"name": name, "task": entry.task, "options": entry.options, "files": files}


def contents(path: Path) -> str:
    """The hash of a file, or of all files of a folder and their names."""
    inside = sorted(each for each in path.rglob("*") if each.is_file()) if path.is_dir() else [path]
    lines = [f"{each.relative_to(path)} {fingerprint(each)}" for each in inside]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def drawn(treatment: Treatment) -> bool:
    """Whether a recipe depends on the seed: it rounds stochastically, or trains in random order."""
    rules = [rule for _, rule in treatment.recipe.rules]
    schemes = [each for rule in rules for each in (rule.scheme, rule.inputs and rule.inputs.scheme) if each]
    return treatment.epochs > 0 or any(qr.build(each).stochastic for each in schemes)
