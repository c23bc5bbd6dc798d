"""Designs in configurations: made, registered, measured, written back; every mistake at its place."""

import numpy as np
import pytest

import qresearch as qr
from experiments.config import ConfigError, dump, load

SOURCES = {"heavy": {"distribution": "student_t", "df": 5, "shape": [64, 64]}, "few": {"values": [1, 2, 3, 10, 11, 30]}}


def test_designs_become_elements(work):
    np.save("data.npy", np.repeat(np.array([0, 1, 8], np.float32), [5, 5, 2]))
    designs = {
        "d_best": {"design": "lloyd_max", "source": "laplace", "levels": 8},
        "d_block": {"design": "bof_s", "source": "heavy", "block": 32, "scale": "bf16"},
        "d_exact": {"design": "kmeans", "source": "few", "levels": 3},
        "d_file": {"design": "kmeans", "source": {"file": "data.npy"}, "levels": 2, "weights": {"values": [0] * 5 + [1] * 7}},
        "d_coded": {"design": "entropy_constrained", "source": {"distribution": "normal"}, "levels": 9, "bits": 2},
        "d_plain": [-1, 0.25, 1],
    }
    schemes = ["d_best@row", "d_block@32:bf16", "d_exact", "d_file", "d_coded@row", "d_plain@32"]
    config = load(work.write(sources=SOURCES, codebooks=designs, schemes=schemes))
    grids = {name: qr.build(name).element.grid for name in designs}
    laplace = qr.design("lloyd_max", qr.distributions["laplace"](), 8)
    np.testing.assert_allclose(grids["d_best"].levels[:8], laplace.levels, rtol=1e-6)
    assert grids["d_exact"].levels[:3].tolist() == [2, 10.5, 30]
    assert grids["d_file"].levels[:2].tolist() == [1, 8]
    assert (np.diff(grids["d_coded"].lookup.thresholds[:4]) > 0).all()
    assert abs(grids["d_coded"].middles[0] - grids["d_coded"].levels[:2].mean()) > 1e-3  # not in the middle
    statistics = [qr.scheme(name).statistic for name in ("d_best", "d_block", "d_plain")]
    assert [str(each) for each in statistics] == ["rms(1)", "signmax", "absmax"]
    work.folder.joinpath("again.yaml").write_text(dump(config))
    assert load("again.yaml") == config


MISTAKES = {
    "a": ({"design": "loyd_max", "source": "laplace"}, "codebooks.a.design: unknown design 'loyd_max'; did you mean"),
    "b": ({"design": "lloyd_max", "source": "heavi"}, "codebooks.b.source: no source or distribution 'heavi'; did"),
    "c": (
        {"design": "lloyd_max", "source": {"distribution": "student_t", "df": 5, "scal": 1}},
        "codebooks.c.source.scal: unknown parameter of student_t; did you mean 'scale'?",
    ),
    "d": ({"design": "lloyd_max", "source": {"distribution": "student_t", "df": 2}}, "codebooks.d: student_t(df=2) has"),
    "e": ({"design": "bof", "source": "normal", "blok": 64}, "codebooks.e.blok: bof has no such option; did you mean 'block'?"),
    "f": ({"desing": "bof", "source": "normal"}, "codebooks.f: the key 'design' is needed; was it misspelled as 'desing'?"),
    "g": ({"design": "kmeans", "source": "normal"}, "codebooks.g: kmeans is not designed for a distribution"),
    "h": ({"design": "lloyd_max", "source": {"file": "no.npy"}}, "codebooks.h.source.file: no such file: 'no.npy'"),
    "i": ({"design": "nf", "levels": "16"}, "codebooks.i.levels: got '16'"),
    "j": ({"design": "lloyd_max"}, "codebooks.j: lloyd_max needs a source (distribution or data), got none"),
    "k": ({"design": "kmeans", "source": "few", "levels": 4, "weights": {"values": [1]}}, "codebooks.k: weights must be one"),
}  # fmt: skip


def test_every_mistake_of_a_design_is_told_at_its_place(work):
    with pytest.raises(ConfigError) as caught:
        load(work.write(sources=SOURCES, codebooks={name: given for name, (given, _) in MISTAKES.items()}, schemes=["nf4@32"]))
    text = str(caught.value)
    for _, words in MISTAKES.values():
        assert words in text
    assert len(caught.value.problems) == len(MISTAKES)
    assert all(problem.place.line > 0 for problem in caught.value.problems)


def test_a_name_that_is_taken(work):
    given = {"nf4": {"design": "lloyd_max", "source": "normal"}}
    with pytest.raises(ConfigError, match=r"codebooks\.nf4: the element 'nf4' is already registered"):
        load(work.write(codebooks=given, schemes=["nf4@32"]))
