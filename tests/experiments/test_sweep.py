"""The sweep from end to end, in one process."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from conftest import listing

import qresearch as qr
from experiments.config import load
from experiments.rows.plan import make_plan
from experiments.rows.sources import rounding_key
from experiments.running.measure import Meter
from experiments.store.lock import lock

PLUGIN = Path(__file__).with_name("plugin.txt")
OUTPUTS = {
    "tables": [
        {"value": "sqnr"},
        {"value": "r", "columns": [], "name": "flat"},
        {"kind": "paired", "baseline": "nf4@32", "value": "rmse", "name": "against"},
    ],
    "figures": [
        {"kind": "error_vs_bits"},
        {"kind": "error_vs_block", "where": {"family": "int"}},
        {"kind": "heatmap", "value": "sqnr"},
        {"kind": "codebooks", "schemes": ["int3", "nf4@32"]},
        {"kind": "error_over_input", "schemes": ["int3"], "points": 65},
    ],
}


def lines(work):
    return [json.loads(line) for line in (work.results / "rows.jsonl").read_text().splitlines()]


def test_a_sweep_leaves_everything_that_it_promises(work):
    result = work.run(work.write(**OUTPUTS))
    assert result.code == 0, result.err
    tables = [
        f"{name}.{kind}"
        for name in ("table", "tables/sqnr_by_scheme", "tables/against", "tables/flat")
        for kind in ("csv", "md", "tex")
    ]
    names = ("error_vs_bits_r", "error_vs_block_r", "heatmap_sqnr", "codebooks", "error_over_input")
    figures = [f"figures/{name}.{kind}" for name in names for kind in ("pdf", "png", "svg")]
    assert listing(work.results) == sorted(
        [".lock", "config.yaml", "made.json", "manifest.json", "report.html", "rows.jsonl", *tables, *figures]
    )
    manifest = json.loads((work.results / "manifest.json").read_text())
    assert manifest["rows"] == manifest["done"] == 28
    assert manifest["failed"] == []
    assert manifest["packages"]["jax"]
    assert manifest["seeds"] == [0, 1]
    frame = pd.read_csv(work.results / "table.csv")
    assert list(frame.columns) == [
        "source",
        "group",
        "seed",
        "scheme",
        "family",
        "bits",
        "block",
        "true_bits",
        "rmse",
        "r",
        "sqnr",
    ]
    assert len(frame) == 28
    assert set(frame["bits"].dropna()) == {2, 3, 4}
    assert "±" in (work.results / "table.md").read_text()
    assert "\\toprule" in (work.results / "table.tex").read_text()


def test_the_numbers_are_those_of_compare(work):
    path = work.write(seeds=[7], schemes=["nf4@32", "int4@16~stochastic", "int8"])
    assert work.run(path).code == 0
    frame = pd.read_csv(work.results / "table.csv").set_index(["source", "scheme"])
    for source in {row.source.name: row.source for row in make_plan(load(path)).rows}.values():
        key = rounding_key(source.name, 7)
        expected = qr.compare(source.make(7), ["nf4@32", "int4@16~stochastic", "int8"], ["rmse", "sqnr"], key=key)
        for scheme, row in expected.iterrows():
            found = frame.loc[(source.name, scheme)]
            assert found["true_bits"] == row["bits"]
            assert found["rmse"] == pytest.approx(row["rmse"], rel=1e-6)
            assert found["sqnr"] == pytest.approx(row["sqnr"], rel=1e-6)


def test_the_compilations_made_are_those_planned(work):
    planned = work.run(work.write(), "--dry-run")
    assert "compilations  5" in planned.out
    assert not (work.folder / "results").exists()
    assert "5 compilations of 5 planned" in work.run("config.yaml").err
    more = work.run(
        work.write(
            seeds=4, schemes=["nf4@32", {"scheme": "int{b}@{block}", "b": [2, 3, 4, 5, 6, 7, 8], "block": [16, "tensor"]}]
        )
    )
    assert "5 compilations of 5 planned" in more.err
    manifest = json.loads((work.results / "manifest.json").read_text())
    assert manifest["last_run"]["compilations"] == {"planned": 5, "made": 5}
    assert manifest["rows"] == 120


def test_a_dry_run_tells_what_shapes_decide(work):
    path = work.write(sources={"a": {"values": [1, 2, 3, 4]}}, schemes=["int4@8x8", "int4@2"])
    planned = work.run(path, "--dry-run")
    assert planned.code == 0
    assert "would fail: int4@8x8 on a: block 8x8 needs an array of at least 2 axes, not the shape (4,)" in planned.out
    assert "int4@2 on" not in planned.out
    huge = work.run(work.write(sources={"a": {"distribution": "normal", "shape": [10**12]}}), "--dry-run")
    assert huge.code == 2
    assert "sources.a.shape: 1,000,000,000,000 elements; at most 17,179,869,184" in huge.err


def test_running_again_runs_nothing_and_changes_no_file(work):
    work.run(work.write(**OUTPUTS))
    before = {name: (work.results / name).read_bytes() for name in listing(work.results)}
    again = work.run("config.yaml")
    assert again.code == 0
    assert "28 done, 0 to run" in again.err
    assert "0 compilations of 0" in again.err
    after = {name: (work.results / name).read_bytes() for name in listing(work.results)}
    assert before == after  # the figures' bytes too, and the manifest, which says what the rows were made with


def test_the_resolved_configuration_resumes_the_same_rows(work):
    work.run(work.write(), "seeds=[3]")
    again = work.run(work.results / "config.yaml")
    assert again.code == 0
    assert "14 done, 0 to run" in again.err


def test_a_torn_and_a_spoiled_line_are_measured_again(work):
    work.run(work.write())
    table = (work.results / "table.csv").read_bytes()
    rows = (work.results / "rows.jsonl").read_bytes().splitlines(keepends=True)
    rows[3] = rows[3].replace(b'"seed": 0', b'"seed": 1')
    (work.results / "rows.jsonl").write_bytes(b"".join(rows)[:-20])
    again = work.run("config.yaml")
    assert again.code == 0
    assert "26 done, 2 to run" in again.err
    assert "corrupt" in again.err
    assert "incomplete" in again.err
    assert (work.results / "table.csv").read_bytes() == table
    assert len({line["id"] for line in lines(work)}) == len(lines(work)) == 28


def test_another_configuration_is_told_apart(work):
    work.run(work.write())
    fewer = work.run(work.write(seeds=[1], description="changed"))
    assert "seeds: [0, 1] -> [1]" in fewer.err
    assert "14 done, 0 to run" in fewer.err
    assert set(pd.read_csv(work.results / "table.csv")["seed"]) == {1}
    work.run(work.write())
    assert len(pd.read_csv(work.results / "table.csv")) == 28


def test_a_new_label_needs_no_new_measurement(work):
    work.run(work.write())
    again = work.run(work.write(schemes=[{"scheme": "int{width}@{block}", "width": [2, 3], "block": [16], "family": "whole"}]))
    assert "8 done, 0 to run" in again.err
    frame = pd.read_csv(work.results / "table.csv")
    assert set(frame["family"]) == {"whole"}
    assert set(frame["width"]) == {2, 3}


def test_only_the_row_to_blame_fails(work):
    shutil.copy(PLUGIN, work.folder / "plugin.py")
    schemes = [{"scheme": "fragile{which}", "which": [1, 2, 13, 4]}, "hopeless", "int4", "my-preset"]
    result = work.run(
        work.write(
            plugins=["plugin.py"], schemes=schemes, seeds=1, sources={"normal": {"distribution": "normal", "shape": [64]}}
        )
    )
    assert result.code == 1
    assert "failed: fragile13 on normal, seed 0: " in result.err
    assert "this grid is broken" in result.err
    assert result.err.count("failed: hopeless on normal, seed 0: LookupError: no such codes") == 1
    status = {line["scheme"]: line["status"] for line in lines(work)}
    assert {scheme for scheme, each in status.items() if each == "failed"} == {"fragile13", "hopeless"}
    assert set(pd.read_csv(work.results / "table.csv")["scheme"]) == {
        "fragile1",
        "fragile2",
        "fragile4",
        "int4",
        "mine@16:bf16",
    }
    traces = (work.results / "failed.txt").read_text()
    assert "their tracebacks are in results/small/failed.txt" in result.err
    assert traces.startswith("fragile13 on normal, seed 0\n")
    assert 'raise LookupError("no such codes")\nLookupError: no such codes\n' in traces
    again = work.run("config.yaml", "--only-failed")
    assert again.code == 1
    assert "5 done, 2 to run" in again.err
    assert json.loads((work.results / "manifest.json").read_text())["failed"] == [
        "fragile13 on normal, seed 0",
        "hopeless on normal, seed 0",
    ]


def test_fail_fast_stops_and_the_rest_runs_later(work):
    shutil.copy(PLUGIN, work.folder / "plugin.py")
    path = work.write(
        plugins=["plugin.py"],
        schemes=["hopeless", "int4"],
        seeds=3,
        sources={"normal": {"distribution": "normal", "shape": [64]}},
    )
    assert work.run(path, "--fail-fast").code == 1
    assert len(lines(work)) == 1
    assert work.run(path).code == 1
    assert pd.read_csv(work.results / "table.csv")["scheme"].tolist() == ["int4"] * 3


def test_rows_that_all_fail_leave_empty_tables(work):
    shutil.copy(PLUGIN, work.folder / "plugin.py")
    result = work.run(
        work.write(
            plugins=["plugin.py"], schemes=["hopeless"], seeds=1, tables=[{"value": "r"}], figures=[{"kind": "error_vs_bits"}]
        )
    )
    assert result.code == 1
    assert "was not drawn" in result.err
    assert "Traceback" not in result.err
    assert len(pd.read_csv(work.results / "table.csv")) == 0


def test_a_source_that_cannot_be_made_fails_its_rows_only(work, monkeypatch):
    import qresearch.densities.distribution as distributions

    real = distributions.Distribution.sample

    def sample(self, key, shape):
        if self.family.name == "normal":
            raise MemoryError("too large")
        return real(self, key, shape)

    monkeypatch.setattr(distributions.Distribution, "sample", sample)
    assert work.run(work.write()).code == 1
    status = {(line["source"], line["status"]) for line in lines(work)}
    assert status == {("normal", "failed"), ("t", "done")}
    monkeypatch.undo()
    os.chdir(work.folder)
    assert work.run("config.yaml").code == 0


def test_an_interruption_says_how_to_resume(work, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Meter, "measure", interrupted)
        result = work.run(work.write(), "seeds=[0, 1]")
    assert result.code == 130
    assert "resume with: python -m experiments.sweep" in result.err
    assert "'seeds=[0, 1]'" in result.err
    assert work.run("config.yaml").code == 0


def test_a_second_runner_is_told_so(work):
    work.results.mkdir(parents=True)
    with lock(work.results):
        result = work.run(work.write())
    assert result.code == 1
    assert f"in use by process {os.getpid()}" in result.err
    assert listing(work.results) == [".lock"]
    assert work.run("config.yaml").code == 0


def test_a_folder_that_cannot_be_written_is_named(work, monkeypatch):
    (work.folder / "results").write_text("a file where the folder should be")
    result = work.run(work.write())
    assert result.code == 1
    assert "stopped: results/small: Not a directory" in result.err
    assert "Traceback" not in result.err


def test_a_full_disk_leaves_earlier_rows_intact(work, monkeypatch):
    work.run(work.write(seeds=1))
    before = (work.results / "rows.jsonl").read_bytes()
    real = os.fsync

    def full(handle):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("experiments.base.files.os.fsync", full)
    result = work.run(work.write(seeds=2))
    assert result.code == 1
    assert "No space left on device" in result.err
    assert "results/small/" in result.err
    assert (work.results / "rows.jsonl").read_bytes().startswith(before)
    monkeypatch.setattr("experiments.base.files.os.fsync", real)
    assert work.run("config.yaml").code == 0


def test_tiny_has_a_folder_of_its_own(work):
    result = work.run(work.write(seeds=5, sources={"normal": {"distribution": "normal", "shape": [1024, 1024]}}), "--tiny")
    assert result.code == 0
    assert listing(work.folder / "results")
    assert not work.results.exists()
    assert "shape: [64, 64]" in (work.folder / "results" / "small-tiny" / "config.yaml").read_text()


def test_a_metric_that_diverges_says_so(work):
    values = {"v": {"values": [0.0, 1e-30, 0.5, 1.0]}}
    work.run(
        work.write(
            sources=values,
            schemes=["codebook(-1,-0.5,0.5,1)", "int8"],
            metrics=["relative", "sqnr"],
            tables=[{"value": "relative"}],
        )
    )
    table = (work.results / "tables" / "relative_by_scheme.md").read_text()
    assert "diverges" in table
    assert '"relative": "inf"' in (work.results / "rows.jsonl").read_text()


def test_redrawing_needs_the_rows_alone(work, environment):
    import numpy as np

    np.save(work.folder / "x.npy", np.linspace(-1, 1, 64, dtype=np.float32))
    work.run(work.write(**OUTPUTS, sources={"x": {"file": "x.npy"}}))
    before = {name: (work.results / name).read_bytes() for name in listing(work.results)}
    for kept in work.results.iterdir():
        if kept.name not in ("config.yaml", "rows.jsonl", "manifest.json"):  # the report has the last as provenance
            shutil.rmtree(kept) if kept.is_dir() else kept.unlink()
    (work.folder / "x.npy").unlink()
    done = subprocess.run(
        [sys.executable, "-m", "experiments.figures", work.results],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    made = [name for name in before if name not in ("config.yaml", "rows.jsonl", "manifest.json", "made.json", ".lock")]
    assert sorted(done.stdout.split()) == sorted(f"{work.results}/{name}" for name in made)
    assert made
    for name in made:
        assert (work.results / name).read_bytes() == before[name], name


def test_redrawing_a_folder_without_rows_is_an_error(work, environment):
    done = subprocess.run(
        [sys.executable, "-m", "experiments.figures", "nowhere"], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "nowhere/config.yaml: cannot be read" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_count_of_compilations_is_what_jax_itself_logs(work, caplog):
    import jax

    jax.config.update("jax_log_compiles", True)  # for all threads: functions are compiled ahead, in one of their own
    try:
        work.run(work.write())
    finally:
        jax.config.update("jax_log_compiles", False)
    messages = [record.getMessage() for record in caplog.records]
    measuring = sum("Finished XLA compilation of jit(sums)" in message for message in messages)
    statistics = sum("Finished XLA compilation of jit(found)" in message for message in messages)
    assert (measuring, statistics) == (2, 3)


def test_a_second_start_compiles_nothing(work, environment):
    config = str(work.write(seeds=1))
    for output, compiled in (("first", True), ("second", False)):
        command = [sys.executable, "-m", "experiments.sweep", config, f"output={output}"]
        subprocess.run(command, env=environment | {"XDG_CACHE_HOME": str(work.folder)}, capture_output=True, check=True)
        made = json.loads((work.folder / output / "small" / "manifest.json").read_text())["last_run"]["programs"]
        assert (made["compiled"] > 0) == compiled, made
        assert (made["cached"] > 3) != compiled, made
    assert any((work.folder / "qresearch" / "compiled").iterdir())


def test_wrapped_schemes_are_swept_and_their_true_bits_counted(work):
    axes = {"scheme": "int4@32 + outliers({share},bf16)", "share": [0.01, 0.05]}
    coders = {"scheme": "nf4@32 + {coder}", "coder": ["huffman", "entropy"]}
    result = work.run(work.write(schemes=[axes, coders, "int4@32 + hadamard(16)", "qlora-double"], seeds=1))
    assert result.code == 0, result.err
    frame = pd.read_csv(work.results / "table.csv")
    assert len(frame) == 12
    bits = frame[frame.source == "normal"].set_index("scheme")["true_bits"]
    # 512 elements: 16 scales of 32 bits; 5 or 26 outliers with 9 bits for the place of each, on whole bytes, and 16 for it
    assert bits["int4@32 + outliers(0.01,bf16)"] == pytest.approx(4 + 1 + (48 + 80) / 512, abs=1e-9)
    assert bits["int4@32 + outliers(0.05,bf16)"] == pytest.approx(4 + 1 + (240 + 416) / 512, abs=1e-9)
    assert bits["nf4@32 + entropy"] < bits["nf4@32 + huffman"]


def test_a_scheme_that_leaves_nothing_is_named(work):
    schemes = ["e7m2@32:f16", "int4@32:f16", "bf16-unit"]  # scales of 2^-62 are none in float16
    for metrics in (["r"], ["sqnr", "max"]):
        result = work.run(work.write(seeds=2, schemes=schemes, metrics=metrics))
        assert result.code == 0, result.err
        assert result.err.count("note: e7m2@32:f16 on normal: R is 1, as if every value were zero") == 1
        assert result.err.count("R is 1") == 2  # on both sources
    assert "R is 1" not in work.run(work.write(seeds=1, schemes=schemes, metrics=["mae"])).err


def test_a_sweep_of_vectors(work):
    schemes = ["vq6x2@64:bf16", "vq8x4@row", "vq6x2@64:bf16 + kmeans(2,bf16)"]
    result = work.run(work.write(seeds=1, schemes=schemes, metrics=["rmse", "sqnr", "entropy", "clipped"]))
    assert result.code == 0, result.err
    frame = pd.read_csv(work.results / "table.csv").set_index(["source", "scheme"])
    assert len(frame) == 6
    for (_, scheme), row in frame.iterrows():
        assert row["true_bits"] == qr.build(scheme).storage_bits((8, 64)) / 512
        assert 0 < row["entropy"] < 3
        assert row["sqnr"] > 3


def test_a_pivot_says_over_what_its_cells_average(work):
    tables = [
        {"rows": "family", "columns": "source", "value": "sqnr", "name": "pooled"},
        {"rows": "scheme", "columns": "source", "value": "sqnr", "name": "single"},
        {"rows": "scheme", "columns": [], "value": "sqnr", "name": "sources"},
    ]
    assert work.run(work.write(tables=tables)).code == 0
    pooled, single, sources = ((work.results / "tables" / f"{name}.md").read_text() for name in ("pooled", "single", "sources"))
    assert pooled.startswith("SQNR (dB), mean over bits, block\n")
    assert "±" not in pooled
    assert single.startswith("SQNR (dB), mean ± standard error\n")
    assert "±" in single.split("\n", 1)[1]
    assert sources.startswith("SQNR (dB), mean over source\n")


def test_blocks_that_are_longer_than_their_axis_are_named(work):
    path = work.write(schemes=["int4@128", "int4@64", "nf4@256 + mean"])
    for said in (work.run(path, "--dry-run").out, work.run(path).err):
        assert "note: int4@128 on normal: blocks of 128 end with their axis of 64" in said
        assert "note: nf4@256 + mean on t: blocks of 256 end with their axis of 64" in said
        assert "int4@64 on" not in said
    notes = pd.read_csv(work.results / "table.csv", keep_default_na=False).set_index("scheme")["note"]
    assert set(notes["int4@128"]) == {"blocks of 128 end with their axis of 64"}
    assert set(notes["int4@64"]) == {""}
    table = (work.results / "table.md").read_text()
    assert table.count("blocks of 256 end with their axis of 64") == 2  # on two sources
