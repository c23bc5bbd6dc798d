"""The exhaustive run, on a sample; all 2^32 values are `make exhaustive`."""

import csv
import json
from dataclasses import replace

import numpy as np
import pytest

from experiments.proofs import exhaustive
from qresearch.element.lookup import lookup
from qresearch.element.thresholds import thresholds
from qresearch.testing.oracle import nearest

STRIDE = 65_537
"""Prime to every power of two, so that all low bits occur."""


@pytest.mark.parametrize("case", exhaustive.cases(), ids=lambda case: f"{case.name}~{case.rounding}")
def test_a_sample_of_all_float32(case):
    count = exhaustive.count(case, STRIDE)
    assert count.values == -(-(2**32) // STRIDE)
    assert count.mismatches == 0, count.first


@pytest.mark.parametrize("case", exhaustive.cases(["int4-full", "nf4", "e4m3"]), ids=lambda case: case.name)
def test_pieces_are_what_the_definition_says_of_every_number(case):
    edges, codes = exhaustive.pieces(case.scheme)
    assert edges[0] == 0
    assert edges[-1] == 2**32
    assert (np.diff(edges) > 0).all()
    random = np.random.default_rng(0).integers(0, 2**32, 100_000, dtype=np.int64)
    words = np.unique(np.concatenate([random, edges[:-1], edges[1:] - 1]))
    with np.errstate(invalid="ignore"):
        y = words.astype(np.uint32).view(np.float32)
    wanted = nearest.encode(y, case.scheme.grid, case.rounding, keeps_infinities=case.scheme.unit)
    assert (codes[np.searchsorted(edges, words, side="right") - 1] == wanted).all()


@pytest.mark.parametrize("name", ["nf4", "dynamic8", "apot8"])  # each kind of look-up
def test_a_threshold_one_ulp_off_is_found(name):
    case = exhaustive.cases([name])[0]
    grid, levels = case.element.grid, case.element.grid.levels
    count = grid.codes().size
    cuts = thresholds(levels[:count], case.element.rounding, grid.middles[: count - 1], grid.words[:count])
    word = int(cuts[9].view(np.uint32))
    cuts[9] = np.nextafter(cuts[9], np.float32(1))
    broken = replace(case, element=replace(case.element, grid=replace(grid, lookup=lookup(cuts, levels.size))))
    assert exhaustive.count(broken, word).mismatches == 1  # a stride that meets that number: 0, word, 2 word ...
    assert exhaustive.count(case, word).mismatches == 0


def test_a_number_that_comes_back_otherwise_without_codes_is_found():
    case = exhaustive.cases(["e4m3"])[0]
    values = case.element.grid.values.copy()
    values[0x41] = np.nextafter(values[0x41], np.float32(9))  # what codes come back as; 2.25 otherwise
    broken = replace(case, element=replace(case.element, grid=replace(case.element.grid, values=values)))
    count = exhaustive.count(broken, int(np.float32(2.25).view(np.uint32)))
    assert (count.mismatches, count.first) == (1, "0x40100000: another number, there and back")


def test_the_table_and_the_manifest_are_written(tmp_path, capsys):
    out = tmp_path / "out"
    assert exhaustive.main(["--grids", "nf4,e2m1", "--stride", "1000003", "--out", str(out)]) == 0
    rows = list(csv.DictReader((out / "table.csv").read_text(encoding="utf-8").splitlines()))
    assert [row["grid"] for row in rows] == ["nf4", "e2m1"]
    assert {row["mismatches"] for row in rows} == {"0"}
    manifest = json.loads((out / "manifest.json").read_text())
    assert (manifest["stride"], manifest["grids"], manifest["mismatches"]) == (1000003, 2, 0)
    assert (out / "table.md").read_text().count("\n") == 4
    assert "nf4" in capsys.readouterr().out


def test_an_unknown_grid_is_named():
    with pytest.raises(ValueError, match="nf5"):
        exhaustive.cases(["nf5"])
