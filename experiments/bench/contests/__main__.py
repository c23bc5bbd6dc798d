"""One contest at one size, its row as JSON: `python -m experiments.bench.contests NAME POWER REPEATS`."""

from __future__ import annotations

import json
import sys

from experiments.bench.contests.race import race
from experiments.bench.contests.table import CONTESTS

if __name__ == "__main__":
    name, power, repeats = sys.argv[1:]
    (contest,) = (each for each in CONTESTS if each.name == name)
    print(json.dumps(race(contest, int(power), int(repeats))))
