"""`python -m qresearch` prints every table of the library as Markdown; `make docs` writes it to `docs/tables.md`.

python -m qresearch [presets | names | elements | statistics | roundings | rules | wrappers | metrics | sums | distributions |
    limits | designs | methods] ...
python -m qresearch quantize SOURCE TARGET RECIPE
    quantizes a checkpoint (a folder, .safetensors, its index, or .gguf) into one .safetensors file, tensor by tensor
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from typing import Any

import qresearch as qr
from qresearch.base.table import Row, Table, suggestion
from qresearch.grammar.hugging_face import HUGGING_FACE, Pair
from qresearch.interop.quantize_file import quantize_file


def _markdown(heading: str, columns: str, rows: Iterable[Iterable[object]]) -> str:
    names = columns.split(" | ")
    lines = [f"| {columns} |", "|" + " --- |" * len(names)]
    # A bar would end a cell.
    lines += ["| " + " | ".join(str(cell).replace("|", r"\|") for cell in row) + " |" for row in rows]
    return f"## {heading}\n\n" + "\n".join(lines) + "\n"


def _preset(row: Row[str]) -> list[object]:
    coder = qr.build(row.value)
    bits = f"{coder.storage_bits((4096, 4096)) / 4096**2:.4g}" if coder.packer.fixed else "by the codes"
    return [row.name, f"`{row.value}`", bits, f"NaN {coder.nan}", row.doc]


def _element(row: Row) -> list[object]:
    return [f"`{row.name}`", ", ".join(f"`{each}`" for each in row.examples[:4]), row.doc]


def _plain(row: Row) -> list[object]:
    return [f"`{row.name}`", row.doc]


def _pair(row: Row[Pair]) -> list[object]:
    activations = row.value.activations
    return [f"`{row.name}`", f"`{row.value.weights}`", f"`{activations}`" if activations else "as they are"]


def _design(row: Row[qr.Recipe]) -> list[object]:
    return [f"`{row.name}`", " or ".join(row.value.sources) or "-", ", ".join(row.value.options), row.doc]


def _method(row: Row[Any]) -> list[object]:
    return [f"`{row.value.usage(row.name)}`", row.doc, row.value.cost]


TABLES: dict[str, tuple[str, str, Table[Any], Callable[[Row[Any]], list[object]]]] = {
    "presets": ("Presets", "name | scheme | true bits, 4096 x 4096 | a NaN | what it is", qr.presets, _preset),
    "names": ("Names of compressed-tensors", "name | scheme of weights | scheme of activations", HUGGING_FACE, _pair),
    "elements": ("Elements", "name | for example | what it is", qr.elements, _element),
    "statistics": ("Statistics", "name | what it is", qr.statistics, _plain),
    "roundings": ("Roundings", "name | what it is", qr.roundings, _plain),
    "rules": ("Scale rules", "name | what it is", qr.rules, _plain),
    "wrappers": ("Wrappers", "name | for example | what it is", qr.wrappers, _element),
    "metrics": ("Metrics", "name | what it is", qr.metrics, _plain),
    "sums": ("Sums that metrics need", "name | what is summed over the elements", qr.sums, _plain),
    "distributions": ("Distributions", "name | what it is", qr.distributions, _plain),
    "limits": ("Limits", "name | what it is", qr.theory.LIMITS, _plain),
    "designs": ("Codebook designs", "name | for | options | what it is", qr.designs, _design),
    "methods": (
        "Methods of models",
        "with defaults | what it does | cost, m x n, T tokens",
        qr.model.methods,
        _method,
    ),
}


def _quantize(arguments: list[str]) -> int:
    """Returns the exit status: 1 for a file or a recipe that is refused, 2 for a wrong number of arguments."""
    if len(arguments) != 3:
        usage = "python -m qresearch quantize SOURCE TARGET RECIPE, such as: folder w4.safetensors 'head* = none; * = int4@32'"
        print(f"usage: {usage}", file=sys.stderr)
        return 2
    try:
        print(quantize_file(*arguments))
    except (OSError, ValueError, ImportError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def main(names: list[str]) -> int:
    """Prints the named tables, or all tables, or quantizes a file. Returns the exit status: 2 for an unknown name."""
    if {"-h", "--help"} & set(names):
        print(__doc__)
        return 0
    if names[:1] == ["quantize"]:
        return _quantize(names[1:])
    for name in names:
        if name not in TABLES:
            print(f"no table {name!r}{suggestion(name, TABLES) or '.'} Tables: {', '.join(TABLES)}", file=sys.stderr)
            return 2
    pages = []
    for heading, columns, table, cells in (TABLES[name] for name in names or TABLES):
        pages.append(_markdown(heading, columns, [cells(row) for row in table.rows]))
    print("# The tables of qresearch\n\nMade by `make docs`, from the tables themselves.\n")
    print("\n".join(pages))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
