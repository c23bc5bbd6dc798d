"""Language models of the family of Llama: both kinds of files, the forward function by plain loops, permutations, errors."""

import json
from dataclasses import replace
from functools import partial

import jax
import numpy as np
import pytest

import qresearch as qr
from experiments.tasks import data, llama, llama_files
from experiments.tasks.perplexity import Judge, windows

SHAPE = llama.Shape(layers=2, width=16, heads=4, kv_heads=2, head=4, hidden=24, vocabulary=40, base=100.0, tied=False)


def random_params(shape, biased=False, seed=0):
    draw = np.random.default_rng(seed)
    sizes = shape.weights() | ({bias: shape.weights()[kind][:1] for bias, kind in llama.BIASES.items()} if biased else {})
    layers = {name: draw.normal(size=(shape.layers, *size)).astype(np.float32) / 4 for name, size in sizes.items()}
    outer = {"embed": draw.normal(size=(shape.vocabulary, shape.width)), "norm": draw.normal(size=shape.width)}
    outer |= {} if shape.tied else {"head": draw.normal(size=(shape.vocabulary, shape.width))}
    return {name: each.astype(np.float32) for name, each in outer.items()} | {"layers": layers}


def write_folder(folder, shape, params, **changes):
    from safetensors.numpy import save_file

    about = {
        "model_type": "qwen2" if "q_bias" in params["layers"] else "llama",
        "num_hidden_layers": shape.layers,
        "hidden_size": shape.width,
        "num_attention_heads": shape.heads,
        "num_key_value_heads": shape.kv_heads,
        "intermediate_size": shape.hidden,
        "vocab_size": shape.vocabulary,
        "rms_norm_eps": shape.eps,
        "rope_theta": shape.base,
        "tie_word_embeddings": shape.tied,
    }
    tensors = {llama_files.TOPS["hub"][name]: each for name, each in params.items() if name != "layers"}
    for name, each in params["layers"].items():
        tensors |= {f"model.layers.{n}.{llama_files.HUB[name]}": np.ascontiguousarray(each[n]) for n in range(len(each))}
    for name in changes.pop("without", []):
        del tensors[name]
    tensors |= changes.pop("more", {})
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text(json.dumps(about | changes))
    names = sorted(tensors)  # two shards
    save_file({name: tensors[name] for name in names[::2]}, folder / "model-00001-of-00002.safetensors")
    save_file({name: tensors[name] for name in names[1::2]}, folder / "model-00002-of-00002.safetensors")
    return folder


def write_gguf(file, shape, params):
    from gguf import GGUFWriter

    writer = GGUFWriter(file, "llama")
    writer.add_block_count(shape.layers)
    writer.add_embedding_length(shape.width)
    writer.add_head_count(shape.heads)
    writer.add_head_count_kv(shape.kv_heads)
    writer.add_feed_forward_length(shape.hidden)
    writer.add_layer_norm_rms_eps(shape.eps)
    writer.add_rope_freq_base(shape.base)
    for name, each in params.items():
        if name != "layers":
            writer.add_tensor(llama_files.TOPS["gguf"][name], each)
    for name, each in params["layers"].items():
        for n, one in enumerate(each):
            heads = {"q": shape.heads, "k": shape.kv_heads}.get(name)
            # as llama.cpp converts: the halves of each head become neighbours
            stored = one if heads is None else one.reshape(heads, 2, -1, one.shape[1]).swapaxes(1, 2).reshape(one.shape)
            writer.add_tensor(f"blk.{n}.{llama_files.GGUF[name]}", np.ascontiguousarray(stored))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return file


def by_loops(shape, params, tokens):
    """The logits of one text in float64, position by position and head by head."""

    def norm(x, gain):
        return x / np.sqrt(np.mean(x**2) + shape.eps) * gain

    def turned(x, position):
        half = shape.head // 2
        found = np.empty(shape.head)
        for i in range(half):
            angle = position * shape.base ** (-2 * i / shape.head)
            found[i] = x[i] * np.cos(angle) - x[i + half] * np.sin(angle)
            found[i + half] = x[i] * np.sin(angle) + x[i + half] * np.cos(angle)
        return found

    params = jax.tree.map(lambda x: np.asarray(x, np.float64), params)
    xs = [params["embed"][token] for token in tokens]
    for n in range(shape.layers):
        layer = {name: each[n] for name, each in params["layers"].items()}
        keys, values, after = [], [], []
        for position, x in enumerate(xs):
            y = norm(x, layer["norm1"])
            q, k, v = (layer[name] @ y + layer.get(f"{name}_bias", 0) for name in "qkv")
            keys.append([turned(each, position) for each in k.reshape(shape.kv_heads, -1)])
            values.append(v.reshape(shape.kv_heads, -1))
            heads = []
            for head, query in enumerate(q.reshape(shape.heads, -1)):
                mine = head // (shape.heads // shape.kv_heads)
                scores = np.array([turned(query, position) @ key[mine] for key in keys]) / np.sqrt(shape.head)
                shares = np.exp(scores - scores.max())
                heads.append(sum(share * value[mine] for share, value in zip(shares / shares.sum(), values)))
            x = x + layer["o"] @ np.concatenate(heads)
            y = norm(x, layer["norm2"])
            gate = layer["gate"] @ y
            after.append(x + layer["down"] @ (gate / (1 + np.exp(-gate)) * (layer["up"] @ y)))
        xs = after
    return np.stack([params["embed" if shape.tied else "head"] @ norm(x, params["norm"]) for x in xs])


TOKENS = np.array([[3, 1, 4, 1, 5, 9, 2, 6]], np.int32)


@pytest.mark.parametrize(("tied", "biased"), [(False, False), (True, True)])
def test_the_forward_function_by_plain_loops(tmp_path, tied, biased):
    shape = replace(SHAPE, tied=tied)
    wanted = random_params(shape, biased)
    found_shape, params = llama_files.from_folder(write_folder(tmp_path / "model", shape, wanted))
    assert found_shape == shape
    # float32 against float64: sums of at most 24 terms in two layers
    np.testing.assert_allclose(llama.apply(shape, params, TOKENS)[0], by_loops(shape, wanted, TOKENS[0]), rtol=1e-4, atol=1e-5)


def test_both_kinds_of_files_give_the_same_numbers(tmp_path):
    wanted = random_params(SHAPE)
    folder = llama_files.from_folder(write_folder(tmp_path / "model", SHAPE, wanted))
    file = llama_files.from_gguf(write_gguf(tmp_path / "model.gguf", SHAPE, wanted))
    assert replace(file[0], eps=SHAPE.eps) == folder[0] == SHAPE  # GGUF keeps eps in float32
    assert jax.tree.all(jax.tree.map(lambda a, b: bool((np.asarray(a) == np.asarray(b)).all()), file[1], folder[1]))


def test_another_order_of_channels_is_the_same_function():
    params = random_params(SHAPE, biased=True)
    moved = llama.permuted(SHAPE, params, 1)
    found, wanted = (np.asarray(llama.apply(SHAPE, each, TOKENS)) for each in (moved, params))
    np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-5)  # sums of float32 in another order
    assert not (np.asarray(moved["layers"]["down"]) == params["layers"]["down"]).all()


def test_its_sites_are_planned_and_frozen():
    shape = replace(SHAPE, tied=True)
    params = random_params(shape)
    apply = partial(llama.apply, shape)
    plan = qr.model.plan(apply, params, "embed = int8@row; * = int4@8", TOKENS)
    kinds = dict(plan.table()["kind"])
    assert kinds == {"embed": "embedding+dense"} | {
        f"layers/{name}": "dense" for name in ("q", "k", "v", "o", "gate", "up", "down")
    }
    state = plan.start(params)
    assert (plan.freeze(state)(TOKENS) == plan.apply(state, TOKENS)).all()


def test_scores_of_the_float_model_and_of_another():
    apply = partial(llama.apply, SHAPE)
    params = jax.tree.map(jax.numpy.asarray, random_params(SHAPE))
    text = np.random.default_rng(0).integers(0, 40, 40).astype(np.int32)
    judge = Judge(apply, params, windows(text, 16, 2))
    scores = judge(partial(jax.jit(apply), params))
    logits = np.asarray(apply(params, text[None, :16])[0], np.float64)
    wanted = [np.log(np.exp(row).sum()) - row[token] for row, token in zip(logits, text[1:16])]
    np.testing.assert_allclose(scores["nats"][:15], wanted, rtol=1e-5)  # float32 logits
    assert len(scores["nats"]) == 30
    assert np.abs(scores["kl"]).max() == 0
    assert scores["agree"].all()
    other = judge(lambda tokens: apply(params, tokens)[..., ::-1])
    assert other["kl"].min() > 0
    with pytest.raises(ValueError, match="the text has 40 tokens, and 3 windows of 16 need 48"):
        windows(text, 16, 3)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"model_type": "gptj"}, "the architecture 'gptj' is not known here"),
        ({"rope_scaling": {"type": "linear"}}, "rope_scaling, which is not computed here"),
        ({"without": ["model.layers.1.mlp.up_proj.weight"]}, "lacks 1 tensors, such as 'model.layers.1.mlp.up_proj.weight'"),
        ({"more": {"model.layers.0.extra": np.zeros(3, np.float32)}}, "has 1 tensors that this architecture lacks"),
        ({"hidden_size": 32}, r"is \[40, 16\], and its configuration says \[40, 32\]"),
    ],
)
def test_a_folder_that_is_no_such_model(tmp_path, changes, words):
    folder = write_folder(tmp_path / "model", SHAPE, random_params(SHAPE), **changes)
    with pytest.raises(ValueError, match=words):
        llama_files.from_folder(folder)


def test_a_damaged_file_and_one_that_is_not_there(tmp_path):
    folder = write_folder(tmp_path / "model", SHAPE, random_params(SHAPE))
    file = folder / "model-00001-of-00002.safetensors"
    file.write_bytes(file.read_bytes()[:-40])
    with pytest.raises(ValueError, match="cannot be read"):
        llama_files.from_folder(folder)
    with pytest.raises(FileNotFoundError, match="there is no such file"):
        llama_files.from_gguf(tmp_path / "none.gguf")


@pytest.mark.slow
@pytest.mark.skipif(not (data.here("smollm2") and data.here("novels")), reason="SmolLM2 is not there: make data")
def test_smollm2_on_its_grid():
    shape, params = llama_files.from_gguf(data.path("smollm2"))
    weight = params["layers"]["up"][3]
    error = {text: qr.compare(weight, [text], ["r"])["r"].iloc[0] for text in ("int4-offset@32", "q4_1")}
    assert error["q4_1"] == 0
    assert error["int4-offset@32"] < 1e-6  # scales and minima in float32 instead of float16
    moved = llama.permuted(shape, params, 0)["layers"]["up"][3]
    assert 0.07 < qr.compare(moved, ["int4-offset@32"], ["r"])["r"].iloc[0] < 0.09
