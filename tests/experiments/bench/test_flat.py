"""Flatness over sizes: how it is measured, and what is said of it. No time is tested."""

import numpy as np

from experiments.bench import flat_page
from experiments.bench.clock import normal, program
from experiments.bench.contests.table import contests
from experiments.bench.flat import flatness, side_by_side
from experiments.bench.machine import keeps_memory


def test_the_same_work_is_done_on_arrays_side_by_side():
    (contest,) = contests("decode dynamic8@256")
    x = normal(2**13)
    for work in (contest.ours(x), contest.limit(x)):
        found = side_by_side(work, 3)()
        assert len({each.unsafe_buffer_pointer() for each in found}) == 3
        for each in found:
            np.testing.assert_array_equal(each, work.run())


def test_copies_lie_elsewhere_and_tables_do_not():
    table, x = np.arange(16, dtype=np.float32), normal(2**13)
    compiled = program(lambda table, x: (table + 1, x * 2), table, x)
    runs = compiled.again(), compiled.again()
    seen = [[each.unsafe_buffer_pointer() for each in run.args[0]] for run in runs]
    (table_a, x_a), (table_b, x_b) = seen
    assert table_a == table_b
    assert x_a != x_b


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
    assert written == {f"flat.{kind}" for kind in ("csv", "md", "tex", "json", "pdf", "png", "svg")}
    lines = [line.split("|")[1:-1] for line in (tmp_path / "flat.md").read_text().splitlines() if line.startswith("| ")]
    assert [[cell.strip() for cell in line[-3:]] for line in lines[1:]] == [
        ["1.25", "at most 1.3", "yes"],
        ["1.35", "at most 1.3", "no"],
    ]
    assert "2.70 (500 M/s)" in (tmp_path / "flat.md").read_text()
