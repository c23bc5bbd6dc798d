"""Plans: rows, identities, groups."""

import os
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from experiments.config import load
from experiments.loop import measured, one_ahead
from experiments.rows.plan import TooManyRows, make_plan
from experiments.rows.sources import sources
from experiments.running.measure import Meter
from qresearch.scales.moments import RMS

GALLERY = Path(__file__).parents[3] / "experiments" / "configs" / "gallery"


def ids(config):
    return {str(row): row.id for row in make_plan(config).rows}


def test_rows_are_sources_by_seeds_by_schemes(work):
    plan = make_plan(load(work.write()))
    assert len(plan.rows) == len(set(row.id for row in plan.rows)) == 2 * 2 * 7
    assert plan.rows[0].labels() == {
        "source": "normal",
        "group": "normal",
        "seed": 0,
        "scheme": "nf4@32",
        "family": "nf4",
        "axes": {},
    }
    assert plan.rows[2].labels()["axes"] == {"bits": 2, "block": "tensor"}


def test_an_identity_hangs_on_what_the_numbers_hang_on(work):
    base = ids(load(work.write()))
    same = ids(load(work.write(description="another", tables=[{"value": "r"}], output="elsewhere")))
    assert same == base
    for changes in ({"metrics": ["rmse"]}, {"sources": {"normal": {"distribution": "laplace", "shape": [8, 64]}}}):
        other = ids(load(work.write(**changes)))
        assert not set(other.values()) & set(base.values())
    longer = ids(load(work.write(seeds=3)))
    assert set(base.values()) < set(longer.values())


def test_a_codebook_that_changes_under_its_name_is_another_row(work, monkeypatch):
    from experiments.config import codebooks
    from qresearch.grammar.build import _built

    name = "changing_book"
    first = ids(load(work.write(codebooks={name: [-1, 0, 1]}, schemes=[f"{name}@8"])))
    monkeypatch.delitem(codebooks.elements._rows, name)
    _built.cache_clear()
    second = ids(load(work.write(codebooks={name: [-1, 0.25, 1]}, schemes=[f"{name}@8"])))
    assert list(first) == list(second)
    assert not set(first.values()) & set(second.values())


def test_the_same_source_and_seed_is_the_same_data_in_every_sweep(work):
    (one, *_) = sources(load(work.write()))
    (_, two) = sources(
        load(
            work.write(
                sources={"t": {"distribution": "uniform", "shape": [4]}, "normal": {"distribution": "normal", "shape": [8, 64]}}
            )
        )
    )
    assert np.array_equal(one.make(1), two.make(1))
    assert not np.array_equal(one.make(0), one.make(1))


def test_without_chance_one_seed_stands_for_all(work):
    config = load(
        work.write(
            seeds=3, sources={"v": {"values": [[1, 2, 3, 4]]}}, schemes=["int4", "int4~stochastic", "nf4@2:int8~stochastic"]
        )
    )
    found = [(row.scheme.text, row.seed) for row in make_plan(config).rows]
    assert [seed for text, seed in found if text == "int4"] == [0]
    assert [seed for text, seed in found if text == "int4~stochastic"] == [0, 1, 2]
    assert [seed for text, seed in found if text.startswith("nf4")] == [0, 1, 2]


def test_compilations_grow_with_structures_not_with_rows(work):
    few = make_plan(load(work.write()))
    many = make_plan(
        load(
            work.write(
                seeds=5,
                schemes=["nf4@32", {"scheme": "int{bits}@{block}", "bits": [2, 3, 4, 5, 6, 7, 8], "block": [16, "tensor"]}],
            )
        )
    )
    assert len(many.rows) > 4 * len(few.rows)
    assert few.compilations(few.rows) == many.compilations(many.rows) == 5  # statistics of three blocks; nf4, int


def test_a_scheme_that_comes_twice_is_measured_once(work):
    plan = make_plan(load(work.write(schemes=["int4@16", {"scheme": "int{bits}@16", "bits": [4, 8]}])))
    assert len(plan.rows) == 2 * 2 * 2
    assert plan.repeated == ("int4@16",)


def test_too_many_rows_after_a_pattern_is_expanded(work, monkeypatch):
    monkeypatch.setattr("experiments.rows.plan.MOST_ROWS", 20)
    with pytest.raises(TooManyRows, match="28 rows; at most 20"):
        make_plan(load(work.write()))


def test_batches_are_rows_of_one_structure_and_not_too_many(work, monkeypatch):
    monkeypatch.setattr("experiments.rows.plan.MOST_ROWS_PER_BATCH", 4)
    config = load(work.write(schemes=[{"scheme": "int{bits}", "bits": list(range(2, 11))}]))
    plan = make_plan(config)
    draws = list(plan.draws(plan.rows))
    assert [(source.name, seed) for source, seed, _ in draws] == [("normal", 0), ("normal", 1), ("t", 0), ("t", 1)]
    for _, _, batches in draws:  # int2-8 have codes of one byte, int9 and int10 of two: another structure
        assert list(map(len, batches)) == [4, 3, 2]
        assert all(len({row.functions for row in batch}) == 1 for batch in batches)


def test_a_source_in_pieces_and_one_that_is_made_share_no_function(work, monkeypatch):
    monkeypatch.setattr("experiments.rows.streams.MOST_ELEMENTS_IN_MEMORY", 1024)
    x = np.ones((64, 64), np.float32)
    np.save(work.folder / "flat.npy", x)
    np.savez_compressed(work.folder / "packed.npz", x=x)
    sources = {name: {"file": str(work.folder / name)} for name in ("flat.npy", "packed.npz")}
    sources = {name.split(".")[0]: each for name, each in sources.items()}
    plan = make_plan(load(work.write(sources=sources, schemes=["int4@16"])))
    assert len(plan.rows) == 2
    assert not set(plan.rows[0].functions) & set(plan.rows[1].functions)


def test_a_scheme_that_cannot_take_a_large_source_fails_in_its_row(work):
    path = work.write(sources={"x": {"distribution": "normal", "shape": [2**18]}}, seeds=1, schemes=["int4@8x8", "int4@32"])
    result = work.run(path)
    assert result.code == 1
    assert "block 8x8 needs an array of at least 2 axes" in result.err
    assert "1 of 2 rows are done, 1 failed" in result.err


def test_items_are_given_one_after_the_next_is_begun():
    begun = []
    items = (begun.append(i) or i for i in range(3))
    assert [(item, len(begun)) for item in one_ahead(items)] == [(0, 2), (1, 3), (2, 3)]
    assert list(one_ahead(())) == []


def test_functions_are_freed_after_the_last_batch_that_needs_them(work):
    config = load(work.write(schemes=["int4", "int4@16"]))
    plan = make_plan(config)
    batches = [batch for _, _, each in plan.draws(plan.rows) for batch in each]
    with Meter(config.metrics, batches) as meter:
        held = []
        for outcome in measured(plan, plan.rows, meter):
            held.append((len(meter.functions.held), outcome))
            assert all(function.done() for function in meter.functions.held.values())  # nothing is compiled meanwhile
    assert max(count for count, _ in held) == 3  # two statistics and one measure serve both sources and both seeds
    assert meter.functions.compilations == 3
    assert not meter.functions.held


def test_a_function_is_compiled_once_however_far_ahead_they_are_compiled(work, monkeypatch):
    monkeypatch.setattr("experiments.running.compile_ahead.FUNCTIONS_AT_A_TIME", 4)
    sources = {name: {"distribution": "normal", "shape": [8, size]} for name, size in (("a", 64), ("b", 32), ("c", 16))}
    config = load(work.write(sources=sources, seeds=2, schemes=["int4", "int4@16", "nf4", "nf4@16"]))
    plan = make_plan(config)
    with Meter(config.metrics, [batch for _, _, each in plan.draws(plan.rows) for batch in each]) as meter:
        assert sum(map(len, measured(plan, plan.rows, meter))) == len(plan.rows) == 24
        assert meter.functions.compilations == plan.compilations(plan.rows) == 12
        assert not meter.functions.held


BLOCKS = {
    "scheme": "{element}{statistic}@{block}",
    "element": ["nf4", "int4"],
    "statistic": ["", "-rms(3)"],
    "block": [16, 32, 64],
}


def kinds(plan):
    return Counter(function.kind for function in {each for row in plan.rows for each in row.functions})


def test_schemes_are_split_wherever_they_can_be(work):
    source = {"x": {"distribution": "normal", "shape": [4, 256]}, "y": {"distribution": "normal", "shape": [4, 256]}}
    plan = make_plan(load(work.write(sources=source, schemes=[BLOCKS, "int4", "e4m3-unit", "nf4@24"])))
    # three blocks and the tensor; tables and integers; the cast, and blocks that do not divide the array
    assert kinds(plan) == {"block statistics": 4, "small blocks": 2, "whole": 2}
    assert plan.compilations(plan.rows) == 8
    ragged = make_plan(load(work.write(sources=source | {"z": {"distribution": "normal", "shape": [4, 24]}}, schemes=[BLOCKS])))
    assert kinds(ragged) == {"block statistics": 3, "small blocks": 2, "whole": 12}  # blocks of 16 do not divide 24


def test_six_tables_share_nine_block_lengths():
    plan = make_plan(load(GALLERY / "40-other-formats.yaml"))
    assert len(plan.rows) == 324
    assert kinds(plan) == {"block statistics": 9, "small blocks": 1}


def test_rows_of_split_schemes_are_those_of_whole_ones(work, monkeypatch):
    config = load(work.write(schemes=[BLOCKS], metrics=["r", "max", "entropy", "bias"]))
    found = []
    for expected in ({"block statistics", "small blocks"}, {"whole"}):
        plan = make_plan(config)
        assert set(kinds(plan)) == expected
        with Meter(config.metrics, [batch for _, _, each in plan.draws(plan.rows) for batch in each]) as meter:
            outcomes = [outcome for each in measured(plan, plan.rows, meter) for outcome in each]
            assert meter.functions.compilations == plan.compilations(plan.rows)
        found.append({outcome.row.id: (outcome.metrics, outcome.true_bits, outcome.error) for outcome in outcomes})
        monkeypatch.setattr("experiments.rows.structures.split", lambda coder: None)
    assert found[0] == found[1]  # sources this small are summed in one order
    assert len(found[0]) == len(plan.rows)


def test_a_faulty_statistic_fails_only_its_own_rows(work, monkeypatch):
    def width(self, blocks):
        raise ZeroDivisionError("this statistic has a fault")

    monkeypatch.setattr(RMS, "width", width)
    result = work.run(work.write(seeds=2, schemes=[BLOCKS]))
    assert result.code == 1
    assert "24 of 48 rows are done, 24 failed" in result.err
    assert "failed: nf4-rms(3)@16 on normal, seed 0: ZeroDivisionError: this statistic has a fault" in result.err
    assert "failed: nf4@16" not in result.err


def test_a_file_that_changes_after_the_plan_is_not_measured_under_its_old_hash(work):
    file = work.folder / "x.npy"
    np.save(file, np.ones(8, np.float32))
    before = file.stat()
    (row,) = make_plan(load(work.write(sources={"x": {"file": "x.npy"}}, schemes=["int4"], seeds=1))).rows
    assert row.source.make(0).tolist() == [1] * 8
    np.save(work.folder / "y.npy", np.zeros(8, np.float32))
    os.utime(work.folder / "y.npy", ns=(before.st_atime_ns, before.st_mtime_ns))
    os.replace(work.folder / "y.npy", file)  # of the same size and time
    for reading in (lambda: row.source.make(0), lambda: row.source.read(0, 0, 8)):
        with pytest.raises(ValueError, match=r"x\.npy has changed since the sweep began; run the sweep again"):
            reading()
