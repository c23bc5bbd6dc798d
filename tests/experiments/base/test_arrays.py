"""Files of arrays."""

import json
import struct
import tracemalloc
import zipfile

import ml_dtypes
import numpy as np
import pytest
from safetensors.numpy import save_file

import qresearch as qr
from experiments.base.arrays import array, corner, fingerprint, run
from experiments.base.headers import CODECS, headers
from experiments.config import ConfigError, load
from experiments.config.sources import find
from experiments.rows.sources import sources
from qresearch import interop


@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16, np.float32, np.float64])
@pytest.mark.parametrize("suffix", [".npy", ".npz", ".safetensors"])
def test_every_kind_of_file_holds_every_kind_of_float(tmp_path, suffix, dtype):
    x = np.linspace(-3, 3, 12).reshape(3, 4).astype(dtype)
    path = tmp_path / f"x{suffix}"
    writers = {".npy": np.save, ".npz": lambda p, a: np.savez(p, x=a), ".safetensors": lambda p, a: save_file({"x": a}, p)}
    writers[suffix](path, x)
    ((name, header),) = headers(path).items()
    assert name == "x"
    assert header.shape == (3, 4)
    assert header.usable
    found = array(header)
    assert found.dtype == np.float32
    assert np.array_equal(found, x.astype(np.float32))
    assert np.array_equal(array(header, limit=4), x.astype(np.float32)[:2, :2])


@pytest.mark.parametrize("dtype", [ml_dtypes.float8_e4m3fn, ml_dtypes.float8_e5m2])
def test_8_bit_floats_of_safetensors(tmp_path, dtype):
    x = np.arange(256, dtype=np.uint8).view(dtype).reshape(16, 16)
    save_file({"i": np.ones(3, np.int64), "x": x}, tmp_path / "x.safetensors")
    assert headers(tmp_path / "x.safetensors")["x"].usable
    with np.errstate(invalid="ignore"):  # signalling NaNs among the codes
        assert np.array_equal(array(headers(tmp_path / "x.safetensors")["x"]), x.astype(np.float32), equal_nan=True)


@pytest.mark.parametrize("dtype", [">f2", ">f4", ">f8"])
def test_any_byte_order(tmp_path, dtype):
    x = np.linspace(-3, 3, 12).astype(dtype)
    np.save(tmp_path / "x.npy", x)
    assert headers(tmp_path / "x.npy")["x"].usable
    assert np.array_equal(array(headers(tmp_path / "x.npy")["x"]), x.astype(np.float32))


def test_a_truncated_file_is_told_before_it_is_read(work):
    np.save(work.folder / "x.npy", np.ones(100, np.float32))
    (work.folder / "x.npy").write_bytes((work.folder / "x.npy").read_bytes()[:-40])
    with pytest.raises(ConfigError, match=r"sources.w.file: 'x.npy' cannot be read: truncated: 40 bytes"):
        load(work.write(sources={"w": {"file": "x.npy"}}))


def test_what_a_file_holds_is_told(work):
    save_file({"i": np.ones(3, np.int64)}, work.folder / "x.safetensors")
    with pytest.raises(
        ConfigError, match=r"'\*' matches no floating-point tensor; there are: i \(I64\[3\]\); allowed: float4_e2m1fn"
    ):
        load(work.write(sources={"w": {"file": "x.safetensors"}}))


def test_other_kinds_and_empty_tensors_are_passed_over(tmp_path):
    path = tmp_path / "x.safetensors"
    save_file({"a": np.ones(3, np.float32), "i": np.ones(3, np.int64), "e": np.ones((0, 3), np.float32)}, path)
    assert [name for name, header in headers(path).items() if header.usable] == ["a"]


@pytest.mark.parametrize("suffix", [".npy", ".npz", ".safetensors"])
def test_a_file_of_another_kind_is_a_value_error(tmp_path, suffix):
    path = tmp_path / f"x{suffix}"
    path.write_bytes(b"certainly not an array, though long enough to look like something")
    with pytest.raises((ValueError, OSError)):
        headers(path)


def test_a_corner_halves_the_longest_axis():
    assert corner((1024, 1024), 4096) == (64, 64)
    assert corner((3,), 1) == (1,)
    assert corner((10, 2), None) == (10, 2)


def test_a_pattern_makes_a_source_of_each_tensor(work):
    save_file({f"layer.{i}.w": np.full((2, 4), i + 1, np.float32) for i in range(3)}, work.folder / "x.safetensors")
    config = load(
        work.write(
            sources={
                "w": {"file": "x.safetensors", "tensors": ["layer.[01].*"]},
                "one": {"file": "x.safetensors", "tensors": "layer.2.w"},
            }
        )
    )
    found = {source.name: source for source in sources(config)}
    assert list(found) == ["w/layer.0.w", "w/layer.1.w", "one"]
    assert {source.group for source in found.values()} == {"w", "one"}
    assert np.array_equal(found["w/layer.1.w"].make(0), np.full((2, 4), 2))


def test_a_file_that_cannot_be_read_is_a_problem_at_its_place(work):
    (work.folder / "x.npz").write_bytes(b"nothing")
    with pytest.raises(ConfigError, match=r"config.yaml:\d+:\d+: sources.w.file: 'x.npz' cannot be read"):
        load(work.write(sources={"w": {"file": "x.npz"}}))


def test_a_fingerprint_follows_the_bytes(tmp_path):
    path = tmp_path / "x.npy"
    np.save(path, np.zeros(3, np.float32))
    before = fingerprint(path)
    np.save(path, np.ones(3, np.float32))
    assert fingerprint(path) != before


def test_a_compressed_archive_is_unpacked_as_far_as_its_limit(tmp_path):
    np.savez_compressed(tmp_path / "x.npz", c=np.zeros((2**12, 2**12), np.float32), f=np.zeros((2**12, 2**12), order="F"))
    assert (tmp_path / "x.npz").stat().st_size < 2**18
    for header in headers(tmp_path / "x.npz").values():
        tracemalloc.start()
        assert array(header, limit=64).shape == (8, 8)
        assert tracemalloc.get_traced_memory()[1] < 2**23  # of 64 MiB or more
        tracemalloc.stop()


def npy(descr, shape, data=b"", version=1, fortran=False):
    """A .npy file, written by hand."""
    text = repr({"descr": descr, "fortran_order": fortran, "shape": shape}).encode() + b"\n"
    return b"\x93NUMPY" + bytes([version, 0]) + struct.pack("<H" if version == 1 else "<I", len(text)) + text + data


BAD = {
    "version 9": npy("<f4", (2,), bytes(8), version=9),
    "a negative shape": npy("<f4", (-2, -1), bytes(8)),
    "a shape of floats": npy("<f4", (2.5,), bytes(8)),
    "too short": npy("<f4", (2,), bytes(7)),
    "no such dtype": npy("<f7", (2,), bytes(8)),
    "no header": b"\x93NUMPY\x01\x00",
    "not Python": b"\x93NUMPY\x01\x00\x04\x00{{{\n",
    "huge": npy("<f4", (2**70,), bytes(8)),
}


@pytest.mark.parametrize("name", BAD)
@pytest.mark.parametrize("suffix", ["npy", "npz"])
def test_a_bad_npy_is_refused_before_it_is_read(work, suffix, name):
    if suffix == "npy":
        (work.folder / "x.npy").write_bytes(BAD[name])
    else:
        with zipfile.ZipFile(work.folder / "x.npz", "w") as archive:
            archive.writestr("inside.npy", BAD[name])
    with pytest.raises(ConfigError, match=f"'x.{suffix}' cannot be read: {'' if suffix == 'npy' else 'x?.*inside.npy'}"):
        load(work.write(sources={"w": {"file": f"x.{suffix}"}}))


def test_an_archive_whose_data_are_damaged_names_the_array(tmp_path):
    path = tmp_path / "x.npz"
    np.savez_compressed(path, w=np.random.default_rng(0).standard_normal(4096).astype(np.float32))
    data = bytearray(path.read_bytes())
    data[5000:5100] = bytes(100)
    path.write_bytes(data)
    with pytest.raises(ValueError, match=r"x\.npz: 'w.npy' is damaged"):
        array(headers(path)["w"])


@pytest.mark.parametrize("name", ["F8_E4M3FNUZ", "F8_E5M2FNUZ", "F8_E8M0", "F4"])
def test_narrow_floats_of_safetensors(tmp_path, name):
    codes = np.arange(256, dtype=np.uint8)
    write_tensor(tmp_path / "x.safetensors", name, (16, 32 if name == "F4" else 16), codes.tobytes())
    header = headers(tmp_path / "x.safetensors")["x"]
    dtype = CODECS[name].name
    stored = np.stack([codes % 16, codes // 16], -1) if name == "F4" else codes
    wanted = stored.view(dtype).astype(np.float32).reshape(header.shape)
    assert np.array_equal(array(header), wanted, equal_nan=True)
    for start, stop in [(0, 1), (1, 2), (3, 40), (17, 18), (33, 256)]:  # from the middle of a byte too
        assert np.array_equal(run(header, header.shape, start, stop), wanted.ravel()[start:stop], equal_nan=True)
    assert np.array_equal(array(header, limit=65), wanted[tuple(map(slice, corner(header.shape, 65)))], equal_nan=True)


def write_tensor(path, dtype, shape, data):
    """A safetensors file with one tensor, of a dtype that NumPy may not have."""
    head = json.dumps({"x": {"dtype": dtype, "shape": shape, "data_offsets": [0, len(data)]}}).encode()
    path.write_bytes(struct.pack("<Q", len(head)) + head + data)


def test_packed_arrays_that_are_saved_here_are_read_alike(tmp_path):
    q = qr.quantize(np.linspace(-6, 6, 64, dtype=np.float32).reshape(2, 32), "nvfp4")
    interop.save_safetensors(tmp_path / "x.safetensors", {"w": q})
    found = headers(tmp_path / "x.safetensors")
    codes = interop.stored_parts(q)["codes"].data
    assert array(found["w.codes"]).size == 64
    assert np.array_equal(array(found["w.codes"]).ravel(), CODECS["F4"].decode(np.asarray(codes).ravel()).astype(np.float32))


@pytest.mark.parametrize("kind", ["F32", "BF16", "Q8_0", "Q4_K", "Q6_K", "IQ3_S", "IQ1_M", "MXFP4"])
def test_every_type_that_gguf_decodes_is_a_source(tmp_path, kind):
    gguf = pytest.importorskip("gguf")
    kind = gguf.GGMLQuantizationType[kind]
    length, size = gguf.GGML_QUANT_SIZES[kind]
    data = np.random.default_rng(0).integers(0, 64, (2, 512 // length * size), dtype=np.uint8)
    writer = gguf.GGUFWriter(str(tmp_path / "x.gguf"), "test")
    writer.add_tensor("x", data.view(np.float32) if kind.name == "F32" else data, raw_dtype=kind)
    writer.add_tensor("i", np.ones(3, np.int32))
    for step in ("header", "kv_data", "tensors"):
        getattr(writer, f"write_{step}_to_file")()
    writer.close()
    found = headers(tmp_path / "x.gguf")
    assert [name for name, each in found.items() if each.usable] == ["x"]
    wanted = gguf.quants.dequantize(data, kind)
    assert np.array_equal(array(found["x"]), wanted)
    assert np.array_equal(array(found["x"], limit=100), wanted[:2, :32])
    assert np.array_equal(run(found["x"], (2, 512), 250, 700), wanted.ravel()[250:700])


def shards(folder):
    """A checkpoint of two shards and its index."""
    places = {}
    for index in range(2):
        save_file({f"layer.{index}.w": np.full((2, 4), index + 1, np.float32)}, folder / f"model-{index}.safetensors")
        places[f"layer.{index}.w"] = f"model-{index}.safetensors"
    (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": places}))
    return places


@pytest.mark.parametrize("file", ["model.safetensors.index.json", "model-*.safetensors", "model-[0-1].safetensors"])
def test_shards_are_one_source(work, file):
    shards(work.folder)
    found = sources(load(work.write(sources={"w": {"file": file}})))
    assert [source.name for source in found] == ["w/layer.0.w", "w/layer.1.w"]
    assert np.array_equal(found[1].make(0), np.full((2, 4), 2))
    alone = sources(load(work.write(sources={"w": {"file": "model-1.safetensors"}})))
    assert alone[0].definition["sha256"] == found[1].definition["sha256"]  # of the shard, not of all


def test_a_pattern_is_looked_up_in_a_folder_with_brackets(tmp_path):
    (tmp_path / "a[0]").mkdir()
    shards(tmp_path / "a[0]")
    assert len(headers(find("model-*.safetensors", (tmp_path, tmp_path / "a[0]")))) == 2


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda places: {**places, "x": "model-9.safetensors"}, "No such file.*model-9"),
        (lambda places: {**places, "x": "model-0.safetensors"}, "model-0.safetensors has no tensor 'x'"),
        (lambda places: {**places, "x": "../model-0.safetensors"}, "an index has a weight_map"),
        (lambda places: {**places, "x": "model.safetensors.index.json"}, "an index has a weight_map"),
        (lambda places: [3], "an index has a weight_map"),
    ],
)
def test_an_index_that_is_wrong_is_refused(work, change, message):
    path = work.folder / "model.safetensors.index.json"
    path.write_text(json.dumps({"weight_map": change(shards(work.folder))}))
    with pytest.raises(ConfigError, match=f"cannot be read: .*{message}"):
        load(work.write(sources={"w": {"file": path.name}}))


def test_a_damaged_shard_and_a_name_in_two_files_are_named(work):
    shards(work.folder)
    (work.folder / "model-1.safetensors").write_bytes(b"nothing at all")
    with pytest.raises(ConfigError, match=r"cannot be read: model-1\.safetensors: SafetensorError"):
        load(work.write(sources={"w": {"file": "model-*.safetensors"}}))
    save_file({"layer.0.w": np.ones(3, np.float32)}, work.folder / "model-1.safetensors")
    with pytest.raises(ConfigError, match=r"'layer\.0\.w' is in .*model-0\.safetensors and in .*model-1\.safetensors"):
        load(work.write(sources={"w": {"file": "model-*.safetensors"}}))
