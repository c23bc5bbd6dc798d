"""Rows of other code: a user's own code is part of a row's identity, and a mix of versions of ours is said."""

import json
import subprocess
import sys

import pytest

from experiments.base import code
from experiments.store import folder, log, manifest

PLUGIN = """
import qresearch as qr
from widths import WIDTH
qr.presets.add("mine", f"int{WIDTH}@16", doc="a test")
"""


def sweep(work, environment, *words):
    command = [sys.executable, "-m", "experiments.sweep", "config.yaml", *words]
    return subprocess.run(command, env=environment, cwd=work.folder, capture_output=True, text=True, check=False)


def test_a_changed_plugin_or_a_module_that_it_imports_is_measured_again(work, environment):
    environment["PYTHONPATH"] += f":{work.folder}"
    plugin, module = work.folder / "plugin.py", work.folder / "widths.py"
    plugin.write_text(PLUGIN)
    module.write_text("WIDTH = 4")
    work.write(plugins=["plugin.py"], schemes=["mine"], seeds=1)
    assert sweep(work, environment).returncode == 0
    assert "2 are done and 0 would run" in sweep(work, environment, "--dry-run").stdout
    module.write_text("WIDTH = 8")
    assert "0 are done and 2 would run" in sweep(work, environment, "--dry-run").stdout
    module.write_text("WIDTH = 4")
    plugin.write_text(PLUGIN + "# with a comment")
    assert "0 are done and 2 would run" in sweep(work, environment, "--dry-run").stdout


def test_rows_that_are_registered_without_a_plugin_count_too(tmp_path, monkeypatch):
    import qresearch as qr

    assert code.adders() == set()
    exec(compile("import qresearch as qr; qr.presets.add('typed', 'int4@16')", "<stdin>", "exec"))
    assert code.adders() == {"<stdin>"}
    assert code.digest(code.adders()) != code.digest(code.adders())  # what was typed is gone: it is never taken as the same
    qr.presets.add("written", "int4@32")
    assert code.adders() == {"<stdin>", __file__}
    assert code.digest([__file__]) == code.digest([__file__])


def test_a_mix_of_versions_is_said_and_force_ends_it(work, monkeypatch):
    path = work.write(seeds=1)
    assert work.run(path).code == 0
    assert all(record["made"]["code"] == code.library() for record in log.read(work.results / "rows.jsonl").records)
    monkeypatch.setattr(manifest, "library", lambda: "other")
    monkeypatch.setattr(manifest, "git", lambda: {"commit": "0123456789abcdef", "dirty": False})
    later = work.run(path, "seeds=2")
    assert "tables average rows that different versions of the code have made; --force" in later.err
    assert "14 rows by commit 0123456789" in later.err
    assert len(json.loads((work.results / "manifest.json").read_text())["made"]) == 2
    forced = work.run(path, "seeds=2", "--force")
    assert "28 to run" in forced.err
    assert "different versions" not in forced.err


def test_rows_that_do_not_say_who_made_them_are_an_earlier_version(work):
    path = work.write(seeds=1)
    work.run(path)
    rows = work.results / "rows.jsonl"
    records = [{key: value for key, value in record.items() if key != "made"} for record in log.read(rows).records]
    rows.unlink()
    log.append(rows, records)
    assert "14 rows by an earlier version" in work.run(path, "seeds=2").err
    assert "14 rows by an earlier version" in work.run(path, "seeds=3", "--dry-run").out


def test_rows_that_vanish_while_the_sweep_runs_are_missed(work, monkeypatch):
    real = folder.Results.add

    def add(self, plan, outcomes):
        (self.folder / "rows.jsonl").unlink(missing_ok=True)
        real(self, plan, outcomes)

    monkeypatch.setattr(folder.Results, "add", add)
    result = work.run(work.write())
    assert result.code == 1
    assert "finished rows are no longer in" in result.err


@pytest.mark.parametrize(
    "line",
    [
        b'{"check": "x", "a": 1e999}',
        b"[" * 100_000,
        b"null",
        b'"text"',
        log._encoded({"another": "version"}).strip(),
        log._encoded({"id": 1, "plan": "p", "status": "done"}).strip(),
    ],
)
def test_odd_lines_are_set_aside(work, line):
    path = work.write()
    work.run(path)
    rows = work.results / "rows.jsonl"
    rows.write_bytes(line + b"\n" + rows.read_bytes())
    again = work.run(path)
    assert again.code == 0
    assert "moved 1 corrupt lines" in again.err
    assert "28 done, 0 to run" in again.err
    assert (work.results / "rows.corrupt").read_bytes() == line + b"\n"


@pytest.mark.parametrize("text", ["null", "[]", "3", "[[[", ""])
def test_a_manifest_that_is_none_is_written_again(work, text):
    path = work.write()
    work.run(path)
    (work.results / "manifest.json").write_text(text)
    assert work.run(path).code == 0
    assert json.loads((work.results / "manifest.json").read_text())["done"] == 28


def test_what_killed_processes_left_is_removed(work):
    path = work.write()
    work.run(path)
    left = work.results / ".config.12345.yaml"
    left.write_text("half")
    work.run(path)
    assert not left.exists()


def test_a_configuration_with_metrics_that_were_not_measured_yet_can_be_drawn(work):
    from experiments.figures import __main__ as redraw

    path = work.write()
    work.run(path)
    config = work.results / "config.yaml"
    config.write_text(config.read_text().replace("rmse", "mae"))
    assert redraw.main([str(work.results)]) == 0


def test_a_metric_that_exits_fails_its_rows(work):
    (work.folder / "plugin.py").write_text(
        "import sys\nimport qresearch as qr\n"
        "def leave(sums): sys.exit(0)\n"
        "qr.metrics.add('leave', qr.Metric(leave, needs=('error2',), label='none'), doc='exits')\n"
    )
    result = work.run(work.write(plugins=["plugin.py"], metrics=["leave"], seeds=1))
    assert result.code == 1
    assert "SystemExit: 0" in result.err
    assert "14 failed" in result.err
