"""A sweep that is killed half-way with SIGKILL, and run again."""

import signal
import subprocess
import sys
import time

from experiments.store import log


def test_nothing_is_lost_or_doubled_after_a_kill(work, environment):
    path = work.write(seeds=60)
    command = [sys.executable, "-m", "experiments.sweep", str(path)]
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    rows = work.results / "rows.jsonl"
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and not (rows.exists() and rows.read_bytes().count(b"\n") >= 40):
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    process.wait()
    survived = log.read(rows)
    assert 40 <= len(survived.records) < 840, "the kill came too early or too late to tell anything"
    assert not survived.corrupt

    again = work.run(path)
    assert again.code == 0
    assert f"{len(survived.records)} done, {840 - len(survived.records)} to run" in again.err
    ids = [record["id"] for record in log.read(rows).records]
    assert len(ids) == len(set(ids)) == 840

    whole = work.run(path, "output=whole")
    assert whole.code == 0
    assert (work.folder / "whole" / "small" / "table.csv").read_bytes() == (work.results / "table.csv").read_bytes()
