"""Tasks on images: digits from beginning to end, Fashion-MNIST where it is."""

import gzip
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from safetensors.numpy import load_file

import qresearch as qr
from experiments.tasks import classifier, fashion, task
from experiments.tasks.data import folder, here
from experiments.tasks.digits import images
from experiments.tasks.rows import TASKS
from experiments.tasks.task import Unavailable, extras, measures


@pytest.fixture
def digits(tmp_path, monkeypatch):
    """The task for a seed; weights go to a folder of their own."""
    monkeypatch.setenv("QRESEARCH_DATA", str(tmp_path))
    return lambda seed, examples=0: TASKS["digits"].make(seed, examples=examples)


def test_digits_are_trained_once_for_each_seed_and_judged(digits, tmp_path, monkeypatch):
    made = digits(0)
    scores = made.judge(jax.jit(partial(made.apply, made.params)))
    assert set(scores) == {"correct"}
    assert scores["correct"].shape == (500,)
    assert measures(scores)["accuracy"] > 85  # a tenth by chance; 1-nearest-neighbour has 96 % on this split
    other = digits(1)
    assert not np.array_equal(other.params["head"]["w"], made.params["head"]["w"])
    files = sorted((tmp_path / "trained").iterdir())
    assert len(files) == 2
    monkeypatch.setattr(classifier, "train", lambda *_: pytest.fail("trained again"))
    again = digits(0)
    assert jax.tree.all(jax.tree.map(np.array_equal, again.params, made.params))
    assert set(load_file(files[0])) == {"hidden/w", "hidden/b", "head/w", "head/b"}


def test_a_digits_model_is_quantized_and_trained_further(digits):
    made = digits(0, 200)
    frozen = qr.model.quantize(made.apply, made.params, "int8@row | static(int8)", made.calibration)
    exact = measures(made.judge(partial(made.apply, made.params)))["accuracy"]
    assert abs(measures(made.judge(frozen))["accuracy"] - exact) <= 2  # 4 of 200 images
    plan = qr.model.plan(made.apply, made.params, "int2@row", *made.calibration[0])
    training = made.training

    @jax.jit
    def step(params, x, y):
        value, slope = jax.value_and_grad(lambda params: training.loss(plan.apply(plan.start(params), x), y))(params)
        return jax.tree.map(lambda p, g: p - 10 * training.rate * g, params, slope), value

    params, losses = made.params, []
    for epoch in range(5):
        for (x,), y in training.batches(epoch, 0):
            params, value = step(params, x, y)
            losses.append(float(value))
    assert np.mean(losses[-20:]) < np.mean(losses[:20])


def test_calibration_is_on_training_images(digits):
    known, test = images()
    assert len(known.x) + len(test.x) == 1797
    rows = {row.tobytes() for row in known.x}
    assert all(np.asarray(row).tobytes() in rows for (x,) in digits(0).calibration for row in x)


def test_weights_are_trained_anew_when_settings_change(digits, tmp_path, monkeypatch):
    digits(0)
    monkeypatch.setattr(classifier, "RATE", 2e-3)
    digits(0)
    assert len(list((tmp_path / "trained").iterdir())) == 2


def test_convolution_and_pooling_by_definition():
    draw = np.random.default_rng(0)
    x, w, b = (draw.normal(size=shape).astype(np.float32) for shape in ((1, 4, 4, 2), (3, 3, 2, 3), (3,)))
    wide = np.pad(x[0].astype(np.float64), ((1, 1), (1, 1), (0, 0)))
    full = np.array([[(wide[i : i + 3, j : j + 3, :, None] * w).sum((0, 1, 2)) for j in range(4)] for i in range(4)]) + b
    pooled = np.maximum(full, 0).reshape(2, 2, 2, 2, 3).max((1, 3))
    got = fashion.convolution({"w": jnp.asarray(w), "b": jnp.asarray(b)}, jnp.asarray(x))
    assert np.allclose(got[0], pooled, atol=1e-5)  # sums of 18 products in float32


def test_idx_files(tmp_path, monkeypatch):
    monkeypatch.setattr(fashion, "path", lambda name: tmp_path)
    raw = bytes([0, 0, 8, 3]) + b"".join(n.to_bytes(4, "big") for n in (2, 1, 3)) + bytes(range(6))
    (tmp_path / "x.gz").write_bytes(gzip.compress(raw))
    assert fashion._read("x.gz").tolist() == [[[0, 1, 2]], [[3, 4, 5]]]


def test_a_package_that_is_not_installed_is_named():
    with pytest.raises(Unavailable, match=r"needs no_such_package, .* pip install 'qresearch\[models\]'"), extras():
        import no_such_package  # noqa: F401


@pytest.mark.parametrize(("name", "parameters"), [("fashion-cnn", 206_922), ("fashion-mlp", 235_146)])
def test_fashion(name, parameters):
    model = fashion.CNN if name == "fashion-cnn" else fashion.MLP
    assert sum(leaf.size for leaf in jax.tree.leaves(model.start(jax.random.key(0)))) == parameters
    kept = list(folder().glob(f"trained/{name}-*-0.safetensors"))
    if not here("fashion-mnist") or not kept:
        pytest.skip(f"no {name} of seed 0 in {folder()}: run `make data`, and the task once")
    made = TASKS[name].make(0, examples=2000)
    assert isinstance(made, task.Task)
    assert 84 < measures(made.judge(jax.jit(partial(made.apply, made.params))))["accuracy"] < 94  # 88 to 90 %, +- 2 % sampling
