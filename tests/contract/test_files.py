"""Every preset on every nasty shape: saved, loaded, pickled and printed.

Nothing is quantized but for entropy coders, since any bytes of the right shape are some array: random ones have codes and
scales of every value.
"""

import math
import os
import pickle
from functools import lru_cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import qresearch as qr
from qresearch import interop
from qresearch.testing.laws.structure import fits
from qresearch.testing.subject import Subject
from qresearch.wrapping.wrapper import chain

SHAPES = [(), (0,), (3, 0), (0, 40), (1,), (3, 37), (2, 1, 65)]
"""Without axes, empty along each axis, of one element, ragged for every block, of three axes."""

EVERY = "QRESEARCH_EVERY" in os.environ
"""Set by `make contract`: every preset on every shape."""

PRESETS = [row.name for row in qr.presets.rows]


def stored(coder, around=""):
    """What the bytes of a scheme depend on, each for itself: wrappers, layouts, the width of codes; and that of its scales."""
    element, block = coder.element, coder.block
    found = {(around, type(each).__name__) for each in chain(coder)}
    found |= {(around, int(element.bits), str(element.code_dtype), element.group), (around, block.flat, block.sizes is None)}
    found |= {(around, each.name) for each in chain(coder) if hasattr(each, "stored")}  # GGUF
    inside = {"scale": coder.scaling.scale.coder, "offset": coder.scaling.offset.coder}
    return found.union(*(stored(each, around + name) for name, each in inside.items() if each is not None))


@lru_cache
def covering():
    """The presets that store something as no preset before them."""
    seen, found = set(), set()
    for preset in PRESETS:
        if new := stored(qr.build(preset)) - seen:
            seen |= new
            found.add(preset)
    return found


def shapes_of(preset):
    """All shapes that its blocks can cut; one of them, in turn, unless `make contract` runs."""
    shapes = [shape for shape in SHAPES if fits(Subject.of(preset), shape)]
    index = PRESETS.index(preset)
    return shapes if EVERY else [shapes[index % len(shapes)]]


def at_random(preset, shape):
    """A quantized array with random bytes; the size of entropy-coded bytes depends on what they encode."""
    coder, random = qr.build(preset), np.random.default_rng(math.prod(shape))
    if not coder.packer.fixed:
        return qr.quantize(random.standard_normal(shape).astype(np.float32), preset)

    def filled(leaf):
        data = random.integers(0, 256, (*leaf.shape, leaf.dtype.itemsize), np.uint8)
        return jnp.asarray(data.view(leaf.dtype).reshape(leaf.shape))

    x, key = jax.ShapeDtypeStruct(shape, jnp.float32), jax.random.key(0)
    return qr.from_packed(
        jax.tree.map(filled, jax.eval_shape(lambda x: coder.packer.pack(coder.quantize(x, key)), x)), coder, shape
    )


def same(one, other):
    """Whether two pytrees have one structure, and their leaves the same bytes."""

    def bits(leaf):
        return np.asarray(leaf).tobytes(), np.shape(leaf), leaf.dtype

    return jax.tree.structure(one) == jax.tree.structure(other) and [*map(bits, jax.tree.leaves(one))] == [
        *map(bits, jax.tree.leaves(other))
    ]


@pytest.mark.parametrize("preset", PRESETS)
def test_saved_loaded_pickled_and_printed(tmp_path, preset):
    if not EVERY and preset not in covering():
        pytest.skip("its parts are stored as in other presets; `make contract` checks this one too")
    arrays = {str(shape): at_random(preset, shape) for shape in shapes_of(preset)}
    interop.save_safetensors(tmp_path / "x.safetensors", arrays)
    loaded, unpickled = interop.load_safetensors(tmp_path / "x.safetensors"), pickle.loads(pickle.dumps(arrays))
    for name, q in arrays.items():
        for back in (loaded[name], unpickled[name]):
            assert same(back, q)
            assert (str(back.shape), back.scheme, back.dtype) == (name, str(qr.scheme(preset)), "float32")
        assert same(pickle.loads(pickle.dumps(q.fitted)), q.fitted)
        assert f"shape {name}, from float32" in repr(q)
        batch = jax.tree.map(lambda leaf: np.stack([leaf, leaf]), q)  # as jax.vmap returns it
        assert f"shape {(2, *q.shape)}, from float32" in repr(batch)
        scales = None if q.quantizer.bare else (2, *q.quantizer.layout(q.shape).grid)
        assert repr(batch.fitted).endswith("no scales)" if scales is None else f"scales {scales})")
