"""The benchmark of models: what a row says, and that both sides do the same work. No time is tested."""

import json
from dataclasses import replace

import jax
import numpy as np
import pandas as pd
import pytest

from experiments.bench import __main__ as bench
from experiments.bench.models import alone, beside, language, linear, page, training
from experiments.bench.models.beside import COLUMNS, Beside
from experiments.bench.models.table import CONTESTS, rows
from experiments.tasks.task import Unavailable


def made(**options):
    runs = {"ours": lambda: np.array([3.0, 4.0]), "theirs": lambda: np.array([3.0, 0.0])}
    return Beside("a contest", "ours", "theirs", **({"make": lambda: runs} | options))


def timed(monkeypatch, ours, theirs):
    monkeypatch.setattr(beside, "interleaved", lambda *_: {"ours": np.array(ours), "theirs": np.array(theirs)})


def test_the_ratio_is_of_the_least_times(monkeypatch):
    timed(monkeypatch, [3.0, 2.0, 9.0], [1.0, 4.0, 3.0])
    row = made(most=2.0, alike=True, why="slow").row(3)
    assert tuple(row) == COLUMNS
    assert (row["ours"], row["theirs"], row["ratio"], row["ratio_least"], row["ratio_most"]) == (2e3, 1e3, 2.0, 0.5, 3.0)
    assert (row["reached"], row["why"], row["rounds"]) == ("yes", "", 3)
    assert row["differ"] == pytest.approx(4 / 3)
    missed = made(most=1.9, why="slow").row(3)
    assert (missed["reached"], missed["why"], missed["differ"]) == ("no", "slow", None)
    assert made().row(3)["reached"] == ""


def test_a_package_that_is_missing_is_a_row_that_says_so():
    def make():
        raise ImportError("No module named 'a_package'")

    row = made(make=make, most=1.0).row(1)
    assert (row["why"], row["ratio"], row["reached"]) == ("not compared: No module named 'a_package'", None, "")
    assert page.spoken(row).endswith("not compared: No module named 'a_package'")


def test_names_are_unique_and_choose():
    names = [contest.name for contest in CONTESTS]
    assert len(names) == len(set(names))
    assert [contest["contest"] for contest in rows("no such", 1)] == []


def test_programs_do_not_grow_with_layers():
    row = language.programs_row()
    assert row["ours"] == row["theirs"] > 0
    assert (row["ratio"], row["reached"]) == (1.0, "yes")


def test_both_sides_of_a_language_model_do_the_same_work():
    frozen = language.forward(language.SMALL, "int8@row", 8)
    ours, theirs = frozen["ours"](), frozen["theirs"]()
    assert ours.shape == theirs.shape == (1, 8, language.SMALL.vocabulary)
    np.testing.assert_allclose(ours, theirs, atol=0.05 * np.abs(theirs).max())  # 8 bits in each of 4 layers
    seen = language.observing(language.SMALL, language.STATIC, 8)["ours"]()
    assert all((each.tokens == 8).all() and (each.low < each.high).all() for each in jax.tree.leaves(seen, is_leaf=_seen))


def _seen(each):
    return hasattr(each, "tokens")


def test_steps_change_the_parameters_alike():
    runs = training.step("int8@row | int8@row")
    start = training.CNN.start(jax.random.key(0))
    ours, theirs = (jax.tree.map(np.subtract, runs[name](), start) for name in ("ours", "theirs"))
    for a, b in zip(jax.tree.leaves(ours), jax.tree.leaves(theirs)):
        assert np.linalg.norm(a - b) < 0.2 * np.linalg.norm(b)  # gradients of an 8-bit model beside those of the float one


@pytest.mark.parametrize("integer", [True, False])
def test_our_layer_is_the_product(integer):
    shape = (4, 64, 32)
    x, weight = linear._numbers(shape)
    found, exact = linear.ours(shape, integer)(), x @ weight.T
    assert np.linalg.norm(found - exact) < 0.02 * np.linalg.norm(exact)  # steps of 1/127 of the largest number on both sides


def test_without_data_the_rows_say_so(monkeypatch):
    def path(name):
        raise Unavailable("no data")

    monkeypatch.setattr(alone, "path", path)
    found = list(alone.alone("quantize*"))
    assert [row["why"] for row in found] == ["not measured: no data"] * 2
    assert [row["reached"] for row in found] == ["", ""]


def test_what_is_asked_of_the_process(monkeypatch):
    monkeypatch.setattr(alone, "path", lambda name: None)
    monkeypatch.setattr(alone, "_measured", lambda: {"seconds": 21.0, "peak": 2.0})
    seconds, memory = alone.alone("*")
    assert (seconds["ours"], seconds["reached"], seconds["why"]) == (21.0, "no", "not explained")
    assert (memory["ours"], memory["reached"], page.asked(memory)) == (2.0, "yes", "at most 2.5 GiB")


def test_the_page_has_a_line_for_each(tmp_path, monkeypatch, capsys):
    few = [replace(contest, make=made().make) for contest in CONTESTS if contest.name.startswith("fake")]
    monkeypatch.setattr("experiments.bench.models.table.CONTESTS", tuple(few))
    assert bench.main(["models", "--only", "fake*", "--repeats", "1", "--out", str(tmp_path)]) == 0
    table = pd.read_csv(tmp_path / "models.csv")
    assert tuple(table) == COLUMNS
    assert list(table["contest"]) == [contest.name for contest in few]
    assert "at most 2.5x" in (tmp_path / "models.md").read_text()
    assert json.loads((tmp_path / "models.json").read_text())["repeats"] == 1
    assert few[0].name in capsys.readouterr().out
