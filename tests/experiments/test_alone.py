"""Rows that end their process, or that hang: they fail, the others are measured, and no later run dies of them."""

import signal
import subprocess
import sys

import pytest

from experiments.store import log

PLUGIN = """
import os, time
import numpy as np
import qresearch as qr
from qresearch.base.part import part
from qresearch.element.codebook import codebook
from qresearch.element.grid import Grid
from qresearch.element.table import ElementRow

@part
class Deadly(Grid):
    inner: object
    bits = property(lambda self: self.inner.bits)
    dtype = property(lambda self: self.inner.dtype)
    reach = property(lambda self: self.inner.reach)
    ends = property(lambda self: self.inner.ends)

    def encode(self, y, rounding, u=None, shift=None):
        {fate}

    decode = clipped = codes = encode

qr.elements.add("deadly", ElementRow(lambda choice: Deadly(codebook([-1, 1], choice.rounding))), doc="a test")
"""


@pytest.fixture
def deadly(work):
    """Writes a sweep of which one row has a fate; returns its configuration."""

    def write(fate):
        (work.folder / "plugin.py").write_text(PLUGIN.format(fate=fate))
        sources = {"v": {"values": [1.0, -0.5, 0.25, 0.3]}}
        return work.write(plugins=["plugin.py"], schemes=["int4", "deadly"], sources=sources, metrics=["r"], seeds=1)

    return write


def test_a_row_that_aborts_fails_alone(work, deadly, environment):
    path = deadly("os.abort()")
    command = [sys.executable, "-m", "experiments.sweep", str(path)]
    first = subprocess.run(command, env=environment, capture_output=True, check=False)
    assert first.returncode == -signal.SIGABRT
    assert (work.results / ".started").exists()
    again = work.run(path)
    assert again.code == 1
    assert "2 rows were in progress when a process died, and are measured one by one" in again.err
    assert "failed: deadly on v, seed 0: its process ended by SIGABRT" in again.err
    assert not (work.results / ".started").exists()
    records = log.read(work.results / "rows.jsonl").records
    assert [(record["scheme"], record["status"]) for record in records] == [("int4", "done"), ("deadly", "failed")]
    assert records[1]["crashed"], "the next run will measure it in a process of its own at once"


def test_a_row_that_hangs_fails_after_its_time(work, deadly, environment):
    path = deadly("time.sleep(1000)")
    command = [sys.executable, "-m", "experiments.sweep", str(path), "--timeout", "2"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 1, done.stderr
    assert "the sweep starts again" in done.stderr
    assert "failed: deadly on v, seed 0: it took longer than the 2 s of --timeout" in done.stderr
