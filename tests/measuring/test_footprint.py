"""T4: the exact bytes of two published models from shapes alone, and the forms of rules."""

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest

import qresearch as qr
from qresearch.measuring.footprint import footprint

CAPTIONING = {"floats": (247_414_076,), "position_ids": ((1, 512), "int64")}


def test_captioning_model():
    """T4: 989,660,400 bytes in float32, 494,832,248 with the floats in bfloat16, ratio 0.5000020694."""
    before, after = footprint(CAPTIONING), footprint(CAPTIONING, "bf16")
    assert before.bytes == 989_660_400
    assert after.bytes == 494_832_248
    assert f"{after.bytes / before.bytes:.10f}" == "0.5000020694"
    assert [row.stored for row in after.rows] == ["bf16", "kept"]
    assert footprint(CAPTIONING, lambda name, shape, dtype: jnp.bfloat16 if dtype == "float32" else None).bytes == after.bytes
    assert footprint(CAPTIONING, {"floats": "bfloat16"}).bytes == after.bytes


def linears(model=512, inner=6 * 64, hidden=1024, layers=8, vocabulary=32128):
    """FLAN-T5-small's linear layers: name -> (outputs, inputs)."""
    attention = {"q": (inner, model), "k": (inner, model), "v": (inner, model), "o": (model, inner)}
    feed = {"wi_0": (hidden, model), "wi_1": (hidden, model), "wo": (model, hidden)}
    for stack, blocks in (("encoder", 1), ("decoder", 2)):
        for layer in range(layers):
            for block in range(blocks):
                yield from ((f"{stack}.{layer}.attention{block}.{name}", shape) for name, shape in attention.items())
            yield from ((f"{stack}.{layer}.feed.{name}", shape) for name, shape in feed.items())
    yield "head", (vocabulary, model)


def flan_t5_small(model=512, layers=8, vocabulary=32128):
    """The shapes of all parameters, by name."""
    shapes = {"embedding": (vocabulary, model)}
    shapes |= {f"{name}.weight": shape for name, shape in linears()}
    for stack, norms in (("encoder", 2), ("decoder", 3)):
        shapes[f"{stack}.relative_position"] = (32, 6)
        shapes |= {f"{stack}.{layer}.norm{i}": (model,) for layer in range(layers) for i in range(norms)}
        shapes[f"{stack}.final_norm"] = (model,)
    return shapes


def test_flan_t5_small():
    """T4: 76,961,152 parameters; int8 per output channel and two activation scales per layer: 126,828,680 bytes."""
    before = footprint(flan_t5_small())
    assert (before.elements, before.bytes) == (76_961_152, 307_844_608)
    names = [name for name, _ in linears()]
    assert len(names) == 145
    with_activations = flan_t5_small() | {f"{name}.activation_scales": (2,) for name in names}
    assert footprint(with_activations, {"*.weight": "int8@row"}).bytes == 126_828_680


@pytest.mark.parametrize(
    "scheme", ["int8", "int4@32", "nf4@64:int8@256", "e2m1@16:e4m3", "int3-asym@7", "bf16", "int4-offset@32:f16"]
)
@pytest.mark.parametrize("shape", [(64, 256), (3, 5), (1, 1000)])
def test_the_bytes_are_those_of_a_packed_array(scheme, shape):
    """Compares with the bytes of a packed array: codes, scales and offsets, each in whole bytes."""
    packed = qr.quantize(jnp.ones(shape), scheme).pack()
    assert footprint({"w": shape}, scheme).bytes == sum(np.asarray(leaf).nbytes for leaf in jax.tree.leaves(packed))


def test_shapes_in_every_form():
    forms = [
        (4, 6),
        [4, 6],
        ((4, 6), "float32"),
        ([4, 6], np.float32),
        np.zeros((4, 6), np.float32),
        jnp.zeros((4, 6)),
        jax.ShapeDtypeStruct((4, 6), jnp.float32),
    ]
    for form in forms:
        assert footprint({"w": form}).rows == footprint({"w": (4, 6)}).rows
    # a 0-d, an empty and a bfloat16 tensor
    kept = footprint({"a": (), "b": ((0, 7), "float64"), "c": ((3,), ml_dtypes.bfloat16)})
    assert [(row.elements, row.bytes) for row in kept.rows] == [(1, 4), (0, 0), (3, 6)]


def test_the_first_matching_pattern_applies():
    shapes = {"layer.0.weight": (8, 8), "layer.1.weight": (8, 8), "norm": (8,)}
    got = footprint(shapes, {"layer.0.*": "f16", "*.weight": "int8"})
    assert [row.stored for row in got.rows] == ["f16", "int8", "kept"]
    assert [row.bytes for row in got.rows] == [128, 64 + 4, 32]
    assert footprint(shapes, {"*": "int8", "layer.0.*": "f16"}).rows[0].stored == "int8"


def test_targets_in_every_form():
    shapes = {"w": (8, 32)}
    for target in ("int4@32", qr.scheme("int4@32"), qr.build("int4@32"), lambda *_: "int4@32"):
        assert footprint(shapes, target).bytes == 8 * (16 + 4)
    for target in ("float64", np.float64, np.dtype("float64"), jnp.float64):
        assert footprint(shapes, target).bytes == 8 * 32 * 8


def test_integers_are_not_quantized_but_can_be_cast():
    shapes = {"ids": ((10,), "int64"), "mask": ((10,), "bool")}
    assert footprint(shapes, "int4").bytes == 10 * 8 + 10
    assert footprint(shapes, "int32").bytes == 10 * 4 * 2


def test_the_table_and_the_printed_form():
    got = footprint({"w": (512, 512), "steps": ((8,), "int64")}, {"w": "int4-sym@32"})
    table = got.table()
    assert table.index.tolist() == ["w", "steps"]
    assert table.loc["w"].to_dict() == {
        "shape": (512, 512),
        "dtype": "float32",
        "stored": "int4@32",
        "elements": 262_144,
        "bytes": 163_840,
    }
    assert got.bits_per_element == 8 * 163_904 / 262_152
    empty = footprint({})
    assert (empty.bytes, len(empty.table())) == (0, 0)
    assert np.isnan(empty.bits_per_element)
    assert "0 bytes" in str(empty)


@pytest.mark.parametrize(
    ("shapes", "rule", "message"),
    [
        ({"w": (8, 8)}, "nv4", "'w' cannot be stored as 'nv4': it is not a dtype, and not a scheme either: .*mean 'nf4'"),
        ({"w": (8, 8)}, {"v*": "int8"}, r"pattern 'v\*' of the rule matches none of 'w'"),
        ({"w": (8, -1)}, None, r"shape of 'w' must hold lengths, not \(8, -1\)"),
        ({"w": (8, 1.5)}, None, "shape of 'w' must hold lengths"),
        ({"w": 512}, None, "shape of 'w' must hold lengths, not 512"),
        ({"w": None}, None, "shape of 'w' must hold lengths, not None"),
        ({"w": ((8,), "flaot32")}, None, "'flaot32', the dtype of 'w', is not a dtype; did you mean 'float32'?"),
        ({"w": (8,)}, "int8@8x8", "'w': block 8x8 needs an array of at least 2 axes"),
    ],
)
def test_errors_name_what_is_wrong(shapes, rule, message):
    with pytest.raises(ValueError, match=message):
        footprint(shapes, rule)


@pytest.mark.parametrize(
    ("shapes", "words"), [([("w", (8,))], "shapes must be a mapping"), ({3: (8,)}, "a name in shapes must be a text")]
)
def test_other_types_are_refused(shapes, words):
    with pytest.raises(TypeError, match=words):
        footprint(shapes)
