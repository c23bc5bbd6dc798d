"""Signals: a sweep that is asked to stop saves the rows in progress, says how to go on, and goes on from there."""

import os
import signal
import subprocess
import sys
import time

import pytest

from experiments.running.stop import Stop, Stopped
from experiments.store import log


def test_a_signal_sets_a_flag():
    before = signal.getsignal(signal.SIGINT)
    with Stop() as stop:
        stop.check()
        os.kill(os.getpid(), signal.SIGINT)
        with pytest.raises(Stopped) as stopped:
            stop.check()
        assert stopped.value.signal == signal.SIGINT
    assert signal.getsignal(signal.SIGINT) is before


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_sweep_stops_between_batches_and_goes_on(work, environment, number, code):
    path = work.write(seeds=60)
    command = [sys.executable, "-m", "experiments.sweep", str(path)]
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    rows = work.results / "rows.jsonl"
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and not (rows.exists() and rows.read_bytes().count(b"\n") >= 40):
        time.sleep(0.002)
    process.send_signal(number)
    _, said = process.communicate(timeout=60)
    assert process.returncode == code
    assert "stopped; resume with: python -m experiments.sweep" in said
    assert "Traceback" not in said
    saved = log.read(rows)
    assert 40 <= len(saved.records) < 840
    assert not saved.torn
    again = work.run(path)
    assert again.code == 0
    assert f"{len(saved.records)} done" in again.err


def test_a_sweep_that_still_compiles_stops_too(work, environment):
    command = [sys.executable, "-m", "experiments.sweep", str(work.write())]
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    first = process.stderr.readline()  # the sweep has begun, and compiles its first functions
    assert "0 done, 28 to run" in first
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in said


def test_ctrl_c_during_imports_leaves_no_traceback(work, environment):
    (work.folder / "yaml.py").write_text("print('importing', flush=True)\nimport time\ntime.sleep(100)\n")
    environment["PYTHONPATH"] = f"{work.folder}:{environment['PYTHONPATH']}"
    command = [sys.executable, "-m", "experiments.sweep", "some.yaml"]
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "importing\n"
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert said == "\ninterrupted; resume with: python -m experiments.sweep some.yaml\n"
