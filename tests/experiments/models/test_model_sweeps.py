"""Sweeps of models: rows of recipes, their tables and figures, and what is refused."""

import json
from pathlib import Path

import jax
import numpy as np
import pandas as pd
import pytest
import yaml

import qresearch as qr
from experiments.running.judge import interval
from experiments.tasks.recipe import Treatment

PLUGIN = Path(__file__).with_name("blobs.txt").read_text()

SMALL = {
    "name": "blobs",
    "plugins": ["blobs.py"],
    "seeds": 2,
    "models": {"blobs": "blobs"},
    "recipes": [
        {"recipe": "int{bits}@row | static(int{bits})", "family": "static", "bits": [2, 8]},
        {"recipe": "int2@row | int2@row", "family": "dynamic"},
    ],
}


@pytest.fixture
def blobs(work):
    """Writes the plugin, and a configuration with some changes."""
    (work.folder / "blobs.py").write_text(PLUGIN)

    def write(drop=(), **changes):
        given = {key: value for key, value in (SMALL | changes).items() if key not in drop}
        path = work.folder / "config.yaml"
        path.write_text(yaml.safe_dump(given, sort_keys=False))
        return path

    return write


def test_rows_tables_and_figures(work, blobs):
    tables = [
        {"rows": ["family", "recipe"], "columns": "model", "value": "accuracy"},
        {"kind": "sites", "where": {"recipe": "int2@row|int2@row"}},
        {"kind": "paired", "baseline": "int2@row|int2@row", "value": "accuracy"},
    ]
    figures = [{"kind": "error_vs_bits", "y": "accuracy"}, {"kind": "layers", "where": {"family": "dynamic"}}]
    config = blobs(tables=tables, figures=figures)
    ran = work.run(config)
    assert ran.code == 0, ran.err
    folder = work.folder / "results" / "blobs"
    table = pd.read_csv(folder / "table.csv")
    assert list(table["recipe"].unique()) == [
        "none",
        "int2@row | static(int2)",
        "int8@row | static(int8)",
        "int2@row | int2@row",
    ]
    assert (table["note"] == "made of noise").all()
    assert len(table) == 8

    by_recipe = table.groupby("recipe")["accuracy"].mean()
    assert (
        by_recipe["none"] - by_recipe["int8@row | static(int8)"] < 2 < by_recipe["none"] - by_recipe["int2@row | static(int2)"]
    )
    # 3 x 32 x 32 + 32 x 8 weights of 2 bits, and a float32 scale for each of 3 x 32 + 8 outputs
    assert set(table.loc[table["recipe"] == "int2@row | int2@row", "bytes"]) == {(3328 * 2 + 104 * 32) / 8}
    assert set(table.loc[table["recipe"] == "none", "true_bits"]) == {32.0}
    sites = pd.read_csv(folder / "sites.csv")
    assert len(sites) == 2 * 3 * 4
    assert list(sites["layer"].unique()) == ["0", "1", "2", "-"]
    assert np.isclose(sites.groupby(["recipe", "seed"])["share"].sum(), 1).all()
    assert {path.stem for path in (folder / "figures").glob("*.png")} == {"error_vs_bits_accuracy", "layers_output_error"}
    assert "| model " in (folder / "table.md").read_text()

    again = work.run(config)
    assert again.code == 0
    assert "8 rows, 8 done, 0 to run" in again.err


def test_a_row_is_what_the_library_says(work, blobs):
    work.run(blobs(seeds=1, recipes=["int4@row | int4@row"]))
    record = [json.loads(line) for line in (work.folder / "results/blobs/rows.jsonl").read_text().splitlines()][-1]
    names: dict = {}
    exec(PLUGIN.split("TASKS.add")[0], names)
    task = names["make"](0, 300, 1.2)
    plan = qr.model.plan(task.apply, task.params, "int4@row | int4@row", *task.calibration[0])
    frozen = plan.freeze(plan.start(task.params))
    assert record["metrics"]["accuracy"] == 100 * task.judge(frozen)["correct"].mean()
    assert record["metrics"]["bytes"] == frozen.nbytes
    expected = plan.errors(plan.start(task.params), *task.calibration[0])
    assert [each["weight_error"] for each in record["sites"]] == pytest.approx(
        list(expected["weight_error"]), rel=1e-5
    )  # six digits


def test_training_further_helps(work, blobs):
    pytest.importorskip("optax")
    with jax.numpy_dtype_promotion("standard"):  # optax promotes its counts
        ran = work.run(blobs(seeds=1, recipes=["int2@row | int2@row", "int2@row | int2@row, trained(3)"]))
    assert ran.code == 0, ran.err
    table = pd.read_csv(work.folder / "results/blobs/table.csv").set_index("recipe")["accuracy"]
    assert table["int2@row | int2@row, trained(3)"] > table["int2@row | int2@row"] + 2


def test_a_recipe_that_does_not_fit_fails_alone(work, blobs):
    ran = work.run(blobs(seeds=1, recipes=["int8@row", "no/such/site = int8@row; * = none"]))
    assert ran.code == 1
    assert "no site is left for the pattern 'no/such/site'" in ran.err
    assert "2 of 3 rows are done, 1 failed" in ran.err


def test_an_option_of_the_task_changes_the_rows(work, blobs):
    work.run(blobs(seeds=1, recipes=["int8@row"]))
    ran = work.run(blobs(seeds=1, recipes=["int8@row"], models={"blobs": {"task": "blobs", "spread": 2.5}}))
    assert "2 rows, 0 done, 2 to run" in ran.err


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"models": {"blobs": "blob"}}, "no such task 'blob'; did you mean 'blobs'?"),
        ({"models": {"blobs": {"tsk": "blobs"}}}, "the key 'task' is needed; was it misspelled as 'tsk'?"),
        ({"models": {"blobs": {"task": "blobs", "example": 3}}}, "unknown option of blobs; did you mean 'examples'?"),
        ({"models": {"blobs": {"task": "blobs", "examples": "3"}}}, "got '3'; allowed: a int such as 300"),
        ({"recipes": ["int4@rwo | int8"]}, "rwo"),
        ({"recipes": ["int4@row, trained(0)"]}, "the number of epochs must be a whole number from 1 on"),
        ({"recipes": [{"recipe": "int{bits}@row", "bit": [4]}]}, "{bits} in 'int{bits}@row' is not an axis"),
        ({"recipes": [{"recipe": "int4", "models": ["blob"]}]}, "no such model 'blob'; did you mean 'blobs'?"),
        ({"theory": True}, "there is no theory of models"),
        ({"sources": {}}, "unknown key 'sources'"),
        ({"metrics": ["accurcy"]}, "unknown measure 'accurcy'; did you mean 'accuracy'?"),
        ({"tables": [{"rows": "recipe", "columns": "modle", "value": "accuracy"}]}, "no such column 'modle'"),
        ({"tables": [{"kind": "sites", "rows": ["scheme"]}]}, "'site' or 'layer'"),
    ],
)
def test_what_is_refused(work, blobs, changes, words):
    ran = work.run(blobs(**changes))
    assert ran.code == 2
    assert words in ran.err
    assert not (work.folder / "results").exists()


def test_sections_that_are_missing(work, blobs):
    assert "the key 'recipes' is missing" in work.run(blobs(drop=["recipes"])).err
    assert "'layers' shows the weights of models" in work.run(work.write(figures=[{"kind": "layers"}])).err


def test_treatments():
    assert str(Treatment.parse("head = int8@row; * = int4@32 | static(int8), trained(12)")).endswith(
        "static(int8), trained(12)"
    )
    for text in ("int8@row, trained()", "int8@row, trained(-1)", "int8@row, trained(1.5)"):
        with pytest.raises(ValueError, match="whole number"):
            Treatment.parse(text)


def test_the_interval_is_that_of_paired_examples():
    draw = np.random.default_rng(1)
    base = draw.random(4000) < 0.9
    scores = np.where(draw.random(4000) < 0.05, ~base, base)  # one in twenty changes
    low, high = interval("accuracy", {"correct": scores}, {"correct": base})
    change = 100 * (scores.mean() - base.mean())
    expected = 2 * 1.96 * 100 * np.std(scores.astype(float) - base) / np.sqrt(4000)
    assert low < change < high
    assert 0.9 < (high - low) / expected < 1.1  # 1,000 resamples know the ends to about 5 %
    assert interval("accuracy", {"correct": base}, {"correct": base}) == (0, 0)
