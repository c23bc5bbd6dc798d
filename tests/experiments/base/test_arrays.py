"""Files of arrays."""

import ml_dtypes
import numpy as np
import pytest
from safetensors.numpy import save_file

from experiments.base.arrays import array, corner, fingerprint, headers
from experiments.config import ConfigError, load
from experiments.rows.sources import sources


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
    found = array(path, name)
    assert found.dtype == np.float32
    assert np.array_equal(found, x.astype(np.float32))
    assert np.array_equal(array(path, name, limit=4), x.astype(np.float32)[:2, :2])


@pytest.mark.parametrize("dtype", [ml_dtypes.float8_e4m3fn, ml_dtypes.float8_e5m2])
def test_8_bit_floats_of_safetensors(tmp_path, dtype):
    x = np.arange(256, dtype=np.uint8).view(dtype).reshape(16, 16)
    save_file({"i": np.ones(3, np.int64), "x": x}, tmp_path / "x.safetensors")
    assert headers(tmp_path / "x.safetensors")["x"].usable
    with np.errstate(invalid="ignore"):  # signalling NaNs among the codes
        assert np.array_equal(array(tmp_path / "x.safetensors", "x"), x.astype(np.float32), equal_nan=True)


@pytest.mark.parametrize("dtype", [">f2", ">f4", ">f8"])
def test_any_byte_order(tmp_path, dtype):
    x = np.linspace(-3, 3, 12).astype(dtype)
    np.save(tmp_path / "x.npy", x)
    assert headers(tmp_path / "x.npy")["x"].usable
    assert np.array_equal(array(tmp_path / "x.npy", "x"), x.astype(np.float32))


def test_a_truncated_file_is_told_before_it_is_read(work):
    np.save(work.folder / "x.npy", np.ones(100, np.float32))
    (work.folder / "x.npy").write_bytes((work.folder / "x.npy").read_bytes()[:-40])
    with pytest.raises(ConfigError, match=r"sources.w.file: 'x.npy' cannot be read: truncated: 40 bytes"):
        load(work.write(sources={"w": {"file": "x.npy"}}))


def test_what_a_file_holds_is_told(work):
    save_file({"i": np.ones(3, np.int64)}, work.folder / "x.safetensors")
    with pytest.raises(
        ConfigError, match=r"'\*' matches no floating-point tensor; there are: i \(I64\[3\]\); allowed: float8_e4m3fn"
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
