"""Tables for papers: numbers as siunitx reads them, the best in bold, words left alone."""

import shutil
import subprocess
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments.showing.best import best
from experiments.showing.latex import MOST_LINES_OF_A_PAGE, escaped, latex, number_of
from experiments.showing.summary import written
from experiments.showing.tables import for_readers


@given(st.floats(-1e9, 1e9), st.floats(1e-12, 1e9))
def test_every_number_is_read_back(mean, error):
    """`written` rounds to two digits of the error (or four of the number), and siunitx gets exactly those digits."""
    for text in (written(mean, error), written(mean, float("nan"))):
        number = number_of(text)
        assert number is not None, text
        plain = text.strip("(").split(" ")[0].split("e")[0]
        power = text.split("e")[1] if "e" in text else "0"
        assert number.value == float(f"{plain}e{power}")
        assert "±" not in str(number)
        assert "+" not in str(number)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0.01235 ± 0.00012", "0.01235(12)"),
        ("123.5 ± 7.0", "123.5(70)"),
        ("12346 ± 700", "12346(700)"),
        ("(1.500 ± 0.030)e-07", "1.500(30)e-7"),
        ("-0.5 ± 0", "-0.5"),
        ("4.25", "4.25"),
    ],
)
def test_uncertainties(text, expected):
    assert str(number_of(text)) == expected


def test_a_table_for_a_paper():
    frame = pd.DataFrame(
        {
            "scheme": ["int4_table", "nf4@64", "int4"],
            "r": ["0.0123 ± 0.0012", "0.00987", "diverges"],
            "best": ["0.5 ± 0.1: int4 (4.5 bits)", "-", "50% & more"],
        }
    )
    lines = latex(frame, "R $2^b$, mean ± standard error", {(1, "r")}).split("\n")
    assert r"\caption{R $2^b$, mean $\pm$ standard error}" in lines
    assert r"\begin{tabular}{lS[table-format=1.5(2)]l}" in lines
    assert r"scheme & {r} & best \\" in lines
    assert r"int4\_table & 0.0123(12) & \num{0.5(1)}: int4 (4.5 bits) \\" in lines
    assert r"nf4@64 & \bfseries 0.00987 & - \\" in lines
    assert r"int4 & {diverges} & 50\% \& more \\" in lines
    assert "longtable" not in "".join(lines)
    assert r"\begin{longtable}" in latex(pd.concat([frame] * MOST_LINES_OF_A_PAGE))


NASTY = pd.DataFrame({"a | b": ['x < y > "z" \\ ~ ^ $ % # & _ { }', "-"], "x^2": ["1.5 ± 0.2", "(1.25 ± 0.03)e-05"]})


def test_signs_that_the_usual_font_of_latex_does_not_have():
    assert escaped("int8@row | int8 < 3") == r"int8@row \textbar{} int8 \textless{} 3"  # | would print as a dash


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="pdflatex is not installed")
def test_latex_compiles_committed_tables_and_a_nasty_one(tmp_path):
    root = Path(__file__).parents[3] / "results"
    texts = [path.read_text() for path in sorted(root.rglob("*.tex"))] + [latex(NASTY, "R $2^b$ | 50 %")]
    packages = r"\usepackage[margin=5mm,paperwidth=90cm]{geometry}\usepackage{booktabs,siunitx,longtable}\sisetup{detect-all}"
    body = "\n\\clearpage\n".join(texts)
    whole = rf"\documentclass{{article}}{packages}\begin{{document}}" + f"\n{body}\n" + r"\end{document}"
    (tmp_path / "t.tex").write_text(whole)
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "t.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, errors="replace", timeout=600)
    assert done.returncode == 0, done.stdout[-2000:]
    assert "Missing character" not in done.stdout


def test_the_best_of_each_column_and_source():
    frame = pd.DataFrame(
        {
            "source": ["a", "a", "a", "b", "b"],
            "r": ["0.1 ± 0.01", "0.2", "0.1", "0.3", "undefined"],
            "sqnr": ["20", "exact", "-", "10", "11"],
            "bias": ["1", "2", "3", "4", "5"],
        }
    )
    found = best(frame, {name: name for name in ("r", "sqnr", "bias")}, ["source"])
    assert found == {(0, "r"), (2, "r"), (1, "sqnr"), (4, "sqnr")}  # a lone number, and a metric without a better, are none
    assert best(frame, {"r": "r"}) == {(0, "r"), (2, "r")}


def test_markdown_marks_the_best_and_has_no_nan(tmp_path):
    frame = pd.DataFrame({"scheme": ["a|b", "c"], "r": ["0.1", float("nan")]})
    list(for_readers(tmp_path / "t", frame, "caption", frozenset({(0, "r")})))
    text = (tmp_path / "t.md").read_text()
    assert "**0.1**" in text
    assert "nan" not in text
    assert r"a\|b" in text
