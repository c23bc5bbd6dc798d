"""The catalogue: what is in the tables is on the page."""

import numpy as np
import pytest

import qresearch as qr
from experiments import catalogue

pytestmark = pytest.mark.slow  # the page has a line for every element and every preset


@pytest.fixture(scope="module")
def found():
    return catalogue.entries()


def test_every_element_is_on_the_page_once(found):
    names = [entry.name for entry in found]
    assert len(names) == len(set(names))
    assert {row.examples[0] for row in qr.elements.rows if "{" not in row.examples[0]} <= set(names)


def test_a_line_says_what_the_format_holds(found):
    line = next(entry for entry in found if entry.name == "e2m1").cells()
    assert line[:5] == ["`e2m1`", "4", "15", "-6 .. 6", "0.5"]
    assert float(line[5]) == np.round(20 * np.log10(6 / 0.5), 1)


def test_the_page_has_a_line_for_every_preset(tmp_path, monkeypatch):
    monkeypatch.setattr(catalogue, "SHAPE", (8, 256))
    monkeypatch.setattr(qr.presets, "_rows", {name: qr.presets._rows[name] for name in ("mxfp4", "nf4-double")})
    few = catalogue.entries()[:3]
    monkeypatch.setattr(catalogue, "entries", lambda: few)
    assert catalogue.main([str(tmp_path / "page.md")]) == 0
    text = (tmp_path / "page.md").read_text()
    assert "| mxfp4 | `e2m1@32:e8m0` | 4.25 |" in text
    assert "| nf4-double |" in text
    assert (tmp_path / "page" / "integers-1.png").stat().st_size > 1000
