"""Fashion-MNIST (Xiao et al. 2017, arXiv 1708.07747): 60,000 training images, 10,000 to judge on, ten classes of clothes."""

from __future__ import annotations

import gzip
from functools import lru_cache, partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from experiments.tasks.classifier import Classifier, Images, task
from experiments.tasks.data import path
from experiments.tasks.task import TASKS, Kind


@lru_cache(maxsize=1)
def images() -> tuple[Images, Images]:
    """float32 [count, 28, 28, 1]; the training images have mean 0 and standard deviation 1."""
    found = []
    for part in ("train", "t10k"):
        x, y = (_read(f"{part}-{what}") for what in ("images-idx3-ubyte.gz", "labels-idx1-ubyte.gz"))
        found.append(Images(x[..., None].astype(np.float32), y.astype(np.int32)))
    mean, spread = np.float32(found[0].x.mean(dtype=np.float64)), np.float32(found[0].x.std(dtype=np.float64))
    known, test = (Images((each.x - mean) / spread, each.y) for each in found)
    return known, test


def _read(name: str) -> np.ndarray:
    """An IDX file: two zero bytes, the type (8: bytes), the number of axes, their lengths, the numbers."""
    raw = gzip.decompress((path("fashion-mnist") / name).read_bytes())
    axes = raw[3]
    shape = np.frombuffer(raw, ">i4", axes, 4)
    return np.frombuffer(raw, np.uint8, offset=4 + 4 * axes).reshape(shape)


def convolution(layer: Any, x: Array) -> Array:
    """A 3 x 3 convolution of [batch, height, width, channels], a rectifier, and the maximum of 2 x 2."""
    y = lax.conv_general_dilated(x, layer["w"], (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))
    return lax.reduce_window(
        jax.nn.relu(y + layer["b"][None, None, None]), -jnp.inf, lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "VALID"
    )


def dense(layer: Any, x: Array) -> Array:
    """An affine map of the last axis."""
    return x @ layer["w"] + layer["b"][None]


def cnn(params: Any, x: Array) -> Array:
    """Two convolutions and two dense layers: 206,922 parameters."""
    x = convolution(params["conv2"], convolution(params["conv1"], x))
    return dense(params["head"], jax.nn.relu(dense(params["hidden"], x.reshape(len(x), -1))))


def mlp(params: Any, x: Array) -> Array:
    """Three dense layers: 235,146 parameters."""
    x = jax.nn.relu(dense(params["hidden1"], x.reshape(len(x), -1)))
    return dense(params["head"], jax.nn.relu(dense(params["hidden2"], x)))


CNN = Classifier(
    "fashion-cnn",
    cnn,
    {"conv1": (3, 3, 1, 16), "conv2": (3, 3, 16, 32), "hidden": (1568, 128), "head": (128, 10)},
    images,
    epochs=3,
)
MLP = Classifier("fashion-mlp", mlp, {"hidden1": (784, 256), "hidden2": (256, 128), "head": (128, 10)}, images, epochs=5)

for each, doc in ((CNN, "a small convolutional network on Fashion-MNIST"), (MLP, "three dense layers on Fashion-MNIST")):
    TASKS.add(each.name, Kind(partial(task, each), {"examples": 0}, needs=("fashion-mnist",)), doc=doc)
