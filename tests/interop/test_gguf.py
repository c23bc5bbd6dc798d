"""GGUF files: both orders of bytes, every type, and files that are damaged. `experiments/peers/interop.py` compares more."""

import struct

import jax
import ml_dtypes
import numpy as np
import pytest

import qresearch as qr
from qresearch import interop
from qresearch.interop.gguf_file import PRESETS
from qresearch.interop.gguf_header import gguf_tensors
from qresearch.interop.gguf_values import WORDS

gguf = pytest.importorskip("gguf")
X = np.random.default_rng(3).standard_normal((2, 256)).astype(np.float32)


def written(path, tensors, order="<"):
    """A file written by gguf: name -> (bytes or array, type)."""
    endian = gguf.GGUFEndian.LITTLE if order == "<" else gguf.GGUFEndian.BIG
    writer = gguf.GGUFWriter(str(path), "test", endianess=endian)
    writer.add_array("a.list", ["one", "two"])
    writer.add_array("a.matrix", [1, 2, 3])
    writer.add_bool("a.bool", True)
    for name, (data, kind) in tensors.items():
        writer.add_tensor(name, data, raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def blocks(kind, rows=2):
    """Random blocks of a type, with scales that are finite."""
    size = gguf.GGML_QUANT_SIZES[kind][1]
    data = np.random.default_rng(kind).integers(0, 256, (rows, size), dtype=np.uint8)
    return data & np.uint8(0x3F)  # neither infinite nor NaN, wherever the scale lies


def decoded():
    """The types with blocks that gguf decodes."""
    for kind in gguf.GGMLQuantizationType:
        try:
            gguf.quants.dequantize(blocks(kind), kind)
        except NotImplementedError:
            continue
        if gguf.GGML_QUANT_SIZES[kind][0] > 1:
            yield kind


def converted(path, to):
    """The same file in the other order of bytes, by the script of gguf."""
    from argparse import Namespace

    from gguf.scripts import gguf_convert_endian as script

    script.input = lambda *_: "YES"
    to.write_bytes(path.read_bytes())
    script.convert_byteorder(gguf.GGUFReader(to, "r+"), Namespace(order="big", dry_run=False))
    return to


def test_a_big_endian_file_has_the_same_numbers(tmp_path):
    tensors = {name: (blocks(kind := gguf.GGMLQuantizationType[name.upper()]), kind) for name in WORDS}
    floats = {"f32": X, "f16": X.astype(np.float16), "bf16": X.astype(ml_dtypes.bfloat16).view(np.uint8)}
    tensors |= {name: (data, gguf.GGMLQuantizationType[name.upper()]) for name, data in floats.items()}
    little = interop.load_gguf(written(tmp_path / "little.gguf", tensors))
    big = interop.load_gguf(converted(tmp_path / "little.gguf", tmp_path / "big.gguf"))
    assert list(big) == list(tensors)
    for name, tensor in little.items():
        assert isinstance(tensor, qr.QTensor) == (name in PRESETS)
        jax.tree.map(np.testing.assert_array_equal, big[name], tensor)
    np.testing.assert_array_equal(big["f32"], X)


def test_blocks_without_a_defined_order_of_bytes_are_refused(tmp_path):
    tensors = {name: (blocks(kind := gguf.GGMLQuantizationType[name.upper()]), kind) for name in ("q5_0", "iq2_s")}
    path = written(tmp_path / "big.gguf", tensors | {"x": (X, None)}, ">")
    with pytest.warns(UserWarning, match=r"2 of 3 tensors are left out: 'q5_0' \(the order of bytes in blocks of q5_0"):
        np.testing.assert_array_equal(interop.load_gguf(path)["x"], X)
    with pytest.raises(ValueError, match="'iq2_s' cannot be read: the order of bytes"):
        interop.load_gguf(path, ["iq2_s"])


def test_every_type_that_gguf_decodes_is_read(tmp_path):
    tensors = {kind.name.lower(): (blocks(kind), kind) for kind in decoded()}
    assert {"q4_k", "q6_k", "iq1_m", "iq4_xs", "tq1_0", "nvfp4"} < set(tensors)
    assert set(PRESETS) < set(tensors)
    without = [name for name in tensors if name not in PRESETS]  # `make peers` compares those with a preset
    found = interop.load_gguf(written(tmp_path / "x.gguf", tensors), without)
    with np.errstate(all="ignore"):
        for name in without:
            np.testing.assert_array_equal(found[name], gguf.quants.dequantize(*tensors[name]), err_msg=name)


ARRAYS = {
    "bf16": X.astype(ml_dtypes.bfloat16),
    "empty": X[:0],
    "empty rows": X[:, :0].astype(ml_dtypes.bfloat16),
    "scalar": np.array(3.5, np.float32),
    "big-endian": X.astype(">f4"),
    "strided": X[:, ::2],
    "i8": np.arange(-3, 3, dtype=np.int8),
    "f64": X.astype(np.float64),
}


def test_arrays_come_back_as_they_were(tmp_path):
    q = qr.quantize(X[:0], "q8_0")
    interop.save_gguf(tmp_path / "x.gguf", ARRAYS | {"q": q})
    found = interop.load_gguf(tmp_path / "x.gguf")
    assert found["q"].shape == (0, 256)
    for name, x in ARRAYS.items():
        assert (found[name].shape, found[name].dtype) == (x.shape, x.dtype.newbyteorder("=")), name
        np.testing.assert_array_equal(found[name], x)
    for each in gguf.GGUFReader(tmp_path / "x.gguf").tensors:  # gguf sees the same numbers
        wanted = {**ARRAYS, "q": np.zeros((0, 256), np.float32)}[each.name].astype(np.float64)
        got = each.data.view(ml_dtypes.bfloat16) if each.tensor_type.name == "BF16" else each.data
        np.testing.assert_array_equal(got.reshape(wanted.shape) if wanted.size else wanted, wanted, err_msg=each.name)


@pytest.mark.parametrize("dtype", [np.longdouble, np.complex64, bool, object, ml_dtypes.float8_e4m3fn, "U3"])
def test_a_dtype_that_gguf_lacks_is_refused_by_name(tmp_path, dtype):
    with pytest.raises(ValueError, match=r"'w' is an array of .*; GGUF files hold QTensors and arrays of float16"):
        interop.save_gguf(tmp_path / "x.gguf", {"fine": X, "w": np.ones(3).astype(dtype)})
    assert not (tmp_path / "x.gguf").exists()


def test_names_choose_tensors(tmp_path):
    interop.save_gguf(tmp_path / "x.gguf", {"weight": X, "other": X})
    assert list(interop.load_gguf(tmp_path / "x.gguf", "weight")) == ["weight"]
    assert list(interop.load_gguf(tmp_path / "x.gguf", iter(["other", "weight"]))) == ["other", "weight"]
    with pytest.raises(ValueError, match=r"x.gguf has no tensor 'wieght'; did you mean 'weight'"):
        interop.load_gguf(tmp_path / "x.gguf", ["wieght"])


def test_unknown_types_are_listed_and_the_rest_is_read(tmp_path):
    kinds = {"q8_k": gguf.GGMLQuantizationType.Q8_K, "new": gguf.GGMLQuantizationType.Q4_0}
    path = written(tmp_path / "x.gguf", {"x": (X, None)} | {name: (blocks(kind), kind) for name, kind in kinds.items()})
    data = bytearray(path.read_bytes())
    place = data.index(b"\x03\0\0\0\0\0\0\0new") + 11  # after the name: the number of axes, two axes, the type
    data[place + 20 : place + 24] = struct.pack("<I", 99)
    path.write_bytes(data)
    with pytest.warns(UserWarning, match=r"2 of 3 tensors are left out: 'q8_k' \(its type is q8_k.*'new' \(its type is type"):
        assert list(interop.load_gguf(path)) == ["x"]


def test_every_damaged_file_gives_one_error_that_names_it(tmp_path):
    path = tmp_path / "x.gguf"
    tensors = {"w": (blocks(gguf.GGMLQuantizationType.Q8_0), gguf.GGMLQuantizationType.Q8_0), "x": (X, None)}
    whole = written(path, tensors).read_bytes()
    end = gguf_tensors(path)["w"].place
    random = np.random.default_rng(0)
    damaged = [whole[:stop] for stop in range(0, end + 3)] + [whole[:-1]]
    for at in range(end):  # every byte of the header, to numbers that are often too large
        for value in (0, 0x7F, 0xFF, int(random.integers(256))):
            damaged.append(whole[:at] + bytes([value]) + whole[at + 1 :])
    refused = []
    for data in damaged:
        path.write_bytes(data)
        try:
            interop.load_gguf(path, "x")  # the arithmetic of "w" takes long
        except ValueError as error:
            refused.append(str(error))
    assert all(str(path) in message for message in refused)
    assert len(refused) > len(damaged) / 4


@pytest.mark.parametrize("name", ["q3_k", "q4_k", "iq4_nl-refined"])
def test_k_quants_there_and_back(tmp_path, name):
    q = qr.quantize(X, name)
    interop.save_gguf(tmp_path / "x.gguf", {"w": q})
    (tensor,) = gguf.GGUFReader(tmp_path / "x.gguf").tensors
    np.testing.assert_array_equal(gguf.quants.dequantize(tensor.data, tensor.tensor_type), q.dequantize())
    np.testing.assert_array_equal(interop.load_gguf(tmp_path / "x.gguf")["w"].dequantize(), q.dequantize())


def test_nvfp4_has_its_scale_in_a_tensor_of_its_own(tmp_path):
    q = qr.quantize(X, "nvfp4")
    interop.save_gguf(tmp_path / "x.gguf", {"blk.0.attn_q.weight": q})
    found = {each.name: each for each in gguf.GGUFReader(tmp_path / "x.gguf").tensors}
    weight, scale = found["blk.0.attn_q.weight"], found["blk.0.attn_q.scale"].data
    assert scale.shape == (1,)
    assert weight.tensor_type.name == "NVFP4"
    values = gguf.quants.dequantize(weight.data, weight.tensor_type) * scale
    # A product with the scale of the block is rounded here, and exact there: two roundings against one.
    np.testing.assert_allclose(values, q.dequantize(), rtol=2.0**-23, atol=0)
    with pytest.raises(ValueError, match=r"'w\.scale' is taken"):
        interop.save_gguf(tmp_path / "y.gguf", {"w.weight": q, "w.scale": X})
