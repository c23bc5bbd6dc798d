"""Flatness: whether a number takes as long in a large array as in a small one, beside the plain cast of as many.

    python -m experiments.bench.flat NAME REPEATS POWER [POWER ...]     # the rows of one contest, as JSON

At every size as many numbers are taken as the largest array has, cut into arrays that lie side by side in memory; what comes of
them is kept until the last one is done. So both sides read from memory and write to it at every size. What an array gains that
fits into the cache, and what fresh pages cost, which results of more than 32 MiB are each time, say something of the machine,
and nothing of us.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from experiments.bench.clock import interleaved, normal
from experiments.bench.contests.contest import Contest, Work
from experiments.bench.contests.table import CONTESTS
from experiments.bench.machine import KEPT, keeps_memory, last_level_cache


def flatness(contest: Contest, powers: Sequence[int], repeats: int) -> list[dict[str, Any]]:
    """A row for each size: our rate and the limit's in million elements a second, and our time over the limit's.

    Args:
        contest: of the table, with a limit.
        powers: log2 of the numbers of elements.
        repeats: rounds that are counted; the first one is not.
    """
    if not keeps_memory():
        words = [sys.executable, "-m", "experiments.bench.flat", contest.name, str(repeats), *map(str, powers)]
        done = subprocess.run(words, check=True, stdout=subprocess.PIPE, text=True, env=os.environ | KEPT)
        return list(json.loads(done.stdout.splitlines()[-1]))
    assert contest.limit is not None
    numbers, work = max(2 ** max(powers), last_level_cache()), {}  # numbers of 4 bytes each: no cache holds them
    for power in powers:
        x, arrays = normal(2**power), numbers // 2**power
        work[f"ours {power}"] = side_by_side(contest.ours(x), arrays)
        work[f"limit {power}"] = side_by_side(contest.limit(x), arrays)
    seconds = interleaved(work, repeats)  # all sizes in the same rounds
    return [_row(contest.name, power, numbers, seconds[f"ours {power}"], seconds[f"limit {power}"]) for power in powers]


def _row(name: str, power: int, numbers: int, ours: np.ndarray, limit: np.ndarray) -> dict[str, Any]:
    rates = {side: float(np.median(numbers / each)) / 1e6 for side, each in (("ours", ours), ("limit", limit))}
    over = ours / limit
    spread = {"over": np.median(over), "over_least": over.min(), "over_most": over.max()}
    return {"contest": name, "power": power, **rates, **{side: float(each) for side, each in spread.items()}}


def side_by_side(work: Work, arrays: int) -> Callable[[], list[Any]]:
    """The same work on so many arrays, one after another; gives all results, so that none takes the place of another."""
    assert work.again is not None
    runs = [work.run, *(work.again() for _ in range(arrays - 1))]
    return lambda: [run() for run in runs]


def main(name: str, repeats: str, *powers: str) -> None:
    """Prints the rows of a contest."""
    (contest,) = (each for each in CONTESTS if each.name == name)
    print(json.dumps(flatness(contest, list(map(int, powers)), int(repeats))))


if __name__ == "__main__":
    main(*sys.argv[1:])
