"""Flatness: whether the time for a number is the same in large and in small arrays, relative to the plain cast.

    python -m experiments.bench.flat NAME REPEATS POWER [POWER ...]     # the rows of one contest, as JSON

At every size, the total is that of the largest array, cut into arrays that are adjacent in memory; all results are kept until
the last one is done. So both sides read from memory and write to it at every size. Otherwise small arrays would gain from the
cache, and results of more than 32 MiB would pay for fresh pages, which are properties of the machine.
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
    """A row for each size: our rate and that of the limit in million elements a second, and our time over that of the limit.

    Args:
        contest: a contest with a limit.
        powers: log2 of the sizes.
        repeats: the number of counted rounds.
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
    """The same work on several arrays, one after another; it returns all results, so that none is freed before the end."""
    assert work.again is not None
    runs = [work.run, *(work.again() for _ in range(arrays - 1))]
    return lambda: [run() for run in runs]


def main(name: str, repeats: str, *powers: str) -> None:
    """Prints the rows of a contest."""
    (contest,) = (each for each in CONTESTS if each.name == name)
    print(json.dumps(flatness(contest, list(map(int, powers)), int(repeats))))


if __name__ == "__main__":
    main(*sys.argv[1:])
