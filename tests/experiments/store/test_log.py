"""The log of rows, spoiled in every way."""

import json
import math

import pytest

from experiments.store import log

RECORDS = [
    {"id": str(i), "plan": "p", "status": "done", "metrics": {"r": value}, "true_bits": 4.5}
    for i, value in enumerate([0.5, math.inf, -math.inf, 1e-300])
]


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "rows.jsonl"
    log.append(path, RECORDS[:2])
    log.append(path, RECORDS[2:])
    return path


def test_what_is_written_is_read_back(path):
    assert log.read(path).records == RECORDS
    assert log.read(path.with_name("absent")).records == []


def test_lines_are_strict_json(path):
    def refuse(word):
        raise AssertionError(word)

    for line in path.read_text().splitlines():
        json.loads(line, parse_constant=refuse)


def test_nan_is_a_word(tmp_path):
    log.append(tmp_path / "x", [RECORDS[0] | {"metrics": {"r": math.nan}, "true_bits": math.nan}])
    (record,) = log.read(tmp_path / "x").records
    assert math.isnan(record["metrics"]["r"])
    assert math.isnan(record["true_bits"])
    assert '"nan"' in (tmp_path / "x").read_text()


@pytest.mark.parametrize("cut", range(1, 60, 7))
def test_a_torn_tail_is_dropped(path, cut):
    whole = path.read_bytes()
    path.write_bytes(whole[:-cut])
    found = log.mend(path)
    assert found.records == RECORDS[:-1]
    assert found.torn
    assert not found.corrupt
    log.append(path, RECORDS[-1:])
    assert path.read_bytes() == whole


@pytest.mark.parametrize(
    "spoil", [lambda line: line.replace(b"0.5", b"0.6"), lambda line: b"\xff\x00", lambda line: b"{}", lambda line: b"[1]"]
)
def test_a_spoiled_line_is_put_aside_once(path, spoil):
    lines = path.read_bytes().splitlines()
    bad = spoil(lines[0])
    path.write_bytes(b"\n".join([bad, *lines[1:]]) + b"\n")
    assert log.mend(path).records == RECORDS[1:]
    assert path.with_suffix(".corrupt").read_bytes() == bad + b"\n"
    assert not log.mend(path).corrupt
    assert log.read(path).records == RECORDS[1:]
