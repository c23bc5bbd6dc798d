"""Flatness: whether a number takes as long in a large array as in a small one, beside the plain cast of as many.

    python -m experiments.bench.flat NAME REPEATS POWER [POWER ...]     # the rows of one contest, as JSON

In the cache a cast is faster than in memory (`limit` in peers.csv), and results of more than 32 MiB are fresh pages each time;
both say something of the machine, and nothing of us. So the numbers lie in memory at every size (before each call the cache is
filled with others), and the process keeps the memory that it lets go of.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from experiments.bench.clock import normal
from experiments.bench.contests.contest import Contest
from experiments.bench.contests.table import CONTESTS
from experiments.bench.machine import KEPT, keeps_memory, last_level_cache

FEWEST, MOST = 2**24, 16
"""Numbers of one reading, at least: smaller arrays are worked on several times, but no more often than this."""


def flatness(contest: Contest, powers: Sequence[int], repeats: int) -> list[dict[str, Any]]:
    """A row for each size: our rate and the limit's in million elements a second, and our time over the limit's.

    Args:
        contest: of the table, with a limit.
        powers: log2 of the numbers of elements.
        repeats: rounds that are counted; the first one is not.
    """
    if keeps_memory():
        return [_row(contest, power, repeats) for power in powers]
    words = [sys.executable, "-m", "experiments.bench.flat", contest.name, str(repeats), *map(str, powers)]
    done = subprocess.run(words, check=True, stdout=subprocess.PIPE, text=True, env=os.environ | KEPT)
    return list(json.loads(done.stdout.splitlines()[-1]))


def _row(contest: Contest, power: int, repeats: int) -> dict[str, Any]:
    x = normal(2**power)
    assert contest.limit is not None
    work = {"ours": contest.ours(x).run, "limit": contest.limit(x).run}
    seconds = from_memory(work, repeats, min(max(FEWEST // x.size, 1), MOST), forgetting())
    over = seconds["ours"] / seconds["limit"]
    rates = {name: float(np.median(x.size / each)) / 1e6 for name, each in seconds.items()}
    spread = {"over": np.median(over), "over_least": over.min(), "over_most": over.max()}
    return {"contest": contest.name, "power": power, **rates, **{name: float(each) for name, each in spread.items()}}


def from_memory(
    work: Mapping[str, Callable[[], Any]], repeats: int, times: int, forget: Callable[[], None]
) -> dict[str, np.ndarray]:
    """float64 [repeats] for each name: seconds of a call, the mean of several, in rounds; before each call all is forgotten."""
    seconds = {name: np.zeros(repeats + 1) for name in work}
    for round_ in range(repeats + 1):
        for name, run in work.items():
            for _ in range(times):
                forget()
                started = time.perf_counter()
                run()
                seconds[name][round_] += (time.perf_counter() - started) / times
    return {name: each[1:] for name, each in seconds.items()}


def forgetting() -> Callable[[], None]:
    """A function that fills the last cache, twice over, with numbers of its own."""
    add = jax.jit(lambda x: x + jnp.float32(1), donate_argnums=0)
    held = [jnp.zeros(2 * last_level_cache() // 4, jnp.float32)]

    def forget() -> None:
        held.append(jax.block_until_ready(add(held.pop())))

    return forget


def main(name: str, repeats: str, *powers: str) -> None:
    """Prints the rows of a contest."""
    (contest,) = (each for each in CONTESTS if each.name == name)
    print(json.dumps(flatness(contest, list(map(int, powers)), int(repeats))))


if __name__ == "__main__":
    main(*sys.argv[1:])
