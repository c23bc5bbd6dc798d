"""The command for GPUs, on the CPU: every part of it runs, a path that does not is a row, and differences are found."""

import contextlib
import dataclasses
import json

import jax
import numpy as np
import pandas as pd
import pytest

import qresearch as qr
from experiments.bench.device import __main__ as device
from experiments.bench.device import agreement, bursts, page
from experiments.bench.device.work import BLOCKS, ELEMENTS, SCHEMES, XLA, KernelPath, Task, paths, tasks
from qresearch.coders.kernels import Tiling, served

QUICK = ("--size", "16", "--rounds", "1", "--burst", "0")


def test_what_is_asked_for_is_timed_and_has_a_kernel():
    assert len(SCHEMES) == len(ELEMENTS) * len(BLOCKS) == 12
    assert all(served(qr.build(scheme), (256, 256)) for scheme in SCHEMES)
    assert {int(qr.build(scheme).block.sizes[0]) for scheme in SCHEMES} == {32, 64, 256}
    assert [path.name for path in paths("gpu", False, [Tiling(2048, 8), Tiling()])] == ["xla", "kernel", "kernel 2048/8"]
    assert [path.name for path in paths("gpu", False, [])] == ["xla", "kernel", "kernel 4096/4/portable"]
    assert paths("cpu", False, []) == paths("tpu", False, []) == [XLA]


def test_the_command_leaves_rates_and_differences(tmp_path, capsys):
    assert device.main([*QUICK, "--interpret", "--only", "int8@256", "--out", str(tmp_path)]) == 0
    rates, differences = (pd.read_csv(tmp_path / f"{name}.csv") for name in ("table", "differences"))
    assert list(rates["step"]) == ["encode", "encode", "decode"]
    assert list(rates["path"]) == ["xla", "kernel", "xla"]
    assert (rates["of copy, least"] <= rates["of copy"]).all()
    assert (rates["GB/s"] > 0).all()
    assert list(differences["inputs"]) == ["normal", "normal", "nasty", "nasty"]
    assert (differences[["codes", "scales", "values"]] == 0).all(axis=None)
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    assert manifest["elements"] == 2**16
    assert manifest["interpret"]
    for name in ("table.md", "table.tex", "differences.md", "differences.tex"):
        assert (tmp_path / name).stat().st_size > 300
    assert "int8@256" in capsys.readouterr().out


def test_a_path_that_does_not_run_is_a_row(tmp_path, monkeypatch):
    monkeypatch.setattr(device, "paths", lambda *_: [XLA, KernelPath("other", "no such", Tiling())])
    assert device.main([*QUICK, "--only", "int8@64", "--out", str(tmp_path)]) == 1
    rates = pd.read_csv(tmp_path / "table.csv")
    (note,) = rates["note"][rates["path"] == "other"]
    assert note.startswith("ValueError: QRESEARCH_KERNELS must be one of")
    assert (rates["GB/s"] > 0)[rates["path"] == "xla"].all()
    assert "no such" in (tmp_path / "differences.md").read_text()


def test_bytes_that_have_to_be_moved():
    x = jax.numpy.ones((256, 256))
    moved = {task.step: task.moved for task in tasks("nf4@64", x, [XLA])}
    assert moved["encode"] == moved["decode"] == 65536 * (4 + 1) + 1024 * 4
    assert moved["encode packed"] == moved["decode packed"] == 65536 * 4.5 + 1024 * 4


def test_differences_are_counted_and_those_beside_subnormals_are_told_apart(monkeypatch):
    x = np.ones((4, 64), np.float32)
    x[1, 3], x[2] = 1e-40, 1e-35
    stored, back = wanted = agreement.on_cpu("int8@64", x)
    codes = stored.codes.copy()
    codes[[0, 1, 2], [5, 3, 9]] -= 1
    monkeypatch.setattr(agreement, "both", lambda *_: (dataclasses.replace(stored, codes=codes), back))
    row = agreement.compare("int8@64", "normal", x, XLA, wanted)
    assert (row["codes"], row["beside subnormals"], row["scales"], row["values"]) == (3, 2, 0, 0)
    assert row["first"] == "0x1.0000000000000p+0 at (0, 5): 126, on the CPU 127"
    assert device._wrong(row)
    assert not device._wrong(row | {"codes": 2})
    assert not device._wrong(row | {"inputs": "nasty"})


def test_bits_are_compared():
    a = np.array([0.0, np.nan, 1.0], np.float32)
    assert agreement._differing(a, np.array([-0.0, -np.nan, 1.0], np.float32)) == 1
    assert agreement._differing(np.array([1, 2]), np.array([1, 3])) == 1


def test_bursts_wait_once_and_are_interleaved(monkeypatch):
    order = []
    monkeypatch.setattr(bursts.jax, "block_until_ready", lambda last: order.append(f"wait {last}"))
    begin = {name: lambda name=name: order.append(name) or name for name in "ab"}
    seconds = bursts.interleaved(begin, rounds=2, least=0)
    assert order == [*"aaa", "wait a", *"bbb", "wait b"] + ["a", "wait a", "b", "wait b"] * 2
    assert all(each.shape == (2,) for each in seconds.values())


def test_rows_say_whether_the_host_is_hidden():
    task = Task("int8@64", "encode", "xla", True, moved=10**9)
    seconds, copied = np.array([2e-3, 1e-3, 4e-3]), np.array([1e-3, 1e-3, 1e-3])
    row = page.row(task, seconds, copied, 10**6, 1e-5)
    assert (row["GB/s"], row["of copy"], row["M/s"], row["reached"], row["note"]) == (500.0, 0.5, 500.0, False, "")
    assert "take a larger --size" in page.row(task, seconds, copied, 10**6, 1e-3)["note"]


@pytest.mark.parametrize("given", [("--only", "no such"), ("--size", "4"), ("--tiles", "17/4")])
def test_what_cannot_be_is_refused(given, capsys):
    with contextlib.suppress(SystemExit):  # which argparse raises
        assert device.main([*given]) == 2
    said = capsys.readouterr().err
    assert any(words in said for words in ("no scheme matches", "--size 16 to 30", "--tiles must be"))
