"""Models downcast, what that does to outputs, and what every parameter takes before and after."""

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest

import qresearch as qr
from qresearch.measuring.footprint import footprint
from qresearch.measuring.modules import modules


def apply(params, x):
    for layer in params["layers"]:
        x = jnp.tanh(x @ layer["up"] + layer["bias"][None])
    return x @ params["head"]


def model():
    keys = jax.random.split(jax.random.key(0), 4)
    layers = [{"up": jax.random.normal(key, (64, 64)) / 8, "bias": jnp.full(64, 0.1)} for key in keys[:2]]
    return {"layers": layers, "head": jax.random.normal(keys[2], (64, 32)) / 8}, jax.random.normal(keys[3], (16, 64))


def test_a_model_in_bfloat16():
    """Half the bytes; outputs off by some 2^-9 a rounding: more than one rounding, and less than 2 % with six of them."""
    params, x = model()
    cast = qr.model.downcast(params)
    for leaf, exact in zip(jax.tree.leaves(cast), jax.tree.leaves(params)):
        assert np.asarray(leaf).tobytes() == np.asarray(exact).astype(ml_dtypes.bfloat16).tobytes()
    rows = qr.model.footprint(cast, params)
    assert {(row.dtype, row.stored) for row in rows.rows} == {("float32", "bfloat16")}
    assert 2 * rows.bytes == qr.model.footprint(params).bytes == sum(leaf.nbytes for leaf in jax.tree.leaves(params))
    found = apply(cast, qr.model.downcast(x))
    assert found.dtype == jnp.bfloat16
    assert 2**-9 / 2 < qr.model.difference(apply(params, x), found).relative < 0.02


def test_difference_is_that_of_numpy():
    a, b = np.random.default_rng(0).normal(size=(2, 5, 7))
    found = qr.model.difference({"y": a[:2], "z": a[2:]}, {"y": b[:2], "z": b[2:]})
    assert found.relative == pytest.approx(np.linalg.norm(b - a) / np.linalg.norm(a), rel=1e-12)
    assert (found.mean, found.largest) == (pytest.approx(np.abs(b - a).mean()), np.abs(b - a).max())
    assert qr.model.difference(np.zeros(3), np.zeros(3)).relative == 0
    with pytest.raises(ValueError, match=r"shapes \(5, 7\) and \(7,\)"):
        qr.model.difference(a, b[0])


RECIPES = {
    "int4@32:bf16": {"layers/0/up": "int4@32:bf16", "layers/0/bias": "kept"},
    "head = none; * = int8@row | static(int8)": {"head": "kept", "layers/1/up": "int8@row"},
    "smooth(int8@row) | int8@row": {"head": "int8@row"},
}


@pytest.mark.parametrize("recipe", RECIPES)
def test_the_footprint_of_a_frozen_model_is_its_bytes(recipe):
    params, x = model()
    frozen = qr.model.quantize(apply, params, recipe, [x])
    rows = qr.model.footprint(frozen)
    assert rows.bytes == frozen.nbytes
    stored = {row.name: row.stored for row in rows.rows}
    assert stored.items() >= RECIPES[recipe].items()


def test_weights_that_are_slices_have_rows_of_their_own():
    x, w = jnp.ones((2, 32)), jnp.ones((32, 96))
    frozen = qr.model.quantize(lambda p, x: x @ p["w"][:, :32] + x @ p["w"][:, 32:64], {"w": w}, "int4@32", [x])
    rows = qr.model.footprint(frozen)
    assert [row.name for row in rows.rows] == sorted(frozen.extra)
    assert rows.bytes == frozen.nbytes


def test_modules():
    """The tree against sums by hand, in the order of the tensors; names may be cut by points or slashes."""
    params, x = model()
    rows = qr.model.footprint(qr.model.quantize(apply, params, "int8@row", [x]))
    found = {row.name: row for row in modules(rows).rows}
    assert list(found) == ["", "layers", "layers/0", "layers/1"]
    assert (found["layers/0"].tensors, found["layers/0"].before) == (2, 4 * 64 * 65)
    assert found["layers/0"].bytes == 64 * 64 + 64 * 4 + 64 * 4
    assert found[""].bytes == rows.bytes
    assert [row.name for row in modules(rows, 1).rows] == ["", "layers"]
    assert [row.name for row in modules(rows, 0).rows] == [""]
    tensors = footprint({"a.b.w": (2,), "c.w": (3,), "a.c.w": (4,)})
    assert [(row.name, row.elements) for row in modules(tensors).rows] == [("", 9), ("a", 6), ("a.b", 2), ("a.c", 4), ("c", 3)]
    assert list(modules(tensors).table().columns) == ["depth", "tensors", "elements", "before", "bytes"]


def test_what_is_refused():
    params, _ = model()
    for arguments, said in (
        (("bfloat61",), "did you mean 'bfloat16'"),
        (("int8",), "holds no floats"),
        (("float16", ["haed"]), "no parameter matches 'haed'; did you mean 'head'"),
    ):
        with pytest.raises(ValueError, match=said):
            qr.model.downcast(params, *arguments)
    with pytest.raises(ValueError, match=r"'head' has numbers beyond float16.*keep=\['head'\]"):
        qr.model.downcast(params | {"head": jnp.array([1e6, jnp.inf])}, "float16")
    assert qr.model.downcast({"n": jnp.arange(3)})["n"].dtype == jnp.int32
    with pytest.raises(ValueError, match="depth"):
        modules(footprint({"w": (2,)}), -1)
