"""Helpers: a working folder of its own for every test, and the sweep run in it."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml

from experiments import sweep

ROOT = Path(sweep.__file__).parent.parent

SMALL = {
    "name": "small",
    "seeds": 2,
    "sources": {
        "normal": {"distribution": "normal", "shape": [8, 64]},
        "t": {"distribution": "student_t", "df": 5, "shape": [8, 64]},
    },
    "schemes": ["nf4@32", {"scheme": "int{bits}@{block}", "bits": [2, 3, 4], "block": [16, "tensor"]}],
    "metrics": ["rmse", "r", "sqnr"],
}


@pytest.fixture
def work(tmp_path, monkeypatch, capfd):
    """A folder to work in, with `write(**changes)` for a small configuration and `run(*words)` for the sweep."""
    monkeypatch.chdir(tmp_path)

    def write(file: str = "config.yaml", /, **changes) -> Path:
        path = tmp_path / file
        path.write_text(yaml.safe_dump(SMALL | changes, sort_keys=False))
        return path

    def run(*words) -> SimpleNamespace:
        capfd.readouterr()
        code = sweep.main([str(word) for word in words])
        captured = capfd.readouterr()
        return SimpleNamespace(code=code, out=captured.out, err=captured.err)

    return SimpleNamespace(folder=tmp_path, write=write, run=run, results=tmp_path / "results" / "small")


@pytest.fixture
def environment():
    """The environment of a subprocess that finds the project whatever its working folder is."""
    return os.environ | {"PYTHONPATH": str(ROOT)}


def listing(folder: Path) -> list[str]:
    """All files under a folder."""
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
