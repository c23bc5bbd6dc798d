"""Encoders of BERT's type: a tiny random checkpoint against the definition in NumPy, and checkpoints that are refused."""

import json
import math
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file
from tiny_bert import DENSE, tensors, write

import qresearch as qr
from experiments.tasks.bert_files import read
from experiments.tasks.task import Unavailable

TOKENS = np.array([[1, 5, 7, 2], [1, 19, 2, 0]], np.int32)
MASK = TOKENS > 0


@pytest.fixture
def checkpoint(tmp_path):
    """Writes a checkpoint with some settings or tensors changed, and returns its folder."""
    return partial(write, tmp_path)


def by_definition(w, tokens):
    """float64 [time, width]: the outputs for one text without padding, one head after the other."""

    def norm(name, x):
        return (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-12) * w[f"{name}.weight"] + w[
            f"{name}.bias"
        ]

    def dense(name, x):
        return x @ w[f"{name}.weight"].T + w[f"{name}.bias"]

    x = w["embeddings.word_embeddings.weight"][tokens] + w["embeddings.position_embeddings.weight"][: len(tokens)]
    x = norm("embeddings.LayerNorm", x + w["embeddings.token_type_embeddings.weight"][0])
    for layer in ("encoder.layer.0.", "encoder.layer.1."):
        q, k, v = (dense(f"{layer}attention.self.{name}", x) for name in ("query", "key", "value"))
        heads = []
        for part in (slice(0, 4), slice(4, 8)):
            share = np.exp(q[:, part] @ k[:, part].T / 2)
            heads.append(share / share.sum(1, keepdims=True) @ v[:, part])
        x = norm(f"{layer}attention.output.LayerNorm", x + dense(f"{layer}attention.output.dense", np.concatenate(heads, 1)))
        inner = dense(f"{layer}intermediate.dense", x)
        inner = inner * (1 + np.vectorize(math.erf)(inner / math.sqrt(2))) / 2
        x = norm(f"{layer}output.LayerNorm", x + dense(f"{layer}output.dense", inner))
    return x


@pytest.mark.parametrize(("pooling", "pool"), [("mean_tokens", lambda x: x.mean(0)), ("cls_token", lambda x: x[0])])
def test_vectors_are_those_of_the_definition(checkpoint, pooling, pool):
    folder = checkpoint()
    (folder / "1_Pooling").mkdir()
    (folder / "1_Pooling" / "config.json").write_text(
        json.dumps({f"pooling_mode_{pooling}": True, "word_embedding_dimension": 8})
    )
    model, params = read(folder)
    got = model.apply(params, jnp.asarray(TOKENS), jnp.asarray(MASK))
    exact = {name: each.astype(np.float64) for name, each in load_file(folder / "model.safetensors").items()}
    for row, tokens, mask in zip(got, TOKENS, MASK):
        pooled = pool(by_definition(exact, tokens[mask]))
        assert np.allclose(row, pooled / np.linalg.norm(pooled), atol=2e-6)  # some ten float32 roundings of numbers below 1


def test_the_prefix_of_a_whole_model_is_taken_off_and_half_precision_is_read(checkpoint):
    folder = checkpoint()
    model, params = read(folder)
    halves = {f"bert.{name}": each.astype(np.float16) for name, each in tensors().items()}
    save_file(halves | {"cls.predictions.bias": np.zeros(20, np.float32)}, folder / "model.safetensors")
    again, other = read(folder)
    assert again == model
    assert params.keys() == other.keys()
    for name in params:
        assert other[name].dtype == jnp.float32
        assert np.array_equal(other[name], np.asarray(params[name]).astype(np.float16).astype(np.float32))


def test_sites_are_found_with_names_that_say_where_they_are(checkpoint):
    model, params = read(checkpoint())
    plan = qr.model.plan(model.apply, params, "int8@row | int8@row", jnp.asarray(TOKENS), jnp.asarray(MASK))
    layer = [f"encoder/layer/{name.replace('.', '/')}" for name in (*DENSE, "intermediate.dense", "output.dense")]
    assert [site.name for site in plan.sites] == ["embeddings/word_embeddings", *layer]
    state = plan.observe(plan.start(params), jnp.asarray(TOKENS), jnp.asarray(MASK), mask=jnp.asarray(MASK))
    assert state.seen["encoder/layer/intermediate/dense"].tokens.tolist() == [7, 7]  # no padding, in both layers
    frozen = plan.freeze(state)
    exact = model.apply(params, jnp.asarray(TOKENS), jnp.asarray(MASK))
    change = jax.numpy.abs(frozen(jnp.asarray(TOKENS), jnp.asarray(MASK)) - exact).max()
    assert 0 < change < 0.05  # 8 bits: steps of 1/127 of a row's largest, through two layers


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"config": {"model_type": "roberta"}}, "model_type is 'roberta', not 'bert'"),
        ({"config": {"hidden_act": "relu"}}, "hidden_act is 'relu', not 'gelu'"),
        ({"config": {"num_attention_heads": 3}}, "hidden_size 8 is no multiple of 3 heads"),
        ({"config": {"num_hidden_layers": 3}}, "lacks encoder.layer.2.attention.output.LayerNorm.bias"),
        ({"without": ["encoder.layer.1.output.dense.weight"]}, "lacks encoder.layer.1.output.dense.weight"),
        ({"more": {"encoder.layer.0.adapter.weight": np.zeros((2, 2))}}, "has not: encoder.layer.0.adapter.weight"),
        ({"config": {"intermediate_size": 16}}, r"intermediate.dense.weight has the shape \[12, 8\], not \[16, 8\]"),
        ({"more": {"embeddings.LayerNorm.bias": np.zeros(8, np.int8)}}, "LayerNorm.bias holds I8, not floats"),
    ],
)
def test_another_checkpoint_is_refused_with_what_is_wrong(checkpoint, change, words):
    with pytest.raises(ValueError, match=words):
        read(checkpoint(**change))


def test_texts_that_are_too_long_are_refused(checkpoint):
    model, params = read(checkpoint())
    with pytest.raises(ValueError, match="tokens has 11 a text, and the model 10 positions"):
        model.apply(params, jnp.ones((1, 11), jnp.int32), jnp.ones((1, 11), bool))


def test_a_truncated_checkpoint_is_refused(checkpoint):
    path = checkpoint() / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ValueError, match=r"model.safetensors cannot be read .* truncated: download it again"):
        read(path.parent)


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "tokenizer.json"])
def test_a_folder_that_lacks_a_file_is_no_checkpoint(checkpoint, name):
    folder = checkpoint()
    (folder / name).unlink()
    with pytest.raises(Unavailable, match=rf"has no {name}; give the folder of a checkpoint"):
        read(folder)


@pytest.mark.parametrize(
    ("file", "text", "words"),
    [
        ("modules.json", '[{"type": "sentence_transformers.models.Dense"}]', "has a Dense module"),
        ("modules.json", "{}", "holds a dict, not a list"),
        ("config.json", "{", "is no JSON"),
        ("config.json", '{"model_type": "bert"}', "has no num_hidden_layers"),
        (
            "1_Pooling/config.json",
            '{"pooling_mode_max_tokens": true}',
            "the pooling is max_tokens; allowed: one of mean_tokens",
        ),
    ],
)
def test_settings_that_would_be_ignored_are_refused(checkpoint, file, text, words):
    path = checkpoint() / file
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    with pytest.raises(ValueError, match=words):
        read(checkpoint() if file != "config.json" else path.parent)
