"""Figures stay readable whatever their rows are, and every option has an effect or is refused."""

import itertools

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.text import Text

from experiments.config import ConfigError, load
from experiments.config.row_outputs import FIGURES
from experiments.figures.bits import BEATEN, FAINT
from experiments.figures.draw import KINDS
from experiments.figures.heatmap import compact
from experiments.figures.lines import ordered
from experiments.figures.style import PAGE_HEIGHT, Undrawn, distinct, save, styled


def rows(families=3, bits=(2, 4), blocks=(16, 32), sources=("normal",), name="family {}", value=None):
    """Invented rows; the error falls by half with each bit, unless it is given."""
    found = []
    for source, family, b, block in itertools.product(sources, range(families), bits, blocks):
        r = value(source, family, b, block) if value else 2.0**-b * (1 + family / 10) * block**0.1
        label = name.format(family)
        row = {"source": source, "group": source, "seed": 0, "scheme": f"s{family}-{b}@{block}", "family": label}
        found.append(row | {"bits": b, "block": block, "true_bits": b + 16 / block, "r": r, "sqnr": -20 * np.log10(abs(r))})
    return pd.DataFrame(found).astype({"bits": object, "block": object})


def options(kind, **given):
    return FIGURES[kind].model_validate({"kind": kind, **given})


def drawn(kind, frame, **given):
    chosen = options(kind, **given)
    with styled(chosen.style):
        return KINDS[type(chosen)](chosen, ordered(frame, getattr(chosen, "order", {})))


def drawn_or_refused(kind, frame):
    """The figure, or None if it is refused with words that say what to do."""
    try:
        return drawn(kind, frame)
    except Undrawn as reason:
        if not ("at most" in str(reason) and "choose fewer with `where`" in str(reason)):
            raise
        return None


@settings(max_examples=12, deadline=None)
@given(
    st.sampled_from(["error_vs_bits", "error_vs_block", "heatmap"]),
    st.integers(1, 30),
    st.integers(1, 40),
    st.integers(1, 40),
    st.integers(1, 14),
)
def test_a_figure_is_readable_or_refused(kind, families, bits, blocks, sources):
    """No larger than a page, no two lines alike, one kind of axis, a name for everything: or else words that say how."""
    frame = rows(families, range(2, 2 + bits), range(16, 16 + blocks), [f"source {i}" for i in range(sources)])
    if (figure := drawn_or_refused(kind, frame)) is None:
        assert families * bits > distinct() or bits * blocks * sources > 60
        return
    wide, high = figure.get_size_inches()
    assert wide <= 7
    assert high <= PAGE_HEIGHT + 1  # a legend
    if kind == "heatmap":
        assert all(text.get_fontsize() >= 4.5 for text in figure.findobj(Text) if text.get_text())
        return
    assert len({each.get_yscale() for each in figure.axes if each.lines}) == 1
    legend = {text.get_text() for each in figure.legends for text in each.get_texts()}
    assert len(legend - {BEATEN}) <= distinct()
    faint = any(line.get_alpha() == FAINT and len(line.get_xdata()) for each in figure.axes for line in each.lines)
    assert (BEATEN in legend) == faint or not legend


def test_lines_are_divided_over_panels_where_they_cannot_be_told_apart():
    frame = rows(4, range(2, 9))  # 28 lines of a family and some bits
    figure = drawn("error_vs_block", frame)
    assert len([each for each in figure.axes if each.lines]) == 4
    looks = {
        (line.get_color(), line.get_marker(), line.get_markerfacecolor())
        for line in figure.axes[0].lines
        if len(line.get_xdata()) > 1
    }
    assert len(looks) == 7
    with pytest.raises(
        Undrawn, match=r"28 lines cannot be told apart \(at most 16\), so 'family' divides the panels; 44 panels"
    ):
        drawn("error_vs_block", rows(4, range(2, 9), sources=[f"{i}" for i in range(11)]))
    with pytest.raises(Undrawn, match=r"20 lines cannot be told apart \(at most 16\); choose fewer with `where`"):
        drawn("error_vs_bits", rows(20))


def test_no_line_is_vertical_and_beaten_points_are_not_on_it():
    frame = rows(1, (2, 3, 4), (16, 32)).assign(true_bits=[3, 3, 4, 4.00003, 4.0, 5], r=[0.5, 0.4, 0.3, 0.2, 0.35, 0.1])
    lines = [
        line for line in drawn("error_vs_bits", frame).axes[0].lines if line.get_label() != BEATEN and line.get_alpha() is None
    ]
    line = max(lines, key=lambda each: len(each.get_xdata()))
    np.testing.assert_array_equal(line.get_xdata(), [3, 4.00003, 5])
    np.testing.assert_array_equal(line.get_ydata(), [0.4, 0.2, 0.1])


def test_panels_have_one_kind_of_axis():
    wide = {"a": lambda b: 10.0**-b, "b": lambda b: 1 + b / 100}
    figure = drawn("error_vs_bits", rows(2, (1, 2, 3), sources=("a", "b"), value=lambda s, f, b, block: wide[s](b) * (1 + f)))
    assert {each.get_yscale() for each in figure.axes} == {"log"}


def test_means_over_more_than_seeds_say_so_and_have_no_error_bars():
    frame = rows(2, (2, 3), (16, 32))
    axes = drawn("error_vs_block", frame, lines=["family"]).axes[0]
    assert axes.get_ylabel().endswith("mean over bits")
    assert not axes.collections
    assert "mean over" not in drawn("error_vs_block", frame).axes[0].get_ylabel()


@pytest.mark.parametrize("size", [6, 9, 14])
def test_no_label_is_cut_off_in_either_format(tmp_path, size):
    """The PNG of a heat map with long labels lost the beginning of one."""
    frame = rows(12, sources=("normal", "laplace", "student_t5", "outliers"), name="NVFP4 without a tensor scale {}")
    style = {"font.size": size}
    figure = drawn("heatmap", frame, x="source", y="family", panel=[], style=style)
    with styled(style):
        list(save(figure, tmp_path / "x"))
        for dpi in (200, 1000):  # the PNG, and nearly the unhinted letters of a PDF
            figure.set_dpi(dpi)
            renderer = figure._get_renderer()
            boxes = [each.get_tightbbox(renderer) for each in figure.axes]
            least = 0.03 if dpi == 200 else 0  # inches; Matplotlib leaves 0.04, of which the layout of a PDF had lost half
            assert min(min(box.x0, box.y0) for box in boxes) >= least * dpi
            assert max(box.x1 for box in boxes) <= figure.bbox.x1
            assert max(box.y1 for box in boxes) <= figure.bbox.y1


@given(st.lists(st.floats(1e-8, 1e8), min_size=1, max_size=8), st.booleans())
def test_all_numbers_of_a_heat_map_are_written_in_one_way(values, logarithmic):
    write, letters = compact(np.array(values), "r", logarithmic)
    texts = [write(value) for value in values]
    assert len({"e" in text for text in texts}) == 1
    assert len({len(text.partition("e")[0].partition(".")[2]) for text in texts}) == 1  # decimals
    assert max(map(len, texts)) == letters
    if logarithmic:
        assert [float(text) for text in texts] == pytest.approx(values, rel=0.051)


def test_the_style_of_a_figure():
    frame = rows(3)
    figure = drawn("error_vs_bits", frame, width=5.0, xlim=[1, 6], ylim=[0.01, 2], style={"font.size": 6}, panel=[])
    axes = figure.axes[0]
    assert figure.get_figwidth() == 5
    assert axes.get_xlim() == (1, 6)
    assert axes.get_ylim() == (0.01, 2)
    assert axes.xaxis.label.get_size() == 6
    names = [text.get_text() for text in drawn("error_vs_bits", frame, order={"family": ["family 2"]}).legends[0].get_texts()]
    assert names[:3] == ["family 2", "family 0", "family 1"]
    upside = drawn("heatmap", frame, panel=[], order={"bits": [4, 2], "block": [32]}, limits=[0.1, 0.2])
    assert [tick.get_text() for tick in upside.axes[0].get_yticklabels()] == ["4", "2"]
    assert [tick.get_text() for tick in upside.axes[0].get_xticklabels()] == ["32", "16"]
    assert upside.axes[0].images[0].get_clim() == (0.1, 0.2)
    with pytest.raises(Undrawn, match="`order` has 'famly', but family is one of: family 0, family 1"):
        drawn("error_vs_bits", frame, order={"family": ["famly"]})


def test_a_style_sheet_is_kept_in_the_configuration(work):
    sheet = work.folder / "mine.mplstyle"
    sheet.write_text("font.size: 7\naxes.prop_cycle: cycler('color', ['r', 'k'])\n")
    path = work.write(
        style=["ggplot", "mine.mplstyle", {"lines.linewidth": 2}], figures=[{"kind": "error_vs_bits", "width": "page"}]
    )
    config = load(path)
    assert config.style["font.size"] == 7
    assert config.style["lines.linewidth"] == 2
    assert config.figures[0].width == 7
    work.run(path)
    sheet.unlink()
    again = load(work.results / "config.yaml")
    assert again.style == config.style
    with styled(again.style):
        assert [each["color"] for each in mpl.rcParams["axes.prop_cycle"]] == ["r", "k"]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"style": {"font.sise": 7}}, "style: Matplotlib has no setting 'font.sise'; did you mean 'font.size'?"),
        ({"style": {"font.size": "huge!"}}, "style: font.size: "),
        ({"style": "mine.mplstyle"}, "style: no such style sheet: 'mine.mplstyle'"),
        ({"style": {"figure.figsize": [3, 3]}}, "figure.figsize cannot be set here: write `width` in the figure"),
        ({"style": 3}, "style: got 3; allowed: a style sheet, a mapping"),
        ({"figures": [{"kind": "heatmap", "width": "colum"}]}, "figures.0.width: got 'colum'; allowed: column, page, or"),
        ({"figures": [{"kind": "error_vs_bits", "ylim": [2, 1]}]}, "figures.0.ylim: got [2.0, 1.0]; allowed: two numbers"),
        (
            {"figures": [{"kind": "error_vs_bits", "order": {"famly": ["int"]}}]},
            "no such column 'famly'; did you mean 'family'?",
        ),
        ({"figures": [{"kind": "heatmap", "ylim": [1, 2]}]}, "figures.0.ylim: unknown key 'ylim'"),
    ],
)
def test_a_style_that_cannot_be(work, changes, expected):
    with pytest.raises(ConfigError) as caught:
        load(work.write(**changes))
    assert expected in str(caught.value)
