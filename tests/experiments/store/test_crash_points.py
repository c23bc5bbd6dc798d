"""A sweep that is killed, or loses its power, at any of its writes, flushes and renames, and is run again.

The sweep runs once. At every point its folder is copied twice: as a kill would leave it, and as a loss of power might, which
spares only what was flushed, and only under names whose folder was flushed later. The sweep is run again on every copy.
"""

import contextlib
import os
import shutil
import sys
from pathlib import Path

import pytest

from experiments import sweep
from experiments.base.files import write
from experiments.figures.outputs import Made
from experiments.running.measure import Outcome
from experiments.store import folder, log
from experiments.store.table import tidy

ROOT = "results"


class Disk:
    """The files under ROOT, as they are, and as they surely are after a loss of power."""

    def __init__(self):
        self.contents, self.names = {}, {}  # inode -> the flushed bytes of a file, the flushed entries of a folder
        self.states = {}  # files after a kill or a loss of power -> the most rows that had been called safe by then
        self.safe = 0

    def point(self):
        for files in (self.present(), dict(self.durable(os.stat(".").st_ino, ""))):
            self.remember(files, self.safe)
            for name, content in files.items():
                if name.endswith("rows.jsonl"):
                    self.remember(files | {name: content[:-9]}, 0)  # a kill within the write of a line

    def remember(self, files, safe):
        state = tuple(sorted(files.items()))
        self.states[state] = max(safe, self.states.get(state, 0))

    def present(self):
        return {str(path): path.read_bytes() for path in Path(ROOT).rglob("*") if path.is_file()}

    def durable(self, inode, path):
        for name, (child, is_folder) in self.names.get(inode, {}).items():
            if path or name == ROOT:
                yield from (
                    self.durable(child, f"{path}{name}/") if is_folder else [(path + name, self.contents.get(child, b""))]
                )

    def flushed(self, handle):
        place, inode = Path(os.readlink(f"/proc/self/fd/{handle}")), os.fstat(handle).st_ino
        if place.is_dir():
            self.names[inode] = {path.name: (path.stat().st_ino, path.is_dir()) for path in place.iterdir()}
        else:
            self.contents[inode] = place.read_bytes()


@contextlib.contextmanager
def watched(disk):
    """A context with a point before and after every flush and rename, and after every batch that is called safe."""

    def around(owner, name, then):
        real = getattr(owner, name)

        def call(*given, **options):
            disk.point()
            real(*given, **options)
            then(*given)
            disk.point()

        patch.setattr(owner, name, call)

    with pytest.MonkeyPatch.context() as patch:
        around(os, "fsync", disk.flushed)
        around(Path, "replace", lambda *_: None)
        around(Path, "mkdir", lambda *_: None)
        around(folder.Results, "add", lambda *_: setattr(disk, "safe", disk.safe + 1))
        yield disk


@pytest.fixture
def measured(monkeypatch):
    """What JAX would measure is a number made of the row's id; returns the ids in the order of measuring."""
    ids = []

    def one(row):
        ids.append(row.id)
        return Outcome(row, {"r": int(row.id, 16) / 2**64}, 4.0, 1.0)

    def loop(plan, rows, meter):
        for row in rows:
            meter.begin([row])
            yield [one(row)]

    def tables(config, folder, *_):
        frame = tidy(folder, config)
        return Made([write(folder / "table.csv", frame.to_csv())], [], len(frame))

    monkeypatch.setattr(sweep, "make_outputs", tables)  # one table for all of them: they are written in the same way
    monkeypatch.setattr(sweep, "measured", loop)
    monkeypatch.setattr(sweep, "alone", lambda folder, rows, *_: ([one(row)] for row in rows))
    return ids


@pytest.mark.skipif(sys.platform != "linux", reason="a file is found by its handle in /proc")
def test_no_row_is_lost_doubled_or_torn_wherever_a_sweep_ends(work, measured):
    path = work.write(sources={"v": {"values": [1.0, 2.0]}}, schemes=["int4~stochastic", "int8"], metrics=["r"])
    with watched(Disk()) as disk:
        assert work.run(path).code == 0
    table = (work.results / "table.csv").read_bytes()
    assert len(disk.states) > 20
    for state, safe in disk.states.items():
        shutil.rmtree(ROOT)
        for name, content in state:
            Path(name).parent.mkdir(parents=True, exist_ok=True)
            Path(name).write_bytes(content)
        before = {record["id"] for record in log.read(work.results / "rows.jsonl").records}
        assert len(before) >= safe, [name for name, _ in state]
        measured.clear()
        assert work.run(path).code == 0
        assert not before & set(measured)
        ids = [record["id"] for record in log.read(work.results / "rows.jsonl").records]
        assert len(ids) == len(set(ids)) == 3
        assert (work.results / "table.csv").read_bytes() == table
        assert not [name for name in os.listdir(work.results) if name.startswith(".") and name != ".lock"]
