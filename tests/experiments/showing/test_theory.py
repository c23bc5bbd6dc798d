"""Theory in the runner: columns, warnings, the bound in figures, and comparison at equal bits."""

import json

import numpy as np
import pandas as pd
import pytest

import qresearch as qr
from experiments.config import ConfigError, load
from experiments.figures.bits import BOUND, error_over_bits
from experiments.showing import theory, verdicts

SOURCES = {
    "normal": {"distribution": "normal", "shape": [64, 64]},
    "heavy": {"distribution": "student_t", "df": 3, "shape": [64, 64]},
    "mine": {"values": [[0.1, -0.7, 0.3, 1.2]]},
}
SCHEMES = [
    {"scheme": "int{bits}@32:bf16", "bits": [3, 4], "family": "linear", "sources": ["normal", "mine"]},
    {"scheme": "nf4@64:bf16", "family": "NormalFloat"},
    {"scheme": "int4-rms(3)@64", "family": "clipped", "sources": ["normal", "mine"]},
]
BUDGETS = {"kind": "equal_bits", "budgets": [3.6, 4.3, 5], "value": "r"}


@pytest.fixture(scope="module")
def frame():
    """Rows as a sweep of normal numbers would have them, a little off their expectation, by a known amount."""
    config = load_config(seeds=6)
    noise = np.array([-2.5, -1.5, -0.5, 0.5, 1.5, 2.5]) * 1e-4
    known = theory.law(config, "normal")
    value = theory.expected("nf4@64:bf16", known, ("r",))[0]["r"]
    rows = [
        {
            "source": "normal",
            "group": "normal",
            "seed": i,
            "scheme": "nf4@64:bf16",
            "family": "n",
            "true_bits": 4.25,
            "r": value + e,
        }
        for i, e in enumerate(noise)
    ]
    return config, pd.DataFrame(rows)


def load_config(**changes):
    from experiments.config.model import ArraySweep
    from experiments.config.section import Context

    data = {"name": "t", "sources": SOURCES, "schemes": SCHEMES, "metrics": ["r"], "theory": True} | changes
    return ArraySweep.model_validate(data, context=Context(data))


def test_columns_of_a_sweep(work):
    config = work.write(sources=SOURCES, schemes=SCHEMES, metrics=["r", "mae", "sqnr"], theory=True, seeds=3,
                        tables=[BUDGETS], figures=[{"kind": "error_vs_bits", "y": "r"}])  # fmt: skip
    ran = work.run(config)
    assert ran.code == 0
    assert "ruled out" in ran.err
    assert "theory rules out" not in ran.err
    table = pd.read_csv(work.results / "table.csv", keep_default_na=False, na_values=["nan"])
    normal = table[(table["source"] == "normal") & (table["scheme"] == "nf4@64:bf16")].iloc[0]
    assert normal["limit_r"] == pytest.approx(2.0**-4.25, rel=1e-9)
    assert normal["limit_sqnr"] == pytest.approx(20 * np.log10(2) * 4.25, rel=1e-9)
    assert normal["expected_mae"] == pytest.approx(
        qr.theory.expect("nf4@64:bf16", qr.distributions["normal"](), ["mae"])["mae"]
    )
    assert normal["theory"] == ""
    assert table["r"].gt(table["limit_r"]).eq(table["limit_r"].notna()).all()
    clipped = table[(table["source"] == "normal") & table["scheme"].str.contains("rms")].iloc[0]
    assert "no exact expectation" in clipped["theory"]
    assert np.isfinite(clipped["limit_r"])
    given = table[table["source"] == "mine"]
    assert given[["limit_r", "expected_r"]].isna().all(axis=None)
    assert given["theory"].eq(theory.NO_LAW).all()
    judged = (work.results / "tables" / "theory.md").read_text()
    assert "not ruled out" in judged
    assert "heavy" not in judged  # its square error has no variance
    assert json.loads((work.results / "manifest.json").read_text())["theory"][-1].endswith(" 0 ruled out")
    best = (work.results / "tables" / "r_at_equal_bits.md").read_text()
    lines = [[cell.strip() for cell in line.split("|")[1:-1]] for line in best.splitlines()[4:]]
    assert [line[:2] for line in lines] == [
        ["3.6", "linear"], ["3.6", "any code"],
        ["4.3", "linear"], ["4.3", "NormalFloat"], ["4.3", "any code"],
        ["5.0", "linear"], ["5.0", "NormalFloat"], ["5.0", "clipped"], ["5.0", "any code"],
    ]  # fmt: skip
    assert lines[2][2].endswith("int3@32:bf16 (3.5 bits)")
    assert lines[5][2].endswith("int4@32:bf16 (4.5 bits)")
    assert lines[-1][2] == f"{2.0**-5:.4g}"
    assert lines[-1][4] == "-"
    assert lines[0][3] == "-"


def test_off_by_default(work):
    assert work.run(work.write(seeds=3)).code == 0
    assert not any("limit" in column or "theory" in column for column in pd.read_csv(work.results / "table.csv").columns)
    assert not (work.results / "tables").exists()


def test_a_right_value_passes_and_a_wrong_one_is_named(frame):
    """Six seeds, a standard error of 7.6e-5: t at 1e-3 is 6.9, so 1e-3 is far off and 2e-4 is chance."""
    config, rows = frame
    fine = theory.with_theory(rows, config)
    assert [each.ruled_out for each in verdicts.verdicts(fine, config)] == [False]
    assert verdicts.warnings(verdicts.verdicts(fine, config), config) == ["theory: 1 measured values, 0 ruled out"]
    near = theory.with_theory(rows.assign(r=rows["r"] + 2e-4), config)
    assert not verdicts.verdicts(near, config)[0].ruled_out
    off = theory.with_theory(rows.assign(r=rows["r"] + 1e-3), config)
    judged = verdicts.verdicts(off, config)
    assert judged[0].ruled_out
    assert verdicts.warnings(judged, config)[0].startswith("theory rules out: nf4@64:bf16 on normal: r 0.")
    assert "RULED OUT" in verdicts.judgement(judged).to_string()


def test_few_seeds_judge_nothing_and_say_so(frame):
    config, rows = frame
    few = config.model_copy(update={"seeds": (0, 1)})
    assert verdicts.warnings(verdicts.verdicts(theory.with_theory(rows[:2], few), few), few) == [
        "note: theory judges no measured value: it needs 3 seeds"
    ]


def test_the_rate_of_false_alarms():
    """Of 2,000 sweeps of 20 right values each, some 2 may raise an alarm; 12 or more would, with P < 1e-6."""
    draw = np.random.default_rng(1).normal(1.0, 0.01, (2000, 20, 5))
    mean, error = draw.mean(-1), draw.std(-1, ddof=1) / np.sqrt(5)
    alarms = 0
    for m, e in zip(mean, error, strict=True):
        cases = (verdicts.Verdict("", "", "r", a, b, 1.0, np.nan) for a, b in zip(m, e, strict=True))
        alarms += any(abs(each.measured - 1) > verdicts._bound(each, 20, 5) for each in cases)
    assert alarms < 12


def test_the_bound_is_drawn(frame):
    config, rows = frame
    options = load_config(figures=[{"kind": "error_vs_bits", "y": "r"}]).figures[0]
    wide = pd.concat([rows, rows.assign(scheme="x", true_bits=3.25)])
    axes = error_over_bits(options, theory.with_theory(wide.assign(scheme="nf4@64:bf16"), config)).axes[0]
    line = next(each for each in axes.get_lines() if each.get_label() == BOUND)
    np.testing.assert_allclose(line.get_ydata(), [2.0**-3.25, 2.0**-4.25])
    assert axes.get_ylim()[0] <= 2.0**-4.25
    plain = error_over_bits(options, rows).axes[0]
    assert BOUND not in [each.get_label() for each in plain.get_lines()]


def test_equal_bits_needs_a_better_and_a_budget(work):
    with pytest.raises(ConfigError) as error:
        load(work.write(metrics=["bias", "r"], tables=[{**BUDGETS, "value": "bias"}, {**BUDGETS, "budgets": []}]))
    assert "no value of 'bias' is the better one" in str(error.value)
    assert "budgets" in str(error.value)


def test_a_finite_error_over_an_infinite_mean_square_is_no_ratio():
    """Student's t of two degrees: the error of int4 is finite, its R was 0 and its SQNR `exact`."""
    known = theory.Known(qr.distributions["student_t"](2), (4, 64))
    found, note = theory.expected("int4@64", known, ("mse", "r", "sqnr"))
    assert 0.3 < found["mse"] < 0.35
    assert np.isnan([found["r"], found["sqnr"]]).all()
    assert note == "the source has no mean square, so none: r, sqnr"
