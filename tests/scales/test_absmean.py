"""The mean magnitude as a scale: BitNet's formula, and the least squared error of signs."""

import numpy as np
import pytest

import qresearch as qr
from qresearch import testing


def test_bitnet_by_its_formula():
    # arXiv 2402.17764: RoundClip(W / (gamma + eps), -1, 1), gamma the mean of abs(W).
    w = np.random.default_rng(0).standard_normal((64, 96)).astype(np.float32)
    q = qr.quantize(w, "bitnet")
    gamma = np.mean(np.abs(w.astype(np.float64)))
    wanted = np.clip(np.rint(w / gamma), -1, 1)
    assert np.mean(np.asarray(q.codes) == wanted) > 0.9999
    np.testing.assert_allclose(q.scales, gamma, rtol=1e-6)
    assert set(np.unique(q.codes)) == {-1, 0, 1}


def test_the_scale_of_signs_is_of_least_squares():
    w = np.random.default_rng(1).laplace(size=(4, 64)).astype(np.float32)
    scale = np.asarray(qr.quantize(w, "codebook(-1,1)-absmean@64").scales, np.float64).ravel()
    sign = np.sign(w.astype(np.float64))
    np.testing.assert_allclose(scale, (w * sign).sum(1) / (sign**2).sum(1), rtol=1e-6)


def test_weights_and_large_numbers():
    w = np.float32([[1, -3, 5, 7]])
    fitted = qr.fit(w, "int2-absmean@row", weights=np.float32([[1, 1, 0, 2]]))
    assert np.asarray(fitted.scales).item() == (1 + 3 + 2 * 7) / 4
    assert np.asarray(qr.fit(np.full((1, 64), 3e38, np.float32), "int2-absmean").scales).item() == pytest.approx(3e38)


@pytest.mark.parametrize("text", ["int2-absmean(0)", "int2-asym-absmean"])
def test_what_is_refused(text):
    with pytest.raises(ValueError, match=r"absmean"):
        qr.build(text)


@pytest.mark.parametrize("element", ["int2", "codebook(-1,0,1)"])
def test_twn_by_its_formulas(element):
    # arXiv 1605.04711: threshold 0.7 mean(abs(w)), scale mean(abs(w)) above it.
    w = np.random.default_rng(0).standard_normal((6, 64)).astype(np.float32)
    q = qr.quantize(w, f"{element}-twn-exact@64")
    size = np.abs(w.astype(np.float64))
    above = size > 0.7 * size.mean(1, keepdims=True)
    scale = (size * above).sum(1) / above.sum(1)
    np.testing.assert_allclose(np.asarray(q.scales).ravel(), scale, rtol=3e-7)
    np.testing.assert_allclose(q.dequantize(), np.sign(w) * above * scale[:, None], rtol=3e-7)


@pytest.mark.slow
@pytest.mark.parametrize("text", ["int2-twn-exact", "codebook(-1,0,1)-twn(0.8)-exact@64:bf16", "int2-twn-exact@16:int8@8"])
def test_the_laws_hold_for_twn(text):
    testing.check(text)


@pytest.mark.parametrize(
    ("text", "words"),
    [("int2-twn", "write 'int2-twn-exact'"), ("int4-twn-exact", "the levels -1, 0 and 1"), ("int2-twn(0)-exact", "twn")],
)
def test_what_twn_refuses(text, words):
    with pytest.raises(ValueError, match=words):
        qr.build(text)
