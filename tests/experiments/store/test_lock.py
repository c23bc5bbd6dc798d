"""Locks, and file systems without them."""

import errno
import fcntl

import pytest

from experiments.store.lock import NO_LOCKS


@pytest.mark.parametrize("number", NO_LOCKS)
def test_a_file_system_without_locks_is_named_with_the_way_out(work, monkeypatch, number):
    def flock(stream, how):
        raise OSError(number, "No locks available")

    monkeypatch.setattr(fcntl, "flock", flock)
    path = work.write(sources={"v": {"values": [1.0, 2.0]}}, schemes=["int8"], metrics=["r"])
    result = work.run(path)
    assert result.code == 1
    assert result.err.startswith("stopped: results/small/.lock: No locks available; write the results to another file system")
    assert "output=FOLDER" in result.err
    assert "--no-lock" in result.err
    assert not (work.results / "rows.jsonl").exists()
    if number == errno.ENOLCK:
        assert work.run(path, "--no-lock").code == 0


def test_another_error_of_a_lock_has_its_path(work, monkeypatch):
    def flock(stream, how):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(fcntl, "flock", flock)
    result = work.run(work.write(), "--no-lock")
    assert result.code == 1
    assert result.err == "stopped: results/small/.lock: Input/output error\n"
