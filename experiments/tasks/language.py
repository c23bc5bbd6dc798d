"""Tasks of language models: SmolLM2 on a novel, and a user's own checkpoint on a text."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

from experiments.tasks import llama, llama_files, novels
from experiments.tasks.data import path
from experiments.tasks.perplexity import Judge, batches, windows
from experiments.tasks.task import TASKS, Kind, Task, Unavailable
from experiments.tasks.tokens import encoded

TIME = 512
"""Tokens of a window."""

MEASURED = ("perplexity", "kl", "agreement")

ROUNDED = "float means the model of the file, whose matrices are Q4_1: rounded to 4 bits in groups of 32"
ON_THE_GRID = (
    "groups of 32 along the input give back the grid of Q4_1, so int4-offset@32 seems to lose nothing; use permuted: true"
)


def _task(name: str, file: Path, shape: Any, params: Any, known: str, text: str, count: int, notes: tuple[str, ...]) -> Task:
    apply = partial(llama.apply, shape)
    calibration = batches(windows(encoded(file, known), TIME, count))
    return Task(name, apply, params, calibration, Judge(apply, params, windows(encoded(file, text), TIME, count)), notes=notes)


def smollm2(seed: int, windows: int, permuted: bool) -> Task:
    """SmolLM2-135M-Instruct on *Persuasion*; the seed permutes its channels."""
    file = path("smollm2")
    shape, params = llama_files.from_gguf(file)
    notes = (ROUNDED,) if permuted else (ROUNDED, ON_THE_GRID)
    params = llama.permuted(shape, params, seed) if permuted else params
    start = windows * TIME * 8  # characters; a token has fewer
    return _task("smollm2", file, shape, params, novels.others()[:start], novels.held_out()[:start], windows, notes)


def perplexity(seed: int, model: str, folder: str, text: str, calibration: str, windows: int) -> Task:
    """A checkpoint of the user on a text of the user."""
    if model not in MODELS:
        raise ValueError(f"model: got {model!r}; allowed: {', '.join(MODELS)}")
    for option, value in (("folder", folder), ("text", text)):
        if not value or not Path(value).exists():
            raise Unavailable(
                f"{option}: {value!r} is not there; give the path of a {'checkpoint' if option == 'folder' else 'text'}"
            )
    shape, params = MODELS[model](Path(folder))
    judged = Path(text).read_text(encoding="utf-8")
    known = Path(calibration).read_text(encoding="utf-8") if calibration else judged[len(judged) // 2 :]
    return _task("perplexity", Path(folder), shape, params, known, judged, windows, ())


def _llama(place: Path) -> tuple[Any, Any]:
    return llama_files.from_gguf(place) if place.suffix == ".gguf" else llama_files.from_folder(place)


MODELS = {"llama": _llama}
"""Family of models -> the function that reads one."""

TASKS.add(
    "smollm2",
    Kind(smollm2, {"windows": 2, "permuted": True}, MEASURED, ("smollm2", "novels")),
    doc="SmolLM2-135M-Instruct predicts Persuasion",
)
TASKS.add(
    "perplexity",
    Kind(perplexity, {"model": "llama", "folder": "", "text": "", "calibration": "", "windows": 2}, MEASURED, random=False),
    doc="your own checkpoint (a folder or .gguf) predicts your own text; calibration: another text, or the half of it",
)
