"""1,797 digits of 8 x 8 (Alpaydin and Kaynak 1998), which scikit-learn carries: trains in a second and fetches nothing."""

from __future__ import annotations

from functools import lru_cache, partial
from typing import Any

import jax
import numpy as np
from jax import Array

from experiments.tasks.classifier import Classifier, Images, task
from experiments.tasks.task import TASKS, Kind, extras


@lru_cache(maxsize=1)
def images() -> tuple[Images, Images]:
    """float32 [count, 64] from 0 to 1: the first 1,297 to train on, the last 500 to judge on."""
    with extras():
        from sklearn.datasets import load_digits

    found = load_digits()
    x, y = found.data.astype(np.float32) / np.float32(16), found.target.astype(np.int32)
    return Images(x[:-500], y[:-500]), Images(x[-500:], y[-500:])


def apply(params: Any, x: Array) -> Array:
    """Two dense layers: 4,810 parameters."""
    hidden = jax.nn.relu(x @ params["hidden"]["w"] + params["hidden"]["b"][None])
    return hidden @ params["head"]["w"] + params["head"]["b"][None]


MODEL = Classifier("digits", apply, {"hidden": (64, 64), "head": (64, 10)}, images, epochs=30, batch=64)

TASKS.add("digits", Kind(partial(task, MODEL), {"examples": 0}), doc="two dense layers on 8 x 8 digits")
