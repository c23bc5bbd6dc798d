"""Pictures for a notebook."""

import subprocess
import sys

import jax
import matplotlib as mpl
import numpy as np
import pytest

import qresearch as qr

mpl.use("agg")


@pytest.fixture(autouse=True)
def _restored():
    from matplotlib import pyplot

    with mpl.rc_context():
        yield
    pyplot.close("all")


def test_levels_are_those_of_the_scheme():
    axes = qr.plot.levels(["int4", "nf4@64"])
    for lines, scheme in zip(axes.collections, ["int4", "nf4"]):
        drawn = [segment[0, 0] for segment in lines.get_segments()]
        expected = np.asarray(qr.levels(scheme), np.float64)
        np.testing.assert_allclose(drawn, np.unique(expected) / np.abs(expected).max())
    assert [text.get_text() for text in axes.get_yticklabels()] == ["int4", "nf4@64"]
    with pytest.raises(ValueError, match="vq8x2"):
        qr.plot.levels("vq8x2@64")


def test_the_error_of_a_ramp():
    given = mpl.figure.Figure().subplots()
    axes = qr.plot.error("int4", given, span=7.0)
    assert axes is given
    x, error = axes.lines[0].get_data()
    np.testing.assert_allclose(error, np.round(x) - x, atol=1e-6)  # the scale is 1


def test_weights_are_counted():
    x = jax.random.normal(jax.random.key(0), (64, 64))
    axes = qr.plot.weights(x, ["int4@32"])
    assert sum(patch.get_height() for patch in axes.containers[0]) == x.size
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["x", "int4@32"]
    with pytest.raises(ValueError, match="no finite element"):
        qr.plot.weights(np.full(3, np.nan, np.float32))


def test_the_style_is_one_call():
    qr.plot.style(font_size=8)
    assert mpl.rcParams["font.size"] == 8
    assert mpl.rcParams["axes.prop_cycle"].by_key()["color"][0] == "#0072B2"
    with pytest.raises(KeyError):
        qr.plot.style(fontsize=8)


WITHOUT = "import sys; sys.modules['matplotlib'] = None; import qresearch as qr; {}"


@pytest.mark.parametrize("call", ["qr.plot.levels('int4')", "qr.plot.style()"])
def test_without_matplotlib_the_line_that_installs_it(call):
    done = subprocess.run([sys.executable, "-c", WITHOUT.format(call)], capture_output=True, text=True)
    assert done.stderr.strip().endswith('ModuleNotFoundError: pictures need Matplotlib: pip install "qresearch[plot]"')
