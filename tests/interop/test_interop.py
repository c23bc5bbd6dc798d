"""To files and back, exactly; names of dtypes and of schemes. gguf and torch are in `experiments/peers/interop.py`."""

import json
import struct

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest
from safetensors import safe_open

import qresearch as qr
from qresearch import interop

X = np.random.default_rng(3).standard_normal((6, 96)).astype(np.float32)

DTYPES = {
    "nvfp4": {"codes": "F4", "scale.codes": "F8_E4M3", "scale.scale": "F32"},
    "mxfp4": {"codes": "F4", "scale.codes": "F8_E8M0"},
    "mxfp6-e2m3": {"codes": "U8", "scale.codes": "F8_E8M0"},
    "e5m2@row": {"codes": "F8_E5M2", "scale": "F32"},
    "int8@row:bf16": {"codes": "I8", "scale.codes": "BF16"},
    "uint4-offset@32:f16": {"codes": "U8", "scale.codes": "F16", "offset.codes": "F16"},
    "int16": {"codes": "I16", "scale": "F32"},
    "nf4-double": {"codes": "U8", "scale.codes": "I8", "scale.scale": "F32"},
    "cast-bf16": {"codes": "BF16"},
    "q4_0": {"blocks": "U8"},
    "e2m1@7": {"codes": "F4", "scale": "F32"},
}


def header(path):
    data = path.read_bytes()
    return json.loads(data[8 : 8 + struct.unpack("<Q", data[:8])[0]])


@pytest.mark.parametrize(("text", "dtypes"), DTYPES.items())
def test_safetensors_there_and_back(tmp_path, text, dtypes):
    x = X[:, :95] if text == "e2m1@7" else X
    q = qr.quantize(x, text)
    interop.save_safetensors(tmp_path / "x.safetensors", {"a.w": q, "b": q}, text)
    assert {k: v["dtype"] for k, v in header(tmp_path / "x.safetensors").items() if k.startswith("a.w")} == {
        f"a.w.{part}": dtype for part, dtype in dtypes.items()
    }
    for back in interop.load_safetensors(tmp_path / "x.safetensors").values():
        assert back.bits == q.bits
        np.testing.assert_array_equal(back.codes, q.codes)
        np.testing.assert_array_equal(back.dequantize(), q.dequantize())
        jax.tree.map(np.testing.assert_array_equal, back.pack(), q.pack())


@pytest.mark.parametrize("coding", ["huffman", "deflate", "bz2", "lzma", "entropy"])
def test_entropy_coded_arrays_there_and_back(tmp_path, coding):
    q = qr.quantize(X, f"nf4@32:bf16 + {coding}")
    interop.save_safetensors(tmp_path / "x.safetensors", {"w": q})
    back = interop.load_safetensors(tmp_path / "x.safetensors")["w"]
    np.testing.assert_array_equal(back.dequantize(), q.dequantize())
    assert back.nbytes == q.nbytes
    jax.tree.map(np.testing.assert_array_equal, back.pack(), q.pack())


def rewritten(path, about):
    """The same file with other metadata, which may be damaged."""
    length = struct.unpack("<Q", (data := path.read_bytes())[:8])[0]
    text = about if isinstance(about, str) else json.dumps(about)
    head = json.dumps(header(path) | {"__metadata__": {"qresearch": text}}).encode()
    path.write_bytes(struct.pack("<Q", len(head)) + head + data[8 + length :])


def metadata(path):
    with safe_open(path, "np") as file:
        return json.loads(file.metadata()["qresearch"])


def test_files_without_the_shapes_of_parts_are_read(tmp_path):
    q = qr.quantize(X, "nvfp4")
    interop.save_safetensors(tmp_path / "x.safetensors", {"w": q})
    about = metadata(tmp_path / "x.safetensors")
    about["w"]["parts"] = dict.fromkeys(about["w"]["parts"], "uint8")  # as earlier versions wrote them
    rewritten(tmp_path / "x.safetensors", about)
    back = interop.load_safetensors(tmp_path / "x.safetensors")["w"]
    np.testing.assert_array_equal(back.dequantize(), q.dequantize())


NONSENSE = [None, 3, 4.5, True, "nope", "", [], [3], {}, {"x": 1}, [-1, 96], [10**30, 96], [["x"]], "\ud800", float("nan")]


def damaged(about):
    """Every value of the metadata, in turn, replaced by nonsense."""
    if isinstance(about, dict):
        for key, value in about.items():
            yield from ({**about, key: each} for each in damaged(value))
            yield {other: each for other, each in about.items() if other != key}
    yield from NONSENSE


@pytest.mark.parametrize("scheme", ["int4@32:bf16", "nf4@32:bf16 + deflate"])
def test_damaged_metadata_give_one_error_that_names_the_file(tmp_path, scheme):
    path = tmp_path / "x.safetensors"
    interop.save_safetensors(path, {"w": qr.quantize(X, scheme)})
    refused = []
    for about in ["{", "[" * 100_000, *damaged(metadata(path))]:
        rewritten(path, about)
        try:
            interop.load_safetensors(path)
        except ValueError as error:
            refused.append(str(error))
    assert len(refused) > 80  # an empty mapping, and a dtype that is absent, are allowed
    assert all(str(path) in message for message in refused)
    assert sum("'w'" in message for message in refused) > 60


def test_damaged_files_are_value_errors(tmp_path):
    path = tmp_path / "x.safetensors"
    interop.save_safetensors(path, {"w": qr.quantize(X, "int4@32")})
    whole = path.read_bytes()
    for data in (b"", whole[:5], whole[:40], whole[:-1], whole + b"x", b"\xff" * 8 + whole[8:]):
        path.write_bytes(data)
        with pytest.raises(ValueError, match=r"x\.safetensors cannot be read"):
            interop.load_safetensors(path)


@pytest.mark.parametrize("coding", ["huffman", "deflate", "bz2", "lzma"])
def test_a_small_stream_cannot_unpack_to_a_large_one(coding):
    q = qr.quantize(X, f"nf4@32:bf16 + {coding}")
    shrink = q.quantizer.coding.shrink
    for bomb in (shrink(bytes(2**22)), shrink(b"")):
        with pytest.raises(ValueError, match=f"the codes packed with {coding} are not 576 bytes"):
            qr.from_packed({**q.pack(), "codes": np.frombuffer(bomb, np.uint8)}, q.scheme, q.shape)


def test_a_scheme_that_did_not_make_it_is_refused(tmp_path):
    with pytest.raises(ValueError, match="'w' was not quantized with 'int5@32'"):
        interop.save_safetensors(tmp_path / "x.safetensors", {"w": qr.quantize(X, "int4@32")}, {"w": "int5@32"})


def test_a_file_of_somebody_else_is_refused(tmp_path):
    from safetensors.numpy import save_file

    save_file({"w": X}, tmp_path / "x.safetensors")
    with pytest.raises(ValueError, match="not written by save_safetensors"):
        interop.load_safetensors(tmp_path / "x.safetensors")


@pytest.mark.parametrize("text", ["e4m3-unit", "e5m2-unit", "e8m0", "f16", "bf16"])
def test_bytes_are_those_of_the_dtype_that_is_named(text):
    part = interop.stored_parts(qr.quantize(np.abs(X), text))["codes"]
    dtype = np.dtype(getattr(ml_dtypes, part.dtype, None) or part.dtype)
    assert part.shape == X.shape
    numbers = np.ascontiguousarray(part.data).view(dtype).astype(np.float32)
    np.testing.assert_array_equal(numbers, qr.quantize(np.abs(X), text).dequantize())


@pytest.mark.parametrize("name", interop.HUGGING_FACE)
def test_every_name_of_hugging_face_quantizes(name):
    pair = interop.HUGGING_FACE[name]
    if name != "INT8":  # refused, since int8 is another scheme
        assert qr.scheme(name) == qr.scheme(pair.weights)
        assert str(qr.scheme(f"{name} + hadamard(16)")) == f"{qr.scheme(pair.weights)} + hadamard(16)"
    for text in (pair.weights, pair.activations):
        if text is not None:
            assert jnp.isfinite(qr.quantize(X, text).dequantize()).all()


def test_a_mistyped_name_is_answered():
    with pytest.raises(ValueError, match="did you mean 'W4A16'"):
        interop.HUGGING_FACE["W4A17"]
    with pytest.raises(ValueError, match="is it the named scheme 'W4A16'"):
        qr.scheme("W4A17")


def test_a_preset_cannot_hide_a_name():
    with pytest.raises(ValueError, match="would hide the scheme 'int4-full@128:bf16'"):
        qr.presets.add("W4A16", "int4@32")
