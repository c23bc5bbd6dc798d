"""The bench: what is timed, what is said of it, what it leaves. No time is tested; memory is, since compilers decide it."""

import json

import numpy as np
import pandas as pd
import pytest

import qresearch as qr
from experiments.bench import __main__ as bench
from experiments.bench import contest_page, sweep, torch_loop
from experiments.bench.cases import REPRESENTATIVE, cases
from experiments.bench.clock import interleaved, program
from experiments.bench.contests import race as racing
from experiments.bench.contests.causes import why
from experiments.bench.contests.contest import LEAST, Bars, Contest, Work
from experiments.bench.contests.race import race, same
from experiments.bench.contests.table import CONTESTS, contests
from experiments.bench.machine import keeps_memory
from experiments.bench.measure import _element, measure
from experiments.bench.reasons import NEEDED, WANTED, reason
from experiments.bench.row import COLUMNS, row

ELEMENTS = [case for case in cases() if case.kind == "element"]


def test_every_element_of_a_preset_is_timed_once():
    found = [(case.kind, case.name) for case in cases()]
    assert len(found) == len(set(found))
    assert {"int8", "int4-full", "int4~stochastic", "nf4", "dynamic8e5", "e8m0", "e5m2"} <= {case.name for case in ELEMENTS}
    assert {f"{name}~{rounding}" for name in REPRESENTATIVE for rounding in qr.roundings} <= {
        case.name if "~" in case.name else f"{case.name}~{case.rounding}" for case in ELEMENTS
    }
    assert all(case.bits <= 8 for case in cases())
    narrow = {row.name for row in qr.presets.rows if int(qr.build(row.value).element.bits) <= 8}
    assert {case.name for case in cases() if case.kind == "preset"} == narrow


def test_a_pattern_chooses():
    assert {case.name for case in cases("mxfp4")} == {"mxfp4"}
    assert cases("no such") == []


@pytest.mark.parametrize("case", ELEMENTS, ids=lambda case: case.name)
def test_elements_take_no_more_memory_than_one_temporary(case):
    x = np.random.default_rng(0).standard_normal((64, 256), np.float32)
    encode, decode = _element(case, x)
    element = case.coder.element
    # A search among vectors keeps the groups, and the least distance and its code, twice; one for a path, where it comes from.
    assert encode.temporary <= x.nbytes * (16 if element.per_group > 1 else 4 if element.group > 1 else 1)
    assert decode.temporary <= x.nbytes * (3 if element.per_group > 1 else 1)  # states of a path, and their codes shifted
    assert encode.run().size * element.group == x.size * element.per_group
    assert decode.run().size == x.size


def test_what_is_timed_is_what_the_library_computes():
    x = np.random.default_rng(0).standard_normal((8, 64), np.float32)
    (case,) = cases("mxfp4")
    done = program(lambda coder, x: coder.dequantize(coder.quantize(x)), case.coder, x)
    np.testing.assert_array_equal(done.run(), qr.quantize(x, "mxfp4").dequantize())


def test_rounds_are_interleaved_and_the_first_is_not_counted():
    order = []
    seconds = interleaved({"a": lambda: order.append("a"), "b": lambda: order.append("b")}, 3)
    assert order == ["a", "b"] * 4
    assert {name: len(each) for name, each in seconds.items()} == {"a": 3, "b": 3}


def test_a_case_has_two_rows():
    rows = measure(cases("e4m3~stochastic")[0], power=10, repeats=2)
    assert [row["step"] for row in rows] == ["encode", "decode"]
    assert all(0 < row["least"] <= row["rate"] <= row["most"] for row in rows)
    assert rows[0]["given"] > 4 + 4 + 1  # the numbers, the random ones, the codes


def test_searches_take_fewer_numbers():
    sizes = {name: measure(cases(name)[0], power=14, repeats=1)[0]["numbers"] for name in ("int2-min-search", "int4")}
    assert sizes == {"int2-min-search": 2**8, "int4": 2**14}


def test_reasons_are_for_slow_ones_only():
    (case,) = cases("mxfp4")
    assert reason(case, "quantize", WANTED, 0.01) == ""
    assert "memory" in reason(case, "quantize", WANTED - 1, 0.9)
    assert reason(case, "quantize", NEEDED - 1, 0.01) == "not explained"
    for name, words in (("int4-clipped", "32 counts"), ("fp8-e4m3-stochastic", "Threefry"), ("int8-kl-rows", "search")):
        (case,) = cases(name)
        assert words in reason(case, "quantize", NEEDED - 1, 0.01)
        assert reason(case, "dequantize", NEEDED - 1, 0.01) == "not explained"


def test_the_page_holds_rows_and_a_figure(tmp_path, capsys):
    assert bench.main(["--size", "8", "--repeats", "1", "--only", "e2m1*", "--out", str(tmp_path)]) == 0
    table = pd.read_csv(tmp_path / "table.csv")
    assert set(table["step"]) == {"encode", "decode"}
    assert set(table["name"]) == {case.name for case in cases("e2m1*")}
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    assert manifest["elements"] == 256
    assert manifest["cores"] >= 1
    assert manifest["processor"]
    for name in ("table.md", "table.tex", "rates.pdf", "rates.png"):
        assert (tmp_path / name).stat().st_size > 300
    assert "e2m1~half_up" in capsys.readouterr().out


def test_nothing_to_time_is_an_error(tmp_path, capsys):
    assert bench.main(["--only", "no such", "--out", str(tmp_path)]) == 2
    assert "no element, preset or contest matches" in capsys.readouterr().err


def work(paces, size=4):
    return Work(lambda: None, size, 0.5, lambda found: np.zeros(size))


def made(name="a contest", theirs=work, **options):
    return Contest(name, "ours", work, "a-package", "theirs", theirs, limit=work, **options)


def test_contests_have_names_of_their_own_and_bars_that_aims_exceed():
    names = [contest.name for contest in CONTESTS]
    assert len(names) == len(set(names))
    assert contests("no such") == []
    assert {contest.name for contest in contests("T10*")} == {"T10: encode dynamic8@4096", "T10: beside brute force"}
    for contest in CONTESTS:
        assert contest.bars.aim is None or contest.bars.aim > contest.bars.bar


def test_a_bar_is_reached_by_all_that_is_asked_for():
    assert Bars(bar=2, share=0.5).reached(2.0, 0.5) is True
    assert Bars(bar=2, share=0.5).reached(3.0, 0.4) is False
    assert Bars(bar=2, aim=3, share_aim=0.9).reached(2.5, 0.1) is True
    assert Bars(bar=2).reached(None, 1.0) is None
    assert Bars().reached(2.0, 1.0) is None


def test_curves_have_sizes():
    assert made().sizes(24, 16, 2) == [24]
    assert made(curve=True).sizes(24, 16, 2) == [16, 18, 20, 22, 24, 26]
    assert made(curve=True, most=22).sizes(24, 16, 2) == [16, 18, 20, 22]
    assert made(curve=True).sizes(8, 16, 2) == [LEAST]


def test_ratios_are_medians_of_one_round(monkeypatch):
    seconds = {"ours": np.array([1.0, 2.0, 4.0]), "theirs": np.array([2.0, 8.0, 12.0]), "limit": np.array([1.0, 1.0, 1.0])}
    monkeypatch.setattr(racing, "interleaved", lambda work, *rest: {name: seconds[name] for name in work})
    found = racing.race(made(bars=Bars(bar=3, aim=9)), 13, 3)
    assert (found["ratio"], found["ratio_least"], found["ratio_most"], found["share"]) == (3.0, 2.0, 4.0, 0.5)
    assert (found["ours"], found["ours_least"], found["rounds"]) == (2e-6, 1e-6, 3)
    assert (found["reached"], found["why"], found["same"]) == ("yes", "", "all 4 equal to 1e-6")
    missed = racing.race(made(bars=Bars(bar=3.5)), 13, 3)
    assert missed["reached"] == "no"
    assert "whatever the size" in missed["why"]


def test_causes_are_stated_where_they_hold():
    found = {name: why(contests(name)[0], {"share": 0.5, "power": 24}) for name in ("decode dynamic8@256", "encode int8@64")}
    assert "fresh pages" in found["decode dynamic8@256"]
    assert "read twice" in found["encode int8@64"]
    assert "memory" in why(contests("cast to e4m3")[0], {"share": 0.95, "power": 24})
    assert "arithmetic" in why(contests("cast to e4m3")[0], {"share": 0.5, "power": 24})
    assert why(contests("encode 1024 levels")[0], {"share": 0.5, "power": 24}) == "not explained"


def test_a_peer_that_is_missing_is_a_row_that_says_so():
    def theirs(x):
        raise ImportError("No module named 'a_package'")

    found = race(made(theirs=theirs, bars=Bars(bar=2)), 13, 1)
    assert found["why"] == "not compared: ImportError: No module named 'a_package'"
    assert (found["theirs"], found["ratio"], found["reached"]) == (None, None, "")
    assert min(found["ours"], found["share"]) > 0


@pytest.mark.parametrize("name", ["cast to e2m3", "encode 1024 levels", "T10: beside brute force"])
def test_both_sides_do_the_same_work(name):
    (contest,) = contests(name)
    x = np.random.default_rng(1).standard_normal(2**LEAST, np.float32)
    assert same(contest.ours(x), contest.theirs(x)).startswith("all ")


@pytest.mark.parametrize("name", ["encode nf4@64, packed", "decode nf4@64, packed", "error of nf4@64"])
def test_our_sides_give_what_the_library_gives(name):
    (contest,) = contests(name)
    x = np.random.default_rng(1).standard_normal(2**LEAST, np.float32)
    done, q = contest.ours(x), qr.quantize(x, "nf4@64")
    error = np.asarray(q.dequantize()) - x
    wanted = {"encode": q.codes, "decode": q.dequantize(), "error": np.sqrt(np.mean(np.square(error, dtype=np.float64)))}
    np.testing.assert_allclose(done.answer(done.run()), wanted[name.split()[0]], rtol=1e-6)


def test_rows_of_the_loop_are_spread_over_the_sweep():
    assert torch_loop.chosen(range(324), 4) == [0, 108, 215, 323]
    assert torch_loop.chosen(range(3), 12) == [0, 1, 2]


def test_the_sweep_stands_between_two_loops(monkeypatch):
    loops = iter([{"extrapolated": 26.0, "off": 1e-8}, {"extrapolated": 22.0, "off": 2e-8}])
    monkeypatch.setattr(sweep, "loop", lambda *_: next(loops))
    monkeypatch.setattr(sweep, "_ours", lambda power, starts=1: [2.0, 1.0] if starts == 2 else [1.5])
    found = sweep.sweep(18, 12)
    assert (found["ratio"], found["ratio_least"], found["theirs"], found["reached"]) == (12.0, 11.0, 24.0, "yes")
    assert (found["cold"], found["why"]) == (1.5, "")
    assert found["same"] == "R of the rows that were run agrees to 2e-08; started again, with its compiled functions kept: 1 s"
    monkeypatch.setattr(sweep, "loop", lambda *_: None)
    assert sweep.sweep(18, 12)["why"] == "not compared: torch is not installed"


def test_a_contest_that_keeps_its_memory_is_run_in_a_process_of_its_own():
    (contest,) = contests("decode nf4@64, packed, kept")
    assert not keeps_memory()
    found = race(contest, 13, 1)
    assert tuple(found) == COLUMNS
    assert (found["contest"], found["power"], found["rounds"]) == (contest.name, 13, 1)
    assert min(found["ours"], found["limit"], found["share"]) > 0


def test_the_page_of_contests_has_a_line_for_each_and_says_what_is_asked_for(tmp_path):
    rows = [race(made("curve", curve=True, bars=Bars(bar=2, aim=3, share=0.5)), power, 1) for power in (18, 20, 22)]
    rows += [race(made("alone", bars=Bars(bar=1.1, share_aim=0.9)), 20, 1)]
    rows += [row(contest="import", peer="jax", unit="s", ours=2.0, ours_least=1.0, ours_most=3.0, bar=0.15, reached="yes")]
    assert {path.name for path in contest_page.leave(tmp_path, rows, {"power": 20})} == {
        f"{name}.{kind}"
        for name, kinds in (("peers", "csv md tex json pdf png svg"), ("sizes", "pdf png svg"))
        for kind in kinds.split()
    }
    assert tuple(pd.read_csv(tmp_path / "peers.csv")) == COLUMNS
    text = (tmp_path / "peers.md").read_text()
    for words in ("2x (aim 3x); 0.5 of the limit", "1.1x; aim 0.9 of the limit", "at most 0.15 s above", "2 s (1 to 3)"):
        assert words in text
    assert text.count("| curve ") == 1  # one line of three sizes
