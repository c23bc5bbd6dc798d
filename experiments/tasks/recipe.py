"""What is done with the model of a task: a recipe, and how long it is trained with it before it is frozen."""

from __future__ import annotations

import re
from dataclasses import dataclass

from qresearch import model

_TRAINED = re.compile(r"\s*,\s*trained\((?P<epochs>[^()]*)\)\s*$")


@dataclass(frozen=True)
class Treatment:
    """A recipe of `qr.model`, and the training that follows.

    Attributes:
        recipe: what each weight and its inputs get.
        epochs: of training with quantized weights and inputs; 0 for none.

    >>> print(Treatment.parse("int3@row | int3@row,trained(2)"))
    int3@row | int3@row, trained(2)
    """

    recipe: model.Recipe
    epochs: int = 0

    @classmethod
    def parse(cls, text: str) -> Treatment:
        """Reads `recipe` or `recipe, trained(epochs)`. Raises `ValueError`."""
        found = _TRAINED.search(text)
        if found is None:
            return cls(model.Recipe.parse(text))
        if not re.fullmatch(r"[1-9]\d{0,3}", given := found["epochs"].strip()):
            raise ValueError(f"trained({given}): the number of epochs must be a whole number from 1 on, such as trained(2)")
        return cls(model.Recipe.parse(text[: found.start()]), int(given))

    def __str__(self) -> str:
        return f"{self.recipe}, trained({self.epochs})" if self.epochs else str(self.recipe)
