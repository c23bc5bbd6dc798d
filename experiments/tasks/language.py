"""Tasks of language models: SmolLM2 on a novel, and a user's own checkpoint on a text."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

from experiments.tasks import llama, llama_files, novels
from experiments.tasks.data import path
from experiments.tasks.hub import PREFIX, checkpoint
from experiments.tasks.perplexity import Judge, batches, windows
from experiments.tasks.task import TASKS, Kind, Task, Unavailable
from experiments.tasks.tokens import encoded

TIME = 512
"""Tokens of a window."""

CHARACTERS = 8 * TIME
"""More than a window has."""

MEASURED = ("perplexity", "kl", "agreement")

ROUNDED = "float means the model of the file, whose matrices are Q4_1: rounded to 4 bits in groups of 32"
ON_THE_GRID = (
    "groups of 32 along the input give back the grid of Q4_1, so int4-offset@32 seems to lose nothing; use permuted: true"
)


def _task(
    name: str, model: tuple[Path, Any, Any], known: str, text: str, counts: tuple[int, int], notes: tuple[str, ...]
) -> Task:
    file, shape, params = model
    apply = partial(llama.apply, shape)
    calibration, judged = (windows(encoded(file, each), TIME, count) for each, count in zip((known, text), counts))
    return Task(name, apply, params, batches(calibration), Judge(apply, params, judged), notes=notes)


def smollm2(seed: int, windows: int, calibration_windows: int, permuted: bool) -> Task:
    """SmolLM2-135M-Instruct on *Persuasion*; the seed permutes its channels."""
    file = path("smollm2")
    shape, params = llama_files.from_gguf(file)
    notes = (ROUNDED,) if permuted else (ROUNDED, ON_THE_GRID)
    params = llama.permuted(shape, params, seed) if permuted else params
    texts = novels.others()[: calibration_windows * CHARACTERS], novels.held_out()[: windows * CHARACTERS]
    return _task("smollm2", (file, shape, params), *texts, (calibration_windows, windows), notes)


def perplexity(seed: int, model: str, folder: str, text: str, calibration: str, windows: int, calibration_windows: int) -> Task:
    """A checkpoint of the user on a text of the user."""
    if model not in MODELS:
        raise ValueError(f"model: got {model!r}; allowed: {', '.join(MODELS)}")
    for option, value in (("folder", folder), ("text", text)):
        if not value or not ((option == "folder" and value.startswith(PREFIX)) or Path(value).exists()):
            raise Unavailable(
                f"{option}: {value!r} is not there; give the path of a {'checkpoint' if option == 'folder' else 'text'}"
            )
    place = checkpoint(folder)
    shape, params = MODELS[model](place)
    judged = Path(text).read_text(encoding="utf-8")
    known = Path(calibration).read_text(encoding="utf-8") if calibration else judged[len(judged) // 2 :]
    return _task("perplexity", (place, shape, params), known, judged, (calibration_windows, windows), ())


def _llama(place: Path) -> tuple[Any, Any]:
    return llama_files.from_gguf(place) if place.suffix == ".gguf" else llama_files.from_folder(place)


MODELS = {"llama": _llama}
"""Family of models -> the function that reads one."""

PERPLEXITY = {"model": "llama", "folder": "", "text": "", "calibration": "", "windows": 2, "calibration_windows": 2}

TASKS.add(
    "smollm2",
    Kind(smollm2, {"windows": 2, "calibration_windows": 2, "permuted": True}, MEASURED, ("smollm2", "novels")),
    doc="SmolLM2-135M-Instruct predicts Persuasion",
)
TASKS.add(
    "perplexity",
    Kind(perplexity, PERPLEXITY, MEASURED, random=False),
    doc="your own checkpoint (folder, .gguf, hub:owner/name) predicts your text; calibration: another text, or the half of it",
)
