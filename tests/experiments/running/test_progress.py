"""The time that is left: functions and rows have each their own pace."""

from types import SimpleNamespace

import pytest

from experiments.running import progress


def test_the_first_functions_do_not_count_as_the_pace_of_rows(monkeypatch):
    now = 0.0
    monkeypatch.setattr(progress.time, "monotonic", lambda: now)
    rows = [SimpleNamespace(source=SimpleNamespace(size=size)) for size in [0] * 50 + [progress.ELEMENTS_OF_OVERHEAD] * 25]
    functions = SimpleNamespace(planned=36, compilations=0, seconds=0.0)
    pace = progress.Pace(rows, functions)
    functions.compilations, functions.seconds, now = 24, 60.0, 60.5  # half a second for the first row
    assert pace.left(rows[:1]) == pytest.approx(12 * 60 / 24 + 99 * 0.5)  # a row of the second source counts twice
    now = 85.0
    assert pace.left(rows[1:50]) == pytest.approx(12 * 60 / 24 + 50 * 0.5)
    functions.compilations, functions.seconds, now = 36, 90.0, 140.0
    assert pace.left(rows[50:]) == 0
