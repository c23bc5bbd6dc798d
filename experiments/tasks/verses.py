"""Find a verse in another translation: for each of the King James Version the nearest of the World English Bible, by cosine."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache, partial
from typing import Any

import jax
import numpy as np

from experiments.tasks.data import path
from experiments.tasks.sentences import BATCH, Encoder, encoder
from experiments.tasks.task import TASKS, Kind, Run, Scores, Task, extras
from qresearch.base.table import shown, suggestion

KJV, WEB = "engKJV2006eb", "engWEB2015eb"

CALIBRATION = 4
"""Batches of verses that ranges are observed on."""

CALIBRATED = "Sirach"
"""The book that they are from: its style is that of Proverbs, and it is in one of the translations only, so never judged."""

WORDS = "tf-idf finds 90.5 % of 640 verses of Proverbs without a model, so the agreement says more than the accuracy"
"""The number is that of `tests/experiments/tasks/test_sentence_tasks.py`; plain counts find 87.7 %."""

Place = tuple[str, int, int]
"""Book, chapter, verse."""


@lru_cache(maxsize=2)
def _bibles() -> Any:
    with extras():
        from pysword.modules import SwordModules

    modules = SwordModules(str(path("verses")))
    modules.parse_modules()
    return {name: modules.get_bible_from_module(name) for name in (KJV, WEB)}


def _books(translation: str) -> dict[str, Any]:
    structure = _bibles()[translation].get_structure().get_books()
    return {book.name: book for testament in ("ot", "nt") for book in structure[testament]}


@lru_cache(maxsize=200)
def _verses(translation: str, book: str) -> dict[Place, str]:
    """The verses of a book that have text. Translations number some differently, so they are matched by place."""
    lengths = _books(translation)[book].chapter_lengths
    places = [(book, chapter + 1, verse + 1) for chapter, length in enumerate(lengths) for verse in range(length)]
    texts = _bibles()[translation].get_iter(books=[book], clean=True)
    return {place: text for place, each in zip(places, texts, strict=True) if (text := " ".join(each.split()))}


def pairs(book: str) -> Iterator[tuple[str, str]]:
    """The verses of a book, or of `all`, in both translations. Raises `ValueError` for a book that is not in both."""
    known = [name for name in _books(KJV) if name in _books(WEB)]
    if book != "all" and book not in known:
        raise ValueError(
            f"book: {shown(book)} is not in both translations{suggestion(book, known) or '.'} Allowed: all, {', '.join(known)}"
        )
    for name in known if book == "all" else [book]:
        ours, theirs = _verses(KJV, name), _verses(WEB, name)
        yield from ((ours[place], theirs[place]) for place in ours if place in theirs)


def make(seed: int, folder: str, book: str, examples: int) -> Task:
    """The task.

    Args:
        seed: changes nothing.
        folder: of a checkpoint of BERT's type; all-MiniLM-L6-v2 if empty.
        book: such as Proverbs, or all.
        examples: how many of its verses, from the first on; 0 for all.
    """
    if not isinstance(examples, int) or examples < 0:
        raise ValueError(f"examples: {shown(examples)} is no number of verses; write 640, or 0 for all")
    found = list(pairs(book))[: examples or None]
    model = encoder(folder)
    ours, theirs = (model.tokens(side) for side in zip(*found))
    exact = lru_cache(1)(lambda: nearest(model, jax.jit(partial(model.model.apply, model.params)), ours, theirs))
    known = model.tokens(list(_verses(WEB, CALIBRATED).values())[: CALIBRATION * BATCH])
    calibration = model.calibration(known)
    return Task(
        "verses",
        model.model.apply,
        model.params,
        calibration,
        lambda run: judge(nearest(model, run, ours, theirs), exact()),
        masks=[mask for _, mask in calibration],
        notes=(f"{len(found):,} verses of {book}, each among as many of the other translation", WORDS),
    )


def nearest(model: Encoder, run: Run, ours: list[list[int]], theirs: list[list[int]]) -> np.ndarray:
    """int64 [verses]: the place of the nearest verse of the other translation, both by the same model."""
    asked, offered = model.vectors(run, ours), model.vectors(run, theirs)
    return np.concatenate([np.argmax(asked[start : start + 1024] @ offered.T, 1) for start in range(0, len(asked), 1024)])


def judge(found: np.ndarray, exact: np.ndarray) -> Scores:
    """Whether what was found is the same verse, and whether it is what the float model found."""
    right = found == np.arange(len(found))
    return {"correct": right.astype(np.float64), "agree": (found == exact).astype(np.float64)}


TASKS.add(
    "verses",
    Kind(
        make,
        {"folder": "", "book": "Proverbs", "examples": 640},
        measures=("accuracy", "agreement"),
        needs=("minilm", "verses"),
        random=False,
    ),
    doc="find the verse of another translation by a sentence encoder",
)
