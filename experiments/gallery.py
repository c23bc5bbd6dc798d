"""The gallery: runs sweeps one after the other, and writes one page with their figures and tables.

    python -m experiments.gallery experiments/configs/gallery/*.yaml [key=value ...] [--page results/gallery/README.md] [--tiny]

The `caption` of a figure or a table in the configuration says what to learn from it. Finished sweeps are not run again. Exit
codes: those of the sweep, and 1 if a published number lies outside its tolerance without an explanation.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pandas as pd

from experiments import sweep
from experiments.base.markdown import folded, write_page
from experiments.config import Config, load
from experiments.config.model import ModelSweep
from experiments.config.output import Output
from experiments.config.published import Published
from experiments.running.compiled import keep
from experiments.showing.published import EXPLAINED, WITHIN
from experiments.showing.tables import title
from experiments.store import saved_config

OF_ARRAYS = (
    "Made by `make figures`, which runs the configurations in `experiments/configs/gallery` and writes this page; "
    "the sweeps below took {seconds:.0f} s. R is the RMS error over the RMS of the data, b counts true bits per element, "
    "scales and offsets included; ± is one standard error."
)
OF_MODELS = (
    "Made by `make models`, which fetches weights and data, runs the configurations in `experiments/configs/models` and writes "
    "this page; the sweeps below took {seconds:.0f} s the last time that they measured. True bits count all that is stored for "
    "the whole model, scales and what stays in floating point included; ± is one standard error over the seeds."
)
"""The first lines of a page; a page of both kinds has those of arrays."""

LONGEST_TABLE = 24
"""Lines of the longest table that is not folded."""


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; returns the exit code."""
    options = _options(arguments)
    configs = [word for word in options.words if "=" not in word]
    overrides = [word for word in options.words if "=" in word]
    for file in configs:
        if (code := sweep.main([file, *overrides, *(["--tiny"] if options.tiny else [])])) != 0:
            return code
    loaded = [load(file, overrides) for file in configs]
    folders = [(config.tiny() if options.tiny else config).folder for config in loaded]
    return write_gallery(folders, options.page)


def write_gallery(folders: Sequence[Path], target: Path) -> int:
    """Writes the page from what lies in some results folders. Returns 1 if a published number is outside its tolerance."""
    configs = {folder: saved_config(folder, trust=True) for folder in folders}  # their plugins have just been run
    print(write_page(target, _page(configs, target.parent)))
    outside = [line for folder, config in configs.items() for line in unexplained(folder, config)]
    for line in outside:
        print(f"outside its tolerance, without an explanation: {line}", file=sys.stderr)
    return 1 if outside else 0


def unexplained(folder: Path, config: Config) -> list[str]:
    """A line for each published number of a folder that is not reached, and whose difference has no explanation."""
    tables = [(output, _read(folder, output)) for output in config.tables if isinstance(output, Published)]
    return [
        f"{output.stem}: {row.what}: {row.published} in print, {row.ours} here ({row.verdict})"
        for output, table in tables
        for row in table.itertuples()
        if row.verdict not in (WITHIN, EXPLAINED)
    ]


def _page(configs: dict[Path, Config], base: Path) -> Iterator[str]:
    seconds = sum(json.loads((folder / "manifest.json").read_text())["last_run"]["seconds"] for folder in configs)
    yield "# The gallery"
    yield (OF_MODELS if all(isinstance(each, ModelSweep) for each in configs.values()) else OF_ARRAYS).format(seconds=seconds)
    yield "\n".join(f"- [{config.name}](#{_anchor(config.name)}): {config.description}" for config in configs.values())
    yield from _summary(configs)
    for folder, config in configs.items():
        yield from _section(folder, config, base)


def _summary(configs: dict[Path, Config]) -> Iterator[str]:
    """How the published numbers compare with ours, over all tables."""
    tables = [_read(f, output) for f, c in configs.items() for output in c.tables if isinstance(output, Published)]
    if tables:
        counts = pd.concat(tables)["verdict"].value_counts()
        yield f"Of {counts.sum()} published numbers: {', '.join(f'{n} {word}' for word, n in counts.items())}."


def _section(folder: Path, config: Config, base: Path) -> Iterator[str]:
    where = Path(os.path.relpath(folder, base))
    yield f"## {config.name}"
    yield f"{config.description} [Rows]({where}/table.csv), [configuration]({where}/config.yaml)."
    for output in config.figures:
        name = output.stem
        file = f"{where}/figures/{name}"
        if not (folder / "figures" / f"{name}.png").exists():
            continue
        data = f", [numbers]({file}.csv)" if (folder / "figures" / f"{name}.csv").exists() else ""
        yield f"**{name}.** {output.caption} ([PDF]({file}.pdf){data})".replace("  ", " ")
        yield f"![{name}]({file}.png)"
    for output in config.tables:
        yield from _table(folder, output, where)


def _table(folder: Path, output: Output, where: Path) -> Iterator[str]:
    """A table with its caption; a long one is folded."""
    text = (folder / "tables" / f"{output.stem}.md").read_text(encoding="utf-8").rstrip().split("\n")
    lines = text[next(i for i, line in enumerate(text) if line.startswith("|")) :]
    yield f"**{output.stem}.** {title(output)}. {output.caption} ([CSV]({where}/tables/{output.stem}.csv))".replace("  ", " ")
    shown = "\n".join(lines)
    yield shown if len(lines) <= LONGEST_TABLE else folded(f"{len(lines) - 2} lines", shown)


def _read(folder: Path, output: Output) -> pd.DataFrame:
    return pd.read_csv(folder / "tables" / f"{output.stem}.csv", dtype=str, keep_default_na=False)


def _anchor(name: str) -> str:
    return "".join(letter for letter in name.lower() if letter.isalnum() or letter in "-_")


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m experiments.gallery", description="Runs sweeps and shows them on one page."
    )
    parser.add_argument(
        "words", nargs="+", metavar="config.yaml", help="configurations, and key=value overrides for all of them"
    )
    parser.add_argument("--page", type=Path, default=Path("results/gallery/README.md"), help="the page to write")
    parser.add_argument("--tiny", action="store_true", help="a smoke test: small sources, in separate folders")
    return parser.parse_intermixed_args(arguments)


if __name__ == "__main__":
    gc.freeze()  # as `experiments.sweep` does
    keep()
    sys.exit(main())
