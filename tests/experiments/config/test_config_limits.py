"""Configurations that would crash, take for ever, or measure nothing: each is refused at its place."""

import time
from typing import Annotated

import numpy as np
import pytest
from pydantic import TypeAdapter, ValidationError

from experiments.config import ConfigError, load
from experiments.config.reader import MOST_BYTES, parse
from experiments.config.section import Distinct

V = {"sources": {"v": {"values": [1.0, 2.0]}, "w": {"values": [1.0]}}, "schemes": ["int8", {"scheme": "int{b}", "b": [4, 5]}]}


def refused(work, *overrides, **changes):
    with pytest.raises(ConfigError) as caught:
        load(work.write(**V | changes), overrides)
    return str(caught.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('a: "\\ud800"', "f:1:4: a: got '\\ud800': the character '\\ud800' is not allowed in texts"),
        ('a: ["x", "b\\0c"]', "f:1:10: a.1: got 'b\\x00c': the character '\\x00' is not allowed in texts"),
        ('"b\\0c": 1', "f:1:1: the character '\\x00' is not allowed in keys"),
        ("a: 1" + "0" * 5000, "f:1:4: a: got '1000000000000000000000000000000000000000': whole numbers must lie below 2^128"),
        ("a: -1" + "0" * 4000, "whole numbers must lie below 2^128"),
        ("a: 0x" + "f" * 10**6, "whole numbers must lie below 2^128"),
    ],
)
def test_scalars_that_nothing_can_take(text, said):
    with pytest.raises(ConfigError) as caught:
        parse(text, "f")
    assert said in str(caught.value)


@pytest.mark.parametrize("text", ["[" + "1," * 10**6 + "]", "a: {" + "b, " * 10**6 + "}", "- x\n" * 10**6])
def test_a_file_of_too_many_values_is_refused_before_it_is_read_whole(text, monkeypatch):
    monkeypatch.setattr("experiments.config.reader.MOST_VALUES", 1000)
    before = time.process_time()
    with pytest.raises(ConfigError, match=r"f:\d+:\d+: more than 1000 values; refused"):
        parse(text, "f")
    assert time.process_time() - before < 3  # reading all of it takes a minute


def test_a_file_that_is_too_long(work):
    (work.folder / "long.yaml").write_text("# " + "x" * MOST_BYTES)
    with pytest.raises(ConfigError, match=r"long\.yaml: more than 4,194,304 bytes; refused"):
        load("long.yaml")


@pytest.mark.parametrize("word", [f"schemes.{'1' * 5000}=1", "schemes.²=1", "schemes.01=int8"])
def test_positions_on_the_command_line(work, word):
    assert "no such " in refused(work, word)


def test_many_values_are_compared_in_linear_time():
    seeds, before = list(range(100_000)), time.process_time()
    taken = TypeAdapter(Annotated[list[int], Distinct])
    assert taken.validate_python(seeds) == seeds
    with pytest.raises(ValidationError, match="0 is there twice"):
        taken.validate_python([*seeds, 0])
    assert time.process_time() - before < 5  # comparing all pairs takes minutes


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"figures": [{"kind": "densities", "sources": [[]]}]}, "figures.0.sources.0: got []; it should be a valid string"),
        ({"schemes": [{"scheme": "int8", "sources": []}]}, "schemes.0.sources: got []"),
        ({"sources": {}}, "sources: got {}"),
        ({"tables": [{"value": "r", "where": {"source": "vv"}}]}, "tables.0.where.source: no row has 'vv'; did you mean 'v'?"),
        ({"tables": [{"value": "r", "where": {"group": ["v", "u"]}}]}, "tables.0.where.group: no row has 'u'"),
        (
            {"figures": [{"kind": "error_vs_bits", "where": {"b": [4, 6]}}]},
            "figures.0.where.b: no row has 6; there are: '', 4, 5",
        ),
        ({"tables": [{"value": "r", "where": {"scheme": "int7"}}]}, "no row has 'int7'; did you mean 'int8'?"),
        ({"tables": [{"value": "r", "where": {"family": "integer"}}]}, "where.family: no row has 'integer'"),
        ({"tables": [{"value": "r", "where": {"seed": 2}}]}, "where.seed: no row has 2; there are: 0, 1"),
        ({"schemes": [{"scheme": "int{a}@{b}", "a": list(range(2, 1001)), "b": list(range(1, 1000))}]}, "at most 100,000"),
    ],
)
def test_what_would_measure_or_show_nothing(work, changes, said):
    assert said in refused(work, **changes)


def test_every_axis_has_its_own_values(work):
    schemes = [{"scheme": "int{a}-{c}@{b}", "a": [3, 4], "b": [16, 32], "c": ["absmax", "rms(3)"]}]
    tables = [{"value": "r", "where": {"a": 4, "b": [16], "c": "rms(3)"}}]
    load(work.write(**V | {"schemes": schemes, "tables": tables}))
    for axis, others in (("a", "3, 4"), ("b", "16, 32"), ("c", "absmax, rms(3)")):
        wrong = [{"value": "r", "where": {axis: 99}}]
        assert f"where.{axis}: no row has 99; there are: {others}" in refused(work, schemes=schemes, tables=wrong)


def test_tensors_that_are_none(work):
    np.savez(work.folder / "x.npz", a=np.ones(3, np.float32), b=np.ones(3, np.float32))
    assert "sources.x.tensors: got []" in refused(work, sources={"x": {"file": "x.npz", "tensors": []}})
    where = {"tables": [{"value": "r", "where": {"source": "x/c"}}], "sources": {"x": {"file": "x.npz"}}}
    assert "no row has 'x/c'; did you mean 'x/b'?" in refused(work, **where)
    load(work.write(**V | where | {"tables": [{"value": "r", "where": {"source": "x/b"}}]}))


def test_notes_on_nan_and_on_a_table_without_rows(work):
    np.save(work.folder / "x.npy", np.array([1, np.nan, 0.5], np.float32))
    sources = {"v": {"values": [1.0, 2.0, 0.3]}, "x": {"file": "x.npy"}}
    schemes = ["int8", {"scheme": "int{b}", "b": [4], "sources": "v"}]
    result = work.run(work.write(sources=sources, schemes=schemes, tables=[{"value": "r", "where": {"source": "x", "b": 4}}]))
    assert result.code == 0, result.err
    assert result.err.count("its errors are NaN") == 1
    assert "note: x: its errors are NaN whatever the scheme; does it hold a NaN or an infinity?" in result.err
    assert "note: the table 'r_by_scheme' is empty: no row has all that its `where` asks for" in result.err
