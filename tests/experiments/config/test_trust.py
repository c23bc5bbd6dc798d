"""A configuration is a program. One in a results folder, which may be a stranger's, runs nothing without --trust."""

import pytest

from experiments.config import load
from experiments.figures import __main__ as redraw

SMALL = {"sources": {"v": {"values": [1.0, 2.0, 0.3]}}, "schemes": ["mine"], "metrics": ["r"], "plugins": ["plugin.py"]}


@pytest.fixture
def forgotten(work):
    """A results folder whose configuration has a plugin; the file that the plugin makes when it is run."""
    trace = work.folder / "trace"
    (work.folder / "plugin.py").write_text(
        "import pathlib\nimport qresearch as qr\n"
        f"pathlib.Path({str(trace)!r}).touch()\n"
        "qr.presets.add('mine', 'int4@16', doc='a test')\n"
    )
    work.results.mkdir(parents=True)
    work.write("results/small/config.yaml", **SMALL)
    work.write(**SMALL)
    for name in ("rows.jsonl", "manifest.json"):
        (work.results / name).touch()
    return trace


@pytest.mark.parametrize("words", [(), ("--dry-run",), ("--tiny",), ("seeds=3",)])
def test_a_sweep_of_a_results_folder_asks(work, forgotten, words):
    result = work.run(work.results / "config.yaml", *words)
    assert result.code == 2
    assert "plugins.0: 'plugin.py' is a program, named by a results folder; read it, and add --trust" in result.err
    assert not forgotten.exists()


@pytest.mark.parametrize("kept", ["rows.jsonl", "manifest.json"])
def test_redrawing_asks(work, forgotten, capfd, kept):
    for path in work.results.iterdir():
        if path.name not in ("config.yaml", kept):
            path.unlink()
    assert redraw.main([str(work.results)]) == 2
    assert "add --trust if it may run on this computer" in capfd.readouterr().err
    assert not forgotten.exists()


def test_trust_runs_it(work, forgotten):
    assert redraw.main([str(work.results), "--trust"]) == 0
    assert forgotten.exists()
    assert work.run(work.results / "config.yaml", "--trust", "--dry-run").code == 0


def test_what_the_user_names_is_run_in_a_dry_run_too(work, forgotten):
    assert work.run("config.yaml", "--dry-run").code == 0
    assert forgotten.exists()


@pytest.mark.parametrize("output", ["../../../x", "/tmp/x", "a/../../x", "results/../.."])
def test_a_folder_outside_must_be_typed(work, output):
    path = work.write(output=output)
    result = work.run(path, "--dry-run")
    assert result.code == 2
    assert "config.yaml:" in result.err
    assert f"output: {output!r} lies outside the working folder; if you want that, type output={output}" in result.err
    assert load(path, [f"output={output}"]).output == output
    assert load(path, ["output=inside"]).output == "inside"


def test_results_that_lie_outside_resume_from_their_own_configuration(work, monkeypatch):
    inside = work.folder / "inside"
    inside.mkdir()
    path = work.write(**SMALL | {"schemes": ["int4"], "plugins": []})
    monkeypatch.chdir(inside)
    assert work.run(path, f"output={work.folder}/out").code == 0
    again = work.run(work.folder / "out" / "small" / "config.yaml")
    assert again.code == 0, again.err
    assert "1 done, 0 to run" in again.err


def test_an_absolute_path_inside_and_a_link_of_the_users_are_inside(work):
    (work.folder / "link").symlink_to("/tmp")
    assert load(work.write(output=str(work.folder / "r"))).output
    assert load(work.write(output="link")).output == "link"
