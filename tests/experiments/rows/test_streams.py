"""Sources larger than memory: the same rows in pieces as in one piece, and rows that say so where that cannot be."""

import json

import numpy as np
import pytest
from safetensors.numpy import save_file

from experiments.base.arrays import array, corner, run
from experiments.base.headers import headers
from experiments.bench.stream import KINDS, written
from experiments.rows import sources, streams
from qresearch.densities.distribution import DISTRIBUTIONS

METRICS = ["rmse", "max", "relative", "entropy"]
FEW = ["int4@32", "int3@32", "int8-asym", "e2m1@16~stochastic:e4m3"]
MORE = [
    *("int4@8x8~stochastic", "nvfp4", "nf4@16:int8@16", "int4-asym@48", "nf4@64:bf16"),
    *("int8@row", "int8@column", "mxfp4", "nf4@flat96", "nf4@64:int8-asym"),
    *("int4@row:e4m3", "int8@column:int8", "int8", "e2m1-among(1,1.5)@16:e4m3-absmax(1.75)", "int4-offset:bf16"),
    *("int8~stochastic", "int4-full-signmax", "int4-full-firstmax", "q4_0", "int4-exact@48:e4m3"),
    *("int4@32:bf16+hadamard(64)", "int4-search(2,9)@32", "mlx-int4", "gguf-nvfp4", "int8@channel0"),
    *("int4@4x1", "e4m3-unit"),
]


def rows(work, name, **changes):
    """The log of a sweep: scheme -> row."""
    result = work.run(work.write(name=name, seeds=1, metrics=METRICS, **changes))
    lines = (work.folder / "results" / name / "rows.jsonl").read_text().splitlines()
    found = {row["scheme"]: row for row in map(json.loads, lines)}
    return {
        scheme: row | {"metrics": {k: float(v) for k, v in row["metrics"].items()}} for scheme, row in found.items()
    }, result


def in_pieces(monkeypatch, most=8192):
    """From now on everything of more than 10,000 elements is a stream, in pieces of at most so many."""
    monkeypatch.setattr(streams, "MOST_ELEMENTS_IN_MEMORY", 10_000)
    monkeypatch.setattr(streams, "MOST_ELEMENTS_PER_PIECE", most)


def check(work, monkeypatch, schemes, shape, most=8192, rel=1e-13):
    x = np.random.default_rng(0).standard_t(5, shape).astype(np.float32)
    np.save(work.folder / "x.npy", x)
    given = {"sources": {"x": {"file": "x.npy"}}, "schemes": schemes}
    whole, first = rows(work, "whole", **given)
    in_pieces(monkeypatch, most)
    pieces, second = rows(work, "pieces", **given)
    assert first.code == second.code == 0, second.err
    assert whole.keys() == pieces.keys()  # in another order: other functions are shared
    for scheme, row in whole.items():
        assert pieces[scheme]["id"] == row["id"]  # so what was measured in one piece is not measured again
        assert pieces[scheme]["true_bits"] == row["true_bits"]
        # By default pieces are whole partial sums of 1,024 elements: the same float32 sums, added in float64, in another order.
        assert pieces[scheme]["metrics"] == pytest.approx(row["metrics"], rel=rel), scheme


def test_the_same_rows_in_pieces_as_in_one(work, monkeypatch):
    check(work, monkeypatch, FEW, (2, 64, 256))  # pieces of (1, 32, 256)


def test_of_an_array_that_is_summed_in_chunks_in_memory_too(work, monkeypatch):
    # float32 sums of the same numbers, each of at most 1,024 terms, in another order
    check(work, monkeypatch, ["int4@32"], (2**20,), most=2**18, rel=1e-6)


@pytest.mark.slow
def test_of_every_kind_of_scheme(work, monkeypatch):
    check(work, monkeypatch, MORE, (3, 36, 256))  # every second one is shorter, (1, 4, 256)


def test_what_must_be_seen_whole_is_refused_row_by_row(work, monkeypatch):
    in_pieces(monkeypatch)
    refused = ["int8-rms(3)", "int8 + mean", "int4@64 + outliers(0.01)", "nf4@64:int8@256~stochastic", "nf4@32 + entropy"]
    path = work.write(schemes=[*refused, "int4@32"], sources={"n": {"distribution": "normal", "shape": [3 * 8192]}})
    dry = work.run(path, "--dry-run").out
    assert dry.count("would fail: ") == 5
    result = work.run(path, "seeds=1")
    assert result.code == 1
    assert "1 of 6 rows are done, 5 failed" in result.err
    assert result.err.count("measured in pieces: leave the scheme out there") == 5
    assert "RMS(k=3.0) of blocks longer than a piece of (8192,) needs all their elements at once" in result.err
    assert "5 failed" in work.run(path, "seeds=1", "--only-failed").err


@pytest.mark.parametrize("limit", [None, 5000, 700, 3])
@pytest.mark.parametrize("suffix", [".npy", ".safetensors"])
def test_a_run_of_a_file_is_that_of_its_array(tmp_path, suffix, limit):
    x = np.random.default_rng(1).standard_normal((7, 12, 99)).astype(np.float16)
    path = tmp_path / f"x{suffix}"
    np.save(path, x) if suffix == ".npy" else save_file({"other": x[0], "x": x}, path)
    header, shape = headers(path)["x"], corner(x.shape, limit)
    flat = x[tuple(map(slice, shape))].astype(np.float32).ravel()
    np.testing.assert_array_equal(array(header, limit).ravel(), flat)
    for start, stop in [(0, 1), (1, 2), (0, flat.size), (flat.size // 3, flat.size // 2)]:
        np.testing.assert_array_equal(run(header, shape, start, stop), flat[start:stop])
    path.write_bytes(path.read_bytes()[:-2])
    if limit is None:
        with pytest.raises(ValueError, match=r"truncated: \d+ bytes of"):
            run(header, shape, 0, flat.size)


def test_arrays_that_do_not_lie_in_order_are_read_whole(tmp_path):
    x = np.arange(12, dtype=np.float32).reshape(3, 4)
    np.save(tmp_path / "f.npy", np.asfortranarray(x))
    np.savez(tmp_path / "z.npz", x=x)
    for file, name in (("f.npy", "f"), ("z.npz", "x")):
        assert not headers(tmp_path / file)[name].streamable
        np.testing.assert_array_equal(array(headers(tmp_path / file)[name]), x)


def test_a_run_of_a_distribution_is_that_of_its_sample(monkeypatch):
    monkeypatch.setattr(sources, "ELEMENTS_PER_DRAW", 1000)
    law, key = DISTRIBUTIONS["normal"](), sources.data_key("n", 0)
    for count in (1000, 4500):
        whole = np.asarray(sources.draw(law, key, (count,)))
        for start, stop in [(0, 999), (999, 1000), (0, count), (count - 700, count)]:
            np.testing.assert_array_equal(sources.draw_run(law, key, count, start, stop), whole[start:stop])


@pytest.mark.parametrize("kind", KINDS)
def test_the_files_of_the_benchmark_hold_the_same_numbers(tmp_path, kind):
    for suffix in (".npy", ".safetensors"):
        written(tmp_path / f"x{suffix}", 1000, kind)
    wanted = np.random.default_rng(0).standard_normal(1000, np.float32).astype(KINDS[kind][1]).astype(np.float32)
    np.testing.assert_array_equal(array(headers(tmp_path / "x.npy")["x"]), wanted)
    np.testing.assert_array_equal(array(headers(tmp_path / "x.safetensors")["x"]), wanted)
