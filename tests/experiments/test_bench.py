"""The bench: what is timed, what is said of it, what it leaves. No time is tested; memory is, since compilers decide it."""

import json

import numpy as np
import pandas as pd
import pytest

import qresearch as qr
from experiments.bench import __main__ as bench
from experiments.bench.cases import REPRESENTATIVE, cases
from experiments.bench.clock import interleaved, program
from experiments.bench.measure import _element, measure
from experiments.bench.reasons import NEEDED, WANTED, reason

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
    x = np.random.default_rng(0).standard_normal((128, 128), np.float32)
    encode, decode = _element(case, x)
    assert encode.temporary <= x.nbytes
    assert decode.temporary <= x.nbytes
    assert encode.run().shape == decode.run().shape == x.shape


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


def test_reasons_are_for_slow_ones_only():
    (case,) = cases("mxfp4")
    assert reason(case, "quantize", WANTED, 0.01) == ""
    assert "memory" in reason(case, "quantize", WANTED - 1, 0.9)
    assert reason(case, "quantize", NEEDED - 1, 0.01) == "not explained"
    for name, words in (("int4-clipped", "32 counts"), ("fp8-e4m3-stochastic", "Threefry")):
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
    assert "no element or preset matches" in capsys.readouterr().err
