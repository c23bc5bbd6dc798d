"""Imports go down the layers, never up. The tuples below are the plan of the house."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

LAYERS = {
    "qresearch": (
        *("base", "arithmetic", "floats", "densities", "element.levels", "element", "scales", "coders", "wrapping", "grammar"),
        *("measuring", "designing", "theory", "api", "solving", "models", "plot", "interop", "testing", "run", "", "__main__"),
    ),
    "experiments": (
        *("base", "tasks", "config", "rows", "running", "store", "showing", "figures", "report", "loop", "alone", "sweep"),
        *("status", "compare", "check", "merge"),
        *("gallery", "catalogue", "peers", "bench", "proofs", ""),
    ),
}
"""Package -> its folders and top modules, the lowest first; "" is its own `__init__`. `experiments` lies above `qresearch`."""

PACKAGES = tuple(LAYERS)
FILES = [file for package in LAYERS for file in sorted((ROOT / package).rglob("*.py")) if "configs" not in file.parts]


def place(module: str) -> tuple[int, int]:
    """How high a module stands: its package, and its layer there. A name that no layer holds is one of the package itself."""
    package, _, rest = module.partition(".")
    layers = LAYERS[package]
    found = [layer for layer in layers if layer and f"{rest}.".startswith(f"{layer}.")]
    return PACKAGES.index(package), layers.index(max(found, key=len, default=""))


def imported(text: str) -> Iterator[str]:
    """Every name of ours that a source file imports, inside functions and under TYPE_CHECKING too."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, "relative imports are not used here"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        yield from (name for name in names if name.split(".")[0] in PACKAGES)


def upward(module: str, text: str) -> list[str]:
    """The imports of a module that go up."""
    return [name for name in imported(text) if place(name) > place(module)]


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_no_import_goes_up(file):
    module = ".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
    assert upward(module, file.read_text(encoding="utf-8")) == []


def test_every_folder_has_a_layer():
    for package, layers in LAYERS.items():
        inside = {path.stem for path in (ROOT / package).iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()}
        assert inside - {"__init__"} == {layer.split(".")[0] for layer in layers} - {""}


@pytest.mark.parametrize(
    ("module", "text"),
    [
        ("qresearch.scales.block", "from qresearch.coders.coder import Coder"),
        ("qresearch.scales.block", "import qresearch.coders"),
        ("qresearch.scales.block", "from qresearch import coders"),
        ("qresearch.scales.block", "import qresearch as qr"),
        ("qresearch.scales.block", "def f():\n    from qresearch.coders import coder"),
        ("qresearch.scales.block", "if TYPE_CHECKING:\n    from qresearch.coders.coder import Coder"),
        ("qresearch.element.levels.files", "from qresearch.element.table import book_row"),
        ("qresearch.testing", "from experiments.sweep import run"),
        ("experiments.rows.plan", "from experiments import sweep"),
    ],
)
def test_an_import_that_goes_up_is_found(module, text):
    assert len(upward(module, text)) == 1


def test_an_import_that_goes_down_is_none():
    assert upward("experiments.rows.plan", "import qresearch as qr\nfrom experiments.config import load\nimport json") == []
