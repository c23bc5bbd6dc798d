"""Checkpoints quantized from file to file: equal to the same in memory, in bounded memory, or refused with nothing written."""

import json
import os
import re
import subprocess
import sys

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import save_file

import qresearch as qr
from qresearch import interop
from qresearch.__main__ import main

RECIPE = "emb = int8@row; *.down.weight = none; *.1.* = nf4@32:bf16; * = int4@32:f16"


def apply(params, tokens):
    """Two layers, whose parameters have the names of their tensors."""
    x = params["emb"][tokens]
    for layer in range(2):
        x = x * params[f"layers.{layer}.norm"][None, None]
        x = x + jnp.tanh(x @ params[f"layers.{layer}.up.weight"].T) @ params[f"layers.{layer}.down.weight"].T
    return x @ params["head.weight"].T.astype(x.dtype)


def checkpoint(dtype=np.float32):
    source = np.random.default_rng(1)
    shapes = {"emb": (40, 64), "head.weight": (40, 64)}
    for layer in range(2):
        shapes |= {f"layers.{layer}.norm": (64,), f"layers.{layer}.up.weight": (96, 64)}
        shapes |= {f"layers.{layer}.down.weight": (64, 96)}
    found = {name: source.normal(size=shape).astype(dtype) for name, shape in shapes.items()}
    return found | {"head.weight": found["head.weight"].astype(ml_dtypes.bfloat16)}


TOKENS = jnp.arange(6)[None]


def planned(params, recipe=RECIPE):
    return qr.model.plan(apply, jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype), params), recipe, TOKENS)


def write(folder, params, shards=1):
    """A checkpoint as a hub has it."""
    folder.mkdir(exist_ok=True)
    names = sorted(params)
    files = {name: f"model-{number % shards}.safetensors" for number, name in enumerate(names)}
    for file in set(files.values()):
        save_file({name: params[name] for name in names if files[name] == file}, folder / file)
    if shards > 1:
        (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": files}))
    return folder


@pytest.mark.parametrize("shards", [1, 3])
@pytest.mark.parametrize("dtype", [np.float32, ml_dtypes.bfloat16])
def test_equals_freezing_in_memory(tmp_path, shards, dtype):
    """Every tensor of the two files has the same bytes, and the loaded models the same outputs."""
    params, target = checkpoint(dtype), tmp_path / "w.safetensors"
    rows = interop.quantize_file(write(tmp_path / "model", params, shards), target, RECIPE)
    plan = planned(params)
    frozen = plan.freeze(plan.start(params))
    qr.model.save(frozen, tmp_path / "memory.safetensors")
    for other in (target, tmp_path / "memory.safetensors"):
        with safe_open(other, "np") as file:
            about = json.loads(file.metadata()["qresearch.model"])
            found = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  not a mapping
            found = {name: (each.dtype.name, each.shape, each.tobytes()) for name, each in found.items()}
        if other == target:
            expected = about, found
    assert (about, found) == expected
    loaded = qr.model.load(target, plan)
    np.testing.assert_array_equal(loaded(TOKENS), frozen(TOKENS))
    assert rows.bytes == frozen.nbytes
    stored = {row.name: row.stored for row in rows.rows}
    assert (stored["layers.0.norm"], stored["layers.1.up.weight"], stored["emb"]) == ("kept", "nf4@32:bf16", "int8@row")


@pytest.mark.parametrize("name", ["model", "model/model.safetensors.index.json", "model/*.safetensors"])
def test_every_way_to_name_a_source(tmp_path, name):
    write(tmp_path / "model", checkpoint(), 2)
    interop.quantize_file(tmp_path / name, tmp_path / "w.safetensors", "int4@32")
    interop.quantize_file(write(tmp_path / "one", checkpoint()), tmp_path / "one.safetensors", "int4@32")
    assert (tmp_path / "w.safetensors").read_bytes() == (tmp_path / "one.safetensors").read_bytes()


def test_gguf(tmp_path):
    """Blocks become float32 and are quantized again; those with the rule none stay float32."""
    x, y = np.random.default_rng(0).normal(size=(2, 8, 64)).astype(np.float32)
    tensors = {"a": qr.quantize(x, "q4_0"), "b": y, "c": qr.quantize(y, "q8_0"), "norm": y[0]}
    interop.save_gguf(tmp_path / "w.gguf", tensors)
    interop.quantize_file(tmp_path / "w.gguf", tmp_path / "w.safetensors", "c = none; * = int4@32")
    params = {"a": tensors["a"].dequantize(), "b": y, "c": tensors["c"].dequantize(), "norm": y[0]}
    plan = qr.model.plan(lambda p, x: [*(x @ p[n].T for n in "abc"), x * p["norm"][None]], params, "c = none; * = int4@32", x)
    loaded, frozen = qr.model.load(tmp_path / "w.safetensors", plan), plan.freeze(plan.start(params))
    for one, other in zip(loaded(x), frozen(x)):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(
    "scheme", ["nf4@64:int8@4", "e2m1@32:e8m0", "int4-asym@32 + outliers(0.01,bf16)", "q4_0", "int4@32 + hadamard(64)"]
)
def test_schemes(tmp_path, scheme):
    x = np.random.default_rng(0).normal(size=(16, 128)).astype(np.float32)
    save_file({"w": x}, tmp_path / "x.safetensors")
    interop.quantize_file(tmp_path / "x.safetensors", tmp_path / "w.safetensors", scheme)
    plan = qr.model.plan(lambda p, x: x @ p["w"].T, {"w": x}, scheme, x)
    got = qr.model.load(tmp_path / "w.safetensors", plan).weights["w"].dequantize()
    np.testing.assert_array_equal(got, qr.quantize(x, scheme).dequantize())


def test_the_loader_refuses_a_square_weight_of_the_other_orientation(tmp_path):
    x = np.random.default_rng(0).normal(size=(64, 64)).astype(np.float32)
    save_file({"w": x}, tmp_path / "x.safetensors")
    interop.quantize_file(tmp_path / "x.safetensors", tmp_path / "w.safetensors", "int4@32")
    with pytest.raises(ValueError, match=r"axes \[0, 1\] of 'w' are .*must contract the same axis"):
        qr.model.load(tmp_path / "w.safetensors", qr.model.plan(lambda p, x: x @ p["w"], {"w": x}, "int4@32", x))


def test_the_loader_refuses_another_model(tmp_path):
    """Missing and surplus tensors, another recipe and a truncated file, each by name."""
    params, target = checkpoint(), tmp_path / "w.safetensors"
    interop.quantize_file(write(tmp_path / "model", params), target, "int4@32")
    x = jnp.ones((1, 64))
    emb, tail = {"emb": params["emb"]}, {"tail": params["emb"]}
    for model, tensors, recipe, said in (
        (lambda p, x: x @ p["emb"].T, emb, "int4@32", "holds .* tensors that this model lacks, such as 'params.layers"),
        (lambda p, x: x @ p["tail"].T, tail, "int4@32", "has nothing for 'tail', and the model has"),
        (lambda p, x: x @ p["emb"].T, emb, "int8@32", "was frozen with the recipe 'int4@32'"),
    ):
        with pytest.raises(ValueError, match=said):
            qr.model.load(target, qr.model.plan(model, tensors, recipe, x))
    target.write_bytes(target.read_bytes()[:-3])
    with pytest.raises(ValueError, match="is no safetensors file that can be read"):
        qr.model.load(target, planned(params, "int4@32"))


BAD_RECIPES = {
    "layer.*.up.weight = int4@32; * = none": "no tensor has a name like 'layer.*.up.weight'; did you mean 'layers.",
    "*norm = none; * = int4@32": "'*norm' matches no matrix; 'layers.0.norm' is always copied",
    "emb = int4@32": "no rule for 'head.weight'",
    "* = int8@row | int8@row": "quantizes inputs (int8@row), which a file does not have; write 'int8@row' alone",
    "* = gptq(int4@32)": "the method gptq, which needs the model or data; write 'int4@32' alone",
    "in order: * = int4@32": "'in order:' needs data",
    "* = int4@32~stochastic": "draws random numbers",
    "* = int4@32 + entropy": "depend on the numbers",
    "* = int5p@32": "'*'",
}


@pytest.mark.parametrize("recipe", BAD_RECIPES)
def test_recipes_that_are_refused(tmp_path, recipe):
    with pytest.raises(ValueError, match=re.escape(BAD_RECIPES[recipe])):
        interop.quantize_file(write(tmp_path / "model", checkpoint()), tmp_path / "w.safetensors", recipe)
    assert os.listdir(tmp_path) == ["model"]


def _truncated(folder):
    file = folder / "model-1.safetensors"
    file.write_bytes(file.read_bytes()[:-5])


def _shard_without_tensor(folder):
    save_file({"head.weight": np.ones((2, 32), "f4")}, folder / "model-1.safetensors")


def _surplus(folder):
    index = json.loads((folder / "model.safetensors.index.json").read_text())
    del index["weight_map"]["emb"]
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))


def _twice(folder):
    (folder / "model.safetensors.index.json").unlink()
    save_file({"emb": np.ones((2, 32), "f4")}, folder / "more.safetensors")


def _quantized_already(folder):
    for file in folder.glob("*"):
        file.unlink()
    save_file({"w": np.ones((2, 32), ml_dtypes.float8_e4m3fn)}, folder / "model.safetensors")


def _convolution(folder):
    (folder / "model.safetensors.index.json").unlink()
    save_file({"conv": np.ones((2, 32, 3, 3), "f4")}, folder / "more.safetensors")


def _no_floats(folder):
    for file in folder.glob("*"):
        file.unlink()
    save_file({"codes": np.ones((2, 32), "i4")}, folder / "model.safetensors")


BAD_SOURCES = {
    _truncated: "model-1.safetensors cannot be read.*truncated: fetch it again",
    lambda folder: (folder / "model-1.safetensors").unlink(): "model-1.safetensors is not there: 1 of 2 shards",
    _shard_without_tensor: "model-1.safetensors lacks the tensor .* that the index names",
    _surplus: "has the tensor 'emb' that the index lacks",
    _twice: "'emb' is in .* and in .*",
    lambda folder: (folder / "model.safetensors.index.json").write_text("{}"): "has no weight_map",
    _quantized_already: r"'w' is quantized already \(F8_E4M3\).*interop.load",
    _convolution: r"'conv' has the shape \[2, 32, 3, 3\]; .*put 'conv = none' before",
    _no_floats: "holds no matrix of floats",
    lambda folder: [file.unlink() for file in folder.glob("*")]: "holds no .safetensors and no .gguf file",
}


@pytest.mark.parametrize("damage", BAD_SOURCES, ids=lambda damage: damage.__name__)
def test_sources_that_are_refused(tmp_path, damage):
    folder = write(tmp_path / "model", checkpoint(), 2)
    damage(folder)
    before = sorted(os.listdir(folder))
    with pytest.raises((ValueError, OSError), match=BAD_SOURCES[damage]):
        interop.quantize_file(folder, tmp_path / "w.safetensors", "int4@32")
    assert os.listdir(tmp_path) == ["model"]
    assert sorted(os.listdir(folder)) == before


def test_targets_that_are_refused(tmp_path):
    folder = write(tmp_path / "model", checkpoint())
    for target, said in {
        folder / "model-0.safetensors": "is a file of the source",
        tmp_path / "w.bin": "must end in .safetensors",
        tmp_path / "none" / "w.safetensors": "no such folder",
    }.items():
        with pytest.raises((ValueError, OSError), match=said):
            interop.quantize_file(folder, target, "int4@32")
    with pytest.raises(FileNotFoundError, match="no such file or folder; did you mean 'model'"):
        interop.quantize_file(tmp_path / "modle", tmp_path / "w.safetensors", "int4@32")


def test_nothing_half_written(tmp_path, monkeypatch):
    """An error in the middle leaves the file that was there before; so does a full disk, which is noticed before."""
    folder, target = write(tmp_path / "model", checkpoint()), tmp_path / "w.safetensors"
    target.write_bytes(b"before")
    seen = []

    def failing(x, scheme):
        seen.append(x)
        if len(seen) > 2 and not isinstance(x, jax.core.Tracer):
            raise KeyboardInterrupt
        return quantize(x, scheme)

    quantize = qr.api.quantize
    with monkeypatch.context() as patch:
        patch.setattr(qr.api, "quantize", failing)
        with pytest.raises(KeyboardInterrupt):
            interop.quantize_file(folder, target, "int4@32")
    with monkeypatch.context() as patch:
        patch.setattr("shutil.disk_usage", lambda _: type("Usage", (), {"free": 100}))
        with pytest.raises(OSError, match="100 are free on this disk"):
            interop.quantize_file(folder, target, "int4@32")
    assert target.read_bytes() == b"before"
    assert sorted(os.listdir(tmp_path)) == ["model", "w.safetensors"]


def test_command_line(tmp_path, capsys):
    folder, target = write(tmp_path / "model", checkpoint()), tmp_path / "w.safetensors"
    assert main(["quantize", str(folder), str(target), "int4@32"]) == 0
    assert "bits per element" in capsys.readouterr().out
    assert target.is_file()
    assert main(["quantize", str(folder), str(target), "int4@"]) == 1
    assert main(["quantize", str(folder)]) == 2
    assert "usage" in capsys.readouterr().err


MEMORY = """
import resource, sys
from qresearch import interop
interop.quantize_file(sys.argv[1], sys.argv[3], "int4@32")
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
interop.quantize_file(sys.argv[2], sys.argv[3], "int4@32")
print(before * 1024, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)
"""


@pytest.mark.slow
def test_memory_does_not_grow_with_the_file(tmp_path):
    """Sixty-four tensors take the memory that four take, up to one tensor, of a file of sixty-four.

    glibc gives freed arrays back at once, as the environment says. By itself it holds some, up to seven tensors here.
    """
    size = 4 * 2048 * 2048
    x = np.random.default_rng(0).normal(size=(2048, 2048)).astype(np.float32)
    save_file({f"w{number}": x for number in range(4)}, tmp_path / "few.safetensors")
    save_file({f"w{number}": x for number in range(64)}, tmp_path / "many.safetensors")
    assert (tmp_path / "many.safetensors").stat().st_size > 64 * size
    places = [str(tmp_path / name) for name in ("few.safetensors", "many.safetensors", "w.safetensors")]
    environment = os.environ | {"MALLOC_MMAP_THRESHOLD_": "1000000"}
    done = subprocess.run([sys.executable, "-c", MEMORY, *places], check=True, capture_output=True, text=True, env=environment)
    before, after = map(int, done.stdout.split())
    print(f"{before:,} bytes with 4 tensors, {after:,} with 64 of {size:,}")
    assert after - before < size
    assert after < 64 * size  # the file
