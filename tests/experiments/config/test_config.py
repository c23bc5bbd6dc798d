"""Configurations: every error at once, each at its place, with what is allowed."""

import numpy as np
import pytest

from experiments.config import ConfigError, dump, load
from experiments.config.schemes import family_of
from experiments.rows.plan import make_plan

BAD = """\
name: bad
sees: 3
seeds: three
sources:
  normal: {distribution: nromal, shape: [10]}
  t: {distribution: student_t, dff: 3, shape: [10.5]}
  w: {file: nothing.npy}
  m: {file: here.npz, tensors: [a, "b*"]}
  u: {distributin: uniform}
schemes:
  - nv4
  - scheme: int{bits}@{blok}
    bits: [2, 99]
    block: [2]
  - {scheme: "int{bits}", bits: [4, 99]}
  - {scheme: int4, source: [t]}
metrics: [rmse, foo]
tables:
  - {value: rms}
  - {kind: paired, baseline: int4@@, value: rmse}
figures:
  - {kind: heat}
  - {kind: heatmap, valeu: r}
  - kind: error_vs_bits
    y: xyz
"""

PROBLEMS = [
    ("2:1: sees", "unknown key 'sees'; did you mean 'seeds'?"),
    ("3:1: seeds", "got 'three'; allowed: how many seeds, from 1 to 100,000, or a list"),
    ("5:12: sources.normal.distribution", "unknown distribution 'nromal'; did you mean 'normal'?"),
    ("6:3: sources.t", "student_t needs the parameter 'df'"),
    ("6:32: sources.t.dff", "unknown parameter of student_t; did you mean 'df'?"),
    ("6:48: sources.t.shape.0", "got 10.5"),
    ("7:7: sources.w.file", "no such file: 'nothing.npy'"),
    ("8:36: sources.m.tensors.1", "'b*' matches no floating-point tensor"),
    ("9:3: sources.u", "did you mean 'distribution'?"),
    ("11:5: schemes.0", "unknown element 'nv4'; did you mean 'nf4'?"),
    ("12:5: schemes.1.scheme", "{blok} in 'int{bits}@{blok}' is not an axis; did you mean 'block'?"),
    ("14:5: schemes.1.block", "did you mean 'blok'?"),
    ("15:6: schemes.2.scheme", "with bits=99: "),
    ("16:20: schemes.3.source", "did you mean 'sources'?"),
    ("17:17: metrics.1", "unknown metric 'foo'; allowed: mse, rmse"),
    ("19:6: tables.0.value", "unknown metric 'rms'; did you mean 'rmse'?"),
    ("20:20: tables.1.baseline", "nothing follows '@'"),
    ("22:6: figures.0.kind", "unknown kind 'heat'; did you mean 'heatmap'?"),
    ("23:21: figures.1.valeu", "unknown key 'valeu'; did you mean 'value'?"),
    ("25:5: figures.2.y", "unknown metric 'xyz'; allowed: "),
]


def problems(path, *overrides):
    with pytest.raises(ConfigError) as caught:
        load(path, overrides)
    return str(caught.value).splitlines()


def test_every_error_at_once_with_its_place(work):
    np.savez(work.folder / "here.npz", a=np.ones(3, np.float32))
    path = work.folder / "bad.yaml"
    path.write_text(BAD)
    lines = problems("bad.yaml")
    assert len(lines) == len(PROBLEMS), "\n".join(lines)
    for line, (place, words) in zip(lines, PROBLEMS, strict=True):
        assert line.startswith(f"bad.yaml:{place}: "), line
        assert words in line


def test_a_bad_configuration_writes_nothing_and_ends_with_2(work):
    (work.folder / "bad.yaml").write_text(BAD)
    result = work.run("bad.yaml")
    assert result.code == 2
    assert "did you mean" in result.err
    assert "Traceback" not in result.err
    assert not (work.folder / "results").exists()


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"figures": [{"kind": "heatmap", "value": "mse"}]}, "figures.0.value: no such column 'mse'"),
        ({"figures": [{"kind": "error_vs_bits", "where": {"blok": [1]}}]}, "no such column 'blok'; did you mean 'block'?"),
        ({"tables": [{"value": "r", "rows": ["bit"]}]}, "tables.0.rows.0: no such column 'bit'; did you mean 'bits'?"),
        ({"tables": [{"value": "r", "name": "a"}, {"value": "r", "name": "a"}]}, "tables.1.name: 'a' is already the name of 0"),
        (
            {"tables": [{"value": "r"}, {"value": "r", "columns": "seed"}]},
            "tables.1: its files r_by_scheme.* are those of 0 too",
        ),
        ({"tables": [{"value": "r", "name": "theory"}]}, "tables.0: theory.* holds what contradicts theory"),
        ({"schemes": [{"scheme": "int{r}", "r": [4]}]}, "schemes.0.r: an axis cannot be called 'r'"),
        ({"schemes": [{"scheme": "int{limit_r}", "limit_r": [4]}]}, "schemes.0.limit_r: an axis cannot be called 'limit_r'"),
        ({"schemes": [{"scheme": "int4@{seed}", "seed": [32]}]}, "an axis cannot be called 'seed'"),
        ({"schemes": [{"scheme": "int4", "sources": ["nrmal"]}]}, "no such source 'nrmal'; did you mean 'normal'?"),
        ({"schemes": []}, "schemes: "),
        ({"metrics": ["r", "r"]}, "metrics.1: 'r' is there twice"),
        ({"seeds": 0}, "seeds: got 0; allowed: how many seeds, from 1 to 100,000, or a list of them"),
        ({"seeds": -1}, "seeds: got -1; allowed: how many seeds"),
        ({"seeds": 10**12, "schemes": "int4"}, "seeds: got 1000000000000; allowed: how many seeds"),
        ({"schemes": [{"schme": "int4"}]}, "schemes.0: the key 'scheme' is needed; was it misspelled as 'schme'?"),
        ({"seeds": [1, 1]}, "seeds.1: 1 is there twice"),
        ({"name": "../up"}, "name: got '../up'; allowed: at most 100 letters, digits"),
        ({"codebooks": {"falling": [1, 0]}}, "codebooks.falling: levels must ascend"),
        ({"codebooks": {"nf4": [0, 1]}}, "codebooks.nf4: the element 'nf4' is already registered"),
        ({"plugins": ["none.py"]}, "plugins.0: no such file: 'none.py'"),
        ({"sources": {"x": {"values": [[1, 2], [3]]}}}, "sources.x.values: "),
        ({"sources": {"x": {"distribution": "normal", "shape": [4], "scale": -1}}}, "scale must lie between"),
        ({"sources": {"x": {"file": "x.csv"}}}, "allowed: a file that ends in .npy, .npz, .safetensors"),
    ],
)
def test_what_is_refused(work, changes, expected):
    lines = problems(work.write(**changes))
    assert any(expected in line for line in lines), lines


def test_a_plugin_that_raises_is_named(work):
    (work.folder / "plugin.py").write_text("import nothing_of_the_kind")
    (line,) = problems(work.write(plugins=["plugin.py"]))
    assert "plugins.0: 'plugin.py' failed when it was run: ModuleNotFoundError" in line


def test_no_mistake_hides_another(work):
    """Checks of a list as a whole, and of one section by another, go on where a part of it is wrong."""
    path = work.write(
        seeds=[1, 1, -3],
        codebooks={"a": [1, 0], "b": "x", "int4": [0, 1]},
        sources={
            "normal": {"distribution": "nromal", "shape": [4]},
            "t": {"distribution": "student_t", "dff": 3, "shape": [4]},
            "w": {"file": "nothing.npy", "limit": 0},
        },
        schemes=["nv4", {"scheme": "int4", "sources": ["normall"]}, {"scheme": "imt4", "sources": ["t", "t"]}],
        metrics=["mse", "mse", "foo"],
        tables=[{"rows": ["schem"], "value": "rms", "where": {"sorce": "t"}}, {"value": "mse", "name": "a"}, {"name": "a"}],
        figures=[{"kind": "error_vs_bits", "y": "mse", "lines": ["famly"]}],
        sees=3,
    )
    lines = problems(path, "sources.nrmal.shape=[4]")
    expected = [
        "command line: sources.nrmal: no such key",
        "seeds.1: 1 is there twice",
        "seeds.2: got -3",
        "codebooks.a: levels must ascend",
        "codebooks.b: got 'x'",
        "codebooks.int4: ",
        "sources.normal.distribution: unknown distribution 'nromal'",
        "sources.t.dff: unknown parameter of student_t",
        "sources.t: student_t needs the parameter 'df'",
        "sources.w.file: no such file: 'nothing.npy'",
        "sources.w.limit: got 0",
        "schemes.0: 'nv4'",
        "schemes.1.sources.0: no such source 'normall'; did you mean 'normal'?",
        "schemes.2.scheme: 'imt4'",
        "schemes.2.sources.1: 't' is there twice",
        "metrics.1: 'mse' is there twice",
        "metrics.2: unknown metric 'foo'",
        "tables.0.rows.0: no such column 'schem'; did you mean 'scheme'?",
        "tables.0.value: unknown metric 'rms'",
        "tables.0.where.sorce: no such column 'sorce'; did you mean 'source'?",
        "tables.2.name: 'a' is already the name of 1",
        "tables.2: the key 'value' is missing",
        "figures.0.lines.0: no such column 'famly'; did you mean 'family'?",
        "sees: unknown key 'sees'; did you mean 'seeds'?",
    ]
    for words in expected:
        assert sum(words in line for line in lines) == 1, (words, lines)
    assert len(lines) == len(expected), "\n".join(lines)


def test_axes_fill_the_family(work):
    template = {"scheme": "{preset}", "preset": ["mxfp4", "nvfp4"], "family": "preset {preset}"}
    config = load(work.write(schemes=[template]))
    assert [each.family for each in config.schemes[0].expand()] == ["preset mxfp4", "preset nvfp4"]
    (line,) = problems(work.write(schemes=[template | {"family": "{prset}"}]))
    assert "schemes.0.family: {prset} in '{prset}' is not an axis; did you mean 'preset'?" in line


def test_names_of_other_libraries_and_their_mistakes(work):
    config = load(work.write(schemes=[{"scheme": "{name}", "name": ["W4A16", "MXFP4"]}]))
    assert [each.text for each in config.schemes[0].expand()] == ["int4-full@128:bf16", "e2m1@32:e8m0"]
    (line,) = problems(work.write(schemes=["NVFP5"]))
    assert "is it the named scheme 'NVFP4'" in line


def test_a_plugin_that_exits_does_not_end_the_sweep(work):
    (work.folder / "plugin.py").write_text("import sys; sys.exit(0)")
    result = work.run(work.write(plugins=["plugin.py"]))
    assert result.code == 2
    assert "plugins.0: 'plugin.py' failed when it was run: SystemExit" in result.err


@pytest.mark.parametrize(
    "changes",
    [
        {"seeds": 10**9},
        {"schemes": [{"scheme": "int{a}{b}{c}{d}", **{axis: list(range(100)) for axis in "abcd"}}]},
        {"schemes": [{"scheme": "int{bits}@{block}", "bits": list(range(1, 1001)), "block": list(range(1, 1001))}]},
    ],
)
def test_a_huge_grid_is_refused_before_it_is_expanded(work, changes):
    (line,) = problems(work.write(**changes))
    assert "rows or more; at most 100,000 are allowed" in line


def test_a_file_that_is_not_there_or_not_a_mapping(work):
    assert "cannot be read" in problems("nothing.yaml")[0]
    (work.folder / "list.yaml").write_text("- 1\n")
    assert problems("list.yaml")[0].startswith("list.yaml:1:1: a mapping is needed")
    (work.folder / "empty.yaml").write_text("")
    assert problems("empty.yaml") == [f"empty.yaml:1:1: the key '{key}' is missing" for key in ("name", "sources", "schemes")]


def test_overrides_change_values(work):
    config = load(work.write(), ["seeds=[5]", "sources.normal.shape=[4, 4]", "schemes.1.bits=[8]", "metrics=[mse]"])
    assert config.seeds == (5,)
    assert config.sources["normal"].shape == (4, 4)
    assert config.metrics == ("mse",)
    assert [each.text for each in config.schemes[1].expand()] == ["int8@16", "int8"]


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("seds=5", "command line: seds: no such key 'seds'; did you mean 'seeds'?"),
        ("sources.nrmal.shape=[4]", "command line: sources.nrmal: no such key 'nrmal'; did you mean 'normal'?"),
        ("sources.normal.shap=[4]", "command line: sources.normal.shap: unknown parameter of normal; did you mean 'shape'?"),
        ("schemes.9.bits=[4]", "command line: schemes.9: no such position '9': schemes is a list of 2"),
        ("name.x=1", "no such key 'x': name is 'small', not a mapping"),
        ("seeds=[1", "command line: seeds: not YAML"),
        ("seeds=many", "command line: seeds: got 'many'"),
        ("what", "'what' is neither an option nor key=value"),
    ],
)
def test_overrides_that_lead_nowhere(work, word, expected):
    lines = problems(work.write(), word)
    assert any(expected in line for line in lines), lines


def test_the_resolved_configuration_is_the_same_experiment(work):
    path = work.write(
        codebooks={"mine_a": [-1, 0.5, 1e-5 + 1]},
        sources={"normal": {"distribution": "student_t", "df": 5, "shape": [4]}, "v": {"values": [[1, 2.5]]}},
        schemes=["mine_a@4", {"scheme": "int{bits}", "bits": [2, 3], "family": "whole", "sources": ["v"]}],
        tables=[{"value": "r"}],
        figures=[{"kind": "codebooks", "schemes": ["nf4"]}, {"kind": "error_vs_bits", "where": {"bits": 2}}],
    )
    config = load(path)
    (work.folder / "again.yaml").write_text(dump(config))
    again = load("again.yaml")
    assert again == config
    assert make_plan(again).tag == make_plan(config).tag


@pytest.mark.parametrize(
    ("text", "family"),
    [
        ("nf4@64:bf16", "nf4:bf16"),
        ("int8-asym", "int8-asym"),
        ("int4@8x8~stochastic", "int4@8x8~stochastic"),
        ("nf4@64:int8@256", "nf4:int8"),
        ("int4@64:bf16 + outliers(0.01,bf16) + hadamard(64)", "int4:bf16 + outliers(0.01,bf16) + hadamard(64)"),
        ("nf4-exact@64:(dynamic8@256 + mean)", "nf4-exact:(dynamic8 + mean)"),
    ],
)
def test_families_of_written_schemes(text, family):
    assert family_of(text) == family


def test_families_of_templates(work):
    config = load(
        work.write(schemes=[{"scheme": "int{b}-{form}@{block}:bf16", "b": [4], "form": ["asym", "offset"], "block": [8]}])
    )
    assert [each.family for each in config.schemes[0].expand()] == ["int-asym:bf16", "int-offset:bf16"]


def test_families_of_templates_with_wrappers(work):
    entry = {"scheme": "int{b}@{block} + outliers({share},{kept}) + hadamard({n})", "b": [2, 4], "block": [32], "n": [16, 64]}
    config = load(work.write(schemes=[entry | {"share": [0.01, 0.02], "kept": ["bf16", "f32"]}]))
    families = [each.family for each in config.schemes[0].expand()]
    assert len(families) == 16
    assert set(families) == {"int + outliers(bf16) + hadamard", "int + outliers(f32) + hadamard"}
