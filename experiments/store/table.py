"""The log as a tidy table."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from experiments.config import Config
from experiments.store import log
from experiments.store.folder import NOTE, ROWS, present


def tidy(folder: Path, config: Config) -> pd.DataFrame:
    """The finished rows of the folder's current configuration as a tidy table, from the log alone.

    Columns: source, group, seed, scheme, family, the axes, true_bits, the metrics, and `note` if there is one. The value of an
    axis that a scheme does not have is "". The index is the ids of the rows.
    """
    records = log.read(folder / ROWS).records
    tag = present(folder, records)
    last = {record["id"]: record for record in records if record["plan"] == tag}
    # A killed run may have written a configuration with other metrics, but not yet its plan.
    done = [
        record for record in last.values() if record["status"] == "done" and record["metrics"].keys() >= set(config.metrics)
    ]
    noted = [NOTE] * any(NOTE in record for record in done)
    done.sort(key=lambda record: record["position"])
    rows = [_line(record, config) for record in done]
    columns = ["source", "group", "seed", "scheme", "family", *config.axes, "true_bits", *config.metrics, *noted]
    frame = pd.DataFrame(rows, columns=columns, index=[record["id"] for record in done])
    # object columns: an axis may hold numbers, words and empty texts, and 4 must not become 4.0
    return frame.astype(dict.fromkeys(config.axes, object)) if len(frame) else frame


def _line(record: log.Record, config: Config) -> dict[str, Any]:
    labels = {key: record[key] for key in ("source", "group", "seed", "scheme", "family", "true_bits")}
    axes = {axis: record["axes"].get(axis, "") for axis in config.axes}
    return labels | axes | {name: record["metrics"][name] for name in config.metrics} | {NOTE: record.get(NOTE, "")}
