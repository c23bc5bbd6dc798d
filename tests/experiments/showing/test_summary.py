"""Means, paired differences, and how numbers are written."""

import math

import pandas as pd
import pytest

from experiments.showing.summary import mean, means, number, paired, written


def rows(*lines):
    return pd.DataFrame(lines, columns=["source", "group", "seed", "scheme", "true_bits", "rmse"])


def test_standard_errors():
    found = mean([1.0, 2.0, 3.0, 6.0])
    assert found["mean"] == 3.0
    assert found["error"] == pytest.approx(math.sqrt(14 / 3 / 4))
    assert found["count"] == 4
    assert math.isnan(mean([1.0])["error"])
    assert mean([1.0, math.inf])["mean"] == math.inf


def test_differences_are_paired_on_source_and_seed():
    # the sources differ by far more than the schemes: only pairing sees the difference
    frame = rows(
        *[("a", "a", seed, scheme, 4, 100.0 * seed + extra) for seed in range(3) for scheme, extra in (("x", 0), ("y", 1))]
    )
    found = paired(frame, "x", "rmse", ["source"]).set_index("scheme")
    assert found.loc["y", "mean"] == 1
    assert found.loc["y", "error"] == 0
    assert found.loc["y", "count"] == 3
    assert found.loc["x", "mean"] == 0


def test_a_row_without_chance_is_paired_with_every_seed_on_fixed_sources_only():
    lines = [("f", "f", 0, "x", 4, 1.0), *[("f", "f", seed, "y", 4, 2.0 + seed) for seed in range(3)]]
    fixed = paired(rows(*lines), "x", "rmse", ["source"], fixed=["f"]).set_index("scheme")
    assert fixed.loc["y", "count"] == 3
    assert fixed.loc["y", "mean"] == 2
    drawn = paired(rows(*lines), "x", "rmse", ["source"]).set_index("scheme")
    assert drawn.loc["y", "count"] == 1
    assert drawn.loc["y", "mean"] == 1


def test_a_difference_to_what_diverges_diverges():
    frame = rows(("a", "a", 0, "x", 4, math.inf), ("a", "a", 0, "y", 4, 1.0), ("a", "a", 0, "z", 4, math.inf))
    assert paired(frame, "x", "rmse", ["source"])["mean"].tolist() == [math.inf] * 3


def test_means_keep_the_order_of_the_sweep():
    frame = rows(("b", "b", 0, "x", 4, 1.0), ("a", "a", 0, "x", 4, 2.0), ("b", "b", 1, "x", 4, 3.0))
    found = means(frame, ["source"], "rmse")
    assert found["source"].tolist() == ["b", "a"]
    assert found["mean"].tolist() == [2, 2]
    assert found["count"].tolist() == [2, 1]


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ((0.0123456, 0.000123), "0.01235 ± 0.00012"),
        ((123.456, 7.0), "123.5 ± 7.0"),
        ((12345.6, 700.0), "12346 ± 700"),
        ((1.5e-7, 3e-9), "(1.500 ± 0.030)e-07"),
        ((0.0, 0.0), "0 ± 0"),
        ((0.25, math.nan), "0.25"),
        ((math.inf, math.nan, "relative"), "diverges"),
        ((math.inf, math.nan, "sqnr"), "exact"),
        ((math.nan, math.nan), "undefined"),
    ],
)
def test_numbers_for_a_reader(arguments, text):
    assert written(*arguments) == text


def test_minus_infinity_is_no_divergence_of_an_error():
    assert number(-math.inf, "sqnr") == "-inf"
