"""The sections `models` and `recipes`: which model is judged on what, and how it is quantized.

models:  {cnn: fashion-cnn, mine: {task: perplexity, model: llama, folder: my/checkpoint, text: my.txt}}
recipes: [{recipe: "int{bits}@row | int8@row", family: dynamic, bits: [4, 8]}]
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

from pydantic import Field, ValidationInfo, field_validator, model_validator

from experiments.config.schemes import SchemeEntry
from experiments.config.section import Distinct, Section, ToTuple, ToTupleOfOne, offered, refuse, wrong
from experiments.config.sources import SourceName
from experiments.tasks.recipe import Treatment
from experiments.tasks.rows import TASKS
from experiments.tasks.task import Kind
from qresearch.base.table import suggestion

OF_EVERY_MODEL = ("change", "change_low", "change_high", "bytes")
"""Measures that every task has."""


class ModelEntry(Section):
    """A model and its task: all keys besides `task` are options of the task.

    Attributes:
        task: a name of `experiments.tasks`.
        options: name -> value.
    """

    task: str
    options: dict[str, Any] = Field(default_factory=dict, validate_default=True)

    @model_validator(mode="before")
    @classmethod
    def _gather(cls, value: Any) -> Any:
        if isinstance(value, str):
            return {"task": value}
        if not isinstance(value, dict):
            wrong(f"got {value!r}; allowed: the name of a task such as digits, or a mapping with the key 'task'")
        if "task" not in value:
            typo = suggestion("task", value).replace("did you mean", "was it misspelled as")
            wrong(f"the key 'task' is needed{typo or ';'} got the keys {', '.join(value) or 'none'}")
        return {"task": value["task"], "options": {key: each for key, each in value.items() if key != "task"}}

    @field_validator("task")
    @classmethod
    def _known(cls, task: str) -> str:
        if task not in TASKS:
            wrong(f"no such task {task!r}{offered(task, TASKS, 'there are')}")
        return task

    @field_validator("options")
    @classmethod
    def _taken(cls, options: dict[str, Any], info: ValidationInfo) -> dict[str, Any]:
        if (name := info.data.get("task")) is None:
            return options
        allowed = TASKS[name].options
        refuse(((key,), f"unknown option of {name}{offered(key, allowed)}") for key in options if key not in allowed)
        for key, value in options.items():
            default = allowed[key]
            if default is not None and type(value) is not type(default):
                refuse([((key,), f"got {value!r}; allowed: a {type(default).__name__} such as {default!r}")])
        return options

    @property
    def kind(self) -> Kind:
        """The row of the table of tasks."""
        return TASKS[self.task]

    def plain(self) -> Any:
        """The section as plain YAML: options are keys like the others."""
        return {"task": self.task, **self.options} if self.options else self.task

    def small(self, examples: int) -> ModelEntry:
        """The same with few examples, if the task lets one choose how many."""
        if "examples" not in self.kind.options:
            return self
        return self.model_copy(update={"options": self.options | {"examples": examples}})


class RecipeEntry(SchemeEntry):
    """A recipe, or a template with axes, as in the section `schemes`.

    Attributes:
        scheme: the recipe; `{name}` stands for the values of that axis. In a configuration its key is `recipe`.
        sources: the models that it is for; by default all. In a configuration its key is `models`.
    """

    key: ClassVar[str] = "recipe"
    example: ClassVar[str] = "a recipe such as 'int8@row | int8@row'"

    scheme: str = Field(alias="recipe")
    sources: Annotated[tuple[SourceName, ...] | None, ToTupleOfOne, Distinct, Field(min_length=1, alias="models")] = None

    @classmethod
    def canonical(cls, text: str) -> str:
        """The text of a recipe as tables show it. Raises `ValueError`."""
        return str(Treatment.parse(text))

    @classmethod
    def check(cls, text: str) -> None:
        """Raises what is wrong with the text of a recipe."""
        Treatment.parse(text)


Recipes = Annotated[tuple[RecipeEntry, ...], ToTuple, Field(min_length=1)]


def measures_of(models: Any) -> list[str]:
    """The measures of an unvalidated section `models`: those of its tasks, then those of every model."""
    given = models.values() if isinstance(models, dict) else []
    tasks = [each.get("task") if isinstance(each, dict) else each for each in given]
    found = [name for task in tasks if isinstance(task, str) and task in TASKS for name in TASKS[task].measures]
    return list(dict.fromkeys([*found, *OF_EVERY_MODEL]))
