"""The log as a tidy table."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from experiments.config import Config
from experiments.config.model import ModelSweep
from experiments.store import log
from experiments.store.folder import NOTE, ROWS, SITES, present


def tidy(folder: Path, config: Config) -> pd.DataFrame:
    """The finished rows of the folder's current configuration as a tidy table, from the log alone.

    Columns: source, group, seed, scheme, family, the axes, true_bits, the metrics, and `note` if there is one. The value of an
    axis that a scheme does not have is "". The index is the ids of the rows.
    """
    done = _done(folder, config)
    noted = [NOTE] * any(NOTE in record for record in done)
    done.sort(key=lambda record: record["position"])
    rows = [_line(record, config, config.metrics) for record in done]
    columns = ["source", "group", "seed", "scheme", "family", *config.axes, "true_bits", *config.metrics, *noted]
    frame = pd.DataFrame(rows, columns=columns, index=[record["id"] for record in done])
    # object columns: an axis may hold numbers, words and empty texts, and 4 must not become 4.0
    return frame.astype(dict.fromkeys(config.axes, object)) if len(frame) else frame


def _done(folder: Path, config: Config) -> list[log.Record]:
    """The last record of every finished row of the current configuration."""
    records = log.read(folder / ROWS).records
    tag = present(folder, records)
    last = {record["id"]: record for record in records if record["plan"] == tag}
    # A killed run may have written a configuration with other metrics, but not yet its plan.
    needed = set() if isinstance(config, ModelSweep) else set(config.metrics)  # a task need not have every measure
    return [record for record in last.values() if record["status"] == "done" and record["metrics"].keys() >= needed]


def sites(folder: Path, config: Config) -> pd.DataFrame:
    """The quantized weights of the finished rows of a sweep of models, from the log alone; one row for each.

    Columns: those that describe the row, site, layer, and what `qr.model.Plan.errors` says. A number in the name of a site that
    is no stack counts as its layer: `encoder/3/query` is the layer 3 of `encoder/*/query`.
    """
    lines = [
        _line(record, config, ()) | _layered(each)
        for record in sorted(_done(folder, config), key=lambda record: record["position"])
        for each in record.get(SITES, [])
    ]
    return pd.DataFrame(lines)


def _layered(site: dict[str, Any]) -> dict[str, Any]:
    found = re.search(r"(?<![^/])\d+(?![^/])", site["site"])
    if site["layer"] or found is None:
        return site | {"layer": int(site["layer"]) if site["layer"].isdigit() else site["layer"] or "-"}
    name = f"{site['site'][: found.start()]}*{site['site'][found.end() :]}"
    return site | {"site": name, "layer": int(found[0])}


def _line(record: log.Record, config: Config, names: Sequence[str]) -> dict[str, Any]:
    labels = {key: record[key] for key in ("source", "group", "seed", "scheme", "family", "true_bits")}
    axes = {axis: record["axes"].get(axis, "") for axis in config.axes}
    return (
        labels | axes | {name: record["metrics"].get(name, math.nan) for name in config.metrics} | {NOTE: record.get(NOTE, "")}
    )
