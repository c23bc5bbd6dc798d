"""Writes `report.html` into a results folder: one file that makes no request, for people who have only a browser.

Jinja2 fills the template, and DataTables (`vendor/`, MIT licence) sorts, filters and pages its tables.
"""

from __future__ import annotations

import os
import shlex
from pathlib import Path

from experiments.base.files import write
from experiments.config import Config
from experiments.figures.stamp import ALL, Stamp, origin
from experiments.store.folder import CONFIG, MANIFEST

REPORT = "report.html"
HERE = Path(__file__).parent
SCRIPT = HERE / "vendor" / "datatables-3.1.5.min.js"


def make_report(config: Config, folder: Path, again: bool = False) -> Path:
    """Writes the report if what it shows has changed; call it after `make_outputs` and the manifest.

    Args:
        config: the sweep.
        folder: its results folder.
        again: whether a report that is up to date is rewritten too.

    Returns:
        Its path.

    Raises:
        OSError: with the path of a file that cannot be written.
    """
    path, stamp = folder / REPORT, Stamp.read(folder)
    manifest = folder / MANIFEST
    made_of = origin(stamp.outputs.get(ALL, {}), manifest.read_bytes() if manifest.exists() else b"")
    if again or stamp.files(REPORT, made_of) is None:
        stamp.note(REPORT, made_of, [write(path, html(config, folder))])
        stamp.save(list(stamp.outputs))
    return path


def html(config: Config, folder: Path) -> str:
    """The text of the report. Jinja2 and pandas are imported here: a sweep with nothing to do needs neither."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    from experiments.figures.page import content
    from experiments.store.table import tidy

    manifest = content.manifest_of(folder)
    files = Environment(loader=FileSystemLoader(HERE), autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    best = content.best_schemes(tidy(folder, config), config)
    return files.get_template("report.html").render(
        config=config,
        asked=content.asked(config, manifest),
        warnings=content.warned(folder, manifest),
        best=best,
        figures=list(content.figures(config, folder)),
        tables=list(content.tables(config, folder)),
        written=(folder / CONFIG).read_text(encoding="utf-8") if (folder / CONFIG).exists() else "",
        command=command(config, folder),
        provenance=content.provenance(manifest),
        style=(HERE / "report.css").read_text(encoding="utf-8"),
        script=SCRIPT.read_text(encoding="utf-8") + "\n" + (HERE / "report.js").read_text(encoding="utf-8"),
    )


def command(config: Config, folder: Path) -> str:
    """The line that runs the sweep again, from the working folder; from the folder above the results, if they lie elsewhere."""
    try:
        near = Path(os.path.relpath(folder)) if not os.path.relpath(folder).startswith("..") else Path(folder.name)
    except ValueError:  # another drive of Windows
        near = Path(folder.name)
    trust = ["--trust"] * bool(config.plugins)
    return shlex.join(["python", "-m", "experiments.sweep", (near / CONFIG).as_posix(), *trust])
