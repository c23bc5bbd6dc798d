"""Ham or spam: a logistic regression on the vectors of a sentence encoder, fitted in floating point, judged on other mails."""

from __future__ import annotations

import email
import html
import json
import re
from collections.abc import Iterator
from email.message import Message
from functools import lru_cache, partial
from typing import Any

import jax
import numpy as np

from experiments.tasks.data import path
from experiments.tasks.sentences import BATCH, encoder
from experiments.tasks.task import TASKS, Kind, Task, extras
from qresearch.base.table import shown

CALIBRATION = 4
"""Batches of mails that ranges are observed on."""

CHARACTERS = 4000
"""Of a mail: more than the tokens that are read."""

SPLIT = 0
"""The seed of the order of mails."""


@lru_cache(maxsize=1)
def mails() -> tuple[list[str], np.ndarray]:
    """Subject and text of all different mails, in an order of its own, and whether each is spam: bool [mails].

    Other headers are left out: they name the filters that the mails have passed.
    """
    found = dict[str, bool]()
    for file in sorted(path("spam").glob("*-*/*.json")):
        each = json.loads(file.read_text(encoding="utf-8"))
        found.setdefault(words(each["text"]), each["group"].startswith("spam"))
    order = np.random.default_rng(SPLIT).permutation(len(found))
    texts = list(found)
    return [texts[place] for place in order], np.array(list(found.values()))[order]


def words(mail: str) -> str:
    r"""The subject and the first text of a mail, without tags.

    >>> words("Subject: Hello\nX-Spam: yes\n\n<p>Dear &amp; <b>welcome</b></p>")
    'Hello Dear & welcome'
    """
    mail = re.sub(r"\AFrom .*\n", "", mail)  # the line of the mailbox
    message = email.message_from_string(mail)
    text = next(_texts(message), "")
    bare = re.sub(r"<(script|style).*?</\1>|<!--.*?-->|<[^<>]*>", " ", text, flags=re.DOTALL | re.IGNORECASE)
    return " ".join(html.unescape(f"{message['subject'] or ''} {bare}").split())[:CHARACTERS]


def _texts(message: Message) -> Iterator[str]:
    for part in message.walk():
        if part.get_content_maintype() == "text":
            content = part.get_payload(decode=True)
            yield content.decode("latin-1") if isinstance(content, bytes) else str(content)


@lru_cache(maxsize=2)
def regression(folder: str, half: int) -> Any:
    """Fitted to the vectors of the first mails by the float model, with scikit-learn's penalty of 1."""
    with extras():
        from sklearn.linear_model import LogisticRegression

    texts, spam = mails()
    model = encoder(folder)
    run = jax.jit(partial(model.model.apply, model.params))
    return LogisticRegression(max_iter=1000).fit(model.vectors(run, model.tokens(texts[:half])), spam[:half])


def make(seed: int, folder: str, examples: int) -> Task:
    """The task.

    Args:
        seed: changes nothing.
        folder: of a checkpoint of BERT's type; all-MiniLM-L6-v2 if empty.
        examples: mails to judge, after as many to fit the regression to; 0 for one half each.
    """
    texts, spam = mails()
    half = examples or len(texts) // 2
    if not isinstance(examples, int) or not 0 <= examples <= len(texts) // 2:
        raise ValueError(f"examples: {shown(examples)}; allowed: 1 to {len(texts) // 2:,}, or 0 for one half of the mails")
    model = encoder(folder)
    tokens = model.tokens(texts[: 2 * half])
    fitted = regression(folder, half)
    calibration = model.calibration(tokens[: min(half, CALIBRATION * BATCH)])
    return Task(
        "spam",
        model.model.apply,
        model.params,
        calibration,
        lambda run: {
            "correct": (fitted.predict(model.vectors(run, tokens[half:])) == spam[half : 2 * half]).astype(np.float64)
        },
        masks=[mask for _, mask in calibration],
        notes=(f"{half:,} mails, the regression is fitted to {half:,} others in floating point",),
    )


TASKS.add(
    "spam",
    Kind(make, {"folder": "", "examples": 1000}, needs=("minilm", "spam"), random=False),
    doc="ham or spam, by a logistic regression on the vectors of a sentence encoder",
)
