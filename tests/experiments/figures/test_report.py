"""The report of a sweep: its structure, and that it is written only when something has changed."""

import json
import re
from html.parser import HTMLParser

import pandas as pd
import pytest

FIGURES = [{"kind": "error_vs_bits", "y": "r"}]


class Page(HTMLParser):
    """The elements of a page, and those that are open at its end."""

    EMPTY = ("meta", "input", "br")

    def __init__(self, text):
        super().__init__()
        self.found, self.open = [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.found.append((tag, dict(attributes)))
        self.open += [tag] * (tag not in self.EMPTY)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


@pytest.fixture
def report(work):
    tables = [{"rows": "scheme", "columns": "source", "value": "r"}]
    config = work.write(description="a <b> & c", figures=[FIGURES[0]], tables=tables)
    assert work.run(config).code == 0
    return SimpleReport(work, config, work.results / "report.html")


class SimpleReport:
    def __init__(self, work, config, path):
        self.work, self.config, self.path = work, config, path
        self.text = path.read_text(encoding="utf-8")
        self.page = Page(self.text)


def test_one_offline_file_with_all_parts(report):
    page = report.page
    assert page.open == []  # every element is closed
    assert "a &lt;b&gt; &amp; c" in report.text
    ids = [attributes["id"] for _, attributes in page.found if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert {"summary", "figures", "tables", "configuration", "provenance", "table-table"} <= set(ids)
    sources = [
        value for _, attributes in page.found for key, value in attributes.items() if key in ("src", "href", "xlink:href")
    ]
    assert all(value.startswith("#") for value in sources)  # no request to anywhere
    assert not {tag for tag, _ in page.found} & {"link", "img", "iframe", "object"}
    targets = {value[1:] for value in sources if not value.startswith("#rows=")}
    assert targets <= set(ids)


def test_the_points_of_a_figure_tell_their_scheme(report):
    frame = pd.read_csv(report.work.results / "table.csv")
    titles = re.findall(r"<title>([^<]*)</title>", report.text)[1:]  # the first is that of the page
    assert len(titles) == len(frame[["source", "scheme"]].drop_duplicates())
    assert {title.split("\n")[0] for title in titles} == set(frame["scheme"])
    links = {attributes["href"][6:] for tag, attributes in report.page.found if tag == "a" and "#rows=" in attributes["href"]}
    assert links == set(frame["scheme"])


def test_the_rows_are_those_of_the_table(report):
    data = [json.loads(text) for text in re.findall(r'<script type="application/json">(.*?)</script>', report.text)]
    frame = pd.read_csv(report.work.results / "table.csv")
    rows = pd.DataFrame(data[-1]["rows"], columns=data[-1]["columns"])
    assert list(rows["scheme"]) == list(frame["scheme"])
    # six digits are shown
    pd.testing.assert_series_equal(rows["r"].astype(float), frame["r"], rtol=1e-5)
    assert data[-1]["numeric"][data[-1]["columns"].index("r")]


def test_only_what_has_changed_is_written(report):
    before = report.path.stat().st_mtime_ns
    assert report.work.run(report.config).code == 0
    assert report.path.stat().st_mtime_ns == before
    report.path.unlink()
    assert report.work.run(report.config).code == 0
    assert report.path.read_text(encoding="utf-8") == report.text
    report.work.run(report.config, "description=other")
    assert "other" in report.path.read_text(encoding="utf-8")


def test_failed_rows_come_first(work):
    config = work.write(schemes=["int4@32", "int4@7x3x2"])
    assert work.run(config).code == 1
    text = (work.results / "report.html").read_text(encoding="utf-8")
    assert "failed: int4@7x3x2" in text
    assert text.index("failed: ") < text.index("table-best")
