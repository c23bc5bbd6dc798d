"""What is timed of models, a row each."""

from __future__ import annotations

from collections.abc import Iterator
from fnmatch import fnmatch
from functools import partial
from typing import Any

from experiments.bench.models import language, linear, training
from experiments.bench.models.alone import alone
from experiments.bench.models.beside import Beside
from experiments.bench.row import named

TWICE = "the array is read twice; XLA's maximum in blocks of 32 alone takes no less than was asked for (the row below)"

LAYERS: tuple[linear.Shape, ...] = ((1, 576, 1536), (512, 576, 1536), (1, 4096, 4096), (512, 4096, 4096))
"""Of the linear layers: a feed-forward layer of SmolLM2 and one of a model of 7 billion parameters; one token and 512."""

PEERS = (
    ("torch", "torch.ao's dynamic quantized Linear", linear.beside_torch),
    ("onnxruntime", "quantize_dynamic", linear.beside_onnx),
    ("jax", "the float32 product", linear.beside_float),
)


def _layer(shape: linear.Shape) -> Iterator[Beside]:
    sizes = "x".join(map(str, shape))
    for kind, integer in (("integer", True), ("reference", False)):
        for package, does, make in PEERS:
            how = "frozen.integer()" if integer else "frozen, in floating point"
            beside = f"{named(package)}: {does}"
            name = f"{kind} layer {sizes}, {package}"
            yield Beside(name, f"{how}: {linear.RECIPE}", beside, partial(make, shape, integer), alike=True)
    yield Beside(
        f"torch's own layer {sizes}",
        "torch.ao's dynamic quantized Linear",
        f"{named('torch')}: its float32 Linear",
        partial(linear.torch_beside_its_float, shape, True),
        alike=True,
    )


CONTESTS: tuple[Beside, ...] = (
    *(
        Beside(
            f"observe, {word}",
            f"plan.observe of 512 tokens, 4 layers of SmolLM2: {inputs}",
            "apply in floating point",
            partial(language.observing, language.FOUR, f"embed = none; * = int8@row | {inputs}", 512),
            1.3,
            why="each number that a site reads is compared with two ends, and a histogram counts it by a scatter",
        )
        for word, inputs in (("range", "static(int8)"), ("histogram", "static(int8-search)"))
    ),
    *(
        Beside(
            f"weights alone, {count} {'token' if count == 1 else 'tokens'}",
            f"frozen SmolLM2 (random weights): {language.WEIGHTS}",
            "apply in floating point",
            partial(language.forward, language.SMOLLM2, language.WEIGHTS, count),
            1.5,
            alike=True,
        )
        for count in (512, 1)
    ),
    *(
        Beside(
            f"training step, {recipe}",
            "gradient descent of fashion-cnn, batch 128",
            "in floating point",
            partial(training.step, recipe),
            2.0,
        )
        for recipe in ("int4@row", "int8@row | int8@row")
    ),
    Beside(
        "fake_quantize int4@32",
        "float32 [2048, 2048]",
        "XLA's cast to uint8",
        partial(training.fake, "int4@32", 2048, training.to_byte),
        2.5,
        why=TWICE,
    ),
    Beside(
        "a maximum in blocks of 32",
        "jnp.max of float32 [2048, 2048]",
        "XLA's cast to uint8",
        partial(training.largest, 32, 2048),
    ),
    Beside(
        "fake_quantize int4@32, float",
        "float32 [2048, 2048]",
        "XLA's rounding to bfloat16, in float32: as many bytes",
        partial(training.fake, "int4@32", 2048, training.to_bfloat16),
    ),
    *(each for shape in LAYERS for each in _layer(shape)),
)


def rows(pattern: str, repeats: int) -> Iterator[dict[str, Any]]:
    """The rows whose name matches."""
    for contest in CONTESTS:
        if fnmatch(contest.name, pattern):
            yield contest.row(repeats)
    if fnmatch(language.PROGRAMS, pattern):
        yield language.programs_row()
    yield from alone(pattern)
