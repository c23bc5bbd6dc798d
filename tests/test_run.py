"""The programs of the runner, started through the library; and what an installed package holds."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def run(*words, **options):
    return subprocess.run([sys.executable, "-m", "qresearch.run", *words], capture_output=True, text=True, **options)


def test_a_program_answers(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    (tmp_path / "experiments").mkdir()  # somebody else's
    (tmp_path / "experiments" / "__init__.py").write_text("raise SystemExit('not ours')")
    done = run("status", "nowhere", cwd=tmp_path)
    assert done.returncode == 2
    assert "nowhere is no results folder" in done.stderr


def test_an_unknown_program(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    done = run("swep")
    assert done.returncode == 2
    assert "did you mean 'sweep'?" in done.stderr


MISSING = """
import sys, importlib.util
find = importlib.util.find_spec
importlib.util.find_spec = lambda name, *rest: None if name == "pydantic" else find(name, *rest)
sys.argv = ["-m"]
import experiments
"""


def test_a_missing_extra_is_answered_with_the_line_that_installs_it():
    done = subprocess.run([sys.executable, "-c", MISSING], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 2
    words = "this program needs packages that are not installed (pydantic); install them: python -m pip install"
    assert done.stderr.startswith(words)


@pytest.mark.slow
def test_a_wheel_has_one_top_level_name(tmp_path):
    pytest.importorskip("setuptools", reason="the wheel is built without a network")
    words = ["-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", tmp_path, ROOT]
    subprocess.run([sys.executable, *words], check=True, capture_output=True)
    names = zipfile.ZipFile(next(tmp_path.glob("*.whl"))).namelist()
    assert {name.split("/")[0].split("-")[0] for name in names} == {"qresearch"}
    inside = "qresearch/_runner/experiments"
    page = ("report.html", "report.css", "report.js", "vendor/datatables-license.txt")
    assert {
        f"{inside}/sweep.py",
        f"{inside}/configs/tutorial.yaml",
        *(f"{inside}/figures/page/{name}" for name in page),
    } <= set(names)
