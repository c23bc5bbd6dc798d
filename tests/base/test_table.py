"""Tables: what users register works like what the package registers, and tables print their rows."""

import re
from pathlib import Path
from xml.etree import ElementTree

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import qresearch as qr
from qresearch.base.table import Table
from qresearch.element.rounding import Rounding


def test_a_preset():
    qr.presets.add("mine", "nf4@32:bf16", doc="my own")
    assert qr.scheme("mine") == qr.scheme("nf4@32:bf16")
    assert qr.quantize(np.ones(64, np.float32), "mine").bits == 4.5
    with pytest.raises(ValueError, match="already registered"):
        qr.presets.add("mine", "nf4")
    with pytest.raises(ValueError, match="is it the named scheme 'mine'"):
        qr.scheme("mime")


def test_the_code_of_the_readme_runs(monkeypatch, tmp_path):
    """All code blocks in one session. The laws are replaced, because they have their own tests."""
    checked = []
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("qresearch.testing.check", checked.append)
    text = (Path(qr.__file__).parent.parent / "README.md").read_text(encoding="utf-8")
    session: dict[str, object] = {}
    for block in re.findall(r"```python\n(.*?)```", text, re.DOTALL):
        exec(block, session)
    assert checked == ["thirds@16:bf16"]


def test_a_preset_is_checked_when_it_is_registered():
    with pytest.raises(ValueError, match="did you mean 'int4'"):
        qr.presets.add("wrong", "imt4@32")
    with pytest.raises(ValueError, match="would hide"):
        qr.presets.add("nf4", "nf4@64")


def test_an_element():
    qr.elements.add("thirds", qr.levels_row([-1, -1 / 3, 1 / 3, 1]), doc="four equal steps")
    q = qr.quantize(jnp.array([3.0, -1.0, 0.9, -3.0]), "thirds@4~half_up:bf16")
    assert q.codes.tolist() == [3, 1, 2, 0]
    with pytest.raises(ValueError, match="ascend"):
        qr.elements.add("bad", qr.levels_row([1, 0]))


def test_a_float_format():
    qr.elements.add("fp5", qr.float_row(qr.FloatFormat(2, 2)), doc="a 5-bit float")
    assert qr.quantize(np.ones(64, np.float32), "fp5@32").bits == 6
    assert float(qr.build("fp5").element.decode(jnp.uint8(15))) == 7


def test_a_rounding_works_on_every_grid():
    qr.roundings.add("half_down", Rounding("half_down", lambda p: p.at > p.tie), doc="ties toward zero")
    x = jnp.array([0.5, -0.5, 1.5, 2.5, 7.0])
    assert qr.quantize(x, "int4~half_down").codes.tolist() == [0, 0, 1, 2, 7]
    levels = "codebook(-7,-2,-1,0,1,2,3,7)"
    assert qr.quantize(x, f"{levels}~half_down").dequantize().tolist() == [0, 0, 1, 2, 7]
    ties = jnp.array([0.25, -0.25, 2.5, -3.5, 6.0])
    assert qr.quantize(ties, "e2m1~half_down").dequantize().tolist() == [0, 0, 2, -3, 6]


def test_a_statistic():
    class Half(qr.Statistic):
        def width(self, blocks):
            return jnp.max(jnp.abs(blocks.x), blocks.layout.axes) * jnp.float32(0.5)

        def __hash__(self):
            return 1

        def __eq__(self, other):
            return isinstance(other, Half)

    qr.statistics.add("half", Half, doc="half of the largest magnitude")
    assert qr.quantize(jnp.array([7.0, 1.0]), "int4-half").codes.tolist() == [7, 2]


def test_a_metric():
    qr.metrics.add("worst_share", qr.Metric(lambda t: t["max"] / t["abs"], ("max", "abs"), "share of the worst"))
    x = jax.random.normal(jax.random.key(0), (64,))
    assert 0 < qr.compare(x, ["int4"], ["worst_share"]).iloc[0]["worst_share"] < 1


def _fourth(t):
    return t["fourth"] * t["count"] / t["error2"] ** 2


@pytest.mark.parametrize("shape", [(3, 1000), (2**17 + 64, 2)], ids=["whole", "in chunks"])
def test_a_metric_with_sums_of_its_own(shape):
    qr.sums.add("fourth", qr.Sum(lambda o: o.error**4), doc="fourth powers of the error")
    qr.sums.add("least", qr.Sum(lambda o: jnp.maximum(-o.error, 0), largest=True), doc="the largest error downwards")
    qr.metrics.add("kurtosis", qr.Metric(_fourth, ("fourth", "error2", "count"), "kurtosis of the error"))
    qr.metrics.add("down", qr.Metric(lambda t: t["least"] * 2.0 ** t["power"], ("least", "power"), "largest error downwards"))
    x = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    got = qr.compare(x, ["int4@channel0"], ["kurtosis", "down"]).iloc[0]
    error = np.asarray(qr.quantize(x, "int4@channel0").dequantize(), np.float64) - x
    assert got["kurtosis"] == pytest.approx((error**4).mean() / (error**2).mean() ** 2, rel=1e-5)  # float32 sums
    assert got["down"] == pytest.approx(-error.min(), rel=1e-6)


@pytest.mark.parametrize("term", [lambda o: o.error.sum(), lambda o: o.codes(), lambda o: 1.0])
def test_a_sum_without_a_term_for_each_element_is_refused(term):
    qr.sums.add("odd", qr.Sum(term))
    qr.metrics.add("odd_one", qr.Metric(lambda t: t["odd"], ("odd",), "odd"))
    with pytest.raises(ValueError, match="the sum 'odd' must have a float32 term for each element of x"):
        qr.compare(np.ones(4, np.float32), ["int4"], ["odd_one"])


def test_a_metric_needs_sums_that_exist():
    with pytest.raises(
        ValueError, match=r"needs the sum 'eror2', which is unknown; did you mean 'error2'\? there are: weight,"
    ):
        qr.metrics.add("m6", qr.Metric(lambda t: 0, ("eror2",), "m"))
    with pytest.raises(ValueError, match="the sum 'count' is already there"):
        qr.sums.add("count", qr.Sum(lambda o: o.x))


@pytest.mark.parametrize(
    ("table", "name", "value", "error", "words"),
    [
        (qr.elements, "int5", qr.levels_row([-1, 1]), ValueError, "'int5' is already registered"),  # int{bits} answers
        (qr.elements, "e4m3", qr.levels_row([-1, 1]), ValueError, "'e4m3' is already registered"),
        (qr.elements, "int{width}", qr.levels_row([-1, 1]), ValueError, "already registered"),  # could never answer
        (
            qr.elements,
            "bad name",
            qr.levels_row([-1, 1]),
            ValueError,
            "'bad name' cannot be written as a name of the table of elements",
        ),
        (qr.elements, "x-y", qr.levels_row([-1, 1]), ValueError, "'x-y' cannot be written"),
        (qr.elements, "q{bits}x{bits}", qr.levels_row([-1, 1]), ValueError, "cannot be written"),
        (qr.elements, 5, qr.levels_row([-1, 1]), ValueError, "5 cannot be written"),
        (qr.elements, "elt", 5, TypeError, "the element 'elt' must be a ElementRow, not 5"),
        (qr.metrics, "m5", 5, TypeError, "must be a Metric"),
        (qr.roundings, "r5", 5, TypeError, "must be a Rounding"),
        (qr.statistics, "s5", 5, TypeError, "must be a Callable"),
        (qr.presets, "p5", 5, TypeError, "must be a str"),
        (qr.presets, "", "int4", ValueError, "'' cannot be written"),
        (qr.presets, "a b", "int4", ValueError, "'a b' cannot be written"),
    ],
)
def test_what_cannot_be_registered(table, name, value, error, words):
    before = list(table)
    with pytest.raises(error, match=words):
        table.add(name, value)
    assert list(table) == before


def test_a_pattern_may_be_added_after_a_row_that_it_matches():
    table: Table[int] = Table("thing")
    table.add("a4", 1)
    table.add("a{n}", 2)
    assert (table["a4"], table["a5"], table["a04"]) == (1, 2, 1)
    assert (table.canonical("a05"), table.canonical("a00"), table.canonical("b05")) == ("a5", "a0", "b05")
    assert "a٤" not in table  # a Unicode digit, not an ASCII one


def test_a_table_prints_its_names_and_docs_in_aligned_lines():
    table: Table[int] = Table("thing")
    assert repr(table) == "Table('thing'), 0 rows"
    table.add("a", 1, doc="the first")
    assert repr(table) == "Table('thing'), 1 row\n  a  the first"
    table.add("longer{n}", 2, doc="a doc\n  on two lines")
    table.add("bare", 3)
    table.add("wordy", 4, doc="x" * 200)
    lines = repr(table).splitlines()
    assert lines[:4] == ["Table('thing'), 4 rows", "  a          the first", "  longer{n}  a doc on two lines", "  bare"]
    assert lines[4].endswith("xxx...")
    assert len(lines[4]) == 120


@pytest.mark.parametrize("table", [qr.elements, qr.presets, qr.metrics])
def test_a_printed_table_has_a_line_for_every_row(table):
    lines = repr(table).splitlines()[1:]
    assert [line.split()[0] for line in lines] == list(table)
    assert max(map(len, lines)) <= 120


def test_the_html_of_a_table_is_escaped_and_not_cut():
    table: Table[int] = Table("thing")
    table.add("a", 1, doc="less < more & 'so' " + "x" * 200)
    text = table._repr_html_()
    assert "less &lt; more &amp; &#x27;so&#x27; " + "x" * 200 in text
    assert "<td><code>a</code></td>" in text
    cells = [cell.text for row in ElementTree.fromstring(text).iter("tr") for cell in row.iter() if cell.text]
    assert cells == ["a", table.rows[0].doc]


def test_names_are_found_by_pattern_and_alias():
    table: Table[int] = Table("thing")
    table.add("a{x}b{y}", 1)
    table.add("plain", 2, aliases=["simple"])
    assert table.find("a12b3").numbers == {"x": 12, "y": 3}
    assert table["simple"] == 2
    assert "a1" not in table
    assert list(table) == ["a{x}b{y}", "plain"]
