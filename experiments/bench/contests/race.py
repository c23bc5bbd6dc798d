"""Runs a contest: both sides and the limit, in the same rounds."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np

from experiments.bench.clock import interleaved, normal
from experiments.bench.contests.causes import why
from experiments.bench.contests.contest import Contest, Work
from experiments.bench.machine import KEPT, keeps_memory
from experiments.bench.row import named, row, said

SECONDS = 8.0
"""No round of a contest begins after this time, once there are three."""

SHORT = 2e-2
"""Seconds: shorter work is repeated for one reading of the clock."""

NEAR = 1e-6
"""The allowed relative difference between the values of two decoders: tables computed in float32 differ in the last digits."""

PAUSE = 3e-2
"""Seconds before each reading, so that threads of the last one, which spin while they wait for work, have gone to sleep. The
threads of OpenMP, which torch and bitsandbytes use, take longer than those of XLA."""


def race(contest: Contest, power: int, repeats: int) -> dict[str, Any]:
    """The row of a contest at one size: rates in million elements a second, medians with least and most.

    Ratios are medians of the ratios within a round. If a peer is not installed, or raises, its columns are empty and the row
    says why.

    Args:
        contest: the contest.
        power: log2 of the number of elements, which are normal numbers.
        repeats: the number of counted rounds, if time allows.
    """
    if contest.kept and not keeps_memory():
        return _apart(contest, power, repeats)
    x = normal(2**power)
    works = {"ours": contest.ours(x)}
    peer, missing = _peer(contest, x)
    if peer:
        works["theirs"] = peer
    if contest.limit:
        works["limit"] = contest.limit(x)
    seconds = interleaved({name: work.run for name, work in works.items()}, repeats, SECONDS, SHORT, PAUSE)
    paces = {name: seconds[name] / work.size for name, work in works.items()}
    found = _compared(paces)
    reached = said(contest.bars.reached(found["ratio"], found["share"]))
    return row(
        **_named(contest, power),
        rounds=len(seconds["ours"]),
        **_rates(paces),
        **found,
        cold=works["ours"].cold,
        peer_cold=peer.cold if peer else None,
        reached=reached,
        why=missing or (why(contest, found | {"power": power}) if reached == "no" else ""),
        same=same(works["ours"], peer) if peer else "",
    )


def _apart(contest: Contest, power: int, repeats: int) -> dict[str, Any]:
    """The same in a process that keeps freed memory."""
    words = [sys.executable, "-m", "experiments.bench.contests", contest.name, str(power), str(repeats)]
    done = subprocess.run(words, check=True, stdout=subprocess.PIPE, text=True, env=os.environ | KEPT)
    return row(**json.loads(done.stdout.splitlines()[-1]))


def _peer(contest: Contest, x: np.ndarray) -> tuple[Work | None, str]:
    try:
        return contest.theirs(x), ""
    except Exception as error:  # an error of a peer goes into its row; the other contests run
        return None, f"not compared: {type(error).__name__}: {error}"


def _named(contest: Contest, power: int) -> dict[str, Any]:
    bars = contest.bars
    return {
        "contest": contest.name,
        "does": contest.does,
        "peer": named(contest.peer),
        "peer_does": contest.peer_does,
        "power": power,
        "unit": "M/s",
        "bar": bars.bar,
        "aim": bars.aim,
        "bar_share": bars.share,
        "aim_share": bars.share_aim,
    }


def _rates(paces: dict[str, np.ndarray]) -> dict[str, Any]:
    """Median, least and most of each side; None if it did not run."""
    found: dict[str, Any] = {}
    for name in ("ours", "theirs", "limit"):
        rate = 1e-6 / paces[name] if name in paces else None
        summaries: dict[str, Callable[[np.ndarray], Any]] = {"": np.median, "_least": np.min, "_most": np.max}
        found |= {name + suffix: None if rate is None else float(of(rate)) for suffix, of in summaries.items()}
    return found


def _compared(paces: dict[str, np.ndarray]) -> dict[str, Any]:
    """Our rate over that of the peer, and over that of the limit."""
    ratio = paces["theirs"] / paces["ours"] if "theirs" in paces else None
    return {
        "ratio": None if ratio is None else float(np.median(ratio)),
        "ratio_least": None if ratio is None else float(ratio.min()),
        "ratio_most": None if ratio is None else float(ratio.max()),
        "share": float(np.median(paces["limit"] / paces["ours"])) if "limit" in paces else None,
    }


def same(ours: Work, theirs: Work) -> str:
    """A text about the agreement of two answers: how many numbers differ, or both values of a single number."""
    a, b = (np.asarray(work.answer(work.run())).ravel() for work in (ours, theirs))
    if a.size == b.size == 1:
        return f"ours {float(a[0]):.6g}, theirs {float(b[0]):.6g}"
    fewer = min(a.size, b.size)
    a, b = a[:fewer], b[:fewer]
    off = int((np.abs(a - b) > NEAR * np.abs(a) if a.dtype.kind == "f" else a != b).sum())
    near = " to 1e-6" if a.dtype.kind == "f" else ""
    return f"{off:,} of {fewer:,} differ" if off else f"all {fewer:,} equal{near}"
