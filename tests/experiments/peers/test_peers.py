"""The frame of the comparison with peers: rows, inputs, what is missing, what is not explained."""

import json
import sys
import types

import numpy as np
import pytest

import qresearch as qr
from experiments import peers
from experiments.peers import __main__ as frame
from experiments.peers import inputs, integers, layer, layers, linear
from experiments.peers.row import Row, counted

GOOD = {"format": "int8", "peer": "numpy", "what": "codes", "compared": 3, "equal": 3, "differing": 0, "why": ""}


@pytest.fixture
def comparison(monkeypatch):
    """Registers `compare` as the only module of the package."""

    def put(compare):
        module = types.ModuleType("experiments.peers.mine")
        module.compare = compare
        monkeypatch.setitem(sys.modules, "experiments.peers.mine", module)
        monkeypatch.setattr(frame, "modules", lambda only="*": ["mine"])

    return put


def test_modules_are_found_by_what_they_define():
    found = frame.modules()
    assert "linear" in found
    assert not {"row", "inputs", "integers", "__main__"} & set(found)
    assert frame.modules("lin*") == ["linear"]
    assert peers.__path__


def test_counts_are_of_bits():
    nan, other = np.array([0x7FC00000, 0x7FC00001], np.uint32).view(np.float32)
    a, b = np.array([1, 0.0, nan, 2], np.float32), np.array([1, -0.0, other, np.nextafter(np.float32(2), np.float32(3))])
    assert counted(a, b) == {"compared": 4, "equal": 2, "differing": 2}
    assert counted(np.array([200], np.uint8), np.array([200], np.int32))["equal"] == 1
    assert counted(np.array([200], np.uint8), np.array([-56], np.int8))["differing"] == 1
    with pytest.raises(ValueError, match="shape"):
        counted(np.zeros(2), np.zeros(3))


def test_a_row_that_does_not_add_up_is_refused():
    with pytest.raises(ValueError, match="1 equal and 1 differing of 3"):
        Row("int8", "numpy", "codes", 3, 1, 1)
    assert Row(**GOOD).version == np.__version__


def test_thresholds_hold_ties_and_their_neighbours():
    x = inputs.thresholds([0.0, 1.0, 3.0])
    assert {0.5, 2.0, 3.0} <= set(x.tolist())
    assert np.nextafter(np.float32(2), np.float32(3)) in x
    assert np.nextafter(np.float32(2), np.float32(1)) in x
    assert np.signbit(x[x == 0]).any()


def test_inputs_are_the_same_each_time():
    np.testing.assert_array_equal(inputs.normal(100), inputs.normal(100))
    np.testing.assert_array_equal(inputs.heavy(100), inputs.heavy(100))
    assert inputs.matrix(inputs.normal(100), 32).shape == (4, 32)


def test_all_explained_is_success(comparison, tmp_path, capsys):
    comparison(lambda: [GOOD, GOOD | {"equal": 2, "differing": 1, "why": "theirs is wrong"}])
    assert frame.main(["--out", str(tmp_path)]) == 0
    assert "theirs is wrong" in capsys.readouterr().out
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    assert (manifest["compared"], manifest["differing"], manifest["peers"]) == (6, 1, {"numpy": np.__version__})
    assert (tmp_path / "table.csv").read_text().count("\n") == 3
    assert "theirs is wrong" in (tmp_path / "table.md").read_text()
    assert (tmp_path / "table.tex").exists()


def test_a_difference_without_a_reason_is_failure(comparison, tmp_path, capsys):
    comparison(lambda: [GOOD | {"equal": 2, "differing": 1}])
    assert frame.main(["--out", str(tmp_path)]) == 1
    assert "not explained: int8, numpy, codes: 1 differ" in capsys.readouterr().err


def test_a_missing_package_is_a_row_and_no_failure(comparison, tmp_path, capsys):
    def compare():
        import no_such_peer  # noqa: F401

    comparison(compare)
    assert frame.main(["--out", str(tmp_path)]) == 0
    assert "No module named 'no_such_peer'" in (tmp_path / "table.csv").read_text()


def test_a_comparison_that_raises_is_a_row_and_failure(comparison, tmp_path, capsys):
    comparison(lambda: [][0])
    assert frame.main(["--out", str(tmp_path)]) == 1
    assert "IndexError" in capsys.readouterr().err


def test_without_any_peer_integers_are_rows_that_say_so(monkeypatch):
    monkeypatch.setattr(inputs, "every", lambda levels=None: {"normal": inputs.normal(64)})
    for name in ("torch", "torchao", "compressed_tensors", "optimum"):
        monkeypatch.setitem(sys.modules, name, None)
    rows = linear.compare()
    assert [row["peer"] for row in rows] == ["torch", "torchao", "compressed-tensors", "optimum-quanto"]
    assert all(row["compared"] == 0 and "not compared" in row["why"] for row in rows)


def test_reasons_hold_only_where_they_are_true():
    """The reason for other codes is given where the peer divides, and not where it is simply wrong."""
    x = inputs.matrix(inputs.normal(4096), 32)
    q = qr.quantize(x, "int4@row")
    scale = np.asarray(q.scales)
    b = integers.Blocks(
        "int4@32", x, np.asarray(q.codes, np.int32), np.asarray(q.dequantize()), scale, np.zeros_like(scale), -7, 7
    )
    right = np.clip(np.rint(x / scale), -7, 7).astype(np.int32)
    wrong = np.clip(np.floor(x / scale), -7, 7).astype(np.int32)
    assert integers.divided_codes(b, right)
    assert not integers.divided_codes(b, wrong)


def test_our_layer_beside_peers_is_what_the_model_computes():
    (x, weight), recipe = layer.sources()["outliers"], layer.SPLIT
    ours, frozen = layer.ours_of(x, weight, recipe)
    assert (ours.kept != 0).any(0).nonzero()[0].tolist() == [5, 77]
    np.testing.assert_allclose(ours.y, ours.exact[0], atol=(layer.IN + 4) * 2.0**-24 * ours.exact[1].max())
    assert ours.within(layer.IN + 4, 2.0**-24)  # a rounding for each product, and those of the scales
    assert not ours._replace(y=ours.y + np.float32(0.01)).within(layer.IN + 4, 2.0**-24)
    np.testing.assert_array_equal(frozen.integer()(x), ours.y)


def test_a_reason_that_does_not_hold_is_dropped():
    row = layers._row("codes", np.array([1, 2]), np.array([1, 3]), "a reason", holds=False)
    assert Row(**row | {"peer": "numpy"}).unexplained
    x = np.array([[1.0, 0.5, 0.24]], np.float32)
    codes = np.rint(x * 127)
    assert layers._reciprocal(x, x, codes, codes)[1]
    assert not layers._reciprocal(x, x, codes, codes + 1)[1]
