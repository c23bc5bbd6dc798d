"""Sharded parameters and batches, on eight host devices in a subprocess: they stay so through the life of a model."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent

PROGRAM = """
import sys

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P

import qresearch as qr

mesh = jax.make_mesh((4, 2), ("data", "model"), axis_types=(AxisType[sys.argv[1]],) * 2)


def apply(params, x):
    def layer(x, w):
        return x + jnp.tanh(x @ w["up"]) @ w["down"], None

    return jax.lax.scan(layer, params["emb"][x], params["layers"])[0] @ params["head"]


def normal(number, *shape):
    return jax.random.normal(jax.random.key(number), shape) / shape[-2] ** 0.5


params = {
    "emb": normal(0, 64, 32),
    "head": normal(1, 32, 64),
    "layers": {"up": normal(2, 3, 32, 128), "down": normal(3, 3, 128, 32)},
}
specs = {"emb": P(), "head": P(None, "model"), "layers": {"up": P(None, None, "model"), "down": P(None, "model")}}
x = jax.random.randint(jax.random.key(5), (16, 8), 0, 64)


def sharded(tree, specs):
    return jax.tree.map(lambda leaf, spec: jax.device_put(leaf, NamedSharding(mesh, spec)), tree, specs)


def life(params, x, integers):
    plan = qr.model.plan(apply, params, recipe, x)
    state = plan.observe(plan.start(params), x)
    frozen = plan.freeze(state)
    y = frozen(x)
    if integers:
        np.testing.assert_allclose(frozen.integer()(x), y, rtol=1e-5, atol=1e-5)
    assert "awq" in recipe or np.array_equal(y, plan.apply(state, x))
    return state, frozen, y


for recipe in sys.argv[2:]:
    integers = "|" in recipe and "split" not in recipe
    (state, one, y), (found, many, z) = life(params, x, integers), life(sharded(params, specs), sharded(x, P("data")), integers)
    np.testing.assert_allclose(z, y, rtol=1e-4, atol=1e-4)
    assert z.sharding.spec[0] == "data", z.sharding
    for name, weight in many.weights.items():
        np.testing.assert_array_equal(weight.codes, one.weights[name].codes)
    for name, spec in (("layers/up", P(None, "model")), ("head", P("model"))):
        codes = many.weights[name].codes
        assert codes.sharding.is_equivalent_to(NamedSharding(mesh, spec), codes.ndim), (name, codes.sharding)
    for name, seen in found.seen.items():
        np.testing.assert_allclose(seen.high, state.seen[name].high, rtol=1e-5)
    print(recipe)
"""

RECIPES = ["int4@32", "emb = none; * = gptq(int4@32) | int8@row", "int8@row | static(int8)"]


def run(*arguments):
    environment = os.environ | {"XLA_FLAGS": "--xla_force_host_platform_device_count=8", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", PROGRAM, *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=900)


@pytest.mark.parametrize(
    "recipes",
    [
        RECIPES[:1],
        pytest.param([*RECIPES, "emb = none; * = awq(int4@32)", "int8@row | split(int8@row, 1)"], marks=pytest.mark.slow),
    ],
)
def test_a_sharded_model_is_observed_quantized_and_run(recipes):
    done = run("Auto", *recipes)
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.splitlines() == recipes


def test_explicit_axes_are_refused():
    done = run("Explicit", "int4@32")
    assert "axes are explicit" in done.stderr, done.stderr[-3000:]
