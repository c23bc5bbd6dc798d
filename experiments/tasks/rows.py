"""The tasks there are. Importing this module registers their rows; nothing is fetched."""

from __future__ import annotations

from experiments.tasks import austen, digits, fashion, language, spam, verses
from experiments.tasks.task import TASKS

__all__ = ["TASKS", "austen", "digits", "fashion", "language", "spam", "verses"]
