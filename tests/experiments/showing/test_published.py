"""Tables of published numbers, the figures from theory, and the page that shows them."""

import math

import numpy as np
import pandas as pd
import pytest
from conftest import ROOT
from scipy import integrate

from experiments import gallery
from experiments.config import ConfigError, load
from experiments.figures.densities import powered
from experiments.figures.maxima import MODELS, mean_maximum
from experiments.figures.scaled import exact
from experiments.rows.plan import make_plan
from qresearch import distributions

SOURCES = {"normal": {"distribution": "normal", "shape": [4096]}, "written": {"values": [1.0, 2.0, 3.0, 4.0]}}
NEAR = {
    "what": "{scheme}, R",
    "published": 0.1,
    "tolerance": 0.05,
    "ours": {"measured": "r", "scheme": "nf4@64", "source": "normal"},
}
FAR = NEAR | {"published": 0.5, "what": "far"}


def sweep(**changes):
    return {"sources": SOURCES, "schemes": ["nf4@64", "int4@64"], "metrics": ["r"], **changes}


def published(*entries, **options):
    return {"kind": "published", "name": "print", "cited": "a book", "entries": list(entries), **options}


def test_numbers_in_print_beside_ours(work):
    levels = {"what": "level {number}", "published": [-1, 0, 1], "tolerance": 1e-9, "ours": {"levels": "codebook(-1,0,1)"}}
    bits = {"what": "bits, {storage}", "published": [0.5, 0.25], "relative": 1e-9}
    bits["ours"] = {"storage": ["nf4@64", "nf4@64:bf16"], "shape": [1024], "less": 4}
    ratio = {"what": "over", "published": 1, "tolerance": 1e-9}
    ratio["ours"] = {"measured": "r", "scheme": "int4@64", "over": "int4@64", "source": "normal"}
    missing = NEAR | {"ours": {"measured": "r", "scheme": "nf4@32", "source": "normal"}, "what": "missing"}
    exact = NEAR | {"ours": {"expected": "r", "scheme": "nf4@64", "source": "normal"}, "what": "exact", "tolerance": 0.01}
    exact["published"] = 0.09198
    shannon = {"what": "{limit}, {source}", "published": 0.0625, "tolerance": 1e-9}
    shannon["ours"] = {"limit": "shannon_lower_bound", "source": "normal", "bits": 2}
    step = {
        "what": "step",
        "published": [0.9957, 0.5860],
        "tolerance": 1e-4,
        "ours": {"uniform": [4, 8], "source": "normal", "of": "step"},
    }
    table = published(NEAR, FAR, FAR | {"explanation": "because"}, levels, bits, ratio, missing, exact, shannon, step)
    result = work.run(work.write(**sweep(tables=[table], seeds=3)))
    assert result.code == 0, result.err
    frame = pd.read_csv(work.results / "tables" / "print.csv")
    assert list(frame["what"]) == [
        "nf4@64, R", "far", "far", "level 1", "level 2", "level 3", "bits, nf4@64", "bits, nf4@64:bf16", "over", "missing",
        "exact", "shannon_lower_bound, normal", "step", "step",
    ]  # fmt: skip
    assert list(frame["verdict"]) == ["within", "OUTSIDE", "explained", *["within"] * 6, "NOT MEASURED", *["within"] * 4]
    rows = pd.read_csv(work.results / "table.csv")
    ours = rows[(rows["scheme"] == "nf4@64") & (rows["source"] == "normal")]["r"].mean()
    assert float(frame["ours"][0].split()[0]) == pytest.approx(ours, rel=1e-2)  # it is written with the digits of its error
    assert "±" in frame["ours"][0]
    assert float(frame["difference"][0]) == pytest.approx(ours - 0.1, rel=0.06)
    assert load(work.results / "config.yaml", files=False).tables[0].entries[4].ours == bits["ours"]


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        (NEAR | {"tolerance": None}, "tables.0.entries.0: got neither; give 'tolerance' (absolute) or 'relative'"),
        (NEAR | {"published": [1, 2]}, "entries.0.published: 2 published numbers, but 'ours' has 1"),
        (NEAR | {"ours": {"mesured": "r"}}, "ours: got {'mesured': 'r'}; our number is a mapping with one of the keys"),
        (NEAR | {"ours": NEAR["ours"] | {"source": "nrmal"}}, "no such source 'nrmal'; did you mean 'normal'?"),
        (NEAR | {"ours": NEAR["ours"] | {"schme": "nf4"}}, "unknown key 'schme'; did you mean 'scheme'?"),
        (
            NEAR | {"ours": NEAR["ours"] | {"scheme": "nf4@64", "source": ["a"], "measured": ["r"]}},
            "one option may be a list",
        ),
        (
            NEAR | {"ours": {"limit": "shanon_lower_bound", "source": "normal", "bits": 2}},
            "did you mean 'shannon_lower_bound'?",
        ),
        (NEAR | {"what": "{block}"}, "entries.0.what: '{block}' cannot be filled"),
        (NEAR | {"toleranse": 1}, "unknown key 'toleranse'; did you mean 'tolerance'?"),
    ],
)
def test_what_an_entry_must_not_say(work, entry, expected):
    given = {key: value for key, value in entry.items() if value is not None}
    with pytest.raises(ConfigError) as caught:
        load(work.write(**sweep(tables=[published(given)])))
    assert expected in str(caught.value)


def test_theory_needs_distributions(work):
    with pytest.raises(ConfigError) as caught:
        load(work.write(**sweep(figures=[{"kind": "densities", "sources": ["written", "nrmal"]}])))
    assert "figures.0.sources.0: 'written' is not a distribution" in str(caught.value)
    assert "figures.0.sources.1: 'nrmal' is not a source; did you mean 'normal'?" in str(caught.value)


def test_a_page_shows_everything_and_tells_of_strays(work, capfd):
    figures = [
        {"kind": "densities", "sources": ["normal"], "caption": "Flatter."},
        {"kind": "block_maximum", "sources": ["normal"], "blocks": [8, 64], "samples": 4096},
        {"kind": "scaled_blocks", "sources": ["normal"], "blocks": [16], "samples": 4096},
        {"kind": "error_vs_block", "x": "bits", "y": "r_2b", "spacing": "linear"},
    ]
    schemes = ["nf4@64", {"scheme": "int{bits}@64", "bits": [2, 3]}]
    tables = [published(NEAR, FAR), {"value": "r", "name": "pivot"}]
    path = work.write(**sweep(schemes=schemes, figures=figures, tables=tables))
    code = gallery.main([str(path), "seeds=2", "--page", "results/page.md", "--tiny"])
    assert code == 1
    assert "outside its tolerance, without an explanation: print: far: 0.5 in print" in capfd.readouterr().err
    page = (work.folder / "results" / "page.md").read_text()
    assert "Of 2 published numbers: 1 within, 1 OUTSIDE." in page
    for part in ("Flatter.", "small-tiny/figures/block_maximum.png", "small-tiny/figures/densities.csv", "| far", "**pivot.**"):
        assert part in page
    for name in ("densities", "block_maximum", "scaled_blocks", "error_vs_block_r_2b"):
        assert (work.folder / "results" / "small-tiny" / "figures" / f"{name}.pdf").stat().st_size > 1000


def test_mean_maximum_is_the_integral_over_the_density():
    """E max|x| = the integral of m B H^(B - 1) h, an independent formula, by quad."""
    for source in (distributions["normal"](), distributions["laplace"](), distributions["student_t"](5)):
        for block in (8, 128):

            def integrand(m, source=source, block=block):
                inside = float(source.cdf(m) - source.cdf(-m))
                return m * block * inside ** (block - 1) * float(source.pdf(m) + source.pdf(-m))

            found, _ = integrate.quad(integrand, 0, np.inf, epsabs=1e-10, limit=400)
            assert mean_maximum(source, block) == pytest.approx(found, rel=1e-8)
            assert MODELS[source.family.name](source, 256) == pytest.approx(mean_maximum(source, 256), rel=0.04)


def test_the_density_after_scaling_is_a_density():
    """What is not the maximum has the mass 1 - 1 / B, and one of two numbers is uniform over the other where both are."""
    y = np.linspace(-1, 1, 2001)
    for source, block in ((distributions["normal"](), 16), (distributions["student_t"](5), 64)):
        assert integrate.trapezoid(exact(source, block, y), y) == pytest.approx(1 - 1 / block, rel=1e-4)  # the rule's own error
    np.testing.assert_allclose(exact(distributions["uniform"](), 2, y[1:-1]), 0.25, rtol=1e-9)


def test_levels_of_a_power_of_the_normal_density():
    """p^a of a normal is a normal whose variance is 1 / a times as large."""
    x, density, levels = powered(distributions["normal"](), 1 / 3, (np.arange(4) + 0.5) / 4)
    expected = distributions["normal"](scale=math.sqrt(3))
    np.testing.assert_allclose(levels, expected.quantile((np.arange(4) + 0.5) / 4), atol=1e-5)
    np.testing.assert_allclose(density, expected.pdf(x), atol=1e-6)


@pytest.mark.parametrize("path", sorted((ROOT / "experiments" / "configs").rglob("*.yaml")), ids=lambda path: path.stem)
def test_every_configuration_can_be_read(path, monkeypatch, tmp_path):
    """The plans are made too; weights need not be there."""
    monkeypatch.chdir(tmp_path)
    config = load(path, files=False)
    if all(hasattr(source, "shape") or hasattr(source, "values") for source in config.sources.values()):
        assert make_plan(config).rows
