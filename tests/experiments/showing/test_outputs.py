"""What a folder shows is rewritten only where it is out of date, and theory is computed once."""

import json

import pytest

from experiments.figures.__main__ import main as redraw
from experiments.showing import theory

OUTPUTS = {
    "schemes": [{"scheme": "int{bits}@16", "bits": [2, 3]}],
    "seeds": 3,
    "metrics": ["r"],
    "tables": [{"rows": "scheme", "value": "r"}],
    "figures": [{"kind": "error_vs_bits", "name": "all"}, {"kind": "error_vs_bits", "name": "two", "where": {"bits": 2}}],
}


@pytest.fixture
def drawn(monkeypatch):
    """The names of the figures that are drawn, as they are drawn."""
    from experiments.figures import draw

    names = []
    kept = draw.save

    def save(figure, path):
        names.append(path.name)
        yield from kept(figure, path)

    monkeypatch.setattr(draw, "save", save)
    return names


def test_only_what_changed_is_made_again(work, drawn):
    path = work.write(**OUTPUTS)
    assert work.run(path).code == 0
    assert drawn == ["all", "two"]
    drawn.clear()
    assert work.run(path).code == 0
    assert drawn == []
    more = {"schemes": [{"scheme": "int{bits}@16", "bits": [2, 3, 4]}]}
    assert work.run(work.write(**OUTPUTS | more)).code == 0
    assert drawn == ["all"]  # the rows of the other are the same
    drawn.clear()
    (work.results / "figures" / "two.png").write_bytes(b"changed by hand")
    (work.results / "figures" / "all.pdf").unlink()
    assert work.run(work.write(**OUTPUTS | more)).code == 0
    assert drawn == ["all", "two"]
    drawn.clear()
    assert work.run(work.write(**OUTPUTS | more | {"style": {"font.size": 8}})).code == 0
    assert drawn == ["all", "two"]
    drawn.clear()
    (work.results / "made.json").write_text('{"": null}')
    assert work.run("config.yaml").code == 0
    assert drawn == ["all", "two"]


def test_a_sweep_with_nothing_to_do_loads_no_library_of_figures(work, environment):
    import subprocess
    import sys

    work.run(work.write(**OUTPUTS))
    code = "import sys; from experiments.sweep import main; main(['config.yaml']); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert not {"pandas", "matplotlib"} & set(done.stdout.split())
    assert "12 done, 0 to run" in done.stderr


def test_theory_is_computed_once(work, monkeypatch):
    asked = []
    expect = theory.qr.theory.expect

    def counted(text, *arguments, **options):
        asked.append(text)
        return expect(text, *arguments, **options)

    monkeypatch.setattr(theory.qr.theory, "expect", counted)
    theory.expected.cache_clear()
    small = OUTPUTS | {"theory": True, "figures": [], "sources": {"normal": {"distribution": "normal", "shape": [8, 64]}}}
    work.run(work.write(**small))
    table = (work.results / "table.csv").read_bytes()
    assert sorted(asked) == ["int2@16", "int3@16"]
    theory.expected.cache_clear()
    assert redraw([str(work.results)]) == 0
    assert len(asked) == 2
    assert (work.results / "table.csv").read_bytes() == table
    kept = work.results / "theory.json"
    content = json.loads(kept.read_text())
    kept.write_text(json.dumps(content | {"code": "that of yesterday"}))
    theory.expected.cache_clear()
    assert redraw([str(work.results)]) == 0
    assert len(asked) == 4
    assert json.loads(kept.read_text()) == content


def test_too_few_seeds_for_theory_are_told_before_anything_is_measured(work):
    path = work.write(**OUTPUTS | {"theory": True, "seeds": 2})
    note = "note: theory judges no measured value: it needs 3 seeds"
    assert note in work.run(path, "--dry-run").out
    assert note in work.run(path).err.split("compilations")[0]
