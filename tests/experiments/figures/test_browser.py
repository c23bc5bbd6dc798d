"""The report in a real browser: Chromium, driven by Playwright. Skips, with the reason, where one of them is missing."""

import shutil
import time

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]  # warnings are those of Playwright

COUNT = 5000


@pytest.fixture(scope="module")
def browser():
    """A headless Chromium: that of the system, or that of Playwright."""
    driver = pytest.importorskip("playwright.sync_api", reason="needs playwright: pip install playwright")
    system = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    with driver.sync_playwright() as playwright:
        try:
            found = playwright.chromium.launch(executable_path=system, args=["--no-sandbox"])
        except driver.Error as error:
            pytest.skip(f"no Chromium starts (apt install chromium, or playwright install chromium): {error}")
        yield found
        found.close()


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    """A report of a small sweep, whose tidy table has `COUNT` lines."""
    import contextlib

    import pandas as pd
    import yaml
    from conftest import SMALL

    from experiments import sweep
    from experiments.figures.page.report import make_report
    from experiments.store import saved_config

    folder = tmp_path_factory.mktemp("report")
    figures = [{"kind": "error_vs_bits", "y": "r"}]
    (folder / "config.yaml").write_text(yaml.safe_dump(SMALL | {"figures": figures, "tables": [{"value": "sqnr"}]}))
    with contextlib.chdir(folder):
        assert sweep.main(["config.yaml"]) == 0
        results = folder / "results" / "small"
        rows = pd.read_csv(results / "table.csv")
        many = pd.concat([rows] * (COUNT // len(rows) + 1)).head(COUNT)
        many.assign(seed=range(COUNT)).to_csv(results / "table.csv", index=False)
        return make_report(saved_config(results), results, again=True)


@pytest.fixture
def page(browser, report):
    """The report, opened; in the end there were no errors, and no request but the file itself."""
    context = browser.new_context()
    shown, wrong, asked = context.new_page(), [], []
    shown.on("pageerror", lambda error: wrong.append(str(error)))
    shown.on("console", lambda message: wrong.append(message.text) if message.type == "error" else None)
    shown.on("request", lambda request: asked.append(request.url))
    shown.goto(report.as_uri())
    yield shown
    assert wrong == []
    assert asked == [report.as_uri()]
    context.close()


def cells(page, column):
    """The shown texts of a column of the tidy table."""
    names = page.locator("section.table").last.locator("thead th").all_inner_texts()
    index = [name.strip() for name in names].index(column) + 1
    return page.locator(f"section.table >> nth=-1 >> tbody tr td:nth-child({index})").all_inner_texts()


def test_five_thousand_rows_open_in_a_second(browser, report):
    page = browser.new_page()
    started = time.monotonic()
    page.goto(report.as_uri())
    assert f"of {COUNT:,}" in page.locator("section.table").last.inner_text()
    assert time.monotonic() - started < 3  # one second on a quiet machine; tests share theirs
    page.close()


def test_the_keyboard_sorts_and_filters(page):
    section = page.locator("section.table").last
    head = section.locator("thead th", has_text="sqnr").locator("[role=button], button").first
    head.focus()
    page.keyboard.press("Enter")
    values = list(map(float, cells(page, "sqnr")))
    assert values == sorted(values)
    page.keyboard.press("Enter")
    values = list(map(float, cells(page, "sqnr")))
    assert values == sorted(values, reverse=True)
    section.locator("input").fill("nf4@32")
    assert set(cells(page, "scheme")) == {"nf4@32"}


def test_a_point_leads_to_its_rows(page):
    point = page.locator(".paper svg a").first
    scheme = point.get_attribute("href").removeprefix("#rows=")
    assert point.locator("title").text_content().startswith(scheme)
    point.focus()
    page.keyboard.press("Enter")
    from playwright.sync_api import expect

    expect(page.locator("section.table").last.locator("input")).to_have_value(scheme)
    assert set(cells(page, "scheme")) == {scheme}


@pytest.mark.parametrize(("button", "first"), [("CSV", "scheme,"), ("Markdown", "| scheme |"), ("LaTeX", "\\begin{tabular}{l")])
def test_copies_what_is_shown(page, button, first):
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    section = page.locator("section.table", has=page.locator("#table-sqnr_by_scheme"))
    section.locator("input").fill("nf4")
    section.get_by_role("button", name=button).click()
    section.get_by_text("1 lines copied").wait_for()
    text = page.evaluate("navigator.clipboard.readText()")
    assert text.startswith(first)
    assert "nf4@32" in text
    assert "int4" not in text


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing(page, scheme):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="needs axe-playwright-python")
    page.emulate_media(color_scheme=scheme)
    found = axe.Axe().run(page).response["violations"]
    assert [each for each in found if each["impact"] in ("serious", "critical")] == []


def test_a_phone_scrolls_down_only(page):
    page.set_viewport_size({"width": 390, "height": 844})
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_paper_has_every_line_of_a_table(page):
    if not hasattr(page, "pdf"):
        pytest.skip("this browser prints no PDF")
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert len(cells(page, "scheme")) == 500
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert len(cells(page, "scheme")) == 25
    assert page.pdf(format="A4").startswith(b"%PDF")
