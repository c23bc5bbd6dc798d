"""What is asked of results folders: status, compare, check, merge; and `--only`."""

import contextlib
import json
import shutil

import numpy as np
import pandas as pd
import pytest

from experiments import check, compare, merge, status
from experiments.showing.pairs import compared
from experiments.store.lock import lock


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A folder that a sweep has left; tests copy it."""
    import yaml
    from conftest import SMALL

    from experiments import sweep

    folder = tmp_path_factory.mktemp("made")
    config = SMALL | {"tables": [{"value": "sqnr"}], "metrics": ["rmse", "sqnr"]}
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    with contextlib.chdir(folder):
        assert sweep.main(["config.yaml"]) == 0
    return folder / "results" / "small"


@pytest.fixture
def two(made, tmp_path):
    """Two copies of the folder, and a function that changes the rows of the second one."""
    first, second = (shutil.copytree(made, tmp_path / name) for name in "ab")

    def change(edit):
        from experiments.store import log

        records = [edit(record) for record in log.read(second / "rows.jsonl").records]
        (second / "rows.jsonl").unlink()
        log.append(second / "rows.jsonl", [record for record in records if record])

    return first, second, change


def test_equal_folders_pass(two, capsys):
    first, second, _ = two
    assert compare.main([str(first), str(second)]) == 0
    assert capsys.readouterr().out.strip() == f"{14 * 3} same"  # 14 schemes and sources; true bits and two metrics


@pytest.mark.parametrize(("factor", "tolerance", "code"), [(1.1, 0.0, 1), (1.1, 0.2, 0), (0.9, 0.0, 0)])
def test_the_gate(two, factor, tolerance, code, capsys):
    first, second, change = two

    def edit(record):
        if record["scheme"] == "nf4@32":
            record["metrics"]["rmse"] *= factor
        return record

    change(edit)
    assert compare.main([str(first), str(second), "--tolerance", str(tolerance)]) == code
    out = capsys.readouterr().out
    assert f"2 {'worse' if factor > 1 else 'better'}" in out  # on two sources
    assert f"{100 * (factor - 1):+.3g} %" in out


def test_gone_and_new_rows_and_the_files(two, tmp_path, capsys):
    first, second, change = two
    change(lambda record: None if record["scheme"] == "nf4@32" else record)
    assert compare.main([str(first), str(second), "--out", str(tmp_path / "out")]) == 1
    assert "2 gone" in capsys.readouterr().out
    assert compare.main([str(second), str(first)]) == 0
    assert "2 new" in capsys.readouterr().out
    assert {path.suffix for path in (tmp_path / "out").iterdir()} == {".csv", ".md", ".tex", ".pdf", ".png", ".svg"}
    assert list(pd.read_csv(tmp_path / "out" / "compare.csv")["verdict"]).count("gone") == 2
    assert compare.main([str(first), str(tmp_path / "nothing")]) == 2


def test_paired_differences_by_definition():
    rng = np.random.default_rng(0)
    old = pd.Series(rng.normal(size=8))
    noise = rng.normal(size=8)
    for shift in (0.0, 0.5, 5.0):
        new = old + shift + noise
        _, _, difference, error, _, verdict = compared(old, new, 1, 2.0)
        paired = new - old
        assert difference == pytest.approx(paired.mean())
        assert error == pytest.approx(paired.std() / np.sqrt(8))
        assert (verdict == "same") == (abs(difference) <= 2 * error)
    _, _, _, error, _, _ = compared(old, (old + noise).set_axis(range(10, 18)), 1, 2.0)  # no seed in common
    assert error == pytest.approx(np.hypot(old.std(), (old + noise).std()) / np.sqrt(8))
    nothing = pd.Series([np.nan])
    assert [compared(a, b, -1, 2.0)[-1] for a, b in [(nothing, nothing), (old, nothing), (nothing, old)]] == [
        *("same", "worse", "better")
    ]
    infinite = pd.Series([np.inf])
    assert compared(old, infinite, 1, 2.0)[-1] == "better"


def test_status(two, capsys):
    first, second, change = two
    assert status.main([str(first)]) == 0
    assert "28 of 28 rows are done" in capsys.readouterr().out
    change(lambda record: None if record["seed"] else record)
    (second / ".started").write_text(json.dumps(["x"]))
    assert status.main([str(first), str(second)]) == 1
    out = capsys.readouterr().out
    assert "14 of 28 rows are done, 0 failed, 14 missing" in out
    assert "was killed with 1 rows" in out
    assert f"resume with: python -m experiments.sweep {second / 'config.yaml'}" in out
    with lock(second):
        status.main([str(second)])
    assert "runs: process" in capsys.readouterr().out
    assert status.main([str(second.parent)]) == 2


def test_check(two, capsys):
    first, second, _ = two
    assert check.main([str(first)]) == 0, capsys.readouterr().out
    (second / "table.md").write_text("changed by hand")
    with (second / "rows.jsonl").open("a") as stream:
        stream.write('{"torn')
    (second / "manifest.json").write_text("{")
    assert check.main([str(second)]) == 1
    out = capsys.readouterr().out
    for words in ("1 damaged lines", "table is not as it was written", "manifest.json cannot be read"):
        assert words in out
    assert check.main([str(second / "tables")]) == 2


def test_merged_parts_make_the_whole(work):
    config = work.write()
    assert work.run(config).code == 0
    whole = (work.results / "table.csv").read_bytes()
    for seed in (0, 1):
        assert work.run(config, f"seeds=[{seed}]", f"name=part{seed}").code == 0
    parts = [str(work.folder / "results" / f"part{seed}") for seed in (0, 1)]
    target = work.folder / "merged" / "small"
    assert merge.main([str(target), *parts]) == 0
    assert merge.main([str(target), *parts]) == 0  # nothing twice
    assert len((target / "rows.jsonl").read_text().splitlines()) == 28
    run = work.run(config, "output=merged")
    assert run.code == 0
    assert "28 done, 0 to run" in run.err
    assert (target / "table.csv").read_bytes() == whole


def test_parts_that_contradict_each_other(two, tmp_path, capsys):
    first, second, change = two
    change(lambda record: record | {"metrics": {name: 2 * value for name, value in record["metrics"].items()}})
    assert merge.main([str(tmp_path / "both"), str(first), str(second)]) == 1
    assert "28 rows have other numbers elsewhere" in capsys.readouterr().err
    assert not (tmp_path / "both" / "rows.jsonl").exists()


def test_only(work):
    config = work.write()
    run = work.run(config, "--only", "nf4*")
    assert run.code == 0, run.err
    assert len((work.results / "rows.jsonl").read_text().splitlines()) == 4
    assert work.run(config, "--only", "int4@16 on t,*").code == 0
    assert len((work.results / "rows.jsonl").read_text().splitlines()) == 6
    run = work.run(config, "--only", "nf4@33")
    assert run.code == 2
    assert "did you mean 'nf4@32'" in run.err
