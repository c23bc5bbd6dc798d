"""`make sweep` on a fresh clone measures: what is committed under results/ is not what it resumes."""

import shutil
import subprocess

import pytest
from conftest import ROOT


@pytest.mark.skipif(shutil.which("make") is None, reason="there is no make")
@pytest.mark.parametrize("target", ["sweep", "figures", "real"])
def test_what_is_measured_goes_to_a_folder_that_is_not_committed(target):
    said = subprocess.run(["make", "--dry-run", target], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert "output=results/local" in said
    assert "results/local/" in (ROOT / ".gitignore").read_text().splitlines()
    elsewhere = subprocess.run(["make", "-n", target, "OUT=results"], cwd=ROOT, capture_output=True, text=True, check=True)
    assert "results/local" not in elsewhere.stdout
