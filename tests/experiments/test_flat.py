"""Flatness over sizes: how it is measured, and what is said of it. No time is tested."""

import functools

import numpy as np

from experiments.bench import flat_page
from experiments.bench.contests.table import contests
from experiments.bench.flat import flatness, from_memory
from experiments.bench.machine import keeps_memory


def test_before_each_call_all_is_forgotten():
    calls = []
    work = {name: functools.partial(calls.append, name) for name in ("ours", "limit")}
    found = from_memory(work, 2, 3, lambda: calls.append("forget"))
    assert calls == 3 * (3 * ["forget", "ours"] + 3 * ["forget", "limit"])  # the first round is not counted
    assert {name: each.shape for name, each in found.items()} == {"ours": (2,), "limit": (2,)}
    assert min(map(np.min, found.values())) > 0


def test_flatness_is_measured_in_a_process_that_keeps_its_memory():
    (contest,) = contests("encode int8@64")
    assert not keeps_memory()
    found = flatness(contest, [13, 14], 1)
    assert [(each["contest"], each["power"]) for each in found] == [(contest.name, 13), (contest.name, 14)]
    assert all(min(each["ours"], each["limit"], each["over"]) > 0 for each in found)


def test_the_page_of_flatness_says_where_time_hangs_on_the_size(tmp_path):
    over = {"flat": [2.0, 2.5, 2.2], "steep": [2.0, 2.7, 2.2]}
    rows = [
        {"contest": name, "power": power, "ours": 500.0, "limit": 1000.0, "over": each, "over_least": each, "over_most": each}
        for name, found in over.items()
        for power, each in zip((20, 22, 24), found)
    ]
    written = {path.name for path in flat_page.leave(tmp_path, rows, {})}
    assert written == {f"flat.{kind}" for kind in ("csv", "md", "tex", "json", "pdf", "png")}
    lines = [line.split("|")[1:-1] for line in (tmp_path / "flat.md").read_text().splitlines() if line.startswith("| ")]
    assert [[cell.strip() for cell in line[-3:]] for line in lines[1:]] == [
        ["1.25", "at most 1.3", "yes"],
        ["1.35", "at most 1.3", "no"],
    ]
    assert "2.70 (500 M/s)" in (tmp_path / "flat.md").read_text()
